package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// TestTogether: of reads that share a message each gets its own answer, whatever
// becomes of the others.
func TestTogether(t *testing.T) {
	t.Parallel()
	db := newOpener(t, PostgreSQL)(t)
	p := db.engine.(*postgres)
	for _, name := range []string{"n1", "n2"} {
		write(t, db, insert(name))
	}
	const named = `SELECT name FROM things WHERE name = $1`
	var name string
	var number int64
	asks := func(query string, dest any, args ...any) *asked {
		return &asked{query: query, args: args, dest: []any{dest}, turn: make(chan []*asked, 1), alone: true}
	}
	for _, c := range []struct {
		name   string
		failed *asked
		alone  bool
	}{
		{"failure", asks(`SELECT 1 / (LENGTH($1) - 1)`, &number, "x"), true},
		{"misfit", asks(named, &number, "n2"), false},
	} {
		found, absent, after := asks(named, &name, "n1"), asks(named, new(string), "absent"), asks(named, new(string), "n2")
		all := []*asked{found, absent, c.failed, after}
		p.together(t.Context(), all)
		for _, a := range all[1:] {
			if _, waits := <-a.turn; waits {
				t.Errorf("%s: a companion was not told", c.name)
			}
		}
		if found.alone || found.err != nil || name != "n1" {
			t.Errorf("%s: found %q, %v", c.name, name, found.err)
		}
		if absent.alone || !errors.Is(absent.err, ErrNoRows) {
			t.Errorf("%s: absent: %v", c.name, absent.err)
		}
		if c.failed.alone != c.alone || c.failed.err == nil {
			t.Errorf("%s: alone %t, %v", c.name, c.failed.alone, c.failed.err)
		}
		if !after.alone {
			t.Errorf("%s: what came after it was taken for an answer", c.name)
		}
	}
	// The connection is as good as new.
	if err := db.Get(t.Context(), named, "n2").Scan(&name); err != nil || name != "n2" {
		t.Errorf("after a failure: %q, %v", name, err)
	}
}

// TestManyGets: however many ask at once, also for what fails, everybody gets the
// answer to his own question, and those who give up get their reason.
func TestManyGets(t *testing.T) {
	t.Parallel()
	db := newOpener(t, PostgreSQL)(t)
	p := db.engine.(*postgres)
	names := someNames("n", 20)
	for _, name := range names {
		write(t, db, insert(name))
	}
	given, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	for w := range 100 {
		wg.Go(func() {
			for i := range 50 {
				want := names[(w+i)%len(names)]
				var got string
				switch (w + i) % 10 {
				case 0:
					if err := db.Get(t.Context(), `SELECT 1 / (LENGTH($1) - LENGTH($1))`, want).Scan(new(int64)); sqlState(err) != "22012" {
						t.Errorf("division by zero: %v", err)
					}
				case 1:
					if err := db.Get(t.Context(), `SELECT name FROM things WHERE name = $1`, fmt.Sprint("no ", want)).Scan(&got); !errors.Is(err, ErrNoRows) {
						t.Errorf("absent: %v", err)
					}
				case 2:
					if err := db.Get(given, `SELECT name FROM things WHERE name = $1`, want).Scan(&got); !errors.Is(err, context.Canceled) {
						t.Errorf("given up: %v", err)
					}
				default:
					if err := db.Get(t.Context(), `SELECT name FROM things WHERE name = $1`, want).Scan(&got); err != nil || got != want {
						t.Errorf("%s: %q, %v", want, got, err)
					}
				}
			}
		})
	}
	within(t, "reading", wg.Wait)
	p.gets.mu.Lock()
	defer p.gets.mu.Unlock()
	if p.gets.underWay != 0 || len(p.gets.waiting) != 0 {
		t.Errorf("%d under way, %d waiting when all are through", p.gets.underWay, len(p.gets.waiting))
	}
}
