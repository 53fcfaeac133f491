package store

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strongroom/strongroom/internal/store/sqlite3"
)

var (
	// ErrNoRows is what Row.Scan returns when there is no row.
	ErrNoRows = errors.New("store: no rows")
	// ErrClosed is returned by calls on a closed store.
	ErrClosed = errors.New("store: closed")
	// ErrLocked is returned by Open when another process has the directory.
	ErrLocked = errors.New("store: data directory is in use")
	// ErrNewer is returned by Open when the store needs a newer release.
	ErrNewer = errors.New("store: written by a newer release")
	// ErrFenced is returned by a change under a lease that has passed to another
	// holder, see UnderLease.
	ErrFenced = errors.New("store: lease was lost")
	// ErrUnknown is returned by Write when the database went away during the
	// commit and did not come back in time to say whether it happened.
	ErrUnknown = errors.New("store: outcome of commit is unknown")
	// ErrUnavailable is what errors of a database that does not do its work are:
	// gone, stopped, out of connections, read-only, or busy with conflicts beyond
	// patience. Nothing was changed, and the same call may succeed later.
	ErrUnavailable = errors.New("store: database is unavailable")
	// ErrDamaged is what errors of a SQLite file are that is not what was written.
	ErrDamaged = errors.New("store: database is damaged")
)

// outageError makes err an ErrUnavailable.
type outageError struct{ err error }

func (e *outageError) Error() string { return e.err.Error() }
func (e *outageError) Unwrap() error { return e.err }

func (e *outageError) Is(target error) bool { return target == ErrUnavailable }

// unavailable makes err an ErrUnavailable.
func unavailable(err error) error { return &outageError{err} }

// hintError adds what the operator can do next.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// Hint returns the next step for the operator, to be shown on its own line.
func (e *hintError) Hint() string { return e.hint }

// PanicError is what a caller of Write gets when its function panicked. The
// transaction was rolled back. The panic's value is left out of the text, since
// it may hold anything, even a secret.
type PanicError struct {
	// Value is what was given to panic; nil when the function ended its
	// goroutine (runtime.Goexit) instead.
	Value any
	// Stack is the stack of the panic.
	Stack []byte
}

// Error says that there was a panic, and of what type.
func (e *PanicError) Error() string {
	return fmt.Sprintf("store: transaction function panicked with a %T", e.Value)
}

// SQLSTATE codes of PostgreSQL, Appendix A of its manual.
const (
	stateNotSupported         = "0A000"
	stateUniqueViolation      = "23505"
	stateReadOnly             = "25006"
	stateSerializationFailure = "40001"
	stateCompletionUnknown    = "40003"
	stateDeadlock             = "40P01"
	stateDuplicateObject      = "42710" // the type that goes with a table
	stateDuplicateTable       = "42P07"
	stateResolutionUnknown    = "08007"
	stateDiskFull             = "53100"
	stateTooManyConnections   = "53300"
)

// IsUnique reports whether err is a violated unique index or primary key.
func IsUnique(err error) bool {
	if e, ok := errors.AsType[*sqlite3.Error](err); ok {
		return e.Code == sqlite3.ConstraintUnique || e.Code == sqlite3.ConstraintPrimaryKey
	}
	return sqlState(err) == stateUniqueViolation
}

// IsFull reports whether err says that the database's disk is full.
func IsFull(err error) bool {
	if e, ok := errors.AsType[*sqlite3.Error](err); ok {
		return e.Primary() == sqlite3.Full
	}
	return sqlState(err) == stateDiskFull
}

// sqlState returns the SQLSTATE of an error that PostgreSQL sent, or "".
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}
