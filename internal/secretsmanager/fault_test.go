package secretsmanager_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/strongroom/strongroom/internal/servertest"
)

// TestInternalFaults: when the database fails, every operation answers with the
// service's internal error, and the answer says nothing of what is inside.
func TestInternalFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servertest.Postgres())
	w.createWith(t, "s", tokenA, "v")
	db, err := pgx.Connect(t.Context(), w.Server.Server().Config().Database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	// The generations are read to know who is asking, so nobody gets past that.
	for _, table := range []string{"secrets", "generations"} {
		if _, err := db.Exec(t.Context(), `ALTER TABLE `+table+` RENAME TO moved_`+table); err != nil {
			t.Fatal(err)
		}
		for name, attempt := range attempts {
			err := attempt(t.Context(), w.c, "s")
			if table == "secrets" && (name == "GetRandomPassword" || name == "BatchGetSecretValue") {
				continue // the one needs no table, the other's failures are entries
			}
			errs.Want(t, name, err, internalError, "An internal error occurred.")
		}
	}
	for _, table := range []string{"secrets", "generations"} {
		if _, err := db.Exec(t.Context(), `ALTER TABLE moved_`+table+` RENAME TO `+table); err != nil {
			t.Fatal(err)
		}
	}
	if w.get(t, "s") != "v" {
		t.Error("not readable after the fault")
	}
	if !strings.Contains(w.Log.String(), "does not exist") {
		t.Error("the log does not tell the operator what failed")
	}
}
