// Package jobs runs the work that services do by themselves: purging, copying,
// flushing. Its one invariant: a job with a lease runs on one node at a time, and
// a node that lost its lease changes nothing any more, however far it had come.
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
	// Changes are made with ctx or one that comes from it, which binds them to the
	// lease: see store.DB.UnderLease.
	Run func(ctx context.Context) (next time.Time, err error)

	epoch int64 // in which the lease was held last, 0 for never
}

func (j *Job) lease() string { return "job." + j.Name }

const (
	// leaseTTL is how long a job's lease outlives its holder.
	leaseTTL = 30 * time.Second
	// renewEvery is how often a run that takes long renews it.
	renewEvery = leaseTTL / 3
)

// minPause keeps a failing or busy job from spinning.
const minPause = 100 * time.Millisecond

// Leases hands out leases; the store does.
type Leases interface {
	Lease(ctx context.Context, name string, ttl time.Duration) (epoch int64, held bool, err error)
	// Steady reports whether the clock may be believed.
	Steady(ctx context.Context) (bool, error)
	UnderLease(ctx context.Context, name string, epoch int64) context.Context
	Release(ctx context.Context, name string, epoch int64) error
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

// releaseTime bounds the giving up of a lease at the end.
const releaseTime = 2 * time.Second

func (j *Job) loop(ctx context.Context, leases Leases, log *slog.Logger) {
	defer func() {
		if j.epoch == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
		defer cancel()
		if err := leases.Release(ctx, j.lease(), j.epoch); err != nil {
			log.DebugContext(ctx, "lease not given up; it ends by itself", "job", j.Name, "error", err)
		}
	}()
	for {
		next, err := j.once(ctx, leases)
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, store.ErrFenced):
			log.WarnContext(ctx, "job stopped: another node has taken it over meanwhile", "job", j.Name, "error", err)
		case errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrDamaged):
			// The store has told of it, once and for all.
			log.DebugContext(ctx, "job failed, will run again", "job", j.Name, "error", err)
		default:
			log.ErrorContext(ctx, "job failed, will run again", "job", j.Name, "error", err)
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

func (j *Job) once(ctx context.Context, leases Leases) (next time.Time, err error) {
	if j.Shared {
		return j.run(ctx, leases)
	}
	name := j.lease()
	epoch, held, err := leases.Lease(ctx, name, leaseTTL)
	if err != nil || !held {
		return time.Time{}, err
	}
	j.epoch = epoch
	run, end := context.WithCancelCause(leases.UnderLease(ctx, name, epoch))
	var renewal sync.WaitGroup
	renewal.Go(func() { end(renew(run, ctx, leases, name, epoch)) })
	next, err = j.run(run, leases)
	if errors.Is(context.Cause(run), store.ErrFenced) {
		err = errors.Join(store.ErrFenced, err)
	}
	end(nil)
	renewal.Wait()
	return next, err
}

// renew keeps a lease until run ends, or returns that it was lost before. A database
// that does not answer takes nothing away: nobody else can take the lease there
// either, and the changes are bound to it.
func renew(run, ctx context.Context, leases Leases, name string, epoch int64) (err error) {
	defer panics.Catch(&err)
	t := time.NewTicker(renewEvery)
	defer t.Stop()
	for {
		select {
		case <-run.Done():
			return nil
		case <-t.C:
		}
		now, held, err := leases.Lease(ctx, name, leaseTTL)
		if err == nil && (!held || now != epoch) {
			return store.ErrFenced
		}
	}
}

// run keeps a job that panics from ending the process: it fails, is logged, and
// runs again like any other that fails.
func (j *Job) run(ctx context.Context, leases Leases) (next time.Time, err error) {
	defer panics.Catch(&err)
	if j.Destroys {
		if steady, err := leases.Steady(ctx); err != nil || !steady {
			return time.Time{}, err
		}
	}
	return j.Run(ctx)
}
