package store

import (
	"testing"
	"time"
)

// TestSteady: what is destroyed by time waits after each step of the clock ahead, and
// no longer than that takes.
func TestSteady(t *testing.T) {
	const day = 24 * time.Hour
	type step struct {
		by   time.Duration
		want bool
	}
	times := func(n int, s step) (out []step) {
		for range n {
			out = append(out, s)
		}
		return out
	}
	join := func(all ...[]step) (out []step) {
		for _, s := range all {
			out = append(out, s...)
		}
		return out
	}
	start, waits := []step{{0, true}}, step{30 * time.Minute, false}
	night := []step{{16 * time.Hour, false}}
	for name, steps := range map[string][]step{
		"a minute at a time":           times(100, step{time.Minute, true}),
		"half an hour at a time":       times(10, step{30 * time.Minute, true}),
		"ten years, and back":          {{0, true}, {3650 * day, false}, {time.Minute, false}, {-3650 * day, true}, {time.Minute, true}},
		"an hour and a bit, and back":  {{0, true}, {61 * time.Minute, false}, {-61 * time.Minute, true}},
		"back, and ahead again":        {{0, true}, {-day, true}, {time.Minute, true}, {day, false}},
		"ten years, for a day":         join(start, []step{{3650 * day, false}}, times(47, waits), []step{{30 * time.Minute, true}, {time.Minute, true}}),
		"eight hours of each of three": join(start, night, times(16, waits), night, times(16, waits), night, times(15, waits), []step{{30 * time.Minute, true}}),
		"a leap while it waits":        join(start, night, times(47, waits), []step{{3650 * day, false}}, times(2, waits)),
	} {
		t.Run(name, func(t *testing.T) {
			c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
			db := newOpener(t, SQLite)(t, func(config *Config) { config.Now = c.Now })
			for i, s := range steps {
				c.advance(s.by)
				if steady, err := db.Steady(t.Context()); err != nil || steady != s.want {
					t.Fatalf("step %d, by %v: %v, %v", i, s.by, steady, err)
				}
			}
		})
	}
}

// TestDistrust: a store that was filled from a backup destroys nothing on its first day.
func TestDistrust(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		c := &clock{now: time.Now()}
		db := open(t, func(config *Config) { config.Now = c.Now })
		for range 2 {
			write(t, db, Distrust)
			for n := range 49 {
				if steady, err := db.Steady(t.Context()); err != nil || steady != (n == 48) {
					t.Fatalf("after %d half hours: %v, %v", n, steady, err)
				}
				c.advance(30 * time.Minute)
			}
		}
	})
}

// TestLeaseOfAClockAhead: a lease taken while the clock was ahead does not outlive it.
func TestLeaseOfAClockAhead(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		const years = 10 * 365 * 24 * time.Hour
		c := &clock{now: time.Now()}
		use := func(config *Config) { config.Now = c.Now }
		ahead := open(t, use)
		c.advance(years)
		if _, held, err := ahead.Lease(t.Context(), "job", time.Minute); err != nil || !held {
			t.Fatalf("lease: %v, %v", held, err)
		}
		if ahead.Engine() == SQLite {
			ahead.Close()
		} else {
			age(t, ahead, c, -years) // There it is the database's clock that judges.
		}
		c.advance(-years)
		epoch, held, err := open(t, use).Lease(t.Context(), "job", time.Minute)
		if err != nil || !held || epoch != 2 {
			t.Errorf("afterwards: epoch %d, held %v, %v", epoch, held, err)
		}
	})
}
