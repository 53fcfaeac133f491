package store

import (
	"database/sql"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

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
