package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// clockSkew is how far the clocks of two nodes may be apart.
const clockSkew = 10 * time.Minute

// Lease takes or renews the named lease for this DB and reports whether it is
// held now, until ttl from now. epoch grows by one whenever the lease passes to
// another holder, and stays when the holder renews; if the lease is not held,
// epoch is that of its holder.
//
// Expiry is judged by each node's own clock, so for a moment two nodes may both
// believe to be the holder. That is why each change made under a lease calls
// Fence in its own transaction: then only the newest holder's is committed.
//
// A lease that ends later than any clock like ours could have said was taken while
// a clock was ahead. It is void, or a job would rest until that time has come.
func (db *DB) Lease(ctx context.Context, name string, ttl time.Duration) (epoch int64, held bool, err error) {
	if ttl <= 0 {
		return 0, false, fmt.Errorf("lease %s: ttl %v is not positive", name, ttl)
	}
	err = db.Maintain(ctx, func(tx Tx) error {
		now := tx.Now()
		held = true
		err := tx.QueryRow(`
			INSERT INTO leases (name, holder, epoch, expires_at) VALUES ($1, $2, 1, $3)
			ON CONFLICT (name) DO UPDATE SET
				epoch = CASE WHEN leases.holder = excluded.holder THEN leases.epoch ELSE leases.epoch + 1 END,
				holder = excluded.holder,
				expires_at = excluded.expires_at
			WHERE leases.holder = excluded.holder OR leases.expires_at <= $4 OR leases.expires_at > $5
			RETURNING epoch`,
			name, db.node, now.Add(ttl).UnixMicro(), now.UnixMicro(), now.Add(ttl+clockSkew).UnixMicro()).Scan(&epoch)
		if !errors.Is(err, ErrNoRows) {
			return err
		}
		held = false
		return tx.QueryRow(`SELECT epoch FROM leases WHERE name = $1`, name).Scan(&epoch)
	})
	if err != nil {
		return 0, false, fmt.Errorf("lease %s: %w", name, err)
	}
	return epoch, held, nil
}

// Fence returns ErrFenced unless this DB holds the named lease in the given
// epoch. Called in the transaction of a job's change, it keeps a node that has
// lost its lease unnoticed from committing: on PostgreSQL the row read here and
// the take-over that changes it can't both commit around each other.
func (db *DB) Fence(tx Tx, name string, epoch int64) error {
	var holder string
	var current int64
	err := tx.QueryRow(`SELECT holder, epoch FROM leases WHERE name = $1`, name).Scan(&holder, &current)
	if err != nil && !errors.Is(err, ErrNoRows) {
		return fmt.Errorf("fence %s: %w", name, err)
	}
	if err != nil || holder != db.node || current != epoch {
		return fmt.Errorf("fence %s at epoch %d: %w", name, epoch, ErrFenced)
	}
	return nil
}
