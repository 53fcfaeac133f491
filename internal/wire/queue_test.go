package wire

import (
	"net/http"
	"testing"
	"time"
)

// TestQueue: requests are refused only while they have been waiting too long for a
// while, and no longer once they wait much shorter.
func TestQueue(t *testing.T) {
	t.Parallel()
	q := queue{most: 40 * time.Millisecond}
	start := time.Unix(1_800_000_000, 0)
	for i, step := range []struct {
		at, wait time.Duration
		flying   int
		refused  bool
	}{
		{0, time.Hour, 1, false}, // not busy: not even asked
		{0, 50 * time.Millisecond, queueBusy, false},
		{50 * time.Millisecond, 60 * time.Millisecond, 1, false},
		{120 * time.Millisecond, 60 * time.Millisecond, 1, true},
		{121 * time.Millisecond, 30 * time.Millisecond, 1, false}, // in time
		{122 * time.Millisecond, 40 * time.Millisecond, 1, true},  // and the spell goes on
		{123 * time.Millisecond, 9 * time.Millisecond, 1, false},  // it ends
		{124 * time.Millisecond, 60 * time.Millisecond, 1, false},
		{200 * time.Millisecond, 60 * time.Millisecond, 1, false},
		{225 * time.Millisecond, 60 * time.Millisecond, 1, true},
		{2 * time.Second, time.Hour, 1, false}, // nobody watches any more
	} {
		if got := q.refuses(step.flying, start.Add(step.at), func() time.Duration { return step.wait }); got != step.refused {
			t.Errorf("step %d: refused %t", i, got)
		}
	}
	off := queue{}
	for range 3 {
		if off.refuses(queueBusy, start, func() time.Duration { return time.Hour }) || q.refuses(queueBusy, start, nil) {
			t.Error("refused without a bound, or without knowing")
		}
		start = start.Add(time.Second)
	}
}

// TestQueueRefusal: the answer is that of any request too many.
func TestQueueRefusal(t *testing.T) {
	w := newWorld(t)
	h := newHandler(w.Registry, w, Limits{Queue: time.Millisecond})
	w.handler = h
	h.queue.watch.Store(time.Now().Add(time.Hour).UnixNano())
	h.queue.since.Store(1)
	ask := func(wait time.Duration) *http.Request {
		r := jsonRequest("Toy.Get", `{"Id":"a"}`)
		return r.WithContext(WithWait(r.Context(), func() time.Duration { return wait }))
	}
	refusedAs(t, w.do(ask(time.Second)), `"__type":"ThrottlingException"`, "1")
	if len(w.unverified) != 1 || w.unverified[0].Throttled != ThrottledQueue || len(h.flying) != 0 {
		t.Errorf("%d counted, %d in flight", len(w.unverified), len(h.flying))
	}
	if rec := w.do(ask(0)); rec.Code != http.StatusOK {
		t.Errorf("in time: %d", rec.Code)
	}
}
