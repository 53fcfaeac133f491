package secretsmanager_test

import (
	"os"
	"testing"

	"github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/servertest/coverage"
)

// errs is every error of the service. Tests assert errors through it, so that
// none stays unproven without somebody having said why.
var errs = coverage.New(&secretsmanager.API, coverage.Files{
	Documented: "testdata/errors-secretsmanager.tsv",
	Unreached:  "testdata/unreached.tsv",
})

func TestMain(m *testing.M) {
	os.Exit(errs.Main(m, "../../docs/coverage-secretsmanager.md"))
}
