package sts_test

import (
	"net/http"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

const (
	home   = servertest.Account
	abroad = "444455556666"
)

// both names the two databases.
var both = map[string][]servertest.Option{"sqlite": nil, "postgresql": {servertest.Postgres()}}

// watch is a clock that stands still until it is moved.
type watch struct {
	mu sync.Mutex
	t  time.Time
}

func (w *watch) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.t
}

func (w *watch) add(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t = w.t.Add(d)
}

// stand is a server whose clock is a watch, with a secret in it.
type stand struct {
	*servertest.Server
	*testing.T
	watch  *watch
	secret string // ARN
}

func newStand(t *testing.T, options ...servertest.Option) *stand {
	t.Helper()
	// The SDK signs by the real clock, so the watch begins with it.
	b := &stand{T: t, watch: &watch{t: time.Now().UTC().Truncate(time.Second)}}
	b.Server = servertest.Start(t, append(options, servertest.Now(b.watch.now))...)
	out, err := b.Secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("db"), SecretString: aws.String("s3cret")})
	if err != nil {
		t.Fatal(err)
	}
	b.secret = *out.ARN
	return b
}

// read reads the secret as somebody and returns the error.
func (b *stand) read(key server.Credentials) error {
	_, err := b.SecretsAs(key, "").GetSecretValue(b.Context(), &secretsmanager.GetSecretValueInput{SecretId: &b.secret})
	return err
}

// arn is the caller as the server sees it.
func (b *stand) arn(t *testing.T, key server.Credentials) string {
	t.Helper()
	out, err := b.STS(key).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return *out.Arn
}

// assume is AssumeRole with its error.
func (b *stand) assume(key server.Credentials, role string, change ...func(*sts.AssumeRoleInput)) (*sts.AssumeRoleOutput, error) {
	in := &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("test")}
	for _, f := range change {
		f(in)
	}
	return b.STS(key).AssumeRole(b.Context(), in)
}

// want asserts an error and its status.
func want(t *testing.T, operation string, err error, status int, code, message string, hint ...string) {
	t.Helper()
	errs.Want(t, operation, err, code, message, hint...)
	if got := statusOf(err); err != nil && got != status {
		t.Errorf("%s: %s came with status %d, want %d", operation, code, got, status)
	}
}

func statusOf(err error) int {
	for err != nil {
		if a, ok := err.(interface{ HTTPStatusCode() int }); ok {
			return a.HTTPStatusCode()
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			break
		}
		err = u.Unwrap()
	}
	return 0
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// setRole replaces the inline policy of a role.
func (b *stand) setRole(t *testing.T, name, policy string) {
	t.Helper()
	_, err := b.IAM().PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("test"), PolicyDocument: &policy})
	ok(t, err)
}

// packedSize is PackedPolicySize of an answer. The newest SDK calls the member
// deprecated, so it is read by its name: older clients have no other, and the model
// here knows no other.
func packedSize(out any) *int32 {
	return reflect.ValueOf(out).Elem().FieldByName("PackedPolicySize").Interface().(*int32)
}

func str(s string) *string { return &s }

func num(n int32) *int32 { return &n }

const forbidden = http.StatusForbidden
