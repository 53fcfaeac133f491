package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/strongroom/strongroom/internal/pgtest"
)

// base are the store's own migrations, without those of the slices: this package's tests
// must not depend on theirs. TestEmbeddedMigrations applies all of them.
func base(t testing.TB) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	for as, name := range map[string]string{"0001_store_base.sql": "0001_store_base.sql", "0002_store_clock.sql": "0013_store_clock.sql"} {
		text, err := embedded.ReadFile("migrations/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files[as] = &fstest.MapFile{Data: text}
	}
	return files
}

// things is a table with each type.
const things = `
CREATE TABLE things (
    name  TEXT NOT NULL,
    note  TEXT,
    n     BIGINT,
    flag  BOOLEAN,
    bytes BYTEA
);
CREATE UNIQUE INDEX things_name ON things (name);
`

// opener opens a DB on the one store of a test, as often as it is called.
// SQLite allows one at a time.
type opener func(t testing.TB, change ...func(*Config)) *DB

// migrations returns the base and a table for the tests.
func testMigrations(t testing.TB) fstest.MapFS {
	files := base(t)
	files["0003_test_things.sql"] = &fstest.MapFile{Data: []byte(things)}
	return files
}

// engines runs a test on both engines.
func engines(t *testing.T, test func(t *testing.T, open opener)) {
	t.Helper()
	for _, engine := range []string{SQLite, PostgreSQL} {
		t.Run(engine, func(t *testing.T) {
			test(t, newOpener(t, engine))
		})
	}
}

func newOpener(t testing.TB, engine string) opener {
	t.Helper()
	config := Config{Dir: t.TempDir()}
	if engine == PostgreSQL {
		config = Config{URL: pgtest.Start(t)}
	}
	return func(t testing.TB, change ...func(*Config)) *DB {
		t.Helper()
		c := config
		for _, f := range change {
			f(&c)
		}
		db, err := open(t.Context(), c, testMigrations(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return db
	}
}

// write is a Write that must succeed.
func write(t testing.TB, db *DB, fn func(Tx) error) {
	t.Helper()
	if err := db.Write(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func insert(name string) func(Tx) error {
	return func(tx Tx) error {
		_, err := tx.Exec(`INSERT INTO things (name) VALUES ($1)`, name)
		return err
	}
}

// names returns what a query for names finds, joined by blanks.
func names(t testing.TB, db *DB, query string, args ...any) string {
	t.Helper()
	var out string
	err := db.Read(context.Background(), func(tx Tx) error {
		var err error
		out, err = namesIn(tx, query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func namesIn(tx Tx, query string, args ...any) (string, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return "", err
		}
		all = append(all, name)
	}
	return strings.Join(all, " "), rows.Err()
}

const allNames = `SELECT name FROM things ORDER BY name`

// within fails the test when f takes longer than the tests may wait.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s takes too long", what)
	}
}

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

func someNames(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%02d", prefix, i)
	}
	return out
}

// newDatabase returns an empty PostgreSQL database.
func newDatabase(t testing.TB) string {
	t.Helper()
	return pgtest.Start(t)
}
