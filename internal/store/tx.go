package store

import (
	"context"
	"errors"
	"runtime/debug"
	"time"
)

// Row is a result of at most one row.
type Row interface {
	// Scan runs the statement, copies its first row's columns to dest and
	// returns ErrNoRows when there is none. Without Scan nothing runs.
	Scan(dest ...any) error
}

// Rows is a result read row by row. It ends by itself when Next returns false.
type Rows interface {
	// Next advances to the next row and reports whether there is one.
	Next() bool
	// Scan copies the columns of the current row to dest.
	Scan(dest ...any) error
	// Err returns what ended the loop early, or nil.
	Err() error
	// Close ends the result; it may be called again, and returns Err.
	Close() error
}

// Tx is a transaction. It belongs to the function it was given to and ends with
// it.
type Tx interface {
	// QueryRow returns a row that is fetched when it is scanned.
	QueryRow(query string, args ...any) Row
	// Query starts a statement that returns rows. Until they are closed no
	// other statement can run in the transaction.
	Query(query string, args ...any) (Rows, error)
	// Exec runs a statement and returns how many rows it touched.
	Exec(query string, args ...any) (affected int64, err error)
	// Now returns the time of the transaction: fixed, UTC, whole microseconds,
	// so that all rows of one change agree.
	Now() time.Time
}

// runner runs statements in the transaction of an engine. It gets plain
// arguments only.
type runner interface {
	queryRow(query string, args, dest []any) error
	query(query string, args []any) (cursor, error)
	exec(query string, args []any) (int64, error)
}

// cursor walks over the rows of a runner.
type cursor interface {
	next() (bool, error)
	scan(dest []any) error
	// close may be called more than once.
	close()
}

// txn is the Tx of both engines. It holds what keeps them alike.
type txn struct {
	runner runner
	now    time.Time
	// failed is the first failure of a statement. PostgreSQL refuses all that
	// follows one, so we do so on SQLite too.
	failed error
	// open are the rows being read, if any.
	open  *txRows
	ended bool
	// bumps are the generations that this transaction has moved.
	bumps []bump
	// changed are the keys of what somebody may have cached.
	changed []string
}

var (
	errEnded    = errors.New("store: transaction has ended")
	errRowsOpen = errors.New("store: statement while rows are open")
)

func (t *txn) Now() time.Time { return t.now }

// usable returns why no statement can run now.
func (t *txn) usable() error {
	switch {
	case t.ended:
		return errEnded
	case t.failed != nil:
		return t.failed
	case t.open != nil:
		return errRowsOpen
	}
	return nil
}

// end closes what fn left open and returns the failure that fn may have hidden.
func (t *txn) end() error {
	if t.open != nil {
		t.open.Close()
	}
	t.ended = true
	return t.failed
}

// note remembers the failure of a statement. That there is no row is none, and
// neither is a destination of the wrong type.
func (t *txn) note(err error) error {
	if err == nil || errors.Is(err, ErrNoRows) {
		return err
	}
	if _, ok := errors.AsType[*scanError](err); ok {
		return err
	}
	if t.failed == nil {
		t.failed = err
	}
	return err
}

func (t *txn) Exec(query string, args ...any) (int64, error) {
	if err := t.usable(); err != nil {
		return 0, err
	}
	plain, err := plainArgs(args)
	if err != nil {
		return 0, t.note(err)
	}
	n, err := t.runner.exec(query, plain)
	return n, t.note(err)
}

func (t *txn) QueryRow(query string, args ...any) Row {
	return &txRow{t: t, query: query, args: args}
}

type txRow struct {
	t     *txn
	query string
	args  []any
}

func (r *txRow) Scan(dest ...any) error {
	if err := r.t.usable(); err != nil {
		return err
	}
	plain, err := plainArgs(r.args)
	if err != nil {
		return r.t.note(err)
	}
	return r.t.note(r.t.runner.queryRow(r.query, plain, dest))
}

func (t *txn) Query(query string, args ...any) (Rows, error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	plain, err := plainArgs(args)
	if err != nil {
		return nil, t.note(err)
	}
	c, err := t.runner.query(query, plain)
	if err != nil {
		return nil, t.note(err)
	}
	t.open = &txRows{t: t, c: c}
	return t.open, nil
}

type txRows struct {
	t      *txn
	c      cursor
	err    error
	closed bool
}

func (r *txRows) Next() bool {
	if r.closed {
		return false
	}
	more, err := r.c.next()
	if err != nil {
		r.err = r.t.note(err)
	}
	if !more {
		r.Close()
	}
	return more
}

func (r *txRows) Scan(dest ...any) error {
	if r.closed {
		return errors.New("store: scan without a row")
	}
	err := r.c.scan(dest)
	if err != nil {
		r.err = err
		r.Close()
	}
	return err
}

func (r *txRows) Err() error { return r.err }

func (r *txRows) Close() error {
	if !r.closed {
		r.closed = true
		r.c.close()
		r.t.open = nil
	}
	return r.err
}

// protect calls fn and turns a panic, or the end of the goroutine, into a
// *PanicError given to caught. Its result is that of fn, or what fn hid: a
// failed statement can't be committed over.
func protect(t *txn, fn func(*txn) error, caught func(*PanicError)) (err error) {
	returned := false
	defer func() {
		hidden := t.end()
		if returned {
			if hidden != nil && (err == nil || retriable(hidden)) {
				err = hidden
			}
			return
		}
		p := &PanicError{Value: recover(), Stack: debug.Stack()}
		err = p
		caught(p)
	}()
	err = fn(t)
	returned = true
	return err
}

// transactionTime is the clock's time in the precision that is stored.
func transactionTime(now func() time.Time) time.Time {
	return now().UTC().Truncate(time.Microsecond)
}

// contextError returns why ctx has ended, or nil.
func contextError(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}
