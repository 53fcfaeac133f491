package sqlite3

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T) *Conn {
	t.Helper()
	c, err := Open(filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

func prepare(t *testing.T, c *Conn, text string, args ...any) *Stmt {
	t.Helper()
	s, err := c.Prepare(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Bind(args); err != nil {
		t.Fatal(err)
	}
	return s
}

func step(t *testing.T, s *Stmt) bool {
	t.Helper()
	row, err := s.Step()
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func TestValuesComeBack(t *testing.T) {
	c := open(t)
	long := strings.Repeat("ä", 100_000)
	s := prepare(t, c, `SELECT $1, $2, $3, $4, $5, $6, $7, $8, $1`,
		"text", "", []byte{1, 0, 2}, []byte{}, nil, int64(-1)<<63, true, long)
	for range 2 { // a statement can run again with the same arguments
		if !step(t, s) {
			t.Fatal("no row")
		}
		types := []Type{Text, Text, Blob, Blob, Null, Integer, Integer, Text, Text}
		for i, want := range types {
			if got := s.Type(i); got != want {
				t.Errorf("column %d has type %d, want %d", i, got, want)
			}
		}
		if s.Text(0) != "text" || s.Text(1) != "" || string(s.Blob(2)) != "\x01\x00\x02" || s.Blob(3) == nil ||
			len(s.Blob(3)) != 0 || s.Int64(5) != int64(-1)<<63 || s.Int64(6) != 1 || s.Text(7) != long || s.Text(8) != "text" {
			t.Error("values differ")
		}
		if step(t, s) {
			t.Error("second row")
		}
		s.Reset()
		if err := s.Bind([]any{"text", "", []byte{1, 0, 2}, []byte{}, []byte(nil), int64(-1) << 63, true, long}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCopiesOutliveTheRow(t *testing.T) {
	c := open(t)
	s := prepare(t, c, `SELECT CAST(column1 AS BLOB), column1 FROM (VALUES ('first'), ('other'))`)
	step(t, s)
	blob, text := s.Blob(0), s.Text(1)
	step(t, s)
	s.Reset()
	if string(blob) != "first" || text != "first" {
		t.Errorf("got %q, %q", blob, text)
	}
}

func TestPrepareRefuses(t *testing.T) {
	c := open(t)
	for name, text := range map[string]string{
		"two statements":       "SELECT 1; SELECT 2",
		"nothing":              "",
		"comment":              "-- nothing",
		"question mark":        "SELECT ?",
		"numbered differently": "SELECT ?1",
		"named":                "SELECT $name",
		"colon":                "SELECT :1",
		"zero":                 "SELECT $0",
		"NUL":                  "SELECT 1\x00",
		"syntax":               "SELEKT 1",
		"string in quotes":     `SELECT "no column"`,
	} {
		if _, err := c.Prepare(text); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for _, text := range []string{"SELECT 1;", "SELECT 1 ; \n", "SELECT 1 -- and no more"} {
		if _, err := c.Prepare(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestBindRefuses(t *testing.T) {
	c := open(t)
	s := prepare(t, c, "SELECT $2, $1", "a", "b")
	for name, args := range map[string][]any{
		"too few":  {"a"},
		"too many": {"a", "b", "c"},
		"float":    {"a", 1.5},
		"int":      {"a", 1},
	} {
		if err := s.Bind(args); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestErrorsCarryCodes(t *testing.T) {
	c := open(t)
	if err := c.Script("CREATE TABLE a (b TEXT UNIQUE NOT NULL); INSERT INTO a VALUES ('secret')"); err != nil {
		t.Fatal(err)
	}
	s := prepare(t, c, "INSERT INTO a VALUES ($1)", "secret")
	_, err := s.Step()
	s.Reset()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != ConstraintUnique || e.Primary() != Constraint || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none", "x")); err == nil {
		t.Error("opened in a directory that is not there")
	}
	if _, err := Open("a\x00b"); err == nil {
		t.Error("opened a path with NUL")
	}
}

// TestStatementCacheIsBounded prepares more texts than the cache holds and
// expects all of them to work, the early ones too.
func TestStatementCacheIsBounded(t *testing.T) {
	c := open(t)
	for range 2 {
		for i := range maxStatements + 100 {
			s := prepare(t, c, fmt.Sprintf("SELECT %d", i))
			if !step(t, s) || s.Int64(0) != int64(i) {
				t.Fatalf("statement %d is wrong", i)
			}
			s.Reset()
		}
	}
	if len(c.statements) > maxStatements {
		t.Errorf("%d statements are kept", len(c.statements))
	}
}

func TestLargeArgumentsAreNotKept(t *testing.T) {
	c := open(t)
	s := prepare(t, c, "SELECT length($1)", make([]byte, 1<<20))
	if !step(t, s) || s.Int64(0) != 1<<20 {
		t.Error("wrong length")
	}
	s.Reset()
	if c.arenaSize > keepArena {
		t.Errorf("%d bytes are kept", c.arenaSize)
	}
}

func TestStatementFollowsTheSchema(t *testing.T) {
	c := open(t)
	if err := c.Script("CREATE TABLE a (b BIGINT); INSERT INTO a VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := prepare(t, c, "SELECT b FROM a")
		if !step(t, s) || s.Int64(0) != 1 || s.Declared(0) != "BIGINT" {
			t.Error("wrong row")
		}
		s.Reset()
		if err := c.Script("ALTER TABLE a ADD COLUMN c TEXT"); err != nil && !strings.Contains(err.Error(), "duplicate") {
			t.Fatal(err)
		}
	}
}

func TestInterrupt(t *testing.T) {
	c := open(t)
	s := prepare(t, c, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT COUNT(*) FROM c")
	ended, quiet := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(quiet)
		for {
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
				c.Interrupt()
			}
		}
	}()
	_, err := s.Step()
	s.Reset()
	close(ended)
	<-quiet
	if e, ok := errors.AsType[*Error](err); !ok || e.Primary() != Interrupt {
		t.Errorf("got %v", err)
	}
	// An interrupt of nothing does not hit what follows.
	c.Interrupt()
	s = prepare(t, c, "SELECT 1")
	step(t, s)
	s.Reset()
}

func TestTransactionState(t *testing.T) {
	c := open(t)
	for text, want := range map[string]bool{"BEGIN": true, "BEGIN; COMMIT": false, "BEGIN; SAVEPOINT a; RELEASE a": true} {
		if err := c.Script(text); err != nil {
			t.Fatal(err)
		}
		if c.InTransaction() != want {
			t.Errorf("%s: in a transaction is %t", text, !want)
		}
		if want {
			if err := c.Script("ROLLBACK"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
