package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/auth/session"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
)

const (
	home   = "111122223333"
	roleID = "AROA0123456789ABCDEFG"
)

func document(tb testing.TB, text string) *policy.Document {
	tb.Helper()
	d, err := policy.Parse([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

const anything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// workshop is a cache over a shelf that holds a role, a user and root, with tokens
// that are their own access key ids.
type workshop struct {
	*cache
	shelf    *shelf
	mu       sync.Mutex
	sessions map[string]*aws.Session
	opened   int
	dropped  []string
}

func newWorkshop(tb testing.TB) *workshop {
	tb.Helper()
	role := &Identity{Principal: &aws.Principal{
		Type: aws.PrincipalAssumedRole, Account: home, ARN: "arn:aws:iam::111122223333:role/ci/deploy", UserID: roleID, EntityID: roleID,
		RoleARN: "arn:aws:iam::111122223333:role/ci/deploy", Tags: []aws.Tag{{Key: "Team", Value: "role"}, {Key: "Own", Value: "1"}},
	}}
	role.Policies.Identity = []policy.Source{{ID: "inline/deploy/test", Doc: document(tb, anything)}}
	user := &Identity{Principal: &aws.Principal{
		Type: aws.PrincipalUser, Account: home, ARN: "arn:aws:iam::111122223333:user/bob", UserID: "AIDA0", EntityID: "AIDA0", UserName: "bob",
	}}
	root := &Identity{Principal: &aws.Principal{Type: aws.PrincipalRoot, Account: home, ARN: aws.RootARN(home), UserID: home}}
	w := &workshop{sessions: map[string]*aws.Session{}, shelf: &shelf{generation: 1, held: map[string]*Identity{roleID: role, "AIDA0": user, home: root}}}
	w.cache = newCache(w.shelf, w.shelf, nil, func(id string) { w.dropped = append(w.dropped, id) })
	w.cache.open = func(id, token string) (*aws.Session, string, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.opened++
		if s := w.sessions[id]; s != nil && token == "token of "+id {
			return s, "secret of " + id, nil
		}
		return nil, "", session.ErrInvalid
	}
	return w
}

// give makes a session under an access key id and returns its token.
func (w *workshop) give(id string, s *aws.Session) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Account = home
	w.sessions[id] = s
	return "token of " + id
}

// What a session is called follows from the entity behind it as it is now, what it
// may do from both.
func TestSessionsFollowTheirEntity(t *testing.T) {
	for _, c := range []struct {
		name          string
		session       aws.Session
		arn, userID   string
		kind          aws.PrincipalType
		user, userARN string
		tags          []aws.Tag
	}{
		{"role", aws.Session{Type: aws.PrincipalAssumedRole, EntityID: roleID, Name: "job", Tags: []aws.Tag{{Key: "TEAM", Value: "session"}}},
			"arn:aws:sts::111122223333:assumed-role/deploy/job", roleID + ":job", aws.PrincipalAssumedRole, "", "",
			[]aws.Tag{{Key: "TEAM", Value: "session"}, {Key: "Own", Value: "1"}}},
		{"user", aws.Session{Type: aws.PrincipalUser, EntityID: "AIDA0"},
			"arn:aws:iam::111122223333:user/bob", "AIDA0", aws.PrincipalUser, "bob", "", nil},
		{"root", aws.Session{Type: aws.PrincipalRoot, EntityID: home}, aws.RootARN(home), home, aws.PrincipalRoot, "", "", nil},
		{"federated", aws.Session{Type: aws.PrincipalFederatedUser, EntityID: "AIDA0", Name: "guest"},
			"arn:aws:sts::111122223333:federated-user/guest", home + ":guest", aws.PrincipalFederatedUser, "", "arn:aws:iam::111122223333:user/bob", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorkshop(t)
			id, _, err := w.claimed(t.Context(), home, "ASIA1", w.give("ASIA1", &c.session))
			if err != nil {
				t.Fatal(err)
			}
			p := id.Principal
			if p.ARN != c.arn || p.UserID != c.userID || p.Type != c.kind || p.UserName != c.user || p.UserARN != c.userARN ||
				p.AccessKeyID != "ASIA1" || p.Session != &c.session || !slices.Equal(p.Tags, c.tags) {
				t.Errorf("%+v", p)
			}
			if id.Secret != "secret of ASIA1" || id.Token != "token of ASIA1" {
				t.Errorf("secret %q, token %q", id.Secret, id.Token)
			}
		})
	}
}

// The policies passed limit a session; several permit what any of them does. A
// managed one that is gone ends the session: it may have denied something.
func TestSessionPolicies(t *testing.T) {
	w := newWorkshop(t)
	s := &aws.Session{Type: aws.PrincipalAssumedRole, EntityID: roleID, Name: "job", Policies: []aws.SessionPolicy{
		{Text: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"}]}`},
	}}
	token := w.give("ASIA1", s)
	id, _, err := w.claimed(t.Context(), home, "ASIA1", token)
	if err != nil {
		t.Fatal(err)
	}
	for action, want := range map[string]bool{"kms:Decrypt": true, "kms:Encrypt": false} {
		d := policy.Evaluate(&policy.Request{Principal: id.subject(), Action: action, Resource: "*"}, &id.Policies)
		if d.Allowed() != want {
			t.Errorf("%s: %v", action, d)
		}
	}
	if len(w.shelf.held[roleID].Policies.Session) != 0 {
		t.Error("the role has the session's policy")
	}
	s.Policies = append(s.Policies, aws.SessionPolicy{ARN: "arn:aws:iam::111122223333:policy/gone", Version: "v1"})
	w.shelf.generation++
	if _, _, err := w.claimed(t.Context(), home, "ASIA1", token); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("%v", err)
	}
	if !slices.Equal(w.dropped, []string{"ASIA1"}) {
		t.Errorf("dropped %v", w.dropped)
	}
	// A stored text that does not parse is damage: refused, and not as unknown.
	s.Policies = []aws.SessionPolicy{{Text: "{"}}
	if _, _, err := w.claimed(t.Context(), home, "ASIA1", token); err == nil || errors.Is(err, ErrUnknownKey) {
		t.Errorf("%v", err)
	}
}

// Whom root federates, only the policies passed limit.
func TestFederatedByRoot(t *testing.T) {
	w := newWorkshop(t)
	for id, s := range map[string]*aws.Session{
		"ASIA1": {Type: aws.PrincipalFederatedUser, EntityID: home, Name: "guest"},
		"ASIA2": {Type: aws.PrincipalFederatedUser, EntityID: home, Name: "guest", Policies: []aws.SessionPolicy{{Text: anything}}},
	} {
		got, _, err := w.claimed(t.Context(), home, id, w.give(id, s))
		if err != nil {
			t.Fatal(err)
		}
		d := policy.Evaluate(&policy.Request{Principal: got.subject(), Action: "kms:ListKeys", Resource: "*"}, &got.Policies)
		if d.Allowed() != (len(s.Policies) > 0) {
			t.Errorf("with %d policies: %v", len(s.Policies), d)
		}
	}
}

// A session ends when its entity is gone, made anew under the old name, or had its
// sessions voided since; those made after that live.
func TestSessionsEnd(t *testing.T) {
	moment := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	voided := func(w *workshop, at time.Time) {
		old := w.shelf.held[roleID]
		w.shelf.held[roleID] = &Identity{Principal: old.Principal, Policies: old.Policies, SessionsAfter: at}
	}
	for name, c := range map[string]struct {
		change func(*workshop)
		want   error
	}{
		"nothing":                  {func(*workshop) {}, nil},
		"deleted":                  {func(w *workshop) { delete(w.shelf.held, roleID) }, ErrUnknownKey},
		"made anew under its name": {func(w *workshop) { w.shelf.held["AROA1"] = w.shelf.held[roleID]; delete(w.shelf.held, roleID) }, ErrUnknownKey},
		"voided":                   {func(w *workshop) { voided(w, moment.Add(time.Microsecond)) }, errRevoked},
		// The session says it is of a later day: a node's clock was ahead.
		"voided before it was made, by its own clock": {func(w *workshop) { voided(w, moment.Add(time.Second)) }, errRevoked},
		"voided before it was made":                   {func(w *workshop) { voided(w, moment) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkshop(t)
			voided(w, moment)
			s := &aws.Session{Type: aws.PrincipalAssumedRole, EntityID: roleID, Name: "job", Issued: moment.Add(24 * time.Hour), Voided: moment}
			token := w.give("ASIA1", s)
			if _, _, err := w.claimed(t.Context(), home, "ASIA1", token); err != nil {
				t.Fatal(err)
			}
			c.change(w)
			w.shelf.generation++
			for range 2 {
				if _, _, err := w.claimed(t.Context(), home, "ASIA1", token); !errors.Is(err, c.want) {
					t.Errorf("%v", err)
				}
				// A call that is under way when it happens.
				if _, _, err := w.session(t.Context(), home, "ASIA1", &Identity{Session: s}); !errors.Is(err, c.want) {
					t.Errorf("under way: %v", err)
				}
			}
			if _, held := w.entries["ASIA1"]; held != (c.want == nil) {
				t.Errorf("held: %v", held)
			}
			if len(w.dropped) > 0 != (c.want != nil) {
				t.Errorf("dropped %v", w.dropped)
			}
		})
	}
}

// A token is opened once. Where a generation costs a round trip, calls under way
// are what renews the entry, so they must leave it whole.
func TestTokensAreOpenedOnce(t *testing.T) {
	w := newWorkshop(t)
	s := &aws.Session{Type: aws.PrincipalAssumedRole, EntityID: roleID, Name: "job"}
	token := w.give("ASIA1", s)
	for range 3 {
		if _, _, err := w.claimed(t.Context(), home, "ASIA1", token); err != nil {
			t.Fatal(err)
		}
		w.shelf.generation++
		id, generation, err := w.session(t.Context(), home, "ASIA1", &Identity{Session: s})
		if err != nil || id.Secret != "secret of ASIA1" {
			t.Fatalf("%+v, %v", id, err)
		}
		if e := w.entries["ASIA1"]; e.generation != generation || e.identity != id {
			t.Error("the renewed identity was not kept")
		}
	}
	if w.opened != 1 {
		t.Errorf("opened %d times", w.opened)
	}
	// Pushed out while a call is under way: that call ends well and leaves nothing
	// without a secret behind.
	w.forget("ASIA1")
	w.shelf.generation++
	if _, _, err := w.session(t.Context(), home, "ASIA1", &Identity{Session: s}); err != nil {
		t.Error(err)
	}
	if _, held := w.entries["ASIA1"]; held {
		t.Error("kept without its secret")
	}
	if id, _, err := w.claimed(t.Context(), home, "ASIA1", token); err != nil || id.Secret == "" || w.opened != 2 {
		t.Errorf("%v after %d openings", err, w.opened)
	}
	// Another token for a known key is told from it by whoever verifies, and one for
	// an unknown key leaves nothing behind.
	if _, _, err := w.claimed(t.Context(), home, "ASIA2", "token of ASIA1"); !errors.Is(err, ErrUnknownKey) {
		t.Error(err)
	}
	if _, held := w.entries["ASIA2"]; held {
		t.Error("a guess is remembered")
	}
}

// dear has generations that cost a round trip, as PostgreSQL's do.
type dear struct{ *shelf }

func (dear) Known(context.Context, string, string, string) (int64, bool) { return 0, false }

// Many calls of many sessions at once, under changes and evictions, agree.
func TestSessionsAtOnce(t *testing.T) {
	w := newWorkshop(t)
	w.cache.gens = dear{w.shelf}
	w.cache.dropped = func(string) {}
	var lock sync.RWMutex // the shelf is not made for this
	locked := func(f func()) { lock.RLock(); defer lock.RUnlock(); f() }
	var wg sync.WaitGroup
	for i := range 8 {
		id := fmt.Sprint("ASIA", i%4)
		if i < 4 {
			w.give(id, &aws.Session{Type: aws.PrincipalAssumedRole, EntityID: roleID, Name: id})
		}
		s := w.sessions[id]
		wg.Go(func() {
			for range 500 {
				locked(func() {
					got, _, err := w.claimed(t.Context(), home, id, "token of "+id)
					if err != nil || got.Session != s || got.Secret != "secret of "+id {
						t.Errorf("%s: %+v, %v", id, got, err)
					}
					got, _, err = w.session(t.Context(), home, id, &Identity{Session: s})
					if err != nil || got.Session != s || got.Principal.AccessKeyID != id {
						t.Errorf("%s under way: %+v, %v", id, got, err)
					}
				})
			}
		})
	}
	wg.Go(func() {
		for i := range 200 {
			lock.Lock()
			w.shelf.generation++
			lock.Unlock()
			w.forget(fmt.Sprint("ASIA", i%4))
		}
	})
	wg.Wait()
}
