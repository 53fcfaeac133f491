package store

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestFailingNeighboursAreIsolated makes many callers wait for one commit, of
// which every third fails in one of several ways.
func TestFailingNeighboursAreIsolated(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		write(t, db, insert("taken"))
		refused := errors.New("refused")
		release := holdWriter(t, db)

		var wg sync.WaitGroup
		var want []string
		for i, name := range someNames("n", 30) {
			fail := i % 5
			if fail != 1 && fail != 2 && fail != 3 {
				want = append(want, name)
			}
			wg.Go(func() {
				err := db.Write(context.Background(), func(tx Tx) error {
					if err := insert(name)(tx); err != nil {
						return err
					}
					switch fail {
					case 1:
						return refused
					case 2:
						return insert("taken")(tx)
					case 3:
						panic("boom")
					}
					return nil
				})
				_, panicked := errors.AsType[*PanicError](err)
				switch {
				case fail == 1 && !errors.Is(err, refused),
					fail == 2 && !IsUnique(err),
					fail == 3 && !panicked,
					(fail == 0 || fail == 4) && err != nil:
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		waitFor(t, func() bool { return db.Engine() == PostgreSQL || db.Stats().Waiting == 30 })
		release()
		within(t, "writing", wg.Wait)
		want = append(want, "taken")
		if got := names(t, db, allNames); got != strings.Join(want, " ") {
			t.Errorf("got  %s\nwant %s", got, strings.Join(want, " "))
		}
		if s := db.Stats(); db.Engine() == SQLite && s.Batches >= s.Commits {
			t.Errorf("commits were not shared: %+v", s)
		}
	})
}

// holdWriter keeps the SQLite writer busy until the function it returns is
// called. On PostgreSQL writes do not wait for one another.
func holdWriter(t *testing.T, db *DB) (release func()) {
	t.Helper()
	if db.Engine() == PostgreSQL {
		return func() {}
	}
	running, go1 := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := db.Maintain(context.Background(), func(Tx) error {
			close(running)
			<-go1
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-running
	return func() {
		close(go1)
		wg.Wait()
	}
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for range 2000 {
		if condition() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("condition does not come true")
}

func TestWriterSurvivesGoexit(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		within(t, "write", func() {
			err := db.Write(context.Background(), func(tx Tx) error {
				if err := insert("lost")(tx); err != nil {
					return err
				}
				runtime.Goexit()
				return nil
			})
			if _, ok := errors.AsType[*PanicError](err); !ok {
				t.Errorf("got %v", err)
			}
		})
		within(t, "next write", func() { write(t, db, insert("kept")) })
		if got := names(t, db, allNames); got != "kept" {
			t.Errorf("found %q", got)
		}
	})
}

func TestPanicKeepsItsValueOutOfTheText(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		err := open(t).Write(t.Context(), func(Tx) error { panic("hunter2") })
		p, ok := errors.AsType[*PanicError](err)
		if !ok || p.Value != "hunter2" || len(p.Stack) == 0 || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	})
}

func TestFailedStatementCannotBeCommittedOver(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		write(t, db, insert("taken"))
		audited := false
		db.audit = func(context.Context, Tx) error { audited = true; return nil }
		err := db.Write(t.Context(), func(tx Tx) error {
			if err := insert("before")(tx); err != nil {
				return err
			}
			if err := insert("taken")(tx); !IsUnique(err) {
				t.Errorf("got %v", err)
			}
			if err := insert("after")(tx); !IsUnique(err) {
				t.Errorf("a statement after a failed one: %v", err)
			}
			return nil
		})
		if !IsUnique(err) || audited {
			t.Errorf("got %v, audited %t", err, audited)
		}
		if got := names(t, db, allNames); got != "taken" {
			t.Errorf("found %q", got)
		}
	})
}

func TestOpenRows(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		for _, name := range []string{"a", "b", "c"} {
			write(t, db, insert(name))
		}
		write(t, db, func(tx Tx) error {
			rows, err := tx.Query(allNames)
			if err != nil {
				return err
			}
			if !rows.Next() {
				t.Error("no row")
			}
			if _, err := tx.Exec(`DELETE FROM things`); !errors.Is(err, errRowsOpen) {
				t.Errorf("a statement beside open rows: %v", err)
			}
			if err := errors.Join(rows.Close(), rows.Close()); err != nil {
				t.Error(err)
			}
			if rows.Next() {
				t.Error("row after close")
			}
			_, err = tx.Exec(`DELETE FROM things WHERE name = $1`, "b")
			return err
		})
		// Rows that fn forgets are closed for it.
		var leaked Tx
		write(t, db, func(tx Tx) error {
			leaked = tx
			_, err := tx.Query(allNames)
			return err
		})
		if _, err := leaked.Exec(`DELETE FROM things`); !errors.Is(err, errEnded) {
			t.Errorf("a transaction used after its end: %v", err)
		}
		if got := names(t, db, allNames); got != "a c" {
			t.Errorf("found %q", got)
		}
	})
}

func TestReturningWithoutReading(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		write(t, db, func(tx Tx) error {
			rows, err := tx.Query(`INSERT INTO things (name) VALUES ($1), ($2) RETURNING name`, "a", "b")
			if err != nil {
				return err
			}
			return rows.Close()
		})
		write(t, db, func(tx Tx) error {
			var name string
			return tx.QueryRow(`INSERT INTO things (name) VALUES ($1), ($2) RETURNING name`, "c", "d").Scan(&name)
		})
		if got := names(t, db, allNames); got != "a b c d" {
			t.Errorf("found %q", got)
		}
	})
}

func TestNowIsFixedAndInMicroseconds(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		start := time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.FixedZone("x", 3600))
		c := &clock{now: start}
		db := open(t, func(config *Config) { config.Now = c.Now })
		write(t, db, func(tx Tx) error {
			first := tx.Now()
			c.advance(time.Hour)
			if !tx.Now().Equal(first) || first.Location() != time.UTC || first.Nanosecond() != 123456000 {
				t.Errorf("got %v, then %v", first, tx.Now())
			}
			return nil
		})
	})
}
