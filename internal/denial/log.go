package denial

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// Config is what a Log is made from.
type Config struct {
	DB  *store.DB
	Log *slog.Logger
	Now func() time.Time
	// Keep is how long explanations are kept; 0 means DefaultKeep.
	Keep time.Duration
	// PerAccount is how many an account has at most, the newest ones; 0 means
	// DefaultPerAccount.
	PerAccount int
	// Queue is how many wait to be written at most; 0 means DefaultQueue.
	Queue int
}

// The defaults of Config.
const (
	DefaultKeep       = 90 * 24 * time.Hour
	DefaultPerAccount = 100_000
	// DefaultQueue bounds memory and, since the queue is emptied once a second,
	// how much of the database and of a processor a flood of denied calls takes.
	DefaultQueue = 1_000
)

// perCall is how many refused decisions of one call are kept.
const perCall = 16

// Log keeps the explanations of denied calls. It is safe for concurrent use.
type Log struct {
	db      *store.DB
	log     *slog.Logger
	now     func() time.Time
	keep    time.Duration
	most    int
	queue   int
	dropped atomic.Int64
	written atomic.Int64

	// flushing is held by the one who writes.
	flushing sync.Mutex
	mu       sync.Mutex
	pending  []*pending
	waiting  map[string]int // :: account → how many of pending are its
}

// pending is a denial that is not in the database yet. It is explained once, by
// whoever needs it first.
type pending struct {
	call     *wire.Call
	number   int64
	evidence *auth.Evidence

	once   sync.Once
	denial *Denial // nil when it cannot be explained
}

// New makes a Log.
func New(c Config) *Log {
	return &Log{
		db: c.DB, log: c.Log, now: c.Now,
		keep: cmp.Or(c.Keep, DefaultKeep), most: cmp.Or(c.PerAccount, DefaultPerAccount), queue: cmp.Or(c.Queue, DefaultQueue),
		waiting: make(map[string]int),
	}
}

// Observe takes the refused decisions of a call that has ended. It is called for
// every call, nested ones included, before the answer leaves.
func (l *Log) Observe(c *wire.Call) {
	// An operation that went well in spite of a refused decision asked for
	// something that it could do without.
	if c.Err == nil || c.Principal == nil {
		return
	}
	var number int64
	for i := range c.Decisions {
		if c.Decisions[i].Allowed {
			continue
		}
		e, ok := c.Decisions[i].Evidence.(*auth.Evidence)
		if !ok {
			continue
		}
		if number++; number > perCall {
			l.dropped.Add(1)
			continue
		}
		l.add(&pending{call: c.Facts(), number: number, evidence: e.Kept()})
	}
}

// add queues p if there is room. Of a full queue one account has half at most, so
// that none can keep the others' denials from being explained.
func (l *Log) add(p *pending) {
	account := p.call.Principal.Account
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) >= l.queue || l.waiting[account] >= (l.queue+1)/2 {
		l.dropped.Add(1)
		return
	}
	l.waiting[account]++
	l.pending = append(l.pending, p)
}

// explained returns the denial, nil when explaining it failed.
func (p *pending) explained(log *slog.Logger) *Denial {
	p.once.Do(func() {
		defer func() {
			// A mistake in what is made for people must not end the server. The
			// value may quote what it failed on.
			if v := recover(); v != nil {
				p.denial = nil
				log.Error("a denial cannot be explained", "request_id", p.call.RequestID, "error", fmt.Sprintf("panic: %T", v))
			}
		}()
		p.denial = explain(p.call, p.number, p.evidence)
		p.evidence = nil
	})
	return p.denial
}

// batch is how many denials are written in one transaction: on SQLite nobody
// else writes meanwhile.
const batch = 100

// flushTime is how long the job works in a row, about a second apart: a flood of
// calls denied under long policies must not take a processor from those that are
// served.
const flushTime = 250 * time.Millisecond

// FlushSome is Flush for the job that runs about every second: it ends early, and
// has the rest wait for the next run.
func (l *Log) FlushSome(ctx context.Context) error {
	return l.flush(ctx, time.Now().Add(flushTime))
}

// Flush writes what waits. What cannot be written waits for the next time.
func (l *Log) Flush(ctx context.Context) error { return l.flush(ctx, time.Time{}) }

// flush writes until the time is end; the zero time has no end.
func (l *Log) flush(ctx context.Context, end time.Time) error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	left := len(l.pending)
	l.mu.Unlock()
	late := func() bool { return !end.IsZero() && time.Now().After(end) }
	for left > 0 && !late() {
		l.mu.Lock()
		some := slices.Clone(l.pending[:min(left, batch)])
		l.mu.Unlock()
		var rows []*row
		done := 0
		for done < len(some) && (done == 0 || !late()) {
			if r := l.row(ctx, some[done]); r != nil {
				rows = append(rows, r)
			}
			done++
		}
		if err := l.db.Maintain(ctx, func(tx store.Tx) error { return insert(tx, rows) }); err != nil {
			return err
		}
		l.written.Add(int64(len(rows)))
		l.dropped.Add(int64(done - len(rows)))
		l.forget(done)
		left -= done
	}
	return nil
}

// row makes the row of p, or nil and a line in the log.
func (l *Log) row(ctx context.Context, p *pending) *row {
	d := p.explained(l.log)
	if d == nil {
		return nil
	}
	r, err := newRow(d)
	if err != nil {
		l.log.ErrorContext(ctx, "a denial cannot be kept", "request_id", d.RequestID, "error", err)
		return nil
	}
	return r
}

// forget takes the oldest n off the queue.
func (l *Log) forget(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.pending[:n] {
		account := p.call.Principal.Account
		if l.waiting[account]--; l.waiting[account] == 0 {
			delete(l.waiting, account)
		}
	}
	l.pending = slices.Delete(l.pending, 0, n)
}

// Find returns the denials of a request of an account's callers, or of a call
// within one, in their order. Nothing found is no error.
func (l *Log) Find(ctx context.Context, account, requestID string) ([]*Denial, error) {
	if account == "" {
		return nil, nil // Callers without an account are nobody's.
	}
	return l.find(ctx, account, requestID)
}

// FindAny is Find for the operator: whoever called.
func (l *Log) FindAny(ctx context.Context, requestID string) ([]*Denial, error) {
	return l.find(ctx, "", requestID)
}

func (l *Log) find(ctx context.Context, account, requestID string) ([]*Denial, error) {
	if requestID == "" {
		return nil, nil
	}
	// Memory first: what is written meanwhile is then found twice and not missed.
	found := l.waitingFor(account, requestID)
	rows, err := l.stored(ctx, account, requestID)
	if err != nil {
		return nil, err
	}
	for _, d := range rows {
		if !slices.ContainsFunc(found, func(o *Denial) bool { return o.EventID == d.EventID && o.number == d.number }) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b *Denial) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.EventID, b.EventID), cmp.Compare(a.number, b.number))
	})
	return found, nil
}

func (l *Log) waitingFor(account, requestID string) []*Denial {
	l.mu.Lock()
	var mine []*pending
	for _, p := range l.pending {
		if account != "" && p.call.Principal.Account != account {
			continue
		}
		if p.call.RequestID == requestID || outermost(p.call).RequestID == requestID {
			mine = append(mine, p)
		}
	}
	l.mu.Unlock()
	var out []*Denial
	for _, p := range mine {
		if d := p.explained(l.log); d != nil {
			out = append(out, d)
		}
	}
	return out
}

// Summary is a denial in short.
type Summary struct {
	RequestID string    `json:"requestId"`
	Time      time.Time `json:"time"`
	Account   string    `json:"account"`
	Principal string    `json:"principal"` // ARN
	Action    string    `json:"action"`
	Resource  string    `json:"resource"`
}

// Latest returns the newest n denials of the deployment, the newest one first. It
// is for the operator, who may not know a request id.
func (l *Log) Latest(ctx context.Context, n int) ([]Summary, error) {
	// Those of this node that are not written yet are written first; nobody asks
	// this often.
	if err := l.Flush(ctx); err != nil {
		return nil, err
	}
	return l.latest(ctx, n)
}

// Stats are counters since New, for metrics.
type Stats struct {
	// Written is the number of explanations in the database, Dropped of those
	// that found no room, Waiting of those to be written.
	Written, Dropped, Waiting int64
}

// Stats returns the counters.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Written: l.written.Load(), Dropped: l.dropped.Load(), Waiting: int64(len(l.pending))}
}
