package keyring

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/strongroom/strongroom/internal/keyring/envelope"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/store"
)

// Bare is a storage key without the root key around it. It exists on its way into
// a backup, which is encrypted to somebody else, and out of one.
type Bare struct {
	ID      string
	Created time.Time
	Secret  []byte
}

// inTx is the Store of a transaction.
func inTx(tx store.Tx) SQL {
	run := func(_ context.Context, fn func(store.Tx) error) error { return fn(tx) }
	return SQL{Read: run, Change: run}
}

// Export unwraps all storage keys. The caller clears them.
func Export(ctx context.Context, tx store.Tx, p seal.Provider) ([]Bare, error) {
	k, err := Open(ctx, inTx(tx), p, time.Now)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	k.mu.RLock()
	defer k.mu.RUnlock()
	out := make([]Bare, 0, len(k.keys))
	for _, g := range k.keys {
		out = append(out, Bare{hex.EncodeToString(g.id[:]), g.created, slices.Clone(g.secret.Bytes())})
	}
	return out, nil
}

// IDs lists the storage keys that are stored.
func IDs(tx store.Tx) ([]string, error) {
	keys, err := inTx(tx).Load(context.Background())
	if err != nil {
		return nil, err
	}
	var out []string
	for _, k := range keys {
		out = append(out, k.ID)
	}
	return out, nil
}

// Replace puts storage keys under another root key in the place of those that are
// stored, which that key does not open. All of those must be among them.
func Replace(ctx context.Context, tx store.Tx, p seal.Provider, from []Bare) (int, error) {
	ids, err := IDs(tx)
	if err != nil {
		return 0, err
	}
	if _, err := tx.Exec(`DELETE FROM keyring`); err != nil {
		return 0, err
	}
	for _, id := range ids {
		i := slices.IndexFunc(from, func(b Bare) bool { return b.ID == id })
		if i < 0 {
			return 0, fmt.Errorf("storage key %s is missing", id)
		}
		if err := Import(ctx, tx, p, from[i]); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

// Import wraps a storage key under another root key and stores it.
func Import(ctx context.Context, tx store.Tx, p seal.Provider, b Bare) error {
	if _, err := parseID(b.ID); err != nil {
		return err
	}
	if len(b.Secret) != envelope.MaterialSize {
		return fmt.Errorf("storage key %s: %w", b.ID, seal.ErrDamaged)
	}
	wrapped, err := p.Wrap(ctx, b.Secret, wrapAAD(b.ID, b.Created))
	if err != nil {
		return fmt.Errorf("wrap storage key: %w", err)
	}
	return inTx(tx).Insert(ctx, Key{ID: b.ID, Provider: p.ID(), Wrapped: wrapped, Created: b.Created})
}
