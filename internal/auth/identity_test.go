package auth_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// consent is a resource policy that lets another account's policies decide.
func consent(tb testing.TB) *policy.Source {
	tb.Helper()
	doc, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"*","Resource":"*"}]}`))
	if err != nil {
		tb.Fatal(err)
	}
	return &policy.Source{ID: "resource", Doc: doc}
}

// The caller was somebody when the signature was verified, and is nobody when the
// decision is made: the answer is that of an unknown key, in the words of the
// service, and no decision stands.
func TestKeyWithdrawnBeforeTheDecision(t *testing.T) {
	for name, code := range map[string]string{"kms": "UnrecognizedClientException", "iam": "InvalidClientTokenId"} {
		id := user(t, "bob", allowAll)
		d := &directory{identities: map[string]*auth.Identity{id.Principal.AccessKeyID: id}}
		g := &generation{1}
		s := service(d, g, time.Now)
		w := call(name, id.Principal)
		ctx := wire.NewContext(t.Context(), w)
		q := &auth.Request{Action: name + ":Op", Resource: "*"}
		if err := s.Authorize(ctx, q); err != nil {
			t.Fatal(err)
		}
		// Withdrawn, but the change is not committed yet: the cache may answer.
		clear(d.identities)
		if err := s.Authorize(ctx, q); err != nil {
			t.Fatal(err)
		}
		g.n++
		for what, err := range map[string]error{"Authorize": s.Authorize(ctx, q), "Current": second(s.Current(ctx)), "Would": second(s.Would(ctx, q))} {
			e, ok := errors.AsType[*aws.Error](err)
			if !ok || e.Code != code || !e.Framework || e.Message != "The security token included in the request is invalid." {
				t.Errorf("%s of %s: %v", what, name, err)
			}
		}
		if len(w.Decisions) != 2 {
			t.Errorf("%d decisions", len(w.Decisions))
		}
		// It comes back with the next generation, not before.
		d.identities[id.Principal.AccessKeyID] = id
		g.n++
		if err := s.Authorize(ctx, q); err != nil {
			t.Error(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// The policies in force are those of the decision's moment, whatever was cached.
func TestPolicyChangedBeforeTheDecision(t *testing.T) {
	id := user(t, "bob", allowAll)
	d := &directory{identities: map[string]*auth.Identity{id.Principal.AccessKeyID: id}}
	g := &generation{1}
	s := service(d, g, time.Now)
	ctx := wire.NewContext(t.Context(), call("kms", id.Principal))
	q := &auth.Request{Action: "kms:Op", Resource: "*"}
	for range 3 {
		if err := s.Authorize(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	if d.loads != 1 {
		t.Errorf("loaded %d times under one generation", d.loads)
	}
	changed := user(t, "bob", "")
	changed.Principal.AccessKeyID = id.Principal.AccessKeyID
	d.identities[id.Principal.AccessKeyID] = changed
	g.n++
	err := s.Authorize(ctx, q)
	e, ok := errors.AsType[*aws.Error](err)
	if !ok || e.Code != "AccessDeniedException" || e.Message != "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: kms:Op because no identity-based policy allows the kms:Op action" {
		t.Errorf("%v", err)
	}
	if n := len(wire.CallFrom(ctx).Decisions); n != 4 || wire.CallFrom(ctx).Decisions[3].Allowed {
		t.Errorf("%d decisions", n)
	}
}

// A user that works without its key, for a job, is found by id and account.
func TestEntities(t *testing.T) {
	id := user(t, "bob", allowAll)
	d := &directory{identities: map[string]*auth.Identity{id.Principal.AccessKeyID: id}}
	s := service(d, &generation{1}, time.Now)
	keyless := *id.Principal
	keyless.AccessKeyID = ""
	q := &auth.Request{Action: "kms:Op", Resource: "*"}
	if err := s.Authorize(wire.NewContext(t.Context(), call("kms", &keyless)), q); err != nil {
		t.Error(err)
	}
	// The same id in another account is somebody else.
	stranger := keyless
	stranger.Account = "444455556666"
	_, err := s.Current(wire.NewContext(t.Context(), call("kms", &stranger)))
	if e, ok := errors.AsType[*aws.Error](err); !ok || e.Code != "UnrecognizedClientException" {
		t.Errorf("an id was found in another account: %v", err)
	}
}

// slow answers from what it held when it was asked, however late, as a database
// does under a snapshot.
type slow struct {
	mu    sync.Mutex
	known map[string]*auth.Identity
	gen   atomic.Int64
	wait  func()
}

func (d *slow) ManagedPolicy(context.Context, string, string, string) (policy.Source, error) {
	return policy.Source{}, auth.ErrUnknownKey
}

func (d *slow) Generation(context.Context, string, string, string) (int64, error) {
	return d.gen.Load(), nil
}

func (d *slow) Identity(_ context.Context, keyID string) (*auth.Identity, error) {
	d.mu.Lock()
	id := d.known[keyID]
	d.mu.Unlock()
	d.wait()
	if id == nil {
		return nil, auth.ErrUnknownKey
	}
	return id, nil
}

func (d *slow) Entity(context.Context, string, string) (*auth.Identity, error) {
	return nil, auth.ErrUnknownKey
}

func (d *slow) withdraw(keyID string) {
	d.mu.Lock()
	delete(d.known, keyID)
	d.mu.Unlock()
	d.gen.Add(1)
}

// A load that began before a change and ends behind it must not outlive it.
func TestLoadAcrossAChange(t *testing.T) {
	id := user(t, "bob", allowAll)
	d := &slow{known: map[string]*auth.Identity{id.Principal.AccessKeyID: id}, wait: func() {}}
	s := auth.New(auth.Config{Directory: d, Generations: d, Regions: []string{"us-east-1"}, Now: time.Now})
	ctx := wire.NewContext(t.Context(), call("kms", id.Principal))
	d.wait = func() { d.wait = func() {}; d.withdraw(id.Principal.AccessKeyID) }
	if _, err := s.Current(ctx); err != nil {
		t.Fatalf("the load was under way before the change: %v", err)
	}
	if _, err := s.Current(ctx); err == nil {
		t.Error("what was loaded before the change answers behind it")
	}
}

// Requests without number for keys that are not there leave nothing behind, and
// what is known stays at hand.
func TestGuessesAreNotRemembered(t *testing.T) {
	id := user(t, "bob", allowAll)
	d := &directory{identities: map[string]*auth.Identity{id.Principal.AccessKeyID: id}}
	s := service(d, &generation{1}, time.Now)
	if _, err := s.Current(wire.NewContext(t.Context(), call("kms", id.Principal))); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		p := *id.Principal
		p.AccessKeyID, _ = aws.NewAccessKeyID(aws.LongTermKeyPrefix, account)
		if _, err := s.Current(wire.NewContext(t.Context(), call("kms", &p))); err == nil {
			t.Fatal("a guess was right")
		}
	}
	before := d.loads
	if _, err := s.Current(wire.NewContext(t.Context(), call("kms", id.Principal))); err != nil || d.loads != before {
		t.Errorf("%v, %d more loads", err, d.loads-before)
	}
}

// What identifies a caller names no secret, whatever prints it.
func TestDenialsNameNoSecret(t *testing.T) {
	id := user(t, "bob", "")
	s := service(&directory{identities: map[string]*auth.Identity{id.Principal.AccessKeyID: id}}, &generation{1}, time.Now)
	w := call("iam", id.Principal)
	err := s.Authorize(wire.NewContext(t.Context(), w), &auth.Request{Action: "iam:GetUser", Resource: "arn:aws:iam::111122223333:user/a", Shown: "user a"})
	e, ok := errors.AsType[*aws.Error](err)
	if !ok || e.Code != "AccessDenied" || e.Status != http.StatusForbidden || strings.Contains(e.Error(), id.Secret) {
		t.Errorf("%v", err)
	}
	if want := "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: iam:GetUser on resource: user a because no identity-based policy allows the iam:GetUser action"; e.Message != want {
		t.Errorf("%s", e.Message)
	}
}

func TestRequestTags(t *testing.T) {
	if auth.RequestTags(nil) != nil {
		t.Error("no tags make keys")
	}
	got := map[string][]string{}
	for _, k := range auth.RequestTags([]aws.Tag{{Key: "Team", Value: "blue"}, {Key: "x", Value: ""}}) {
		got[k.Name] = k.Values
		if k.Multi != (k.Name == "aws:TagKeys") {
			t.Errorf("%s: multi %v", k.Name, k.Multi)
		}
	}
	want := map[string][]string{"aws:RequestTag/Team": {"blue"}, "aws:RequestTag/x": {""}, "aws:TagKeys": {"Team", "x"}}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%v", got)
	}
}

// Deciding a read costs two allocations: the evidence, which stays with the call,
// and the call's list of decisions.
func TestAuthorizeAllocations(t *testing.T) {
	id := user(t, "app", allowAll)
	s := service(&directory{identities: map[string]*auth.Identity{id.Principal.AccessKeyID: id}}, &generation{1}, time.Now)
	w := call("secretsmanager", id.Principal)
	ctx := wire.NewContext(t.Context(), w)
	q := &auth.Request{Action: "secretsmanager:GetSecretValue", Resource: "arn:aws:secretsmanager:us-east-1:111122223333:secret:a-AbCdEf", Account: account,
		Tags: []aws.Tag{{Key: "a", Value: "b"}}, Keys: []auth.Key{{Name: "secretsmanager:SecretId", Values: []string{"a"}}}}
	if n := testing.AllocsPerRun(1000, func() {
		w.Decisions = nil
		if err := s.Authorize(ctx, q); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func (d *slow) Known(ctx context.Context, account, region, kind string) (int64, bool) {
	v, err := d.Generation(ctx, account, region, kind)
	return v, err == nil
}
