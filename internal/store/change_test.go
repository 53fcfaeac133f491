package store

import (
	"errors"
	"reflect"
	"testing"
)

// TestOnChange: keys are told once their transaction is committed and before its
// author is answered; those of a change that failed are not.
func TestOnChange(t *testing.T) {
	engines(t, func(t *testing.T, open opener) {
		db := open(t)
		var told []string
		hears := db.OnChange(func(keys []string) { told = append(told, keys...) })
		if hears != (db.Engine() == SQLite) {
			t.Fatalf("OnChange on %s: %v", db.Engine(), hears)
		}
		no := errors.New("no")
		for key, want := range map[string]error{"good": nil, "bad": no} {
			err := db.Maintain(t.Context(), func(tx Tx) error { return errors.Join(Changed(tx, key), want) })
			if !errors.Is(err, want) {
				t.Fatal(err)
			}
		}
		if want := []string{"good"}; hears && !reflect.DeepEqual(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}
