package wire

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// deadline is the context of a request that may take so long and no longer. It
// asks the runtime for a timer when somebody begins to wait for its end, which
// most calls never do: context.WithTimeout would make and stop one for each.
type deadline struct {
	context.Context
	at time.Time

	// armed is the standard library's context to the same effect, once there is a
	// need for it.
	armed atomic.Pointer[armedContext]
	mu    sync.Mutex
	ended bool
}

type armedContext struct {
	context.Context
	cancel context.CancelFunc
}

// within returns a context that ends after d, or with parent. Its end must be
// called.
func within(parent context.Context, now time.Time, d time.Duration) *deadline {
	return &deadline{Context: parent, at: now.Add(d)}
}

// arm returns the context with the timer.
func (d *deadline) arm() *armedContext {
	if a := d.armed.Load(); a != nil {
		return a
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if a := d.armed.Load(); a != nil {
		return a
	}
	a := &armedContext{}
	a.Context, a.cancel = context.WithDeadline(d.Context, d.at)
	if d.ended {
		a.cancel()
	}
	d.armed.Store(a)
	return a
}

// end releases what waits, as the CancelFunc of context.WithTimeout does.
func (d *deadline) end() {
	d.mu.Lock()
	d.ended = true
	d.mu.Unlock()
	if a := d.armed.Load(); a != nil {
		a.cancel()
	}
}

// Deadline is the earlier one of the parent's and its own.
func (d *deadline) Deadline() (time.Time, bool) {
	if at, ok := d.Context.Deadline(); ok && at.Before(d.at) {
		return at, true
	}
	return d.at, true
}

// Done is for those who wait.
func (d *deadline) Done() <-chan struct{} { return d.arm().Done() }

// Err needs no timer to tell that time has not run out.
func (d *deadline) Err() error {
	a := d.armed.Load()
	if a == nil {
		d.mu.Lock()
		ended := d.ended
		d.mu.Unlock()
		if !ended && d.Context.Err() == nil && time.Now().Before(d.at) {
			return nil
		}
		a = d.arm()
	}
	return a.Err()
}

// Value lets contexts that are derived from an armed one find it, so that they
// end with it without a goroutine of their own.
func (d *deadline) Value(key any) any {
	if a := d.armed.Load(); a != nil {
		return a.Value(key)
	}
	return d.Context.Value(key)
}
