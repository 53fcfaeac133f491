package store

import (
	"context"
	"errors"
	"sync"
	"time"
)

// pool is a bounded set of connections, opened as they are needed. The one
// released last is taken first: its caches are the warmest, and those not
// needed any more grow old together.
type pool[C any] struct {
	open  func(context.Context) (C, error)
	close func(C) error
	// fit reports whether an idle connection can still be used; nil means yes.
	fit func(context.Context, C) bool
	// slots holds one entry for each connection in use.
	slots chan struct{}
	// patience bounds the wait for one of them; 0 means no bound.
	patience time.Duration

	mu      sync.Mutex
	idle    []C
	stopped bool
}

// acquire returns a connection, waiting for one while all are in use.
func (p *pool[C]) acquire(ctx context.Context) (C, error) {
	var none C
	if err := contextError(ctx); err != nil {
		return none, err
	}
	if err := p.enter(ctx); err != nil {
		return none, err
	}
	for {
		conn, ok, err := p.pop()
		if err != nil {
			<-p.slots
			return none, err
		}
		if !ok {
			break
		}
		if p.fit == nil || p.fit(ctx, conn) {
			return conn, nil
		}
		p.close(conn)
	}
	conn, err := p.open(ctx)
	if err != nil {
		<-p.slots
		return none, err
	}
	return conn, nil
}

// errBusy says that all connections were in use for longer than the pool waits.
var errBusy = errors.New("all connections to the database are in use")

// enter takes a slot.
func (p *pool[C]) enter(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	var over <-chan time.Time // never, without patience
	if p.patience > 0 {
		t := time.NewTimer(p.patience)
		defer t.Stop()
		over = t.C
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-over:
		return errBusy
	case <-ctx.Done():
		return contextError(ctx)
	}
}

func (p *pool[C]) pop() (conn C, ok bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return conn, false, ErrClosed
	}
	n := len(p.idle)
	if n == 0 {
		return conn, false, nil
	}
	conn = p.idle[n-1]
	p.idle = p.idle[:n-1]
	return conn, true, nil
}

// release gives a connection back.
func (p *pool[C]) release(conn C) {
	p.mu.Lock()
	p.idle = append(p.idle, conn)
	p.mu.Unlock()
	<-p.slots
}

// discard closes a connection whose state is in doubt instead.
func (p *pool[C]) discard(conn C) {
	p.close(conn)
	<-p.slots
}

// inUse returns the number of connections in use.
func (p *pool[C]) inUse() int { return len(p.slots) }

// stop refuses further acquires, waits for the connections in use and closes
// all of them. The first error is returned.
func (p *pool[C]) stop() error {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	defer func() {
		for range cap(p.slots) {
			<-p.slots
		}
	}()
	var first error
	for _, conn := range p.idle {
		if err := p.close(conn); first == nil {
			first = err
		}
	}
	p.idle = nil
	return first
}
