package audit

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

func (*getInput) Validate(*wire.Validation)     {}
func (*putInput) Validate(*wire.Validation)     {}
func (*decryptInput) Validate(*wire.Validation) {}

type anyOutput struct{ Name *string }

// callers believes whatever the header Caller says.
type callers struct{}

func (callers) Authenticate(_ context.Context, c *wire.Call, r *http.Request, _ []byte) error {
	if r.Header.Get("Caller") == "" {
		return &aws.Error{Code: "InvalidSignatureException", Message: "no", Status: 400, Framework: true}
	}
	c.Principal, c.Region = user(), "us-east-1"
	return nil
}

// TestDispatcherAndLog joins the log with the dispatcher and the store as the
// server does.
func TestDispatcherAndLog(t *testing.T) {
	b := newBench(t)
	l := b.open()
	g := wire.NewRegistry(wire.Config{Recorder: l, Log: slog.New(slog.DiscardHandler)})
	sm, kms := *secretsManager, *keyService
	sm.Protocol, sm.TargetPrefix, sm.MessageMember = wire.JSON11, "secretsmanager", "Message"
	sm.Operations = []wire.OperationInfo{{Name: "GetSecretValue", ReadOnly: true, Built: true}, {Name: "PutSecretValue", Built: true}}
	kms.Protocol, kms.TargetPrefix, kms.MessageMember = wire.JSON11, "TrentService", "message"
	kms.Operations = []wire.OperationInfo{{Name: "Decrypt", ReadOnly: true, Built: true}}
	decide := func(ctx context.Context, action string, allowed bool) {
		wire.CallFrom(ctx).Decide(wire.Decision{Action: action, Resource: secretARN, Allowed: allowed})
	}
	g.Register(&sm,
		wire.Op("GetSecretValue", func(ctx context.Context, in *getInput) (*anyOutput, error) {
			if *in.SecretId == "forbidden" {
				decide(ctx, "secretsmanager:GetSecretValue", false)
				return nil, &aws.Error{Code: "AccessDeniedException", Message: "denied"}
			}
			decide(ctx, "secretsmanager:GetSecretValue", true)
			err := g.Nested(ctx, "kms", "Decrypt", sm.EventSource, &decryptInput{}, func(ctx context.Context) error {
				decide(ctx, "kms:Decrypt", true)
				return nil
			})
			return &anyOutput{in.SecretId}, err
		}),
		wire.Op("PutSecretValue", func(ctx context.Context, in *putInput) (*anyOutput, error) {
			decide(ctx, "secretsmanager:PutSecretValue", true)
			err := b.db.Write(ctx, func(tx store.Tx) error {
				_, err := tx.Exec(`INSERT INTO things (name) VALUES ($1)`, *in.SecretId)
				return err
			})
			return &anyOutput{in.SecretId}, err
		}))
	g.Register(&kms, wire.Op("Decrypt", func(context.Context, *decryptInput) (*anyOutput, error) { return nil, errors.New("not called") }))
	h := g.Handler(callers{}, wire.Limits{})

	ask := func(operation, body, caller string) int {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
		if caller != "" {
			r.Header.Set("Caller", caller)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for _, q := range []struct {
		operation, body, caller string
		status                  int
	}{
		{"GetSecretValue", `{"SecretId":"a"}`, "alice", 200},
		{"GetSecretValue", `{"SecretId":"forbidden"}`, "alice", 400},
		{"PutSecretValue", `{"SecretId":"a","SecretString":"hunter2"}`, "alice", 200},
		{"GetSecretValue", `{"SecretId":"a"}`, "", 400},
		{"NoSuch", `{}`, "alice", 400},
	} {
		if got := ask(q.operation, q.body, q.caller); got != q.status {
			t.Errorf("%s %s as %q: status %d, want %d", q.operation, q.body, q.caller, got, q.status)
		}
	}
	err := g.Background(t.Context(), "secretsmanager", "EndSecretVersionDelete", testAccount, "us-east-1", func(ctx context.Context) error {
		b.change(ctx, "purged")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := l.Stats(); s.Calls != 0 || s.Reserved != 0 || s.Unverified != 2 {
		t.Errorf("stats %+v", s)
	}
	b.close()
	b.mustVerify()
	var got []string
	for _, r := range b.records() {
		name, _ := r["eventName"].(string)
		if code, ok := r["errorCode"].(string); ok {
			name += " " + code
		}
		got = append(got, name)
	}
	want := "StrongroomAuditStarted, Decrypt, GetSecretValue, GetSecretValue AccessDenied, PutSecretValue, EndSecretVersionDelete, StrongroomUnverifiedRequests"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
	// After the log is closed nothing is answered.
	if got := ask("GetSecretValue", `{"SecretId":"a"}`, "alice"); got != http.StatusServiceUnavailable {
		t.Errorf("status %d without a log", got)
	}
}
