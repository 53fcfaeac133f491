package store

import (
	"errors"
	"testing"
	"time"
)

func TestLeases(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		db := open(t, func(config *Config) { config.Now = c.Now })
		me := db.node
		as := func(node string) *DB {
			other := *db
			other.node = node
			return &other
		}
		steps := []struct {
			name    string
			advance time.Duration
			node    string
			epoch   int64
			held    bool
		}{
			{"first", 0, me, 1, true},
			{"other comes early", time.Second, "other", 1, false},
			{"renewed", time.Second, me, 1, true},
			{"other before the renewed end", 9 * time.Second, "other", 1, false},
			{"other at the end", time.Second, "other", 2, true},
			{"first is out", time.Second, me, 2, false},
			{"other renews late, untaken", time.Hour, "other", 2, true},
			{"first again", 10 * time.Second, me, 3, true},
		}
		for _, step := range steps {
			c.advance(step.advance)
			epoch, held, err := as(step.node).Lease(t.Context(), "rotate", 10*time.Second)
			if err != nil || epoch != step.epoch || held != step.held {
				t.Errorf("%s: epoch %d, held %t, %v", step.name, epoch, held, err)
			}
		}
		if epoch, held, err := db.Lease(t.Context(), "another", time.Second); err != nil || epoch != 1 || !held {
			t.Errorf("another name: epoch %d, held %t, %v", epoch, held, err)
		}
		if _, _, err := db.Lease(t.Context(), "rotate", 0); err == nil {
			t.Error("ttl of 0 is accepted")
		}
	})
}

func TestFence(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		c := &clock{now: time.Now()}
		db := open(t, func(config *Config) { config.Now = c.Now })
		other := *db
		other.node = "other"
		fenced := func(db *DB, name string, epoch int64) error {
			return db.Write(t.Context(), func(tx Tx) error {
				if err := insert(name)(tx); err != nil {
					return err
				}
				return db.Fence(tx, "job", epoch)
			})
		}
		if err := fenced(db, "none", 1); !errors.Is(err, ErrFenced) {
			t.Errorf("without a lease: %v", err)
		}
		epoch, _, err := db.Lease(t.Context(), "job", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := fenced(db, "held", epoch); err != nil {
			t.Errorf("holder: %v", err)
		}
		if err := fenced(&other, "stranger", epoch); !errors.Is(err, ErrFenced) {
			t.Errorf("stranger: %v", err)
		}
		c.advance(time.Minute)
		// Expired, but nobody took over: no harm done.
		if err := fenced(db, "late", epoch); err != nil {
			t.Errorf("late holder: %v", err)
		}
		if _, held, err := other.Lease(t.Context(), "job", time.Second); !held || err != nil {
			t.Fatal(held, err)
		}
		if err := fenced(db, "lost", epoch); !errors.Is(err, ErrFenced) {
			t.Errorf("former holder: %v", err)
		}
		if got := names(t, db, allNames); got != "held late" {
			t.Errorf("found %q", got)
		}
	})
}
