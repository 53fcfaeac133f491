package store

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// health is what is known of the database as a whole. A connection that breaks says
// only that the others should be tried out before use; the database is down from
// when no connection can be opened until one can.
//
// Its one invariant: the log has one line for each change of state, however many
// calls meet it.
type health struct {
	log *slog.Logger
	// fell wakes who waits for it to go down.
	fell chan struct{}
	// brokenAt is when a connection last broke, silentAt when one gave no answer.
	brokenAt, silentAt atomic.Pointer[time.Time]
	broken             atomic.Int64

	mu      sync.Mutex
	watched bool
	since   time.Time
	worked  time.Time // when a connection was last opened
	cause   error     // why it is down
	crowded bool      // it has refused us a connection, having too many
	outages int64
}

func newHealth(log *slog.Logger) *health { return &health{log: log, fell: make(chan struct{}, 1)} }

// watch begins: before, a failure is the start's, which ends with it.
func (h *health) watch() {
	h.mu.Lock()
	h.watched = true
	h.mu.Unlock()
}

// outage returns why the database is down, or nil.
func (h *health) outage() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cause == nil {
		return nil
	}
	return unavailable(h.cause)
}

// failed notes that no connection could be opened by a try that started then.
func (h *health) failed(err error, started time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.watched:
	case started.Before(h.worked): // Somebody else's has succeeded meanwhile.
	case sqlState(err) == stateTooManyConnections && h.cause == nil:
		// It answers; those connections that we have go on working.
		if !h.crowded {
			h.crowded = true
			h.log.Warn("the database has no connection left for this node; calls wait for one of the others",
				slog.Any("error", err), slog.String("hint", "raise the database's max_connections, or lower pool_max_conns in the address of each node"))
		}
	case h.cause == nil:
		h.cause, h.since = err, time.Now()
		h.outages++
		h.log.Error("the database does not answer; calls are refused until it does",
			slog.Any("error", err), slog.String("hint", "check that the database runs, takes changes, and is reached from here; nothing needs a restart"))
		select {
		case h.fell <- struct{}{}:
		default:
		}
	default:
		h.cause = err
	}
}

// works notes that a connection was opened.
func (h *health) works() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.crowded, h.worked = false, time.Now()
	if h.cause == nil {
		return
	}
	h.cause = nil
	h.log.Info("the database answers again", slog.Duration("after", time.Since(h.since).Round(time.Millisecond)))
}

// doubt is what is to be thought of an idle connection, by what others met since.
type doubt int

const (
	none doubt = iota
	// broken: another one has ended, and what ended that one may have ended all.
	broken
	// silent: another one got no answer in time.
	silent
)

// broke notes that an open connection broke.
func (h *health) broke(err error) {
	h.broken.Add(1)
	now := time.Now()
	h.brokenAt.Store(&now)
	if pgconn.Timeout(err) {
		h.silentAt.Store(&now)
	}
}

// doubt returns what has happened to others since t.
func (h *health) doubt(t time.Time) doubt {
	since := func(at *time.Time) bool { return at != nil && !at.Before(t) }
	switch {
	case since(h.silentAt.Load()):
		return silent
	case since(h.brokenAt.Load()):
		return broken
	}
	return none
}

// fill adds to the store's counters.
func (h *health) fill(s *Stats) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cause != nil {
		s.DownSince = h.since
	}
	s.Outages, s.Broken = h.outages, h.broken.Load()
}
