package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestGenerations(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		get := func(kind string) int64 {
			t.Helper()
			value, err := db.Generation(t.Context(), "1", "r", kind)
			if err != nil {
				t.Fatal(err)
			}
			var selected int64
			if err := db.Get(t.Context(), `SELECT `+GenerationSQL("$1", "$2", kind), "1", "r").Scan(&selected); err != nil {
				t.Fatal(err)
			}
			if value != selected {
				t.Errorf("Generation is %d, GenerationSQL %d", value, selected)
			}
			return value
		}
		if get("iam") != 0 {
			t.Error("does not begin at 0")
		}
		write(t, db, func(tx Tx) error {
			if err := db.Bump(tx, "1", "r", "iam"); err != nil {
				return err
			}
			return db.Bump(tx, "1", "r", "iam")
		})
		if get("iam") != 2 || get("kms") != 0 {
			t.Errorf("got %d, %d", get("iam"), get("kms"))
		}
		refused := errors.New("refused")
		err := db.Write(t.Context(), func(tx Tx) error {
			return errors.Join(db.Bump(tx, "1", "r", "iam"), refused)
		})
		if !errors.Is(err, refused) || get("iam") != 2 {
			t.Errorf("after a rollback: %d, %v", get("iam"), err)
		}
		db.Close()
		db = open(t)
		if get("iam") != 2 {
			t.Errorf("after opening again: %d", get("iam"))
		}
	})
}

// TestGenerationsAreNotBehindAnAcknowledgement lets many writers bump and each
// look at once.
func TestGenerationsAreNotBehindAnAcknowledgement(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		var wg sync.WaitGroup
		var acknowledged atomic.Int64
		for range 4 {
			wg.Go(func() {
				for range 10 {
					err := db.Write(context.Background(), func(tx Tx) error { return db.Bump(tx, "1", "r", "iam") })
					if err != nil {
						t.Error(err)
						return
					}
					least := acknowledged.Add(1)
					got, err := db.Generation(context.Background(), "1", "r", "iam")
					if err != nil || got < least {
						t.Errorf("generation %d after %d acknowledgements, %v", got, least, err)
					}
				}
			})
		}
		within(t, "bumping", wg.Wait)
		if got, _ := db.Generation(t.Context(), "1", "r", "iam"); got != 40 {
			t.Errorf("got %d, want 40", got)
		}
	})
}
