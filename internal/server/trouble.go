package server

import (
	"errors"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// trouble tells the dispatcher which errors are the database's, not ours.
func trouble(err error) wire.Trouble {
	switch {
	case errors.Is(err, store.ErrUnknown): // First: the search for the outcome failed because of an outage.
		return wire.Unknown
	case errors.Is(err, audit.ErrStopped):
		// The record could not be written of a call that is through: a change is made,
		// and the next start adds the record that lies beside it in the database.
		return wire.Unknown
	case errors.Is(err, store.ErrUnavailable):
		return wire.Unavailable
	}
	return wire.NoTrouble
}

// hintError adds what the operator can do next.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// Hint returns the next step for the operator, to be shown on its own line.
func (e *hintError) Hint() string { return e.hint }

// stopped is the end of a server whose audit log has stopped. No call may be
// answered then, and only a new start can find out what the disk holds: so the
// process makes way for it, as a service manager that restarts it wants.
func (s *Server) stopped() error {
	return &hintError{s.audit.Err(), "look into the system's log for what is wrong with the disk of the data directory; start again, which mends the log (the systemd unit does so by itself)"}
}

// trouble says what is wrong with the machine, in words: what keeps calls from
// being answered, and what keeps changes from being made.
func (s *Server) trouble() (calls, changes string) {
	a, d := s.audit.Stats(), s.db.Stats()
	switch {
	case a.Failed:
		calls = "the audit log has stopped, and no call is answered without its record"
	case a.NoRoom:
		calls = "there is no room for audit records: free space in the file system of the data directory"
	}
	if !d.DownSince.IsZero() && d.Trouble != "" {
		changes = d.Trouble
	}
	return calls, changes
}
