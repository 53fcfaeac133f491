package secretsmanager_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// Tokens that tests give themselves, 36 characters as SDKs make them.
const (
	tokenA = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	tokenB = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
	tokenC = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"
	tokenD = "dddddddd-dddd-4ddd-8ddd-dddddddddddd"
)

// Sentences of the service, as recorded.
const (
	msgMissing    = "Secrets Manager can't find the specified secret."
	msgMarked     = "You can't perform this operation on the secret because it was marked for deletion."
	msgName       = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
	msgNoToken    = "You must provide a ClientRequestToken value. We recommend a UUID-type value."
	msgBoth       = "You can't specify both a binary secret value and a string secret value in the same secret."
	msgNeither    = "You must provide either SecretString or SecretBinary."
	msgReplica    = "Operation not permitted on a replica secret. Call must be made in primary secret's region."
	msgDefaultKey = "You can't access a secret from a different AWS account if you encrypt the secret with the default KMS service key."
	msgKMS        = "Access to KMS is not allowed"
	msgBadKey     = "The operation failed because of an invalid KMS key: Invalid keyId"
	msgBadPage    = "The NextToken value is invalid."
)

// Error codes.
const (
	notFound      = "ResourceNotFoundException"
	badParameter  = "InvalidParameterException"
	badRequest    = "InvalidRequestException"
	exists        = "ResourceExistsException"
	validation    = "ValidationException"
	denied        = "AccessDeniedException"
	limitExceeded = "LimitExceededException"
	badToken      = "InvalidNextTokenException"
	badPolicy     = "MalformedPolicyDocumentException"
	publicPolicy  = "PublicPolicyException"
	noDecryption  = "DecryptionFailure"
	noEncryption  = "EncryptionFailure"
	internalError = "InternalServiceError"
)

// world is a whole server with a clock that tests move, and its admin's clients.
// Jobs run when a test calls jobs.
type world struct {
	*servertest.Server
	t testing.TB
	// c and there are the admin's clients in the two regions.
	c, there *sm.Client
	ahead    atomic.Int64
}

func newWorld(t testing.TB, opts ...servertest.Option) *world {
	t.Helper()
	w := &world{t: t}
	w.Server = servertest.Start(t, append([]servertest.Option{servertest.Now(w.now), servertest.ManualJobs()}, opts...)...)
	w.c, w.there = w.as(w.Admin), w.in(w.Admin, servertest.Other)
	return w
}

// both runs a test against a server on SQLite and against one on PostgreSQL.
func both(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { fn(t, newWorld(t)) })
	t.Run("postgresql", func(t *testing.T) { fn(t, newWorld(t, servertest.Postgres())) })
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// move lets time pass on the server and for those who sign requests.
func (w *world) move(d time.Duration) { w.ahead.Add(int64(d)) }

// jobs runs all background work once.
func (w *world) jobs() {
	w.t.Helper()
	if err := w.Server.Server().RunJobsOnce(context.Background()); err != nil {
		w.t.Fatalf("run jobs: %v", err)
	}
}

// shifted signs with the world's clock.
type shifted struct {
	*v4.Signer
	now func() time.Time
}

func (s shifted) SignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) error {
	return s.Signer.SignHTTP(ctx, c, r, hash, service, region, s.now(), opts...)
}

func (w *world) signer() shifted { return shifted{v4.NewSigner(), w.now} }

// as is a client of a key in the default region, in one in another.
func (w *world) as(c server.Credentials) *sm.Client { return w.in(c, "") }

func (w *world) in(c server.Credentials, region string) *sm.Client {
	return sm.NewFromConfig(w.AWS(c, region), func(o *sm.Options) { o.HTTPSignerV4 = w.signer() })
}

// keys is a KMS client of a key's holder.
func (w *world) keys(c server.Credentials, region string) *kms.Client {
	return kms.NewFromConfig(w.AWS(c, region), func(o *kms.Options) { o.HTTPSignerV4 = w.signer() })
}

// call makes a call that must succeed.
func call[I, O, F any](t testing.TB, fn func(context.Context, *I, ...F) (*O, error), in *I) *O {
	t.Helper()
	out, err := fn(t.Context(), in)
	if err != nil {
		t.Fatalf("%s: %v", operationOf(in), err)
	}
	return out
}

// fails makes a call that must be refused with exactly this error. hint tells
// documented errors apart that look the same.
func fails[I, O, F any](t testing.TB, fn func(context.Context, *I, ...F) (*O, error), in *I, code, message string, hint ...string) {
	t.Helper()
	_, err := fn(t.Context(), in)
	errs.Want(t, operationOf(in), err, code, message, hint...)
}

func operationOf(in any) string {
	return strings.TrimSuffix(reflect.TypeOf(in).Elem().Name(), "Input")
}

// create makes a secret with a value and returns its ARN.
func (w *world) create(t testing.TB, name, value string) (arn string) {
	t.Helper()
	return *call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: &name, SecretString: &value}).ARN
}

// get reads the current value.
func (w *world) get(t testing.TB, id string) string {
	t.Helper()
	return aws.ToString(call(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: &id}).SecretString)
}

func (w *world) describe(t testing.TB, id string) *sm.DescribeSecretOutput {
	t.Helper()
	return call(t, w.c.DescribeSecret, &sm.DescribeSecretInput{SecretId: &id})
}

// mark schedules a secret for deletion.
func (w *world) mark(t testing.TB, id string) {
	t.Helper()
	call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: &id, RecoveryWindowInDays: new(int64(7))})
}

// answer is what came over the wire.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// members decodes the body.
func (a answer) members(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.Body), &m); err != nil {
		t.Fatalf("body %q: %v", a.Body, err)
	}
	return m
}

// raw sends a body that no SDK would make, signed as the admin.
func (w *world) raw(t testing.TB, operation, body string) answer {
	t.Helper()
	return w.rawAs(t, w.Admin, "", operation, body)
}

func (w *world) rawAs(t testing.TB, c server.Credentials, region, operation, body string) answer {
	t.Helper()
	if region == "" {
		region = servertest.Region
	}
	r := w.request(t, operation, body)
	sum := sha256.Sum256([]byte(body))
	err := w.signer().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey},
		r, hex.EncodeToString(sum[:]), "secretsmanager", region, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return w.send(t, r)
}

func (w *world) request(t testing.TB, operation, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+"/", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	return r
}

func (w *world) send(t testing.TB, r *http.Request) answer {
	t.Helper()
	resp, err := w.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// rawFails sends a body that must be refused, and checks the body of the answer
// byte for byte: type bare, message under the key that the kind of error has.
func (w *world) rawFails(t testing.TB, operation, body, code, message string, hint ...string) {
	t.Helper()
	a := w.raw(t, operation, body)
	key := "Message"
	if code == validation || code == "SerializationException" {
		key = "message"
	}
	want, _ := json.Marshal(message)
	text := `{"__type":"` + code + `","` + key + `":` + strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(want)) + `}`
	if message == "" {
		text = `{"__type":"` + code + `"}`
	}
	if a.Status != http.StatusBadRequest || a.Body != text {
		t.Errorf("%s %.200s\ngot  %d %s\nwant 400 %s", operation, body, a.Status, a.Body, text)
		return
	}
	errs.Note(t, operation, code, message, hint...)
}
