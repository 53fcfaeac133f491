package wire

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"
)

type valueKey struct{}

// TestDeadline: it behaves as context.WithTimeout does, whether somebody waits for
// it or not.
func TestDeadline(t *testing.T) {
	t.Parallel()
	parent := context.WithValue(t.Context(), valueKey{}, "value")
	for _, waits := range []bool{false, true} {
		d := within(parent, time.Now(), time.Hour)
		if waits {
			d.Done()
		}
		if at, ok := d.Deadline(); !ok || time.Until(at) < 59*time.Minute {
			t.Error("deadline", at, ok)
		}
		if d.Err() != nil || d.Value(valueKey{}) != "value" {
			t.Error("at first:", d.Err(), d.Value(valueKey{}))
		}
		d.end()
		<-d.Done()
		if !errors.Is(d.Err(), context.Canceled) || !errors.Is(context.Cause(d), context.Canceled) {
			t.Error("ended:", d.Err(), context.Cause(d))
		}
		d.end() // twice is fine

		late := within(parent, time.Now().Add(-time.Hour), time.Minute)
		if waits {
			<-late.Done()
		}
		if !errors.Is(late.Err(), context.DeadlineExceeded) || !errors.Is(context.Cause(late), context.DeadlineExceeded) {
			t.Error("late:", late.Err(), context.Cause(late))
		}
		late.end()

		gone, leave := context.WithCancelCause(parent)
		left := within(gone, time.Now(), time.Hour)
		if waits {
			left.Done()
		}
		why := errors.New("why")
		leave(why)
		<-left.Done()
		if !errors.Is(left.Err(), context.Canceled) || !errors.Is(context.Cause(left), why) {
			t.Error("parent ended:", left.Err(), context.Cause(left))
		}
		left.end()
	}
	sooner, cancel := context.WithTimeout(parent, time.Minute)
	defer cancel()
	if at, _ := within(sooner, time.Now(), time.Hour).Deadline(); time.Until(at) > time.Minute {
		t.Error("later than its parent's:", at)
	}
}

// TestDeadlineChildren: what is derived from it ends with it, and costs no
// goroutine.
func TestDeadlineChildren(t *testing.T) {
	d := within(NewContext(t.Context(), &Call{RequestID: "1"}), time.Now(), time.Hour)
	before := runtime.NumGoroutine()
	var children []context.Context
	for range 100 {
		child, cancel := context.WithCancel(NewContext(d, &Call{RequestID: "2"}))
		defer cancel()
		children = append(children, child)
	}
	if n := runtime.NumGoroutine(); n > before+50 {
		t.Errorf("%d goroutines, before %d", n, before)
	}
	called := make(chan struct{})
	context.AfterFunc(children[0], func() { close(called) })
	d.end()
	for _, c := range children {
		<-c.Done()
		if CallFrom(c).RequestID != "2" {
			t.Error("lost its call")
		}
	}
	<-called
}
