package dbfault

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/pgtest"
)

// TestRestart restarts the database, in order and as by a power cut, while the server
// has connections to it lying idle: the next calls do not notice.
func TestRestart(t *testing.T) {
	for name, crash := range map[string]bool{"in order": false, "by a crash": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := pgtest.StartAlone(t)
			w := start(t, own.Address)
			w.create("s")
			// Several connections, for each of which a call could fail.
			var wg sync.WaitGroup
			for range 12 {
				wg.Go(func() {
					if _, err := w.get(t.Context(), "s"); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			own.Stop(t, crash)
			w.await(false)
			own.Start(t)
			w.await(true)
			for range 12 {
				wg.Go(func() {
					if got, err := w.get(t.Context(), "s"); err != nil || got != "first" {
						t.Errorf("%q, %v", got, err)
					}
				})
			}
			wg.Wait()
			if _, err := w.put(t.Context(), "s", "second", nil); err != nil {
				t.Error(err)
			}
			w.sound()
		})
	}
}

// TestTooManyConnections: other clients take the database's last connections. What
// the server has is shared among its calls; with none, calls are refused.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	const most = 14
	own := pgtest.StartAlone(t, fmt.Sprintf("max_connections=%d", most), "superuser_reserved_connections=3")
	w := start(t, own.Address, func(c *config.Config) {
		// Changes are held back below, and must not be given up meanwhile.
		c.Database = strings.Replace(c.Database, "statement_timeout=1000", "statement_timeout=10000", 1)
	})
	w.create("s")
	for i := range most {
		w.create(fmt.Sprint(i))
	}
	var hogs []*pgx.Conn
	release := func() {
		for _, c := range hogs {
			c.Close(context.Background())
		}
		hogs = nil
	}
	t.Cleanup(release)
	hog := func() {
		t.Helper()
		for {
			c, err := pgx.Connect(t.Context(), own.Address)
			if err != nil {
				if !strings.Contains(err.Error(), "53300") {
					t.Fatal(err)
				}
				return
			}
			hogs = append(hogs, c)
		}
	}
	hog()
	// Each change keeps its connection until it can commit, which none can for now:
	// so they need more than the server has, however fast each of them is.
	held, err := hogs[0].Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec(t.Context(), "LOCK TABLE store_commits IN SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range most {
		wg.Go(func() {
			if _, err := w.put(t.Context(), fmt.Sprint(i), "second", nil); err != nil {
				t.Errorf("put with few connections: %v", err)
			}
		})
		wg.Go(func() {
			if got, err := w.get(t.Context(), "s"); err != nil || got != "first" {
				t.Errorf("get with few connections: %q, %v", got, err)
			}
		})
	}
	short := func() int { return w.logged("has no connection left") }
	w.until("a shortage of connections", func() bool { return short() > 0 })
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if n := short(); n != 1 {
		t.Errorf("the log tells %d times that connections are short", n)
	}
	for i := range most {
		if got, err := w.get(t.Context(), fmt.Sprint(i)); err != nil || got != "second" {
			t.Errorf("after a put with few connections: %q, %v", got, err)
		}
	}
	// Take the last ones, too.
	w.proxy.Cut()
	hog()
	for range 3 { // What was closed is counted for a moment longer.
		time.Sleep(20 * time.Millisecond)
		w.proxy.Cut()
		hog()
	}
	_, err = w.get(t.Context(), "s")
	refused(t, "get without connections", err, false)
	release()
	w.until("an answer", func() bool { _, err := w.get(t.Context(), "s"); return err == nil })
	w.sound()
}

// TestReadOnly: a database that takes no changes, as a standby does, serves nothing:
// what it knows may be old, and no call could be recorded.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	own := pgtest.StartAlone(t)
	w := start(t, own.Address)
	w.create("s")
	own.Set(t, "default_transaction_read_only", "on")
	w.until("refusal", func() bool { _, err := w.put(t.Context(), "s", "x", nil); return err != nil })
	w.await(false)
	_, err := w.get(t.Context(), "s")
	refused(t, "get", err, false)
	_, err = w.put(t.Context(), "s", "x", nil)
	refused(t, "put", err, false)
	if n := w.logged(downLine, "read only"); n != 1 {
		t.Errorf("the log tells %d times that the database takes no changes", n)
	}
	own.Set(t, "default_transaction_read_only", "off")
	w.await(true)
	if _, err := w.put(t.Context(), "s", "second", nil); err != nil {
		t.Error(err)
	}
	if got, err := w.get(t.Context(), "s"); err != nil || got != "second" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
	w.sound()
}

// TestConflicts: many writers of one secret collide all the time. Each is served or
// told to come again, and every version that was acknowledged is there.
func TestConflicts(t *testing.T) {
	w := shared(t)
	w.create("s")
	const writers, each = 16, 4
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for n := range each {
				token := fmt.Sprintf("%016d%016d", i, n)
				for {
					_, err := w.put(t.Context(), "s", fmt.Sprintf("%d-%d", i, n), &token)
					if err == nil {
						break
					}
					refused(t, "put", err, false)
				}
			}
		})
	}
	wg.Wait()
	if w.metric("strongroom_store_retries_total") == "0" {
		t.Error("nobody collided")
	}
	acked := 0
	for _, r := range w.records() {
		if r.EventName == "PutSecretValue" && r.ErrorCode == "" {
			acked++
		}
	}
	if acked != writers*each {
		t.Errorf("%d records of %d writes", acked, writers*each)
	}
	w.sound()
}
