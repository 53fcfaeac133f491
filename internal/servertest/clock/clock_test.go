// Package clock sets the clock of a whole server that serves, both ways, and back. The
// clock is the one that the server is opened with: a process's own cannot be set apart
// from its machine's, and a Go program does not ask the C library, which others replace.
//
// Its one invariant: time that has not come destroys nothing, nobody's credentials
// outlive a clock that was ahead, and once it is right all is as it was.
package clock

import (
	"crypto/tls"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// world is a server with a clock that can be set.
type world struct {
	*servertest.Server
	t     *testing.T
	ahead atomic.Int64
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// aws is the SDK's configuration of somebody whose clock is right. Certificates made by
// a wrong clock are no good to anybody, so they are looked at only once it is right.
func (w *world) aws(c server.Credentials, attempts int) aws.Config {
	config := w.AWS(c, "")
	config.RetryMaxAttempts = attempts
	if w.ahead.Load() != 0 {
		config.HTTPClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	}
	return config
}

func (w *world) get(c server.Credentials, attempts int) error {
	out, err := secretsmanager.NewFromConfig(w.aws(c, attempts)).GetSecretValue(w.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: new("kept")})
	if err == nil && *out.SecretString != "v" {
		w.t.Errorf("the value is %q", *out.SecretString)
	}
	return err
}

func (w *world) session() server.Credentials {
	w.t.Helper()
	out, err := sts.NewFromConfig(w.aws(w.Admin, 3)).GetSessionToken(w.t.Context(), &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(900)})
	if err != nil {
		w.t.Fatalf("session: %v", err)
	}
	return servertest.Session(out.Credentials)
}

// want fails unless err has a code, "" for success.
func (w *world) want(what string, err error, code string) {
	w.t.Helper()
	got := ""
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		got = e.ErrorCode()
	} else if err != nil {
		got = err.Error()
	}
	if got != code {
		w.t.Errorf("%s: %v, want %q", what, err, code)
	}
}

// stands fails unless what was to be deleted is there and can be restored.
func (w *world) stands(when string) {
	w.t.Helper()
	sm := secretsmanager.NewFromConfig(w.aws(w.Admin, 3))
	out, err := sm.DescribeSecret(w.t.Context(), &secretsmanager.DescribeSecretInput{SecretId: new("doomed")})
	if err != nil || out.DeletedDate == nil {
		w.t.Errorf("%s: the secret in its recovery window: %v", when, err)
	}
}

// logged waits until the log holds text after its first from bytes.
func (w *world) logged(from int, text string) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(w.Log.String()[from:], text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("the log does not tell %q", text)
		}
	}
}

const day = 24 * time.Hour

func TestJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{
		"an hour ahead": time.Hour + time.Minute, "an hour back": -time.Hour - time.Minute,
		"a day ahead": day, "a day back": -day,
		"ten years ahead": 3650 * day, "ten years back": -3650 * day,
	} {
		for engine, options := range map[string][]servertest.Option{"sqlite": nil, "postgresql": {servertest.Postgres()}} {
			if engine == "postgresql" && jump.Abs() < 3650*day {
				continue
			}
			t.Run(name+" on "+engine, func(t *testing.T) {
				t.Parallel()
				w := &world{t: t}
				w.Server = servertest.Start(t, append(options, servertest.Now(w.now))...)
				w.jump(jump)
			})
		}
	}
}

func (w *world) jump(by time.Duration) {
	t, ctx := w.t, w.t.Context()
	sm, k := w.Secrets(), w.KMS("")
	for _, name := range []string{"kept", "doomed"} {
		if _, err := sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: new("v")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sm.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: new("doomed"), RecoveryWindowInDays: aws.Int64(7)}); err != nil {
		t.Fatal(err)
	}
	key, err := k.CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: key.KeyMetadata.KeyId, PendingWindowInDays: aws.Int32(7)}); err != nil {
		t.Fatal(err)
	}
	before := w.session()
	w.want("a session", w.get(before, 1), "")

	w.ahead.Store(int64(by))
	// Who does not look at the answer's date is refused; the SDKs do, and sign again.
	w.want("by another clock", w.get(w.Admin, 1), "InvalidSignatureException")
	w.want("by a corrected clock", w.get(w.Admin, 3), "")
	expected := "ExpiredTokenException" // It has ended, or it is of a time to come.
	w.want("the earlier session", w.get(before, 3), expected)
	during := w.session()
	w.want("a new session", w.get(during, 3), "")

	// All jobs run when the server starts, by the wrong clock.
	from := len(w.Log.String())
	w.Restart()
	if by > time.Hour {
		w.logged(from, "nothing whose time has come is destroyed")
	}
	w.stands("by the wrong clock")
	w.want("after a start by the wrong clock", w.get(w.Admin, 3), "")
	from = len(w.Log.String())
	w.ahead.Store(0)
	w.Restart()
	if by < -time.Hour {
		w.logged(from, "nothing whose time has come is destroyed")
	} else {
		w.logged(from, "the clock has gone back")
	}
	w.stands("afterwards")
	if _, err := k.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: key.KeyMetadata.KeyId}); err != nil {
		t.Errorf("the key in its waiting period: %v", err)
	}
	w.want("by the right clock again", w.get(w.Admin, 1), "")
	w.want("the earlier session, again", w.get(before, 1), "")
	w.want("the session of the wrong clock", w.get(during, 1), "ExpiredTokenException")
	if _, err := w.Secrets().PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: new("kept"), SecretString: new("v2")}); err != nil {
		t.Errorf("a change afterwards: %v", err)
	}
	if _, err := w.Secrets().RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: new("doomed")}); err != nil {
		t.Errorf("restore afterwards: %v", err)
	}
	w.sound()
}

// sound proves the store and the chain, whose order is that of the records and not of
// their times.
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
