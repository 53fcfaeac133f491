// Package jobs runs the work that services do by themselves: purging, copying,
// flushing. Its one invariant: a job with a lease runs on one node at a time, and
// a node that lost its lease starts no further run.
package jobs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/panics"
	"github.com/strongroom/strongroom/internal/store"
)

// Job is a piece of recurring work.
type Job struct {
	// Name is also the name of the lease.
	Name string
	// Every is the longest pause between two runs.
	Every time.Duration
	// Shared jobs run on every node; all others only under the lease.
	Shared bool
	// Destroys says that the job does away with things whose time has come. It rests
	// while the clock is not to be believed.
	Destroys bool
	// Run does what is due and tells when more will be; the zero time means that
	// nothing waits. It must be repeatable: a crash in the middle runs it again.
	Run func(ctx context.Context) (next time.Time, err error)
}

// leaseTTL is how long a job's lease outlives its holder. A run that takes longer
// may overlap with one on another node, so runs are repeatable and decide inside
// their transactions.
const leaseTTL = 30 * time.Second

// minPause keeps a failing or busy job from spinning.
const minPause = 100 * time.Millisecond

// Leases hands out leases; the store does.
type Leases interface {
	Lease(ctx context.Context, name string, ttl time.Duration) (epoch int64, held bool, err error)
	// Steady reports whether the clock may be believed.
	Steady(ctx context.Context) (bool, error)
}

var _ Leases = (*store.DB)(nil)

// Run runs all jobs until ctx ends, and returns when every run has ended.
func Run(ctx context.Context, leases Leases, log *slog.Logger, all ...Job) {
	var wg sync.WaitGroup
	for _, j := range all {
		wg.Go(func() { j.loop(ctx, leases, log) })
	}
	wg.Wait()
}

func (j Job) loop(ctx context.Context, leases Leases, log *slog.Logger) {
	for {
		next, err := j.once(ctx, leases)
		if err != nil && ctx.Err() == nil {
			level := slog.LevelError
			if errors.Is(err, store.ErrUnavailable) {
				level = slog.LevelDebug // The store has told of it, once and for all.
			}
			log.Log(ctx, level, "job failed, will run again", "job", j.Name, "error", err)
		}
		pause := j.Every
		if !next.IsZero() {
			pause = min(pause, time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(pause, minPause)):
		}
	}
}

func (j Job) once(ctx context.Context, leases Leases) (time.Time, error) {
	if !j.Shared {
		_, held, err := leases.Lease(ctx, "job."+j.Name, leaseTTL)
		if err != nil || !held {
			return time.Time{}, err
		}
	}
	if j.Destroys {
		if steady, err := leases.Steady(ctx); err != nil || !steady {
			return time.Time{}, err
		}
	}
	return j.run(ctx)
}

// run keeps a job that panics from ending the process: it fails, is logged, and
// runs again like any other that fails.
func (j Job) run(ctx context.Context) (next time.Time, err error) {
	defer panics.Catch(&err)
	return j.Run(ctx)
}
