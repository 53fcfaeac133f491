package jobs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

type leases struct {
	held  atomic.Bool
	err   error
	asked atomic.Int64
	unset atomic.Bool // the clock is not to be believed
	epoch atomic.Int64
	freed atomic.Int64 // the epoch that was given up
}

func (l *leases) Release(_ context.Context, _ string, epoch int64) error {
	l.freed.Store(epoch)
	return nil
}

func (l *leases) Lease(context.Context, string, time.Duration) (int64, bool, error) {
	l.asked.Add(1)
	return l.epoch.Load(), l.held.Load(), l.err
}

// under is the lease that a context is bound to.
type under struct {
	name  string
	epoch int64
}

type underKey struct{}

func (l *leases) UnderLease(ctx context.Context, name string, epoch int64) context.Context {
	return context.WithValue(ctx, underKey{}, under{name, epoch})
}

func (l *leases) Steady(context.Context) (bool, error) { return !l.unset.Load(), nil }

// run runs one job for a while of synthetic time and counts its runs.
func run(t *testing.T, l *leases, j Job, length time.Duration, work func(n int64) (time.Time, error)) int64 {
	t.Helper()
	var n atomic.Int64
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		j.Run = func(context.Context) (time.Time, error) { return work(n.Add(1)) }
		Run(ctx, l, slog.New(slog.DiscardHandler), j)
	})
	return n.Load()
}

func idle(int64) (time.Time, error) { return time.Time{}, nil }

func TestRunsEveryInterval(t *testing.T) {
	l := &leases{}
	l.held.Store(true)
	if n := run(t, l, Job{Name: "x", Every: time.Second}, 9500*time.Millisecond, idle); n != 10 {
		t.Errorf("%d runs in 9.5 s", n)
	}
}

func TestWithoutLeaseNothingRuns(t *testing.T) {
	l := &leases{}
	if n := run(t, l, Job{Name: "x", Every: time.Second}, 5*time.Second, idle); n != 0 || l.asked.Load() == 0 {
		t.Errorf("%d runs without the lease, asked %d times", n, l.asked.Load())
	}
	if n := run(t, &leases{}, Job{Name: "x", Every: time.Second, Shared: true}, 2500*time.Millisecond, idle); n != 3 {
		t.Errorf("a shared job ran %d times", n)
	}
	if n := run(t, &leases{err: errors.New("database is gone")}, Job{Name: "x", Every: time.Second}, 3*time.Second, idle); n != 0 {
		t.Errorf("%d runs although the lease could not be asked for", n)
	}
}

func TestNothingIsDestroyedByAWrongClock(t *testing.T) {
	l := &leases{}
	l.held.Store(true)
	l.unset.Store(true)
	if n := run(t, l, Job{Name: "x", Every: time.Second, Destroys: true}, 5*time.Second, idle); n != 0 {
		t.Errorf("%d runs", n)
	}
	if n := run(t, l, Job{Name: "x", Every: time.Second}, 2500*time.Millisecond, idle); n != 3 {
		t.Errorf("a job that destroys nothing ran %d times", n)
	}
}

func TestNextComesEarlier(t *testing.T) {
	l := &leases{}
	l.held.Store(true)
	n := run(t, l, Job{Name: "x", Every: time.Hour}, 10*time.Second, func(n int64) (time.Time, error) {
		if n == 1 {
			return time.Now().Add(3 * time.Second), nil
		}
		return time.Time{}, nil
	})
	if n != 2 {
		t.Errorf("%d runs", n)
	}
}

func TestFailureDoesNotSpin(t *testing.T) {
	l := &leases{}
	l.held.Store(true)
	n := run(t, l, Job{Name: "x", Every: time.Second}, 10*time.Second, func(int64) (time.Time, error) {
		return time.Now().Add(-time.Hour), errors.New("no")
	})
	if n > 101 {
		t.Errorf("%d runs in 10 s of failures", n)
	}
}

// TestPanics: a job that panics runs again, and so do the others; the log says
// where it was, and not what may be a secret.
func TestPanics(t *testing.T) {
	l := &leases{}
	l.held.Store(true)
	var log bytes.Buffer
	var bad, good atomic.Int64
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 4500*time.Millisecond)
		defer cancel()
		Run(ctx, l, slog.New(slog.NewTextHandler(&log, nil)),
			Job{Name: "bad", Every: time.Second, Run: func(context.Context) (time.Time, error) { bad.Add(1); panic("canary") }},
			Job{Name: "good", Every: time.Second, Run: func(context.Context) (time.Time, error) { good.Add(1); return time.Time{}, nil }})
	})
	if bad.Load() != 5 || good.Load() != 5 {
		t.Errorf("%d and %d runs in 4.5 s", bad.Load(), good.Load())
	}
	if s := log.String(); !strings.Contains(s, "job=bad") || !strings.Contains(s, "TestPanics") || strings.Contains(s, "canary") {
		t.Error(s)
	}
}

// TestRunsAreBoundToTheLease: the context of a run names the lease and the epoch
// that it was given; a shared job has none.
func TestRunsAreBoundToTheLease(t *testing.T) {
	l := &leases{}
	l.held.Store(true)
	l.epoch.Store(7)
	for _, shared := range []bool{false, true} {
		var got any
		_, err := (&Job{Name: "x", Shared: shared, Run: func(ctx context.Context) (time.Time, error) {
			got = ctx.Value(underKey{})
			return time.Time{}, nil
		}}).once(t.Context(), l)
		want := any(under{"job.x", 7})
		if shared {
			want = nil
		}
		if err != nil || got != want {
			t.Errorf("shared %t: bound to %v, want %v (%v)", shared, got, want, err)
		}
	}
}

// TestLongRunKeepsItsLease: it is renewed while the run lasts, and the run is told
// when it is lost.
func TestLongRunKeepsItsLease(t *testing.T) {
	tests := []struct {
		name string
		lose func(l *leases)
		lost bool
	}{
		{"kept", func(*leases) {}, false},
		{"taken over", func(l *leases) { l.held.Store(false) }, true},
		{"taken over and back", func(l *leases) { l.epoch.Add(2) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &leases{}
				l.held.Store(true)
				_, err := (&Job{Name: "x", Run: func(ctx context.Context) (time.Time, error) {
					time.Sleep(3 * leaseTTL)
					if n := l.asked.Load(); n < 9 {
						t.Errorf("renewed %d times in three lives of the lease", n)
					}
					tt.lose(l)
					select {
					case <-ctx.Done():
						return time.Time{}, context.Cause(ctx)
					case <-time.After(leaseTTL):
						return time.Time{}, nil
					}
				}}).once(t.Context(), l)
				if errors.Is(err, store.ErrFenced) != tt.lost {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

// TestSilentDatabaseTakesNoLease: a renewal that fails does not end the run.
func TestSilentDatabaseTakesNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &leases{}
		l.held.Store(true)
		_, err := (&Job{Name: "x", Run: func(ctx context.Context) (time.Time, error) {
			l.err = errors.New("database is gone")
			time.Sleep(3 * leaseTTL)
			return time.Time{}, ctx.Err()
		}}).once(t.Context(), l)
		if err != nil {
			t.Error(err)
		}
	})
}

// TestLeaseIsGivenUpAtTheEnd: another node need not wait for it.
func TestLeaseIsGivenUpAtTheEnd(t *testing.T) {
	l := &leases{}
	l.held.Store(true)
	l.epoch.Store(3)
	run(t, l, Job{Name: "x", Every: time.Second}, time.Second/2, idle)
	if l.freed.Load() != 3 {
		t.Errorf("given up: epoch %d", l.freed.Load())
	}
	other := &leases{}
	run(t, other, Job{Name: "x", Every: time.Second}, time.Second/2, idle)
	if other.freed.Load() != 0 {
		t.Error("gave up what it did not hold")
	}
}
