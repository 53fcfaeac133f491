package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// clockSkew is how far two clocks may be apart: those of nodes, or of servers of the
// database.
const clockSkew = 10 * time.Minute

// Lease takes or renews the named lease for this DB and reports whether it is
// held now, until ttl from now. epoch grows by one whenever the lease passes to
// another holder, and stays when the holder renews; if the lease is not held,
// epoch is that of its holder.
//
// On PostgreSQL the database's clock judges what has expired, so that a node
// whose own clock is wrong neither takes a lease early nor keeps it for long. A
// lease that would last longer than any is given for was taken before that clock
// went back, and is void, or a job would rest until that time has come.
//
// Whoever holds a lease may stop at any moment, for any time, and go on believing.
// So every change made under a lease is made with the context of UnderLease, and
// is committed only while the lease is held.
func (db *DB) Lease(ctx context.Context, name string, ttl time.Duration) (epoch int64, held bool, err error) {
	if ttl <= 0 {
		return 0, false, fmt.Errorf("lease %s: ttl %v is not positive", name, ttl)
	}
	err = db.Maintain(ctx, func(tx Tx) error {
		now, err := db.engine.clock(tx)
		if err != nil {
			return err
		}
		end := now.Add(ttl).UnixMicro()
		held = true
		err = tx.QueryRow(`
			INSERT INTO leases (name, holder, epoch, expires_at) VALUES ($1, $2, 1, $3)
			ON CONFLICT (name) DO UPDATE SET
				epoch = CASE WHEN leases.holder = excluded.holder THEN leases.epoch ELSE leases.epoch + 1 END,
				holder = excluded.holder,
				expires_at = excluded.expires_at
			WHERE leases.holder = excluded.holder OR leases.expires_at <= $4 OR leases.expires_at > $5
			RETURNING epoch`,
			name, db.node, end, now.UnixMicro(), now.Add(ttl+clockSkew).UnixMicro()).Scan(&epoch)
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

// Release gives up the named lease, so that another node need not wait for its end.
// It does nothing if the lease is not held in that epoch.
func (db *DB) Release(ctx context.Context, name string, epoch int64) error {
	err := db.Maintain(ctx, func(tx Tx) error {
		_, err := tx.Exec(`UPDATE leases SET expires_at = 0 WHERE name = $1 AND holder = $2 AND epoch = $3`, name, db.node, epoch)
		return err
	})
	if err != nil {
		return fmt.Errorf("release lease %s: %w", name, err)
	}
	return nil
}

// lease is one that the changes of a context are bound to.
type lease struct {
	db    *DB
	name  string
	epoch int64
}

type leaseKey struct{}

// UnderLease returns a context in which every change is bound to the lease: Write
// and Maintain fail with ErrFenced, and change nothing, unless this DB holds the
// named lease in the given epoch at the moment of the commit.
func (db *DB) UnderLease(ctx context.Context, name string, epoch int64) context.Context {
	return context.WithValue(ctx, leaseKey{}, &lease{db, name, epoch})
}

// fence refuses the transaction of a change whose lease is lost. It is the last
// statement before the commit, and it writes: reading alone would let a holder
// commit behind the take-over wherever the two could be told in the other order.
// The row that it locks keeps a take-over waiting for the commit, and for no longer
// than the database waits for a silent client.
//
// It is an upsert, since an UPDATE reads: on a small table PostgreSQL scans all of
// it, and would take the changes of different jobs for ones that depend on each
// other. A row that there was none of has epoch 0, which no lease has.
func fence(ctx context.Context, t *txn) error {
	l, ok := ctx.Value(leaseKey{}).(*lease)
	if !ok {
		return nil
	}
	if err := t.usable(); err != nil {
		return err
	}
	var epoch int64
	err := t.QueryRow(`INSERT INTO leases (name, holder, epoch, expires_at) VALUES ($1, $2, 0, 0)
		ON CONFLICT (name) DO UPDATE SET epoch = leases.epoch WHERE leases.holder = $2 AND leases.epoch = $3
		RETURNING epoch`, l.name, l.db.node, l.epoch).Scan(&epoch)
	if err != nil && !errors.Is(err, ErrNoRows) {
		return fmt.Errorf("fence %s: %w", l.name, err)
	}
	if err != nil || epoch != l.epoch {
		return fmt.Errorf("fence %s at epoch %d: %w", l.name, l.epoch, ErrFenced)
	}
	return nil
}
