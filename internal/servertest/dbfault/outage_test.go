package dbfault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/pgtest/netfault"
)

// TestOutage takes the database away in four ways, under load, and gives it back.
func TestOutage(t *testing.T) {
	for name, fault := range map[string]func(*world){
		"stopped": func(w *world) { w.proxy.Set(w.t, netfault.Refuse); w.proxy.Cut() },
		"reset":   func(w *world) { w.proxy.Set(w.t, netfault.Refuse); w.proxy.Reset() },
		"stalled": func(w *world) { w.proxy.Set(w.t, netfault.Stall) },
		"lost":    func(w *world) { w.proxy.Set(w.t, netfault.HalfOpen) },
	} {
		t.Run(name, func(t *testing.T) {
			w := shared(t)
			const writers = 6
			key := w.key()
			w.create("read")
			for i := range writers {
				w.create(fmt.Sprintf("w%d", i))
			}
			before := w.logged("level=ERROR")
			load := w.load(writers)
			load.acked(3)

			fault(w)
			w.await(false)
			load.refused(2 * writers)
			w.check("strongroom_store_up", "0")
			// While it lasts, each operation is refused, in time, and tells nothing
			// from memory.
			for operation, call := range w.calls("read", key) {
				refused(t, operation, w.timed(operation, call), false)
			}
			if status, _ := w.look("/healthz"); status != http.StatusOK {
				t.Errorf("the process says that it is not alive: %d", status)
			}

			w.proxy.Set(t, netfault.Pass)
			w.await(true)
			load.acked(3)
			load.end()
			for operation, call := range w.calls("read", key) {
				if err := call(t.Context()); err != nil && operation != "DeleteUser" {
					t.Errorf("%s afterwards: %v", operation, err)
				}
			}
			w.check("strongroom_store_up", "1")
			w.check("strongroom_store_outages_total", "1")
			if down, up := w.logged("level=ERROR", downLine), w.logged("level=INFO", upLine); down != 1 || up != 1 {
				t.Errorf("the log tells %d times that it is down and %d times that it is up", down, up)
			}
			// One more at most, of the audit's heads, which are behind; and each change
			// of which nobody knows the outcome has its own.
			if n := w.logged("level=ERROR") - before - w.logged("level=ERROR", "outcome of commit is unknown"); n > 2 {
				t.Errorf("%d errors in the log of one outage", n)
			}
			w.sound()
		})
	}
}

// timed makes a call that must end in time.
func (w *world) timed(what string, call func(context.Context) error) error {
	w.t.Helper()
	started := time.Now()
	err := call(w.t.Context())
	if took := time.Since(started); took > answerBound {
		w.t.Errorf("%s took %v", what, took)
	}
	return err
}

// load is writers that go on through an outage. Each has a secret of its own, puts
// numbers into it, repeats a put with its token until it is acknowledged, as SDKs do,
// and reads it back: the value is the last acknowledged, or one that was under way.
type load struct {
	w        *world
	stop     context.CancelFunc
	wg       sync.WaitGroup
	acks     []atomic.Int64
	refusals atomic.Int64
}

func (w *world) load(writers int) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{w: w, stop: stop, acks: make([]atomic.Int64, writers)}
	for i := range writers {
		l.wg.Go(func() { l.write(ctx, i) })
	}
	w.t.Cleanup(l.end)
	return l
}

func (l *load) write(ctx context.Context, i int) {
	name := fmt.Sprintf("w%d", i)
	for n := 1; ctx.Err() == nil; n++ {
		value := fmt.Sprint(n)
		token := fmt.Sprintf("%032d", n)
		for {
			err := l.w.timed("put", func(context.Context) error { _, err := l.w.put(context.Background(), name, value, &token); return err })
			if err == nil {
				break
			}
			refused(l.w.t, "put", err, true)
			l.refusals.Add(1)
			if ctx.Err() != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		l.acks[i].Add(1)
		var got string
		err := l.w.timed("get", func(context.Context) (err error) { got, err = l.w.get(context.Background(), name); return err })
		if err != nil {
			refused(l.w.t, "get", err, false)
		} else if got != value {
			l.w.t.Errorf("%s holds %q after %q was acknowledged", name, got, value)
		}
	}
}

// acked waits until each writer has n more acknowledged.
func (l *load) acked(n int64) {
	l.w.t.Helper()
	from := make([]int64, len(l.acks))
	for i := range l.acks {
		from[i] = l.acks[i].Load()
	}
	l.w.until("acknowledged writes", func() bool {
		for i := range l.acks {
			if l.acks[i].Load() < from[i]+n {
				return false
			}
		}
		return true
	})
}

// refused waits until n more are refused. Some writers may be looking for the outcome
// of a commit as long as the database is away.
func (l *load) refused(n int64) {
	l.w.t.Helper()
	from := l.refusals.Load()
	l.w.until("refused writes", func() bool { return l.refusals.Load() >= from+n })
}

func (l *load) end() {
	l.stop()
	l.wg.Wait()
}

// TestInFlightWhileStalled: calls that wait for a silent database hold their places;
// those beyond are refused at once, and the places are free afterwards.
func TestInFlightWhileStalled(t *testing.T) {
	w := shared(t, func(c *config.Config) { c.Limits.InFlight = 4 })
	w.create("s")
	w.proxy.Set(t, netfault.Stall)
	var throttled, unavailable atomic.Int64
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			err := w.timed("get", func(ctx context.Context) error { _, err := w.get(ctx, "s"); return err })
			if e, ok := errors.AsType[smithy.APIError](err); ok && e.ErrorCode() == "ThrottlingException" {
				throttled.Add(1)
				return
			}
			refused(t, "get", err, false)
			unavailable.Add(1)
		})
	}
	wg.Wait()
	if throttled.Load() == 0 || unavailable.Load() < 4 {
		t.Errorf("%d throttled, %d unavailable of 40 with 4 places", throttled.Load(), unavailable.Load())
	}
	w.proxy.Set(t, netfault.Pass)
	w.await(true)
	for range 8 {
		if got, err := w.get(t.Context(), "s"); err != nil || got != "first" {
			t.Errorf("afterwards: %q, %v", got, err)
		}
	}
}

// TestSlowDatabase: what is slow is answered, late.
func TestSlowDatabase(t *testing.T) {
	w := shared(t)
	w.create("s")
	w.proxy.Delay(30 * time.Millisecond)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := w.put(t.Context(), "s", fmt.Sprint(i), nil); err != nil {
				t.Error(err)
			}
			if _, err := w.get(t.Context(), "s"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := w.logged(downLine); n != 0 {
		t.Error("a slow database is said to be down")
	}
}
