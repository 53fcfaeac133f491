// Package dbfault breaks the way to the database, and the database, under a whole
// server that serves: gone, stopped, silent, resetting, slow, restarted, read-only,
// out of connections, in conflict with itself, and cut around commits.
//
// Its one invariant is the product's: what was acknowledged is there, once, with its
// record; what could not be done was refused in time, in AWS's words; nothing old is
// told; and all of it is over when the fault is, without a restart.
//
// It takes 30 to 40 s, nearly all of it waiting for bounds to pass.
package dbfault

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/pgtest/netfault"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// answerBound is how long any call may take, however the database is broken: a
// statement's time (see world), a lost connection's, and a lot for a busy machine.
const answerBound = time.Minute

// world is a server with a proxy between it and its database.
type world struct {
	*servertest.Server
	t     *testing.T
	proxy *netfault.Proxy
	ops   string
}

// start starts a server before a database. Statements may take a second, instead of
// ten, so that silence is noticed while the test still runs.
func start(t *testing.T, database string, change ...func(*config.Config)) *world {
	t.Helper()
	w := &world{t: t}
	w.proxy, database = netfault.New(t, database)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.ops = l.Addr().String()
	l.Close()
	w.Server = servertest.Start(t, servertest.Config(func(c *config.Config) {
		c.Database = database + "&statement_timeout=1000"
		c.Operations = w.ops
		c.Quotas.VersionsPerSecret = 1_000_000 // Writers go on as long as an outage lasts.
		for _, f := range change {
			f(c)
		}
	}))
	return w
}

// look asks one of the pages for operators.
func (w *world) look(path string) (int, string) {
	w.t.Helper()
	res, err := http.Get("http://" + w.ops + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// await waits until /readyz says so.
func (w *world) await(ready bool) {
	w.t.Helper()
	w.until("readiness", func() bool {
		status, _ := w.look("/readyz")
		return (status == http.StatusOK) == ready
	})
}

func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	for end := time.Now().Add(answerBound); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%s does not come", what)
		}
	}
}

// metric returns a line of /metrics.
func (w *world) metric(name string) string {
	w.t.Helper()
	_, all := w.look("/metrics")
	for line := range strings.Lines(all) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func (w *world) check(name, want string) {
	w.t.Helper()
	if got := w.metric(name); got != want {
		w.t.Errorf("%s is %q, want %s", name, got, want)
	}
}

// logged counts the lines of the log that hold all of some texts.
func (w *world) logged(texts ...string) int {
	n := 0
	for line := range strings.Lines(w.Log.String()) {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			n++
		}
	}
	return n
}

const (
	downLine = `msg="the database does not answer`
	upLine   = `msg="the database answers again"`
)

// refusals are the codes of calls that a broken database refused, and what their
// message must be.
var refusals = map[string]string{
	"ServiceUnavailableException": "The service is temporarily unavailable.",
	"ServiceUnavailable":          "The service is temporarily unavailable.",
}

// refused fails unless err is one of the refusals with a status of 503. unknown
// allows the answer to a change of which nobody knows.
func refused(t *testing.T, what string, err error, unknown bool) {
	t.Helper()
	var status interface{ HTTPStatusCode() int }
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok || !errors.As(err, &status) {
		t.Errorf("%s: %v is no answer", what, err)
		return
	}
	if unknown && status.HTTPStatusCode() == 500 && strings.Contains(e.ErrorMessage(), "not known") {
		return
	}
	if want, ok := refusals[e.ErrorCode()]; !ok || e.ErrorMessage() != want || status.HTTPStatusCode() != 503 {
		t.Errorf("%s: status %d, %v", what, status.HTTPStatusCode(), err)
	}
}

// calls are one read and one change of each service.
func (w *world) calls(secret, key string) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"GetSecretValue": func(ctx context.Context) error { _, err := w.get(ctx, secret); return err },
		"PutSecretValue": func(ctx context.Context) error { _, err := w.put(ctx, secret, "other", nil); return err },
		"ListSecrets": func(ctx context.Context) error {
			_, err := w.Secrets().ListSecrets(ctx, &secretsmanager.ListSecretsInput{})
			return err
		},
		"GenerateDataKey": func(ctx context.Context) error {
			_, err := w.KMS("").GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, NumberOfBytes: aws.Int32(32)})
			return err
		},
		"CreateKey": func(ctx context.Context) error { _, err := w.KMS("").CreateKey(ctx, &kms.CreateKeyInput{}); return err },
		"ListUsers": func(ctx context.Context) error { _, err := w.IAM().ListUsers(ctx, &iam.ListUsersInput{}); return err },
		"DeleteUser": func(ctx context.Context) error {
			_, err := w.IAM().DeleteUser(ctx, &iam.DeleteUserInput{UserName: new("nobody")})
			return err
		},
		"GetSessionToken": func(ctx context.Context) error {
			_, err := w.STS(w.Admin).GetSessionToken(ctx, &sts.GetSessionTokenInput{})
			return err
		},
	}
}

func (w *world) create(name string) {
	w.t.Helper()
	if _, err := w.Secrets().CreateSecret(w.t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: new("first")}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(ctx context.Context, name string) (string, error) {
	out, err := w.Secrets().GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		return "", err
	}
	return *out.SecretString, nil
}

func (w *world) put(ctx context.Context, name, value string, token *string) (*secretsmanager.PutSecretValueOutput, error) {
	return w.Secrets().PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &value, ClientRequestToken: token})
}

func (w *world) key() string {
	w.t.Helper()
	out, err := w.KMS("").CreateKey(w.t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.KeyMetadata.KeyId
}

// sound proves the store and the chain.
func (w *world) sound() {
	w.t.Helper()
	report, err := w.Server.Server().CheckStore(w.t.Context())
	if err != nil || !report.OK() {
		w.t.Errorf("the store is not sound: %v %+v", err, report)
	}
	node, err := server.Node(w.Dir)
	if err != nil {
		w.t.Fatal(err)
	}
	chain, err := audit.Verify(w.t.Context(), audit.Source{Dir: filepath.Join(w.Dir, server.AuditDir), Node: node})
	if err != nil || !chain.OK() {
		w.t.Errorf("the audit chain does not hold: %v %+v", err, chain)
	}
}

// record is what the tests look at of an audit record.
type record struct {
	EventName    string `json:"eventName"`
	EventID      string `json:"eventID"`
	ErrorCode    string `json:"errorCode"`
	ErrorMessage string `json:"errorMessage"`
	RequestID    string `json:"requestID"`
	Body         string `json:"-"`
}

func (w *world) records() (out []record) {
	w.t.Helper()
	node, err := server.Node(w.Dir)
	if err != nil {
		w.t.Fatal(err)
	}
	err = audit.Scan(w.t.Context(), filepath.Join(w.Dir, server.AuditDir), node, 1, func(e audit.Entry) error {
		r := record{Body: string(e.Body)}
		if err := json.Unmarshal(e.Body, &r); err != nil {
			return err
		}
		out = append(out, r)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// shared starts a server before a fresh database of the shared PostgreSQL.
func shared(t *testing.T, change ...func(*config.Config)) *world {
	t.Helper()
	t.Parallel()
	return start(t, pgtest.Start(t), change...)
}
