package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestEmbeddedMigrations(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		c := Config{Dir: t.TempDir()}
		open(t, func(given *Config) { c.URL = given.URL; given.Dir = t.TempDir() }).Close()
		if c.URL != "" {
			// A database of its own: the opener's has the test's table.
			c = Config{URL: newDatabase(t)}
		}
		for _, round := range []string{"empty", "migrated"} {
			db, err := Open(t.Context(), c)
			if err != nil {
				t.Fatalf("%s: %v", round, err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestReadSeesOneSnapshot(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		write(t, db, insert("before"))
		err := db.Read(t.Context(), func(tx Tx) error {
			first, err := namesIn(tx, allNames)
			if err != nil {
				return err
			}
			write(t, db, insert("during"))
			second, err := namesIn(tx, allNames)
			if err != nil {
				return err
			}
			if first != "before" || second != first {
				t.Errorf("saw %q, then %q", first, second)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := names(t, db, allNames); got != "before during" {
			t.Errorf("a new read sees %q", got)
		}
	})
}

func TestReadRefusesToWrite(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		if err := db.Read(t.Context(), insert("x")); err == nil {
			t.Error("wrote in a Read")
		}
		if got := names(t, db, allNames); got != "" {
			t.Errorf("found %q", got)
		}
	})
}

func TestAuditRunsInTheSameTransaction(t *testing.T) {
	type key struct{}
	engines(t, func(t *testing.T, open opener) {
		var fail error
		audit := func(ctx context.Context, tx Tx) error {
			// It sees the change, the call's context, and its own rows go with it.
			var n int64
			if err := tx.QueryRow(`SELECT COUNT(*) FROM things WHERE name = $1`, ctx.Value(key{})).Scan(&n); err != nil {
				return err
			}
			if n != 1 {
				t.Errorf("audit sees %d rows of the change", n)
			}
			if _, err := tx.Exec(`INSERT INTO things (name) VALUES ($1)`, "audit-"+ctx.Value(key{}).(string)); err != nil {
				return err
			}
			return fail
		}
		db := open(t, func(c *Config) { c.Audit = audit })
		call := func(name string) error {
			return db.Write(context.WithValue(t.Context(), key{}, name), insert(name))
		}
		if err := call("a"); err != nil {
			t.Fatal(err)
		}
		fail = errors.New("no room")
		if err := call("b"); !errors.Is(err, fail) {
			t.Errorf("got %v", err)
		}
		if got := names(t, db, allNames); got != "a audit-a" {
			t.Errorf("found %q", got)
		}
		if err := db.Maintain(t.Context(), insert("c")); err != nil {
			t.Errorf("Maintain is audited: %v", err)
		}
	})
}

func TestCancelledBeforeItsTurn(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		release := holdWriter(t, db)
		var wg sync.WaitGroup
		ran := false
		if db.Engine() == PostgreSQL {
			cancel() // there, turns don't exist
		}
		wg.Go(func() {
			err := db.Write(ctx, func(Tx) error { ran = true; return nil })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		waitFor(t, func() bool { return db.Engine() == PostgreSQL || db.Stats().Waiting == 1 })
		cancel()
		within(t, "giving up", wg.Wait)
		release()
		if ran {
			t.Error("ran all the same")
		}
		for name, err := range map[string]error{
			"Get":  db.Get(ctx, allNames).Scan(new(string)),
			"Read": db.Read(ctx, func(Tx) error { return nil }),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestOnceRunItIsAwaited cancels the caller from within its own function: the
// change is either there and acknowledged, or refused and not there.
func TestOnceRunItIsAwaited(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Write(ctx, func(tx Tx) error {
			err := insert("x")(tx)
			cancel()
			return err
		})
		if there := names(t, db, allNames) == "x"; there != (err == nil) {
			t.Errorf("row is there: %t, error: %v", there, err)
		}
	})
}

func TestReadIsInterrupted(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		within(t, "interrupting", func() {
			err := db.Read(ctx, func(tx Tx) error {
				return tx.QueryRow(`WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT COUNT(*) FROM c`).Scan(new(int64))
			})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
		// The connection is as good as new.
		write(t, db, insert("x"))
		for range 20 {
			if got := names(t, db, allNames); got != "x" {
				t.Errorf("found %q", got)
			}
		}
	})
}

func TestReadPanicsThrough(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		for range 50 { // more often than there are connections
			func() {
				defer func() {
					if recover() != "boom" {
						t.Error("panic did not come through")
					}
				}()
				db.Read(t.Context(), func(tx Tx) error {
					tx.Query(allNames)
					panic("boom")
				})
			}()
		}
		within(t, "reading", func() { names(t, db, allNames) })
	})
}

func TestClose(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		write(t, db, insert("before"))
		release := holdWriter(t, db)
		var wg sync.WaitGroup
		var done, refused atomic.Int64
		for _, name := range someNames("w", 20) {
			wg.Go(func() {
				switch err := db.Write(context.Background(), insert(name)); {
				case err == nil:
					done.Add(1)
				case errors.Is(err, ErrClosed):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		waitFor(t, func() bool { return db.Engine() == PostgreSQL || db.Stats().Waiting == 20 })
		wg.Go(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		if db.Engine() == SQLite {
			waitFor(t, func() bool { return db.Stats().Waiting == 0 })
		}
		release()
		within(t, "closing", wg.Wait)
		if done.Load()+refused.Load() != 20 || db.Engine() == SQLite && refused.Load() == 0 {
			t.Errorf("%d done, %d refused", done.Load(), refused.Load())
		}
		ctx := t.Context()
		_, generation := db.Generation(ctx, "1", "r", "iam")
		for name, err := range map[string]error{
			"Write":      db.Write(ctx, insert("x")),
			"Read":       db.Read(ctx, func(Tx) error { return nil }),
			"Get":        db.Get(ctx, allNames).Scan(new(string)),
			"Ping":       db.Ping(ctx),
			"Generation": generation,
		} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		again := open(t)
		var n int64
		if err := again.Get(ctx, `SELECT COUNT(*) FROM things WHERE name <> 'before'`).Scan(&n); err != nil || n != done.Load() {
			t.Errorf("%d rows of %d acknowledged, %v", n, done.Load(), err)
		}
	})
}

func TestPingAndStats(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		if err := db.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		before := db.Stats()
		write(t, db, insert("x"))
		db.Write(t.Context(), func(Tx) error { return errors.New("refused") })
		after := db.Stats()
		if after.Commits != before.Commits+1 || after.Batches != before.Batches+1 || after.Rollbacks != before.Rollbacks+1 {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}
