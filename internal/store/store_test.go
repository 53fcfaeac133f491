package store

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
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

func TestAffected(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		write(t, open(t), func(tx Tx) error {
			for _, step := range []struct {
				query string
				want  int64
			}{
				{`INSERT INTO things (name, n) VALUES ('a', 1), ('b', 2), ('c', 3)`, 3},
				{`UPDATE things SET n = n + 1 WHERE n > 1`, 2},
				{`UPDATE things SET n = 0 WHERE n > 100`, 0},
				{`INSERT INTO things (name) VALUES ('a') ON CONFLICT (name) DO NOTHING`, 0},
				{`INSERT INTO things (name, n) VALUES ('a', 9) ON CONFLICT (name) DO UPDATE SET n = excluded.n WHERE things.n < 5`, 1},
				{`INSERT INTO things (name, n) VALUES ('a', 9) ON CONFLICT (name) DO UPDATE SET n = excluded.n WHERE things.n < 5`, 0},
				{`DELETE FROM things`, 3},
			} {
				got, err := tx.Exec(step.query)
				if err != nil {
					return err
				}
				if got != step.want {
					t.Errorf("%s: %d rows, want %d", step.query, got, step.want)
				}
			}
			return nil
		})
	})
}

func TestParametersRepeatedAndOutOfOrder(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		write(t, db, func(tx Tx) error {
			_, err := tx.Exec(`INSERT INTO things (n, note, name) VALUES ($3, $2, $1), ($3 + 1, $2, $2)`, "first", "second", 7)
			return err
		})
		var n int64
		err := db.Get(t.Context(), `SELECT n FROM things WHERE name = $1 AND note = $1 OR n = $2 AND name = $1`, "second", -1).Scan(&n)
		if err != nil || n != 8 {
			t.Errorf("got %d, %v", n, err)
		}
		for name, args := range map[string][]any{"too few": {"x"}, "too many": {"x", 1, 2}} {
			err := db.Get(t.Context(), `SELECT n FROM things WHERE name = $1 AND n = $2`, args...).Scan(&n)
			if err == nil || errors.Is(err, ErrNoRows) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

type state string

type number int32

func TestTypes(t *testing.T) {
	text, n64, yes := "text", int64(-1)<<63, true
	var noText *string
	var noNumber *int64
	var noFlag *bool
	tests := []struct {
		name                 string
		note, n, flag, bytes any
		wantNote             *string
		wantN                *int64
		wantFlag             *bool
		wantBytes            []byte
	}{
		{"all nil", nil, nil, nil, nil, nil, nil, nil, nil},
		{"nil pointers", noText, noNumber, noFlag, []byte(nil), nil, nil, nil, nil},
		{"pointers", &text, &n64, &yes, []byte{0, 255}, &text, &n64, &yes, []byte{0, 255}},
		{"empty is not NULL", "", 0, false, []byte{}, new(string), new(int64), new(bool), []byte{}},
		{"named types", state("text"), number(5), true, []byte("b"), &text, new(int64(5)), &yes, []byte("b")},
		{"valuers", sql.NullString{String: "text", Valid: true}, sql.NullInt64{}, sql.NullBool{}, nil, &text, nil, nil, nil},
		{"largest", "\u00e4\U0001f510", int64(math.MaxInt64), true, make([]byte, 300_000), new("\u00e4\U0001f510"), new(int64(math.MaxInt64)), &yes, make([]byte, 300_000)},
		{"digits stay text", "0123", 1, true, []byte("123"), new("0123"), new(int64(1)), &yes, []byte("123")},
	}
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				write(t, db, func(tx Tx) error {
					_, err := tx.Exec(`INSERT INTO things (name, note, n, flag, bytes) VALUES ($1, $2, $3, $4, $5)`,
						test.name, test.note, test.n, test.flag, test.bytes)
					return err
				})
				var note *string
				var n *int64
				var flag *bool
				bytes := []byte("stale")
				err := db.Get(t.Context(), `SELECT note, n, flag, bytes FROM things WHERE name = $1`, test.name).
					Scan(&note, &n, &flag, &bytes)
				if err != nil {
					t.Fatal(err)
				}
				if !same(note, test.wantNote) || !same(n, test.wantN) || !same(flag, test.wantFlag) ||
					!slices.Equal(bytes, test.wantBytes) || (bytes == nil) != (test.wantBytes == nil) {
					t.Errorf("got %v %v %v %v", note, n, flag, bytes)
				}
				var nullText sql.NullString
				var nullNumber sql.NullInt64
				var nullFlag sql.NullBool
				err = db.Get(t.Context(), `SELECT note, n, flag FROM things WHERE name = $1`, test.name).
					Scan(&nullText, &nullNumber, &nullFlag)
				if err != nil || nullText.Valid != (note != nil) || nullNumber.Valid != (n != nil) || nullFlag.Valid != (flag != nil) {
					t.Errorf("got %v %v %v, %v", nullText, nullNumber, nullFlag, err)
				}
			})
		}
	})
}

func same[T comparable](a, b *T) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

func TestScanDestinations(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		write(t, db, func(tx Tx) error {
			_, err := tx.Exec(`INSERT INTO things (name, n, flag, bytes) VALUES ('x', 70000, TRUE, $1)`, []byte("b"))
			return err
		})
		scan := func(column string, dest any) error {
			return db.Get(t.Context(), `SELECT `+column+` FROM things WHERE name = 'x'`).Scan(dest)
		}
		var s state
		var n number
		var i int
		var i16 int16
		var pointer *state
		var blob json
		for name, err := range map[string]error{
			"named string":            scan("name", &s),
			"named int32":             scan("n", &n),
			"int":                     scan("n", &i),
			"named bytes":             scan("bytes", &blob),
			"pointer to named string": scan("name", &pointer),
			"count":                   scan("COUNT(*)", &i),
			"bool of an expression":   scan("n > 3", new(bool)),
			"sum of a cast":           scan("CAST(SUM(n) AS BIGINT)", new(int64)),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if s != "x" || n != 70000 || i == 0 || *pointer != "x" || string(blob) != "b" {
			t.Errorf("got %v %v %v %v %v", s, n, i, *pointer, blob)
		}
		for name, err := range map[string]error{
			"NULL into string":          scan("note", new(string)),
			"NULL into int64":           scan("CAST(NULL AS BIGINT)", new(int64)),
			"number too large":          scan("n", &i16),
			"text into int64":           scan("name", new(int64)),
			"boolean into int64":        scan("flag", new(int64)),
			"bigint into bool":          scan("n", new(bool)),
			"text into bool":            scan("name", new(bool)),
			"two columns into one":      scan("name, n", new(string)),
			"not a pointer":             scan("name", "x"),
			"misspelt in double quotes": scan(`"nmae"`, new(string)),
		} {
			if err == nil {
				t.Errorf("%s is accepted", name)
			}
		}
		// None of these has hurt a transaction.
		write(t, db, func(tx Tx) error {
			if err := tx.QueryRow(`SELECT name FROM things`).Scan(new(int64)); err == nil {
				t.Error("text into int64 is accepted")
			}
			if err := tx.QueryRow(`SELECT name FROM things WHERE name = 'none'`).Scan(new(string)); !errors.Is(err, ErrNoRows) {
				t.Errorf("got %v", err)
			}
			return insert("y")(tx)
		})
	})
}

type json []byte

func TestArgumentsRefused(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		for name, arg := range map[string]any{
			"time":          time.Now(),
			"float":         1.5,
			"uint64":        uint64(1),
			"NUL in text":   "a\x00b",
			"invalid UTF-8": "a\xffb",
			"struct":        struct{}{},
		} {
			err := db.Write(t.Context(), func(tx Tx) error {
				_, err := tx.Exec(`INSERT INTO things (name, note) VALUES ('x', $1)`, arg)
				return err
			})
			if err == nil {
				t.Errorf("%s is accepted", name)
			}
			if err := db.Get(t.Context(), `SELECT name FROM things WHERE note = $1`, arg).Scan(new(string)); err == nil || errors.Is(err, ErrNoRows) {
				t.Errorf("%s is accepted by Get: %v", name, err)
			}
		}
	})
}

func TestArgumentsAreNotChanged(t *testing.T) {
	args := []any{"x", 1}
	if _, err := plainArgs(args); err != nil || args[1] != 1 {
		t.Errorf("got %v, %v", args, err)
	}
}

func TestTextSortsBytewise(t *testing.T) {
	want := []string{"A", "B", "_", "a", "a b", "a-b", "ab", "b", "z", "ä", "€", "\U0001f510"}
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		for _, i := range []int{5, 2, 11, 0, 7, 9, 1, 10, 4, 6, 3, 8} {
			write(t, db, insert(want[i]))
		}
		if got := names(t, db, allNames); got != strings.Join(want, " ") {
			t.Errorf("order is %s", got)
		}
		if got := names(t, db, `SELECT name FROM things WHERE (name, 1) > ($1, 1) ORDER BY name LIMIT 2`, "_"); got != "a a b" {
			t.Errorf("page is %s", got)
		}
		if got := names(t, db, `SELECT name FROM things WHERE name LIKE $1 ORDER BY name`, "a%"); got != "a a b a-b ab" {
			t.Errorf("LIKE finds %s", got)
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

func TestGenerations(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		get := func(kind string) int64 {
			t.Helper()
			value, err := db.Generation(t.Context(), "1", "r", kind)
			if err != nil {
				t.Fatal(err)
			}
			var selected int64
			if err := db.Get(t.Context(), `SELECT `+GenerationSQL("$1", "$2", kind), "1", "r").Scan(&selected); err != nil {
				t.Fatal(err)
			}
			if value != selected {
				t.Errorf("Generation is %d, GenerationSQL %d", value, selected)
			}
			return value
		}
		if get("iam") != 0 {
			t.Error("does not begin at 0")
		}
		write(t, db, func(tx Tx) error {
			if err := db.Bump(tx, "1", "r", "iam"); err != nil {
				return err
			}
			return db.Bump(tx, "1", "r", "iam")
		})
		if get("iam") != 2 || get("kms") != 0 {
			t.Errorf("got %d, %d", get("iam"), get("kms"))
		}
		refused := errors.New("refused")
		err := db.Write(t.Context(), func(tx Tx) error {
			return errors.Join(db.Bump(tx, "1", "r", "iam"), refused)
		})
		if !errors.Is(err, refused) || get("iam") != 2 {
			t.Errorf("after a rollback: %d, %v", get("iam"), err)
		}
		db.Close()
		db = open(t)
		if get("iam") != 2 {
			t.Errorf("after opening again: %d", get("iam"))
		}
	})
}

// TestGenerationsAreNotBehindAnAcknowledgement lets many writers bump and each
// look at once.
func TestGenerationsAreNotBehindAnAcknowledgement(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		var wg sync.WaitGroup
		var acknowledged atomic.Int64
		for range 4 {
			wg.Go(func() {
				for range 10 {
					err := db.Write(context.Background(), func(tx Tx) error { return db.Bump(tx, "1", "r", "iam") })
					if err != nil {
						t.Error(err)
						return
					}
					least := acknowledged.Add(1)
					got, err := db.Generation(context.Background(), "1", "r", "iam")
					if err != nil || got < least {
						t.Errorf("generation %d after %d acknowledgements, %v", got, least, err)
					}
				}
			})
		}
		within(t, "bumping", wg.Wait)
		if got, _ := db.Generation(t.Context(), "1", "r", "iam"); got != 40 {
			t.Errorf("got %d, want 40", got)
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
