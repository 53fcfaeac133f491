package iam

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/store"
)

// explainer asks SQLite how it would answer each statement before it does.
type explainer struct {
	store.Tx
	t    *testing.T
	what string
}

// whole finds the walks over all users, roles or whatever of an account, or of
// everybody: a table read from end to end, or an index entered by the account alone
// or with a name to begin at. What is scanned as u or p is a subquery of few rows.
var whole = regexp.MustCompile(`^(SCAN ([^up]|[up][^ ])|SEARCH .*\(account=\?( AND name_fold>\?)?\)$)`)

func (e explainer) explain(query string, args []any) {
	rows, err := e.Tx.Query("EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		e.t.Fatalf("%s: %v", e.what, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int64
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			e.t.Fatal(err)
		}
		if detail != "SCAN CONSTANT ROW" && whole.MatchString(detail) {
			e.t.Errorf("%s: %s, for\n%s", e.what, detail, query)
		}
	}
}

func (e explainer) Query(query string, args ...any) (store.Rows, error) {
	e.explain(query, args)
	return e.Tx.Query(query, args...)
}

func (e explainer) QueryRow(query string, args ...any) store.Row {
	e.explain(query, args)
	return e.Tx.QueryRow(query, args...)
}

// TestPlans: no statement that loads an identity, or asks who a policy is attached
// to, costs more for an account with more users, roles and policies.
func TestPlans(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const account, arn, administrator = "111122223333", "arn:aws:iam::111122223333:policy/p", "arn:aws:iam::aws:policy/AdministratorAccess"
	userID, roleID := userIDPrefix+strings.Repeat("A", 17), roleIDPrefix+strings.Repeat("A", 17)
	err = db.Maintain(t.Context(), func(tx store.Tx) error {
		if err := saveUser(tx, user{Account: account, ID: userID, Name: "u", Path: "/", Boundary: administrator}); err != nil {
			return err
		}
		if err := saveRole(tx, role{Account: account, ID: roleID, Name: "r", Path: "/"}); err != nil {
			return err
		}
		for what, fn := range map[string]func(tx store.Tx) error{
			"user":    func(tx store.Tx) error { _, err := loadEntity(tx, account, userID); return err },
			"role":    func(tx store.Tx) error { _, err := loadEntity(tx, account, roleID); return err },
			"uses":    func(tx store.Tx) error { _, err := usesOf(tx, account, arn); return err },
			"names":   func(tx store.Tx) error { _, err := principalARNs(tx, []string{userID, roleID}); return err },
			"members": func(tx store.Tx) error { _, err := listMembers(tx, account, "AGPA", "a", 10); return err },
			"entities": func(tx store.Tx) error {
				for _, k := range entityOrder {
					for _, usage := range []string{"", PolicyUsagePermissionsPolicy, PolicyUsagePermissionsBoundary} {
						if _, err := listPolicyEntities(tx, k, account, arn, usage, "", "/", 10); err != nil {
							return err
						}
					}
				}
				return nil
			},
		} {
			if err := fn(explainer{tx, t, what}); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
