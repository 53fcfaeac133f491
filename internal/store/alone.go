package store

import (
	"context"
	"fmt"
)

// EndLeases ends the leases of holders that are gone, where no other can hold any:
// an SQLite database belongs to one process, so a lease in it that is not this
// process's own is that of one that died, and its jobs need not wait until it has
// run out. With PostgreSQL it does nothing. It is for the start, before a lease is
// taken.
func (db *DB) EndLeases(ctx context.Context) error {
	if db.Engine() != SQLite {
		return nil
	}
	err := db.Maintain(ctx, func(tx Tx) error {
		_, err := tx.Exec(`UPDATE leases SET expires_at = 0 WHERE holder <> $1`, db.node)
		return err
	})
	if err != nil {
		return fmt.Errorf("end leases: %w", err)
	}
	return nil
}
