package iam_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	sdk "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/servertest/coverage"
)

// errs is every error of the service. What is refused before the service is
// asked, such as a bad signature, is in internal/sts and internal/auth.
var errs = coverage.New(&iam.API, coverage.Files{
	Documented: "testdata/errors-iam.tsv",
	Unreached:  "testdata/unreached.tsv",
})

func TestMain(m *testing.M) {
	os.Exit(errs.Main(m, "../../docs/coverage-iam.md"))
}

// bench is a server and its administrator's client.
type bench struct {
	*servertest.Server
	*testing.T
	admin *sdk.Client
}

func start(t *testing.T, o ...servertest.Option) *bench {
	s := servertest.Start(t, o...)
	return &bench{s, t, s.IAM()}
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, start(t))
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		test(t, start(t, servertest.Postgres()))
	})
}

// as is a client of another key.
func (b *bench) as(key server.Credentials) *sdk.Client { return sdk.NewFromConfig(b.AWS(key, "")) }

// want asserts an error with its status.
func (b *bench) want(t *testing.T, operation string, err error, status int, code, message string) {
	t.Helper()
	errs.Want(t, operation, err, code, message)
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() != status {
		t.Errorf("%s: %s came with status %d, want %d", operation, code, answer.HTTPStatusCode(), status)
	}
}

// ok stops the test at an error.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must returns v, or stops the test at an error.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

func (b *bench) createUser(name, path string) {
	b.Helper()
	in := &sdk.CreateUserInput{UserName: &name}
	if path != "" {
		in.Path = &path
	}
	_, err := b.admin.CreateUser(b.Context(), in)
	ok(b.T, err)
}

// policyOf is a policy of about size characters, white space not counted.
func policyOf(size int) string {
	text := servertest.Allow("*", "iam:GetUser")
	return strings.Replace(text, "iam:GetUser", "iam:"+strings.Repeat("x", size-len(text)+len("GetUser")), 1)
}

func str(s string) *string { return aws.String(s) }
