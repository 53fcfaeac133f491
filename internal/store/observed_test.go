package store

import (
	"context"
	"testing"
)

// TestObservedGeneration: PostgreSQL takes a caller's word for what its statement
// has returned; SQLite's memory is newer than any statement and wins.
func TestObservedGeneration(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		ctx := Observed(t.Context(), Seen{Account: "1", Kind: "iam", Value: 41})
		value, err := db.Generation(ctx, "1", "", "iam")
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int64{SQLite: 0, PostgreSQL: 41}[db.Engine()]
		if value != want {
			t.Errorf("observed generation on %s: %d, want %d", db.Engine(), value, want)
		}
		if _, free := db.Known(context.Background(), "1", "", "iam"); free != (db.Engine() == SQLite) {
			t.Errorf("Known without having seen, on %s: %v", db.Engine(), free)
		}
		if value, err := db.Generation(ctx, "2", "", "iam"); err != nil || value != 0 {
			t.Errorf("generation of another account: %d, %v", value, err)
		}
	})
}
