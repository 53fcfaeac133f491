package keyring

import (
	"context"
	"fmt"
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

// SQL is the Store in the table keyring.
type SQL struct {
	// Read is (*store.DB).Read.
	Read func(context.Context, func(store.Tx) error) error
	// Change is (*store.DB).Write, which leaves an audit record, in a running
	// server, and Maintain at init, when there is no audit yet.
	Change func(context.Context, func(store.Tx) error) error
}

// Load returns all keys, and stops at the first beyond what Open accepts.
func (s SQL) Load(ctx context.Context) ([]Key, error) {
	var keys []Key
	err := s.Read(ctx, func(tx store.Tx) error {
		keys = nil // fn may run more than once
		rows, err := tx.Query(`SELECT id, provider, wrapped, created_at FROM keyring ORDER BY created_at, id LIMIT $1`, maxKeys+1)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var k Key
			var created int64
			if err := rows.Scan(&k.ID, &k.Provider, &k.Wrapped, &created); err != nil {
				return err
			}
			k.Created = time.UnixMicro(created).UTC()
			keys = append(keys, k)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("load storage keys: %w", err)
	}
	return keys, nil
}

// Insert adds a key. It is durable when Change has returned.
func (s SQL) Insert(ctx context.Context, k Key) error {
	err := s.Change(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO keyring (id, provider, wrapped, created_at) VALUES ($1, $2, $3, $4)`,
			k.ID, k.Provider, k.Wrapped, k.Created.UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("insert storage key: %w", err)
	}
	return nil
}
