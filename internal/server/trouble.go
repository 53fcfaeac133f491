package server

import (
	"errors"

	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// trouble tells the dispatcher which errors are the database's, not ours.
func trouble(err error) wire.Trouble {
	switch {
	case errors.Is(err, store.ErrUnknown): // First: the search for the outcome failed because of an outage.
		return wire.Unknown
	case errors.Is(err, store.ErrUnavailable):
		return wire.Unavailable
	}
	return wire.NoTrouble
}
