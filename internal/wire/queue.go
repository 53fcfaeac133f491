package wire

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// queueBusy is how many requests must be worked on before it is asked how long
	// one has waited: asking costs a system call.
	queueBusy = 96
	// queueSpell is how long requests must have been waiting too long before one is
	// refused. A process that was merely kept from running for a moment, as
	// containers with a quota of processor time are, catches up by itself.
	queueSpell = 100 * time.Millisecond
	// queueWatch is for how long every request is looked at once one has waited too
	// long.
	queueWatch = time.Second
)

// queue keeps the time that requests wait for a processor bounded, when more come
// than can be served: those that have waited too long already are refused, which
// takes less time than to answer them, so that the others are answered in time.
// Without it all would wait, in the end longer than their clients do.
//
// They wait in their sockets, where nobody but the kernel sees them. It ends the
// spell only when they wait much shorter again, as CoDel does (RFC 8289), or it
// would end with each request that is in time.
type queue struct {
	most time.Duration
	// since is when requests began to wait too long, in nanoseconds; 0 when they do
	// not. watch is until when each is looked at.
	since, watch atomic.Int64
}

// refuses says whether a request that is taken up at now has come too late. waited
// tells how long ago it arrived.
func (q *queue) refuses(inFlight int, now time.Time, waited func() time.Duration) bool {
	at := now.UnixNano()
	if q.most <= 0 || waited == nil || inFlight < queueBusy && at > q.watch.Load() {
		return false
	}
	wait := waited()
	switch {
	case wait < q.most/4:
		q.since.Store(0)
		return false
	case wait < q.most:
		return false
	}
	q.watch.Store(at + int64(queueWatch))
	if q.since.CompareAndSwap(0, at) {
		return false
	}
	return at-q.since.Load() >= int64(queueSpell)
}

type waitKey struct{}

// WithWait tells how long ago the last bytes of the client arrived at a connection,
// for http.Server's ConnContext. nil when nobody knows.
func WithWait(ctx context.Context, waited func() time.Duration) context.Context {
	if waited == nil {
		return ctx
	}
	return context.WithValue(ctx, waitKey{}, waited)
}

func waitOf(r *http.Request) func() time.Duration {
	waited, _ := r.Context().Value(waitKey{}).(func() time.Duration)
	return waited
}
