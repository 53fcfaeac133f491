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
)

type leases struct {
	held  atomic.Bool
	err   error
	asked atomic.Int64
	unset atomic.Bool // the clock is not to be believed
}

func (l *leases) Lease(context.Context, string, time.Duration) (int64, bool, error) {
	l.asked.Add(1)
	return 1, l.held.Load(), l.err
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
