package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strongroom/strongroom/internal/pgtest/netfault"
)

// TestConflictRunsAgain provokes a real write skew: two transactions read what
// the other changes, and only one may be right about what it read.
func TestConflictRunsAgain(t *testing.T) {
	db := newOpener(t, PostgreSQL)(t)
	var runs atomic.Int64
	var meet sync.WaitGroup
	meet.Add(2)
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		wg.Go(func() {
			first := true
			err := db.Write(context.Background(), func(tx Tx) error {
				runs.Add(1)
				var n int64
				if err := tx.QueryRow(`SELECT COUNT(*) FROM things`).Scan(&n); err != nil {
					return err
				}
				if first {
					first = false
					meet.Done()
					meet.Wait()
				}
				_, err := tx.Exec(`INSERT INTO things (name, n) VALUES ($1, $2)`, name, n)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	within(t, "writing", wg.Wait)
	if runs.Load() < 3 || db.Stats().Retries == 0 {
		t.Errorf("%d runs, %+v", runs.Load(), db.Stats())
	}
	if got := names(t, db, `SELECT name FROM things WHERE n = 1`); len(got) != 1 {
		t.Errorf("rows that saw the other: %q", got)
	}
}

func TestDeadlockRunsAgain(t *testing.T) {
	db := newOpener(t, PostgreSQL)(t)
	write(t, db, insert("a"))
	write(t, db, insert("b"))
	var meet, wg sync.WaitGroup
	meet.Add(2)
	for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		wg.Go(func() {
			first := true
			err := db.Write(context.Background(), func(tx Tx) error {
				for _, name := range order {
					if _, err := tx.Exec(`UPDATE things SET n = COALESCE(n, 0) + 1 WHERE name = $1`, name); err != nil {
						return err
					}
					if first {
						first = false
						meet.Done()
						meet.Wait()
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	within(t, "writing", wg.Wait)
	if got := names(t, db, `SELECT name FROM things WHERE n = 2 ORDER BY name`); got != "a b" {
		t.Errorf("both were changed twice: %q", got)
	}
}

func TestRunsAgainOnlyWhenAsked(t *testing.T) {
	db := newOpener(t, PostgreSQL)(t)
	write(t, db, insert("taken"))
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"serialisation failure": {&pgconn.PgError{Code: "40001"}, maxAttempts},
		"deadlock":              {fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: "40P01"}), maxAttempts},
		"other of class 40":     {&pgconn.PgError{Code: "40002"}, 1},
		"lock not available":    {&pgconn.PgError{Code: "55P03"}, 1},
		"unique violation":      {&pgconn.PgError{Code: "23505"}, 1},
		"connection failure":    {&pgconn.PgError{Code: "08006"}, 1},
		"own error":             {errors.New("refused"), 1},
		"end of input":          {io.ErrUnexpectedEOF, 1},
	} {
		runs := 0
		err := db.Write(t.Context(), func(Tx) error { runs++; return test.err })
		if !errors.Is(err, test.err) || runs != test.want {
			t.Errorf("%s: %d runs, want %d; %v", name, runs, test.want, err)
		}
	}
}

// TestHiddenConflictRunsAgain has a function that answers its own error where
// the database asked for another run.
func TestHiddenConflictRunsAgain(t *testing.T) {
	db := newOpener(t, PostgreSQL)(t)
	write(t, db, insert("x"))
	touch := func(tx Tx) error {
		_, err := tx.Exec(`UPDATE things SET n = COALESCE(n, 0) + 1 WHERE name = 'x'`)
		return err
	}
	runs := 0
	write(t, db, func(tx Tx) error {
		runs++
		if err := tx.QueryRow(`SELECT name FROM things`).Scan(new(string)); err != nil {
			return err
		}
		if runs == 1 {
			write(t, db, touch) // in another transaction
		}
		if err := touch(tx); err != nil {
			return errors.New("internal error")
		}
		return nil
	})
	if got := names(t, db, `SELECT name FROM things WHERE n = 2`); got != "x" || runs != 2 {
		t.Errorf("%d runs, changed twice: %q", runs, got)
	}
}

// TestLostCommit breaks the connection around commits. Each change must be
// there exactly once, whatever the server did with the first attempt.
func TestLostCommit(t *testing.T) {
	tests := []struct {
		name string
		how  netfault.Cut
		runs int // 0 means one or two
		lost int64
	}{
		{"commit never arrived", netfault.Before, 2, 1},
		{"only the marker arrived", netfault.Held, 2, 1},
		{"answer was lost", netfault.After, 1, 1},
		{"broken at the same moment", netfault.During, 0, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			address := newDatabase(t)
			p, through := netfault.New(t, address)
			var logged bytes.Buffer
			db, err := open(t.Context(), Config{URL: through, Log: slog.New(slog.NewTextHandler(&logged, nil))}, testMigrations(t))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			write(t, db, insert("start"))

			p.NextCommit(test.how)
			runs := 0
			within(t, "writing", func() {
				write(t, db, func(tx Tx) error {
					runs++
					_, err := tx.Exec(`UPDATE things SET n = COALESCE(n, 0) + 1 WHERE name = 'start'`)
					return err
				})
			})
			if p.Cuts() != 1 {
				t.Fatal("the proxy did nothing")
			}
			if test.runs == 0 && runs > 2 || test.runs != 0 && runs != test.runs {
				t.Errorf("%d runs, want %d", runs, test.runs)
			}
			var n int64
			if err := db.Get(t.Context(), `SELECT n FROM things`).Scan(&n); err != nil || n != 1 {
				t.Errorf("applied %d times, %v", n, err)
			}
			if s := db.Stats(); s.Lost != test.lost {
				t.Errorf("%+v", s)
			}
			if !strings.Contains(logged.String(), "was lost") {
				t.Errorf("log says %q", logged.String())
			}
			write(t, db, insert("afterwards"))
		})
	}
}

// TestLateCommitIsKeptOut is the race that makes looking for a row alone wrong:
// the lost transaction is still open on the server when the search begins. It
// must then be either waited for, or unable to commit.
func TestLateCommitIsKeptOut(t *testing.T) {
	db := newOpener(t, PostgreSQL)(t)
	p := db.engine.(*postgres)
	for _, commit := range []bool{true, false} {
		late, err := p.pool.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer late.Close(context.Background())
		id := randomID()
		for _, statement := range []string{beginWrite, fmt.Sprintf(`INSERT INTO store_commits (id, at, committed) VALUES ('%s', 0, TRUE)`, id)} {
			if _, err := late.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		outcome := make(chan error, 1)
		go func() { outcome <- p.resolve(context.Background(), id, time.Now()) }()
		select {
		case err := <-outcome:
			t.Fatalf("decided while the transaction was open: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
		end := "rollback"
		if commit {
			end = "commit"
		}
		if _, err := late.Exec(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		if err := <-outcome; commit != (err == nil) || !commit && !errors.Is(err, errVoided) {
			t.Errorf("after %s: %v", end, err)
		}
		// Asking again gives the same answer, and a late commit is refused.
		if err := p.resolve(t.Context(), id, time.Now()); commit != (err == nil) {
			t.Errorf("asked again after %s: %v", end, err)
		}
		if _, err := late.Exec(t.Context(), `INSERT INTO store_commits (id, at, committed) VALUES ($1, 0, TRUE)`, id); !IsUnique(err) {
			t.Errorf("late marker: %v", err)
		}
	}
}

func TestMarkersArePruned(t *testing.T) {
	c := &clock{now: time.Now()}
	db := newOpener(t, PostgreSQL)(t, func(config *Config) { config.Now = c.Now })
	count := func() (n int64) {
		t.Helper()
		if err := db.Get(t.Context(), `SELECT COUNT(*) FROM store_commits`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, name := range someNames("n", 5) {
		write(t, db, insert(name))
	}
	if count() != 5 {
		t.Fatalf("%d markers for 5 commits", count())
	}
	prune := func() {
		t.Helper()
		if err := db.engine.(*postgres).prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.advance(markerAge - time.Minute)
	prune()
	if count() != 6 { // pruning commits, too
		t.Errorf("%d markers before their time", count())
	}
	c.advance(2 * time.Minute)
	prune()
	if count() != 2 {
		t.Errorf("%d markers are left, want those of the two prunings", count())
	}
}

// TestServerClosesConnections lets the server end all idle connections: the
// next call after a pause must not notice.
func TestServerClosesConnections(t *testing.T) {
	db := newOpener(t, PostgreSQL)(t)
	write(t, db, insert("x"))
	other, err := db.engine.(*postgres).pool.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	_, err = other.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(checkAfter + 50*time.Millisecond)
	if got := names(t, db, allNames); got != "x" {
		t.Errorf("found %q", got)
	}
}

func TestPostgresConfig(t *testing.T) {
	for name, test := range map[string]struct {
		address string
		tls     bool
		server  string // name checked
		conns   int
		logged  bool
	}{
		"remote without a word":   {"postgres://u:p@db.example.com/x", true, "db.example.com", 0, false},
		"remote, several":         {"postgres://u:p@127.0.0.1:5432,db.example.com:5433/x?target_session_attrs=read-write", true, "127.0.0.1", 0, false},
		"remote, plain on demand": {"postgres://u:p@db.example.com/x?sslmode=disable", false, "", 0, true},
		"remote, unverified":      {"postgres://u:p@db.example.com/x?sslmode=require", true, "", 0, true},
		"loopback":                {"postgres://u:p@127.0.0.1/x?sslmode=disable", false, "", 0, false},
		"loopback, IPv6":          {"postgres://u:p@[::1]:5432/x?sslmode=disable&pool_max_conns=7", false, "", 7, false},
		"socket":                  {"postgres://u@/x?host=/run/postgresql", false, "", 0, false},
	} {
		var logged bytes.Buffer
		config, conns, err := postgresConfig(test.address, slog.New(slog.NewTextHandler(&logged, nil)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if (config.TLSConfig != nil) != test.tls || test.tls && config.TLSConfig.ServerName != test.server && test.server != "" {
			t.Errorf("%s: TLS is %+v", name, config.TLSConfig)
		}
		if test.server != "" && config.TLSConfig.InsecureSkipVerify {
			t.Errorf("%s: server is not verified", name)
		}
		for _, f := range config.Fallbacks {
			if test.server != "" && f.TLSConfig == nil {
				t.Errorf("%s: falls back to plain text", name)
			}
		}
		if test.conns != 0 && conns != test.conns || conns < 2 {
			t.Errorf("%s: %d connections", name, conns)
		}
		if (logged.Len() > 0) != test.logged {
			t.Errorf("%s: log says %q", name, logged.String())
		}
		if config.RuntimeParams["statement_timeout"] != "10000" || config.ConnectTimeout != connectTimeout {
			t.Errorf("%s: timeouts are %v %v", name, config.RuntimeParams, config.ConnectTimeout)
		}
	}
}

func TestPostgresErrorsHideThePassword(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	for _, address := range []string{
		"postgres://u:hunter2@" + closed + "/x?sslmode=disable",
		"postgres://u:hunter2@host:port/x",
		"postgres://u:hunter2@127.0.0.1/x?pool_max_conns=1",
		"postgres://u:hunter2@127.0.0.1/x?sslmode=none",
		"mysql://u:hunter2@127.0.0.1/x",
		"host=127.0.0.1 password=hunter2",
		"postgres://u:hunter2\x7f@127.0.0.1/x",
	} {
		_, err := Open(t.Context(), Config{URL: address})
		if err == nil {
			t.Errorf("%s is accepted", address)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("password is in %q", err)
		}
	}
}
