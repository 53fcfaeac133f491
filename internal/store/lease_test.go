package store

import (
	"context"
	"errors"
	"testing"
	"time"
)

// as is the DB of another node on the same store.
func as(db *DB, node string) *DB {
	other := *db
	other.node = node
	return &other
}

// age makes all leases older, by the clock that judges them.
func age(t testing.TB, db *DB, c *clock, d time.Duration) {
	t.Helper()
	if db.Engine() == SQLite {
		c.advance(d)
		return
	}
	write(t, db, func(tx Tx) error {
		_, err := tx.Exec(`UPDATE leases SET expires_at = expires_at - $1`, d.Microseconds())
		return err
	})
}

func TestLeases(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		db := open(t, func(config *Config) { config.Now = c.Now })
		me := db.node
		steps := []struct {
			name    string
			advance time.Duration
			node    string
			epoch   int64
			held    bool
		}{
			{"first", 0, me, 1, true},
			{"other comes early", time.Minute, "other", 1, false},
			{"renewed", time.Minute, me, 1, true},
			{"other before the renewed end", 9 * time.Minute, "other", 1, false},
			{"other at the end", time.Minute, "other", 2, true},
			{"first is out", time.Minute, me, 2, false},
			{"other renews late, untaken", time.Hour, "other", 2, true},
			{"first again", 10 * time.Minute, me, 3, true},
			// The clock went back by more than the lease had left.
			{"first far ahead", -time.Hour, "other", 4, true},
		}
		for _, step := range steps {
			age(t, db, c, step.advance)
			epoch, held, err := as(db, step.node).Lease(t.Context(), "rotate", 10*time.Minute)
			if err != nil || epoch != step.epoch || held != step.held {
				t.Errorf("%s: epoch %d, held %t, %v", step.name, epoch, held, err)
			}
		}
		if epoch, held, err := db.Lease(t.Context(), "another", time.Second); err != nil || epoch != 1 || !held {
			t.Errorf("another name: epoch %d, held %t, %v", epoch, held, err)
		}
		// Released by who holds it, and by nobody else.
		for _, r := range []struct {
			node  string
			epoch int64
			held  bool
		}{{me, 4, false}, {"other", 3, false}, {"other", 4, true}} {
			if err := as(db, r.node).Release(t.Context(), "rotate", r.epoch); err != nil {
				t.Fatal(err)
			}
			if _, held, err := db.Lease(t.Context(), "rotate", 10*time.Minute); err != nil || held != r.held {
				t.Errorf("after a release by %s of epoch %d: held %t, %v", r.node, r.epoch, held, err)
			}
		}
		if _, _, err := db.Lease(t.Context(), "rotate", 0); err == nil {
			t.Error("ttl of 0 is accepted")
		}
	})
}

// A node whose clock is wrong takes no lease early and keeps none for long.
func TestLeasesFollowTheDatabasesClock(t *testing.T) {
	open := newOpener(t, PostgreSQL)
	right := open(t)
	ahead := open(t, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(24 * time.Hour) } })
	behind := open(t, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(-24 * time.Hour) } })
	if epoch, held, err := behind.Lease(t.Context(), "job", time.Hour); !held || epoch != 1 || err != nil {
		t.Fatal(epoch, held, err)
	}
	for _, db := range []*DB{right, ahead} {
		if _, held, err := db.Lease(t.Context(), "job", time.Hour); held || err != nil {
			t.Errorf("taken from a node whose clock is behind: %v", err)
		}
	}
	age(t, right, nil, time.Hour+time.Second)
	if epoch, held, err := ahead.Lease(t.Context(), "job", time.Hour); !held || epoch != 2 || err != nil {
		t.Fatal(epoch, held, err)
	}
	age(t, right, nil, time.Hour+time.Second)
	if epoch, held, err := right.Lease(t.Context(), "job", time.Hour); !held || epoch != 3 || err != nil {
		t.Errorf("not to be had from a node whose clock is ahead: %d %t %v", epoch, held, err)
	}
}

func TestChangesUnderALease(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		c := &clock{now: time.Now()}
		db := open(t, func(config *Config) { config.Now = c.Now })
		other := as(db, "other")
		ctx := t.Context()
		change := func(by *DB, epoch int64, name string) error {
			held := by.UnderLease(ctx, "job", epoch)
			maintained := by.Maintain(held, insert(name+"-kept"))
			written := by.Write(held, insert(name))
			if (maintained == nil) != (written == nil) {
				t.Errorf("%s: Maintain %v, Write %v", name, maintained, written)
			}
			return written
		}
		if err := change(db, 1, "none"); !errors.Is(err, ErrFenced) {
			t.Errorf("without a lease: %v", err)
		}
		epoch, _, err := db.Lease(ctx, "job", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(db, epoch, "held"); err != nil {
			t.Errorf("holder: %v", err)
		}
		if err := change(other, epoch, "stranger"); !errors.Is(err, ErrFenced) {
			t.Errorf("stranger: %v", err)
		}
		age(t, db, c, time.Hour)
		// Expired, but nobody took over: no harm done.
		if err := change(db, epoch, "late"); err != nil {
			t.Errorf("late holder: %v", err)
		}
		if _, held, err := other.Lease(ctx, "job", time.Minute); !held || err != nil {
			t.Fatal(held, err)
		}
		if err := change(db, epoch, "lost"); !errors.Is(err, ErrFenced) {
			t.Errorf("former holder: %v", err)
		}
		age(t, db, c, time.Hour)
		if again, held, err := db.Lease(ctx, "job", time.Minute); !held || err != nil || again != epoch+2 {
			t.Fatal(again, held, err)
		}
		// The same node, but what it began before it lost the lease.
		if err := change(db, epoch, "stale"); !errors.Is(err, ErrFenced) {
			t.Errorf("former epoch: %v", err)
		}
		if err := db.Write(ctx, insert("free")); err != nil {
			t.Errorf("a change under no lease: %v", err)
		}
		if got := names(t, db, allNames); got != "free held held-kept late late-kept" {
			t.Errorf("found %q", got)
		}
	})
}

// A holder that is stopped between its last look at the lease and its commit holds
// the take-over up until the database ends its session, and then cannot commit.
func TestHolderStoppedBeforeItsCommit(t *testing.T) {
	const silent = "&idle_in_transaction_session_timeout=500"
	open := newOpener(t, PostgreSQL)
	holder := open(t, func(c *Config) { c.URL += silent })
	other := open(t)
	epoch, _, err := holder.Lease(t.Context(), "job", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	age(t, other, nil, time.Hour)
	stopped, taken := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- holder.engine.write(context.Background(), func(tx *txn) error {
			err := insert("late")(tx)
			if err == nil {
				err = fence(holder.UnderLease(context.Background(), "job", epoch), tx)
			}
			select {
			case <-stopped: // It runs again once it has been found out.
			default:
				close(stopped)
				<-taken
			}
			return err
		})
	}()
	<-stopped
	// It waits for the stopped one's row, whose session the database ends.
	now, held, err := other.Lease(t.Context(), "job", time.Minute)
	if err != nil || !held || now != epoch+1 {
		t.Fatal(now, held, err)
	}
	close(taken)
	if err := <-done; !errors.Is(err, ErrFenced) {
		t.Errorf("the stopped holder: %v", err)
	}
	if got := names(t, other, allNames); got != "" {
		t.Errorf("found %q", got)
	}
}
