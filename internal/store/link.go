package store

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// answerGrace is how much longer than its own timeout the server may take to
// answer a statement, before the connection is taken for dead.
const answerGrace = 5 * time.Second

// stateWarning is the code of a warning that has none of its own.
const stateWarning = "01000"

// link is the network connection under a connection to PostgreSQL.
//
// A server that is stopped, or behind a cable that was cut, ends no statement:
// its timeouts are its own. So whoever reads from it waits a bounded time.
type link struct {
	net.Conn
	limit time.Duration // for each read; 0 for none

	mu    sync.Mutex
	asked time.Time // the deadline that the driver asked for

	// committing says that a commit is under way. If its answer does not come,
	// the driver would ask the server to cancel it, and a primary that waits
	// for its synchronous standby then commits without it.
	committing atomic.Bool
	// warned says that the server sent a warning since it was last cleared.
	warned atomic.Bool
}

// Read ends with a timeout when nothing comes.
func (l *link) Read(p []byte) (int, error) {
	if err := l.await(); err != nil {
		return 0, err
	}
	return l.Conn.Read(p)
}

func (l *link) await() error {
	if l.limit == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// The driver ends a read by asking for a deadline that has passed, so the
	// earlier one counts.
	deadline := time.Now().Add(l.limit)
	if !l.asked.IsZero() && l.asked.Before(deadline) {
		deadline = l.asked
	}
	return l.Conn.SetReadDeadline(deadline)
}

// SetDeadline is the driver's.
func (l *link) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = t
	return l.Conn.SetDeadline(t)
}

// SetReadDeadline is the driver's.
func (l *link) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = t
	return l.Conn.SetReadDeadline(t)
}

var errNoCancel = errors.New("store: a commit is not cancelled")

// connect opens one connection over a link.
func connect(ctx context.Context, config *pgx.ConnConfig, limit time.Duration) (*pgx.Conn, *link, error) {
	config = config.Copy()
	var l *link
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		// The driver dials once more to cancel what runs.
		if l != nil && l.committing.Load() {
			return nil, errNoCancel
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &link{Conn: conn, limit: limit}, nil
	}
	config.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
		l = bottom(conn)
		return conn, nil
	}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.Code == stateWarning {
			l.warned.Store(true)
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	return conn, l, err
}

// bottom is the link under TLS or nothing.
func bottom(conn net.Conn) *link {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn()
	}
	return conn.(*link)
}
