package audit

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/strongroom/strongroom/internal/wire"
)

var _ wire.Recorder = (*Log)(nil)

const (
	// perCall is what a running call keeps reserved for itself: its record in
	// short form, and the copy for another account.
	perCall = 2 * leastRoom
	// maxHeld bounds the records of nested calls that wait for their call's
	// own; beyond it they are appended at once.
	maxHeld = 256 << 10
	// maxCopies bounds how many other accounts get a copy of one record.
	maxCopies = 4
)

// room is what a call from outside, or background work, has reserved for itself
// and for the calls nested in it.
type room struct {
	// reserved is the whole of it, held what is spoken for by records that
	// wait; open counts calls that have begun and not ended.
	reserved, held int64
	open           int64
	events         []event
	few            [4]event // where events begin, enough for most calls
}

// rooms and bodies are kept, since every call needs them for a moment.
var rooms = sync.Pool{New: func() any { return new(room) }}

// bodies are buffers that records are encoded in.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// maxBody bounds the buffers that are kept.
const maxBody = 16 << 10

func freeBody(p *[]byte) {
	if p != nil && cap(*p) <= maxBody {
		bodies.Put(p)
	}
}

// errNotBegun is the bug of recording a call that Begin did not see.
var errNotBegun = errors.New("audit record of a call that did not begin")

// rootOf returns the call from outside, or the background work, that c belongs
// to.
func rootOf(c *wire.Call) *wire.Call {
	for c.Parent != nil {
		c = c.Parent
	}
	return c
}

// Begin reserves room for c's record before c acts. It fails with ErrNoRoom
// when the disk is full, with ErrClosed, or with ctx's cause; the call must not
// act then.
func (l *Log) Begin(ctx context.Context, c *wire.Call) error {
	root := rootOf(c)
	l.mu.Lock()
	r := l.calls[root]
	if r == nil {
		r = rooms.Get().(*room)
		*r = room{}
		r.events = r.few[:0]
		l.calls[root] = r
	}
	r.open++
	// What is left of earlier calls serves the next one.
	need := r.open*perCall - (r.reserved - r.held)
	l.mu.Unlock()
	if need > 0 {
		err := l.reserve(ctx, need)
		l.mu.Lock()
		if err == nil {
			r.reserved += need
		} else if r.open--; c == root {
			delete(l.calls, root)
		}
		l.mu.Unlock()
		if err != nil {
			return err
		}
	}
	l.cfg.Fault(FaultAfterReserve)
	return nil
}

// Record appends c's record, and with it those of the calls nested in c, and
// returns once they are as durable as the log promises. The record of a call
// nested in a call from outside only joins that call's.
func (l *Log) Record(_ context.Context, c *wire.Call) error {
	root := rootOf(c)
	l.mu.Lock()
	r := l.calls[root]
	_, changed := l.intents[c.EventID]
	l.mu.Unlock()
	if r == nil {
		return errNotBegun
	}
	if changed {
		l.cfg.Fault(FaultBeforeAppend)
	}
	buf := bodies.Get().(*[]byte)
	var few [2]event
	events, size := l.render(buf, few[:0], c, &fullLimits, maxCopies)

	l.mu.Lock()
	if extra := size - (r.reserved - r.held - (r.open-1)*perCall); extra > 0 {
		if l.free() >= extra {
			l.reserved += extra
			r.reserved += extra
		} else {
			l.mu.Unlock()
			// The disk is full; this fits into what Begin reserved.
			events, size = l.render(buf, few[:0], c, &shortLimits, 1)
			l.mu.Lock()
		}
	}
	r.open--
	r.events = append(r.events, events...)
	r.held += size
	if c != root && root.EventType == wire.EventAPICall && r.held <= maxHeld {
		l.mu.Unlock()
		return nil
	}
	seq, err := l.settle(r)
	if c == root {
		delete(l.calls, root)
		l.giveBack(r.reserved)
		rooms.Put(r)
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	// Calls that are ready to run append their records meanwhile, and one write
	// serves them all. A lone call goes on at once.
	runtime.Gosched()
	if err := l.write(seq, false); err != nil {
		return err
	}
	switch l.cfg.Durability {
	case Synced:
		err = l.sync(seq, false)
	case Replicated:
		err = l.replicate(seq)
	}
	if err != nil {
		return err
	}
	if c == root {
		l.cfg.Fault(FaultAfterAppend)
	}
	return nil
}

// settle orders the records that wait in r. The caller holds mu.
func (l *Log) settle(r *room) (uint64, error) {
	if l.cur == nil {
		return 0, ErrClosed
	}
	if err := l.order(r.events...); err != nil {
		l.stopFor(err)
		l.wakeLocked()
		return 0, err
	}
	for i := range r.events {
		e := &r.events[i]
		if _, ok := l.intents[e.id]; ok {
			delete(l.intents, e.id)
			if e.doubtful {
				l.doubts = append(l.doubts, doubt{e.id, l.now()})
			} else {
				l.settled = append(l.settled, settled{e.id, l.end.seq})
			}
		}
		freeBody(e.buf)
	}
	l.reserved -= r.held
	r.reserved -= r.held
	clear(r.events)
	r.events, r.held = r.events[:0], 0
	return l.end.seq, nil
}

// render encodes c's records into buf and appends them to events: its own, and
// a copy for each other account whose resources it touched, up to copies. size
// is the room that they take.
func (l *Log) render(buf *[]byte, events []event, c *wire.Call, limits *limits, copies int) (_ []event, size int64) {
	b := (*buf)[:0]
	r := renderer{limits: limits, call: c, recipient: l.recipient(c), doubtful: doubtful(c)}
	var others []string
	if copies > 0 {
		others = otherAccounts(c, r.recipient, copies)
	}
	if len(others) > 0 {
		r.shared = derivedID(c.EventID, "shared")
	}
	b = r.append(b)
	ends := make([]int, 0, 1+maxCopies)
	ends = append(ends, len(b))
	r.copied = true
	for _, r.recipient = range others {
		b = r.append(b)
		ends = append(ends, len(b))
	}
	*buf = b
	from, first := 0, len(events)
	for _, to := range ends {
		e := newEvent(b[from:to:to])
		size += int64(to-from) + lineOverhead
		events = append(events, e)
		from = to
	}
	events[first].id, events[first].doubtful = c.EventID, r.doubtful
	// All share the buffer, which is free once the last of them is ordered.
	events[len(events)-1].buf = buf
	return events, size
}

// recipient is the account that c's own record is for: the caller's, or for
// what a service does without one, the owner of what it did it to.
func (l *Log) recipient(c *wire.Call) string {
	if c.Principal != nil && c.Principal.Account != "" {
		return c.Principal.Account
	}
	for _, r := range c.Resources {
		if r.Account != "" {
			return r.Account
		}
	}
	return l.cfg.Account
}

// otherAccounts returns the accounts besides own whose resources c touched. A
// refused caller leaves no trace with others: neither may he fill their records
// nor learn that there is somebody to receive them.
func otherAccounts(c *wire.Call, own string, most int) []string {
	var out []string
	for _, r := range c.Resources {
		if r.Account == "" || r.Account == own || len(out) == most || slices.Contains(out, r.Account) {
			continue
		}
		out = append(out, r.Account)
	}
	if out == nil {
		return nil
	}
	for _, d := range c.Decisions {
		if !d.Allowed {
			return nil
		}
	}
	return out
}
