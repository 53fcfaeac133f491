package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
)

// The toy services have every kind of member that the generator makes, in its
// very shape, and operations that misbehave on demand.

type toyInput struct {
	Id         *string              `json:"Id,omitzero"`
	Secret     *aws.SensitiveString `json:"Secret,omitzero"`
	SecretBlob aws.SensitiveBytes   `json:"SecretBlob,omitzero"`
	Blob       []byte               `json:"Blob,omitzero"`
	Count      *int32               `json:"Count,omitzero"`
	Big        *int64               `json:"Big,omitzero"`
	Flag       *bool                `json:"Flag,omitzero"`
	When       *aws.Time            `json:"When,omitzero"`
	Names      []string             `json:"Names,omitzero"`
	Tags       []toyTag             `json:"Tags,omitzero"`
	Context    map[string]string    `json:"Context,omitzero"`
	Rules      *toyRules            `json:"Rules,omitzero"`
	ARN        *string              `json:"ARN,omitzero"`
}

type toyTag struct {
	Key   *string              `json:"Key,omitzero"`
	Value *aws.SensitiveString `json:"Value,omitzero"`
}

type toyRules struct {
	Days *int64   `json:"Days,omitzero"`
	Tags []toyTag `json:"Tags,omitzero"`
}

var (
	ruleToyID     = &Rule{Min: new(int64(1)), Max: new(int64(8)), Pattern: NewPattern(`[a-z]*`, `[a-z]*`)}
	ruleToySecret = &Rule{Min: new(int64(1)), Max: new(int64(10)), Bytes: true}
	ruleToyBlob   = &Rule{Max: new(int64(4))}
	ruleToyCount  = &Rule{Min: new(int64(0)), Max: new(int64(20))}
	ruleToyNames  = &Rule{Min: new(int64(1)), Max: new(int64(3))}
	ruleToyTags   = &Rule{Max: new(int64(2))}
	ruleToyKey    = &Rule{Enum: []string{"all", "name"}}
)

func (x *toyInput) Validate(v *Validation) {
	v.Required(nil, "id", x.Id == nil)
	v.String(nil, "id", x.Id, ruleToyID)
	v.Secret(nil, "secret", x.Secret, ruleToySecret)
	v.Blob(nil, "secretBlob", x.SecretBlob, ruleToyBlob)
	v.Blob(nil, "blob", x.Blob, ruleToyBlob)
	v.Int32(nil, "count", x.Count, ruleToyCount)
	v.Int64(nil, "big", x.Big, nil)
	List(v, nil, "names", x.Names, ruleToyNames)
	for i := range x.Names {
		v.String(&Path{Name: "names", Index: i + 1}, "", &x.Names[i], ruleToyID)
	}
	List(v, nil, "tags", x.Tags, ruleToyTags)
	for i := range x.Tags {
		x.Tags[i].validate(v, &Path{Name: "tags", Index: i + 1})
	}
	v.Texts(nil, "context", x.Context)
	if x.Rules != nil {
		x.Rules.validate(v, &Path{Name: "rules"})
	}
	v.String(nil, "arn", x.ARN, nil)
}

func (x *toyTag) validate(v *Validation, at *Path) {
	v.Required(at, "key", x.Key == nil)
	v.String(at, "key", x.Key, ruleToyKey)
}

func (x *toyRules) validate(v *Validation, at *Path) {
	v.Int64(at, "days", x.Days, ruleToyCount)
	for i := range x.Tags {
		x.Tags[i].validate(v, &Path{Parent: at, Name: "tags", Index: i + 1})
	}
}

type toyOutput = toyOutputStruct

type toyOutputStruct struct {
	ARN       *string              `json:"ARN,omitzero"`
	Secret    *aws.SensitiveString `json:"Secret,omitzero"`
	Blob      aws.SensitiveBytes   `json:"Blob,omitzero"`
	Stages    []string             `json:"Stages,omitzero"`
	Created   *aws.Time            `json:"Created,omitzero"`
	Enabled   *bool                `json:"Enabled,omitzero"`
	Tags      []toyTag             `json:"Tags,omitzero"`
	Versions  map[string][]string  `json:"Versions,omitzero"`
	Truncated *bool                `json:"Truncated,omitzero"`
}

type nothing struct{}

func (*nothing) Validate(*Validation) {}

func toyOperations() []OperationInfo {
	return []OperationInfo{
		{Name: "Get", Built: true, ReadOnly: true},
		{Name: "Tag", Built: true, EmptyBody: true},
		{Name: "WhoAmI", Built: true, NoAuthorization: true},
		{Name: "Later"},
	}
}

func toyJSON() *Service {
	return &Service{Name: "toy", EventSource: "toy.amazonaws.com", APIVersion: "2020-01-01", TargetPrefix: "Toy",
		Protocol: JSON11, MessageMember: "Message", EchoValues: true, ValidationCode: "ValidationException",
		InternalCode: "InternalServiceError", Operations: toyOperations()}
}

func toyQuery() *Service {
	return &Service{Name: "qoy", EventSource: "qoy.amazonaws.com", APIVersion: "2010-05-08",
		XMLNamespace: "https://qoy.example/doc/2010-05-08/", Protocol: Query, MessageMember: "message",
		ValidationCode: "ValidationError", InternalCode: "ServiceFailure", Operations: toyOperations()}
}

// world is a registry with both toys, and everything it told the outside.
type world struct {
	t *testing.T
	*Registry
	handler http.Handler
	log     bytes.Buffer

	mu         sync.Mutex
	events     []string
	recorded   []*Call
	unverified []*Call
	observed   []int

	// get performs Get; the default decides and answers.
	get       func(ctx context.Context, in *toyInput) (*toyOutput, error)
	auth      func(c *Call, r *http.Request, body []byte) error
	beginErr  error
	recordErr error
}

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func newWorld(t *testing.T) *world {
	w := &world{t: t}
	w.Registry = NewRegistry(Config{
		Recorder: w,
		Log:      slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Observe:  func(_ *Call, status int, _ time.Duration) { w.observed = append(w.observed, status) },
		Now:      func() time.Time { return noon },
	})
	w.get = func(ctx context.Context, in *toyInput) (*toyOutput, error) {
		allow(ctx)
		return &toyOutput{ARN: new("arn:toy"), Secret: new(aws.SensitiveString("hunter2"))}, nil
	}
	w.auth = func(c *Call, _ *http.Request, _ []byte) error {
		c.Principal = &aws.Principal{Type: aws.PrincipalUser, Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/bob"}
		c.Region = "eu-west-1"
		return nil
	}
	for _, s := range []*Service{toyJSON(), toyQuery()} {
		w.Register(s,
			Op("Get", func(ctx context.Context, in *toyInput) (*toyOutput, error) { return w.get(ctx, in) }),
			Op("Tag", func(ctx context.Context, in *toyInput) (*nothing, error) { allow(ctx); return &nothing{}, nil }),
			Op("WhoAmI", func(ctx context.Context, in *nothing) (*toyOutput, error) {
				return &toyOutput{ARN: &CallFrom(ctx).Principal.ARN}, nil
			}),
		)
	}
	w.handler = w.Handler(w, Limits{Body: 4096, Nesting: 8, Parameters: 32})
	return w
}

func allow(ctx context.Context) {
	CallFrom(ctx).Decide(Decision{Action: "toy:Get", Resource: "*", Allowed: true})
}

func (w *world) Authenticate(_ context.Context, c *Call, r *http.Request, body []byte) error {
	return w.auth(c, r, body)
}

func (w *world) Begin(_ context.Context, c *Call) error {
	w.note("begin " + c.Operation)
	return w.beginErr
}

func (w *world) Record(ctx context.Context, c *Call) error {
	w.note("record " + c.Operation)
	w.recorded = append(w.recorded, c)
	if err := ctx.Err(); err != nil {
		w.t.Errorf("record got a dead context: %v", err)
	}
	return w.recordErr
}

func (w *world) Unverified(c *Call, err error) {
	w.note("unverified")
	w.unverified = append(w.unverified, c)
	if err == nil {
		w.t.Error("unverified without an error")
	}
}

func (w *world) note(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, s)
}

func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

func jsonRequest(target, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	if target != "" {
		r.Header.Set("X-Amz-Target", target)
	}
	return r
}

func formRequest(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return r
}

// broken fails after its first bytes.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	if n, err := b.Reader.Read(p); err == nil {
		return n, nil
	}
	return 0, errors.New("connection reset")
}
