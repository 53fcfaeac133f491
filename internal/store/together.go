package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// apart is how many reads are under way, each in a message of its own, before
	// those that come wait to share one. Enough to keep a database busy that is far
	// away, since up to maxShared travel together.
	apart = 4
	// maxShared bounds how many reads share a message.
	maxShared = 32
)

// gets lets reads that meet share a message to the database: most of what a point
// read costs, here and there, is the sending, the waking and the transaction around
// it, and not the look-up.
//
// Whoever comes while few are under way goes alone and at once. The others wait
// until one of those is through; then the first of them takes the others along.
// Each gets its own answer: what fails, or comes after what failed, asks again alone.
type gets struct {
	mu       sync.Mutex
	underWay int
	waiting  []*asked
}

// asked is one caller's read.
type asked struct {
	query      string
	args, dest []any

	// turn gets the companions of a read whose turn has come, and is closed when
	// somebody else has taken it along.
	turn chan []*asked
	err  error
	// alone says that nobody has answered this read: it asks by itself.
	alone bool
}

// begin says whether a may go at once; otherwise it waits for its turn.
func (g *gets) begin(a *asked) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.underWay < apart {
		g.underWay++
		return true
	}
	a.turn = make(chan []*asked, 1)
	g.waiting = append(g.waiting, a)
	return false
}

// end gives the turn of one who is through to those who wait.
func (g *gets) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), maxShared)
	if n == 0 {
		g.underWay--
		return
	}
	first, with := g.waiting[0], slices.Clone(g.waiting[1:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	first.turn <- with
}

// leave takes a back from those who wait and says whether it was still there.
func (g *gets) leave(a *asked) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, a)
	if i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
	return i >= 0
}

// await returns when it is a's turn (lead), with whom it shares it, or when a has
// been answered. Once somebody has taken it along it waits for the answer, which the
// timeouts of the database's connection bound.
func (g *gets) await(ctx context.Context, a *asked) (with []*asked, lead bool, err error) {
	patience := time.NewTimer(slotTimeout)
	defer patience.Stop()
	select {
	case with, lead = <-a.turn:
		return with, lead, nil
	case <-ctx.Done():
		err = contextError(ctx)
	case <-patience.C:
		err = unavailable(errBusy)
	}
	if g.leave(a) {
		return nil, false, err
	}
	with, lead = <-a.turn
	return with, lead, nil
}

func (p *postgres) get(ctx context.Context, query string, args, dest []any) error {
	a := &asked{query: query, args: args, dest: dest, alone: true}
	turn := p.gets.begin(a)
	if !turn {
		var with []*asked
		var err error
		if with, turn, err = p.gets.await(ctx, a); err != nil {
			return err
		}
		if len(with) > 0 {
			p.together(ctx, append([]*asked{a}, with...))
		}
	}
	if turn {
		defer p.gets.end()
	}
	if !a.alone {
		return a.err
	}
	return p.once(ctx, func() error { return p.getOnce(ctx, query, args, dest) })
}

// together sends all reads in one message, and tells all but the first, who has
// called it, that they have been answered.
func (p *postgres) together(ctx context.Context, all []*asked) {
	defer func() {
		for _, a := range all[1:] {
			close(a.turn)
		}
	}()
	conn, err := p.acquire(ctx)
	if err != nil {
		return
	}
	defer p.release(conn)
	batch := &pgx.Batch{}
	for _, a := range all {
		batch.Queue(a.query, a.args...)
	}
	results := conn.SendBatch(ctx, batch)
	for _, a := range all {
		a.err = postgresError(ctx, results.QueryRow().Scan(a.dest...))
		_, misfit := errors.AsType[*scanError](a.err)
		a.alone = a.err != nil && !misfit && !errors.Is(a.err, ErrNoRows)
		if a.alone || misfit {
			break // The database, or the driver, takes no notice of what follows.
		}
	}
	if err := results.Close(); err != nil {
		_ = p.unsent(ctx, conn, err) // notes a broken connection
	}
}
