package store

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// thing is a row as the model keeps it.
type thing struct {
	note *string
	n    int64
	flag bool
}

// model is the obvious version of what both engines do.
type model map[string]thing

func (m model) list(after string, limit int) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if name > after && len(out) < limit {
			out = append(out, m.describe(name))
		}
	}
	return strings.Join(out, "; ")
}

func (m model) describe(name string) string {
	t, ok := m[name]
	if !ok {
		return "none"
	}
	return describe(name, t)
}

func describe(name string, t thing) string {
	note := "NULL"
	if t.note != nil {
		note = fmt.Sprintf("%q", *t.note)
	}
	return fmt.Sprintf("%q %s %d %t", name, note, t.n, t.flag)
}

// step is one operation, on the model and in SQL. Both return what a caller
// would see.
type step struct {
	name  string
	model func(model) string
	sql   func(Tx) (string, error)
}

func randomStep(r *rand.Rand) step {
	pool := []string{"", "a", "A", "aa", "a b", "ab", "B", "b", "ä", "Z", "z", "_", "-", "10", "9", "\U0001f510"}
	name, n := pool[r.IntN(len(pool))], r.Int64N(10)
	var note *string
	if r.IntN(3) > 0 {
		note = &pool[r.IntN(len(pool))]
	}
	flag := r.IntN(2) == 0
	exec := func(tx Tx, query string, args ...any) (string, error) {
		affected, err := tx.Exec(query, args...)
		return fmt.Sprint(affected), err
	}
	switch r.IntN(7) {
	case 0:
		return step{fmt.Sprintf("put %q", name), func(m model) string {
			m[name] = thing{note, n, flag}
			return "1"
		}, func(tx Tx) (string, error) {
			return exec(tx, `INSERT INTO things (name, note, n, flag) VALUES ($1, $2, $3, $4)
				ON CONFLICT (name) DO UPDATE SET note = excluded.note, n = excluded.n, flag = excluded.flag`, name, note, n, flag)
		}}
	case 1:
		return step{fmt.Sprintf("add %q", name), func(m model) string {
			if _, ok := m[name]; ok {
				return "unique"
			}
			m[name] = thing{note, n, flag}
			return "1"
		}, func(tx Tx) (string, error) {
			return exec(tx, `INSERT INTO things (name, note, n, flag) VALUES ($1, $2, $3, $4)`, name, note, n, flag)
		}}
	case 2:
		return step{fmt.Sprintf("raise %q", name), func(m model) string {
			t, ok := m[name]
			if !ok || t.n >= 50 {
				return "none"
			}
			t.n += n
			m[name] = t
			return fmt.Sprint(t.n)
		}, func(tx Tx) (string, error) {
			var got int64
			err := tx.QueryRow(`UPDATE things SET n = n + $2 WHERE name = $1 AND n < 50 RETURNING n`, name, n).Scan(&got)
			if errors.Is(err, ErrNoRows) {
				return "none", nil
			}
			return fmt.Sprint(got), err
		}}
	case 3:
		return step{fmt.Sprintf("delete by note %v, flag %t", note, flag), func(m model) string {
			count := 0
			for name, t := range m {
				if same(t.note, note) && t.flag == flag && note != nil || note == nil && t.note == nil && t.flag == flag && t.n == n {
					delete(m, name)
					count++
				}
			}
			return fmt.Sprint(count)
		}, func(tx Tx) (string, error) {
			if note != nil {
				return exec(tx, `DELETE FROM things WHERE note = $1 AND flag = $2`, note, flag)
			}
			return exec(tx, `DELETE FROM things WHERE note IS NULL AND flag = $1 AND n = $2`, flag, n)
		}}
	case 4:
		return step{fmt.Sprintf("get %q", name), func(m model) string {
			return m.describe(name)
		}, func(tx Tx) (string, error) {
			var t thing
			err := tx.QueryRow(`SELECT note, n, flag FROM things WHERE name = $1`, name).Scan(&t.note, &t.n, &t.flag)
			if errors.Is(err, ErrNoRows) {
				return "none", nil
			}
			return describe(name, t), err
		}}
	default:
		limit := 1 + r.IntN(6)
		return step{fmt.Sprintf("list %d after %q", limit, name), func(m model) string {
			return m.list(name, limit)
		}, func(tx Tx) (string, error) {
			rows, err := tx.Query(`SELECT name, note, n, flag FROM things WHERE (name, 0) > ($1, 0) ORDER BY name LIMIT $2`, name, limit)
			if err != nil {
				return "", err
			}
			defer rows.Close()
			var out []string
			for rows.Next() {
				var name string
				var t thing
				if err := rows.Scan(&name, &t.note, &t.n, &t.flag); err != nil {
					return "", err
				}
				out = append(out, describe(name, t))
			}
			return strings.Join(out, "; "), rows.Err()
		}}
	}
}

var errChance = errors.New("rolled back by chance")

// TestEnginesAgree runs the same random transactions on both engines and on a
// map. Each shows the same answers, and the same errors.
func TestEnginesAgree(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dbs := []*DB{newOpener(t, SQLite)(t), newOpener(t, PostgreSQL)(t)}
	m := model{}
	for done := 0; done < 2000; {
		steps := make([]step, 1+r.IntN(5))
		for i := range steps {
			steps[i] = randomStep(r)
		}
		fail := r.IntN(5) == 0
		done += len(steps)

		after := maps.Clone(m)
		var want []string
		var wantErr string
		for _, s := range steps {
			got := s.model(after)
			if got == "unique" {
				wantErr = "unique"
				break
			}
			want = append(want, got)
		}
		if fail && wantErr == "" {
			wantErr = errChance.Error()
		}
		if wantErr == "" {
			m = after
		}
		for _, db := range dbs {
			var got []string
			err := db.Write(t.Context(), func(tx Tx) error {
				got = nil
				for _, s := range steps {
					out, err := s.sql(tx)
					if err != nil {
						return err
					}
					got = append(got, out)
				}
				if fail {
					return errChance
				}
				return nil
			})
			gotErr := ""
			switch {
			case IsUnique(err):
				gotErr = "unique"
			case err != nil:
				gotErr = err.Error()
			}
			if gotErr != wantErr || !slices.Equal(got, want) {
				for _, s := range steps {
					t.Log(s.name)
				}
				t.Fatalf("seed %d, step %d, %s:\ngot  %q, %s\nwant %q, %s", seed, done, db.Engine(), got, gotErr, want, wantErr)
			}
		}
	}
}
