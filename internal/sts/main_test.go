package sts_test

import (
	"net/url"
	"os"
	"testing"

	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/servertest/coverage"
	"github.com/strongroom/strongroom/internal/sts"
)

// errs is every error of the service. The model names none for
// GetCallerIdentity, so these are the documented ones of all Query services.
var errs = coverage.New(&sts.API, coverage.Files{
	Documented: "testdata/errors-sts.tsv",
	Unreached:  "testdata/unreached.tsv",
})

func TestMain(m *testing.M) {
	os.Exit(errs.Main(m, "../../docs/coverage-sts.md"))
}

// whoami is a good request, to be signed with the key of q.
func whoami(q servertest.Raw) servertest.Raw {
	q.Service = "sts"
	q.Form = url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}}
	return q
}
