package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strongroom/strongroom/internal/pgtest"
)

// openAlone opens a store on a server of its own.
func openAlone(t *testing.T, s *pgtest.Alone) (*DB, *pgx.Conn) {
	t.Helper()
	db, err := open(t.Context(), Config{URL: s.Address}, testMigrations(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	admin, err := pgx.Connect(t.Context(), s.Superuser)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close(context.Background()) })
	return db, admin
}

// loseStandby makes all commits of the store wait for a standby that is not there.
// The server's processes learn of it one after the other, so a commit of the
// role's tells when it is in force.
func loseStandby(t *testing.T, s *pgtest.Alone, admin *pgx.Conn) {
	t.Helper()
	s.Set(t, "synchronous_standby_names", "nobody")
	probe, err := pgx.Connect(t.Context(), s.Address)
	if err != nil {
		t.Fatal(err)
	}
	pid := probe.PgConn().PID()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			if _, err := probe.Exec(context.Background(), fmt.Sprintf(`CREATE TABLE probe%d (n BIGINT)`, i)); err != nil {
				return
			}
		}
	}()
	within(t, "losing the standby", func() {
		for waits := false; !waits; time.Sleep(time.Millisecond) {
			if err := admin.QueryRow(t.Context(), `SELECT COALESCE(bool_or(wait_event = 'SyncRep'), FALSE) FROM pg_stat_activity WHERE pid = $1`, pid).Scan(&waits); err != nil {
				t.Error(err)
				return
			}
		}
	})
	if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend($1)`, pid); err != nil {
		t.Fatal(err)
	}
	<-done
	within(t, "ending the probe", func() {
		for n := 1; n > 0; time.Sleep(time.Millisecond) {
			if err := admin.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_stat_activity WHERE pid = $1`, pid).Scan(&n); err != nil {
				t.Error(err)
				return
			}
		}
	})
}

// TestCommitWithoutItsStandby: a commit that waits for the synchronous standby is
// made without it when the wait is cancelled or the session ended, and the server
// calls that a success, or shows it to those who look afterwards. The next primary
// may know nothing of it, so nobody may be told that it is done.
func TestCommitWithoutItsStandby(t *testing.T) {
	for _, how := range []string{"pg_cancel_backend", "pg_terminate_backend"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := pgtest.StartAlone(t)
			db, admin := openAlone(t, s)
			loseStandby(t, s, admin)
			done := make(chan error, 1)
			go func() { done <- db.Write(context.Background(), insert("x")) }()
			// waiting awaits a commit that waits, other than the one of a process.
			waiting := func(but int32) (pid int32) {
				t.Helper()
				deadline := time.After(20 * time.Second)
				for {
					err := admin.QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid <> $1`, but).Scan(&pid)
					if err == nil {
						return pid
					}
					select {
					case err := <-done:
						t.Fatalf("write ended with %v, which no standby has", err)
					case <-deadline:
						t.Fatalf("nobody waits for the standby: %v", err)
					case <-time.After(5 * time.Millisecond):
					}
				}
			}
			first := waiting(0)
			if _, err := admin.Exec(t.Context(), `SELECT `+how+`($1)`, first); err != nil {
				t.Fatal(err)
			}
			waiting(first) // The store does not take the server's word for it.
			var n int64
			if err := admin.QueryRow(t.Context(), `SELECT COUNT(*) FROM things`).Scan(&n); err != nil || n != 1 {
				t.Fatalf("%d rows on the server itself, %v", n, err)
			}
			s.Set(t, "synchronous_standby_names", "")
			within(t, "writing", func() {
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
			if got := names(t, db, allNames); got != "x" || db.Stats().Lost != 1 {
				t.Errorf("found %q, %+v", got, db.Stats())
			}
		})
	}
}

// TestCommitIsNotCancelled: who gives up waiting for a commit must not make the
// server give up waiting for its standby.
func TestCommitIsNotCancelled(t *testing.T) {
	s := pgtest.StartAlone(t)
	db, admin := openAlone(t, s)
	p := db.engine.(*postgres)
	conn, err := p.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.release(conn)
	loseStandby(t, s, admin)
	for _, statement := range []string{beginWrite, `INSERT INTO things (name) VALUES ('x')`} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	conn.link.committing.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := conn.Exec(ctx, "commit"); err == nil {
		t.Fatal("commit did not wait")
	}
	<-conn.PgConn().CleanupDone()
	var n int64
	if err := admin.QueryRow(t.Context(), `SELECT COUNT(*) FROM things`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows, %v: the server committed on itself alone", n, err)
	}
	s.Set(t, "synchronous_standby_names", "")
}

// TestStandbyIsLeft: a server that takes no writes any more is none to work with,
// for writing or for reading; once one takes them, it is found.
func TestStandbyIsLeft(t *testing.T) {
	s := pgtest.StartAlone(t)
	db, _ := openAlone(t, s)
	write(t, db, insert("x"))
	s.Set(t, "default_transaction_read_only", "on")
	// A session reads the new setting between two statements.
	var err error
	for end := time.Now().Add(20 * time.Second); err == nil && time.Now().Before(end); {
		err = db.Write(t.Context(), func(tx Tx) error {
			_, err := tx.Exec(`UPDATE things SET n = 1`)
			return err
		})
	}
	if err == nil || !strings.Contains(err.Error(), "read only") {
		t.Errorf("writing on a server that is read only: %v", err)
	}
	if err := db.Get(t.Context(), `SELECT 1`).Scan(new(int64)); err == nil {
		t.Error("reads from a server that takes no writes")
	}
	s.Set(t, "default_transaction_read_only", "off")
	within(t, "finding the primary", func() {
		for db.Ping(t.Context()) != nil {
			time.Sleep(5 * time.Millisecond)
		}
	})
	write(t, db, insert("y"))
}

// TestDeadHostsAreNotWaitedFor: a server that is stopped takes connections and
// answers nothing, and one that is cut off not even that.
func TestDeadHostsAreNotWaitedFor(t *testing.T) {
	u, err := url.Parse(newDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	stopped, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stopped.Close()
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing.Close()
	u.Host = stopped.Addr().String() + "," + refusing.Addr().String() + "," + u.Host
	u.RawQuery += "&connect_timeout=3600"
	within(t, "writing", func() {
		db, err := open(t.Context(), Config{URL: u.String()}, testMigrations(t))
		if err != nil {
			t.Error(err)
			return
		}
		defer db.Close()
		write(t, db, insert("x"))
	})
}

// TestBrokenBeforeCommit: a connection that breaks before the commit is sent costs
// the caller nothing.
func TestBrokenBeforeCommit(t *testing.T) {
	db := newOpener(t, PostgreSQL)(t)
	write(t, db, insert("x"))
	breaks := func(tx Tx) error {
		_, err := tx.Exec(`SELECT pg_terminate_backend(pg_backend_pid())`)
		return err
	}
	runs := 0
	write(t, db, func(tx Tx) error {
		if runs++; runs == 1 {
			return breaks(tx)
		}
		_, err := tx.Exec(`UPDATE things SET n = COALESCE(n, 0) + 1`)
		return err
	})
	var found string
	reads := 0
	err := db.Read(t.Context(), func(tx Tx) error {
		if reads++; reads == 1 {
			return breaks(tx)
		}
		return tx.QueryRow(`SELECT name FROM things WHERE n = 1`).Scan(&found)
	})
	if err != nil || found != "x" || runs != 2 || reads != 2 {
		t.Errorf("found %q after %d runs and %d reads, %v", found, runs, reads, err)
	}
	// One that is always broken is an error in the end.
	if err := db.Read(t.Context(), breaks); err == nil {
		t.Error("no error")
	}
	if err := db.Get(t.Context(), `SELECT name FROM things`).Scan(&found); err != nil {
		t.Error(err)
	}
}

// TestAnswersAreAwaitedForABoundedTime has a server that stops in the middle of a
// statement.
func TestAnswersAreAwaitedForABoundedTime(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	l := &link{Conn: client, limit: 20 * time.Millisecond}
	within(t, "reading", func() {
		if _, err := l.Read(make([]byte, 1)); err == nil {
			t.Error("read something")
		}
	})
	// What the driver asks for in between is not lost.
	l.limit = time.Hour
	l.SetDeadline(time.Unix(1, 0))
	within(t, "reading after the deadline", func() {
		if _, err := l.Read(make([]byte, 1)); err == nil {
			t.Error("read something")
		}
	})
	l.SetDeadline(time.Time{})
	go server.Write([]byte("x"))
	within(t, "reading", func() {
		if _, err := l.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
	})
}

// TestChangeOfPrimary has two addresses of one server take turns.
func TestChangeOfPrimary(t *testing.T) {
	var logged bytes.Buffer
	address := newDatabase(t)
	config, _, err := postgresConfig(address, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p := newPrimary(config, 0, slog.New(slog.NewTextHandler(&logged, nil)))
	p.hosts = append(p.hosts, p.hosts[0])
	p.found(1)
	conn, err := p.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.abandon()
	if conn.host != 1 || logged.Len() > 0 {
		t.Errorf("asked %d first; %s", conn.host, logged.String())
	}
	p.found(0)
	if !strings.Contains(logged.String(), "takes the writes now") || p.is(1) || p.changes.Load() != 1 {
		t.Errorf("logged %q", logged.String())
	}
}

func TestStatementTimeouts(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"10000": 15 * time.Second, "2s": 7 * time.Second, "1min": 65 * time.Second, "0": 0,
		"-1": -1, "soon": -1,
	} {
		config := &pgx.ConnConfig{}
		config.RuntimeParams = map[string]string{"statement_timeout": text}
		got, err := answerLimit(config)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
