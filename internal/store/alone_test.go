package store

import (
	"testing"
	"time"
)

// TestEndLeases: what a process that died has held is free at once where it can
// have no rival, and not where it can.
func TestEndLeases(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t, func(*Config) {})
		dead := *db
		dead.node = "dead"
		if _, held, err := dead.Lease(t.Context(), "job", time.Hour); !held || err != nil {
			t.Fatal(held, err)
		}
		if _, held, err := db.Lease(t.Context(), "mine", time.Hour); !held || err != nil {
			t.Fatal(held, err)
		}
		if err := db.EndLeases(t.Context()); err != nil {
			t.Fatal(err)
		}
		epoch, held, err := db.Lease(t.Context(), "job", time.Hour)
		if want := db.Engine() == SQLite; err != nil || held != want || held && epoch != 2 {
			t.Errorf("another's: held %t, epoch %d, %v", held, epoch, err)
		}
		if epoch, held, err := db.Lease(t.Context(), "mine", time.Hour); err != nil || !held || epoch != 1 {
			t.Errorf("its own: held %t, epoch %d, %v", held, epoch, err)
		}
	})
}
