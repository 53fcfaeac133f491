package iam

import (
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

// TestReportsOfOthers: an account whose report cannot be made does not keep the
// others from theirs, and is told of.
func TestReportsOfOthers(t *testing.T) {
	onStores(t, func(t *testing.T, s *Service) {
		const broken, sound = "111122223333", "444455556666"
		err := s.db.Maintain(t.Context(), func(tx store.Tx) error {
			// The one that comes first has no row of its own.
			if _, err := tx.Exec(`INSERT INTO accounts (account, name, created_at) VALUES ($1, 'sound', 1)`, sound); err != nil {
				return err
			}
			for i, account := range []string{broken, sound} {
				if err := saveReport(tx, account, report{RequestedAt: time.UnixMicro(int64(i + 1))}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.MakeReports(t.Context()); err == nil || !strings.Contains(err.Error(), "report of account "+broken) {
			t.Errorf("%v", err)
		}
		var r report
		if err := s.db.Read(t.Context(), func(tx store.Tx) (err error) { r, err = getReport(tx, sound); return err }); err != nil {
			t.Fatal(err)
		}
		if !r.RequestedAt.IsZero() || !strings.Contains(r.Content, "<root_account>") {
			t.Errorf("%+v", r)
		}
	})
}
