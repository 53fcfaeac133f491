package keyring

import (
	"context"
	"time"

	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/store"
)

// fixed is a store of keys that were read before: an inspection reads all of them
// in its own snapshot and none afterwards.
type fixed []Key

func (f fixed) Load(context.Context) ([]Key, error) { return f, nil }
func (f fixed) Insert(context.Context, Key) error   { return ErrClosed }

// Inspect opens every storage key that tx holds and returns a keyring of those
// that open, so that one damaged key does not hide what the others can show. The
// caller closes it. It returns ErrEmpty, or what the first key failed with, when
// there is none that opens: then nothing else can be looked at.
func Inspect(ctx context.Context, in *store.Inspection, tx store.Tx, p seal.Provider) (*Keyring, error) {
	stored, err := SQL{Read: func(_ context.Context, fn func(store.Tx) error) error { return fn(tx) }}.Load(ctx)
	if err != nil {
		return nil, err
	}
	var good fixed
	failed := ErrEmpty
	for _, key := range stored {
		in.Saw("keyring")
		one, err := Open(ctx, fixed{key}, p, time.Now)
		if err != nil {
			in.Fault("keyring", key.ID, "the storage key does not open: %v", err)
			failed = err
			continue
		}
		one.Close()
		good = append(good, key)
	}
	if len(good) == 0 {
		return nil, failed
	}
	return Open(ctx, good, p, time.Now)
}
