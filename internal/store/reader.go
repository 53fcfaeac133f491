package store

import (
	"context"
	"runtime"

	"github.com/strongroom/strongroom/internal/store/sqlite3"
)

// newReaders returns the pool of reading connections. Reading is bound by
// processors, so more than a few connections for each would only cost memory.
func newReaders(path string) *pool[*sqlite3.Conn] {
	return &pool[*sqlite3.Conn]{
		open:  func(context.Context) (*sqlite3.Conn, error) { return openReader(path) },
		close: (*sqlite3.Conn).Close,
		slots: make(chan struct{}, max(4, 2*runtime.GOMAXPROCS(0))),
	}
}

// sqliteRunner runs statements on one connection.
type sqliteRunner struct{ conn *sqlite3.Conn }

func (r sqliteRunner) start(query string, args []any) (*sqlite3.Stmt, error) {
	s, err := r.conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	if err := s.Bind(args); err != nil {
		return nil, err
	}
	return s, nil
}

func (r sqliteRunner) queryRow(query string, args, dest []any) error {
	s, err := r.start(query, args)
	if err != nil {
		return err
	}
	defer s.Reset()
	row, err := s.Step()
	if err != nil {
		return err
	}
	if !row {
		return ErrNoRows
	}
	if err := scanRow(s, dest); err != nil {
		return err
	}
	// A statement that writes and returns rows is done only when stepped to
	// its end; the rest of a SELECT is of no interest.
	if !s.ReadOnly() {
		return drain(s)
	}
	return nil
}

func (r sqliteRunner) exec(query string, args []any) (int64, error) {
	s, err := r.start(query, args)
	if err != nil {
		return 0, err
	}
	defer s.Reset()
	before := r.conn.TotalChanges()
	if err := drain(s); err != nil {
		return 0, err
	}
	if r.conn.TotalChanges() == before {
		return 0, nil // Changes would still tell of an earlier statement
	}
	return r.conn.Changes(), nil
}

func (r sqliteRunner) query(query string, args []any) (cursor, error) {
	s, err := r.start(query, args)
	if err != nil {
		return nil, err
	}
	// The first step is taken at once, so that a statement that writes has run
	// even if nobody looks at its rows.
	row, err := s.Step()
	if err != nil {
		s.Reset()
		return nil, err
	}
	return &sqliteCursor{s: s, first: row, done: !row}, nil
}

func drain(s *sqlite3.Stmt) error {
	for {
		row, err := s.Step()
		if err != nil || !row {
			return err
		}
	}
}

type sqliteCursor struct {
	s *sqlite3.Stmt
	// first says that the row stepped to by query has not been handed out.
	first  bool
	done   bool
	closed bool
}

func (c *sqliteCursor) next() (bool, error) {
	if c.first || c.done {
		row := c.first
		c.first = false
		return row, nil
	}
	return c.s.Step()
}

func (c *sqliteCursor) scan(dest []any) error { return scanRow(c.s, dest) }

func (c *sqliteCursor) close() {
	if !c.closed {
		c.closed = true
		c.s.Reset()
	}
}
