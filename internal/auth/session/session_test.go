package session_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/auth/session"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/seal"
)

const account = "111122223333"

// memory is a keyring's store.
type memory struct {
	mu   sync.Mutex
	keys []keyring.Key
	err  error
}

func (m *memory) Load(context.Context) ([]keyring.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]keyring.Key(nil), m.keys...), m.err
}

func (m *memory) Insert(_ context.Context, k keyring.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = append(m.keys, k)
	return nil
}

// ring is a new deployment's keyring, and open another node of it.
type ring struct {
	*keyring.Keyring
	store *memory
	root  seal.Provider
}

func newRing(tb testing.TB) *ring {
	tb.Helper()
	root, err := seal.CreateFile(filepath.Join(tb.TempDir(), "root.key"))
	if err != nil {
		tb.Fatal(err)
	}
	r := &ring{store: &memory{}, root: root}
	if err := keyring.Init(tb.Context(), r.store, root, time.Now); err != nil {
		tb.Fatal(err)
	}
	r.Keyring = r.node(tb)
	return r
}

func (r *ring) node(tb testing.TB) *keyring.Keyring {
	tb.Helper()
	k, err := keyring.Open(context.Background(), r.store, r.root, time.Now)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(k.Close)
	return k
}

// full has every field set.
func full() *aws.Session {
	at := time.Date(2026, 3, 10, 12, 0, 0, 123456000, time.UTC)
	return &aws.Session{
		Type: aws.PrincipalAssumedRole, Account: account, EntityID: "AROA0123456789ABCDEFG", Name: "job-7",
		Issued: at, Expires: at.Add(time.Hour), Voided: at.Add(-time.Hour), MFA: true, MFAAt: at.Add(-time.Minute),
		SourceIdentity: "alice", Provider: "arn:aws:iam::111122223333:oidc-provider/id.example",
		Tags: []aws.Tag{{Key: "Team", Value: "blue ü"}, {Key: "empty"}}, Transitive: []string{"Team"},
		Policies: []aws.SessionPolicy{{Text: `{"Version":"2012-10-17"}`}, {ARN: "arn:aws:iam::111122223333:policy/p", Version: "v3"}},
	}
}

func mustNew(tb testing.TB, keys session.Keys, s *aws.Session) session.Credentials {
	tb.Helper()
	c, err := session.New(keys, s)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// What STS puts in comes out, on this node and on another, whatever the session.
func TestOpenReturnsWhatWasPutIn(t *testing.T) {
	r := newRing(t)
	want := full()
	// A field added to Session and forgotten in full would not be tested.
	for v, i := reflect.ValueOf(*want), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("full leaves out %s", v.Type().Field(i).Name)
		}
	}
	c := mustNew(t, r, want)
	if got, ok := aws.AccessKeyAccount(c.AccessKeyID); !ok || got != account || !strings.HasPrefix(c.AccessKeyID, "ASIA") {
		t.Errorf("access key id %s", c.AccessKeyID)
	}
	if len(c.SecretAccessKey) != 40 {
		t.Errorf("secret of %d characters", len(c.SecretAccessKey))
	}
	for name, keys := range map[string]session.Keys{"same node": r, "other node": r.node(t)} {
		got, secret, err := session.Open(keys, c.AccessKeyID, c.Token)
		if err != nil || !reflect.DeepEqual(got, want) || secret != c.SecretAccessKey {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	again := mustNew(t, r, want)
	if again.AccessKeyID == c.AccessKeyID || again.SecretAccessKey == c.SecretAccessKey || again.Token == c.Token {
		t.Error("two sessions of the same content share something")
	}
}

// A token is worth nothing to whoever changes it, cuts it, or sends it with
// another access key, and does not tell which of these it was.
func TestForeignTokensAreRefused(t *testing.T) {
	r := newRing(t)
	c, other := mustNew(t, r, full()), mustNew(t, r, full())
	elsewhere := full()
	elsewhere.Account = "444455556666"
	abroad := mustNew(t, r, elsewhere)
	foreign := mustNew(t, newRing(t), full())

	raw, err := base64.StdEncoding.DecodeString(c.Token)
	if err != nil {
		t.Fatal(err)
	}
	type try struct{ id, token string }
	tries := map[string]try{
		"none":                           {c.AccessKeyID, ""},
		"not base64":                     {c.AccessKeyID, "*" + c.Token[1:]},
		"of another access key":          {other.AccessKeyID, c.Token},
		"of another account":             {abroad.AccessKeyID, c.Token},
		"another account's":              {c.AccessKeyID, abroad.Token},
		"another deployment's":           {foreign.AccessKeyID, foreign.Token},
		"with a long-term key":           {"AKIA" + c.AccessKeyID[4:], c.Token},
		"with no key id":                 {"", c.Token},
		"without its padding":            {c.AccessKeyID, strings.TrimRight(c.Token, "=")},
		"with a line break":              {c.AccessKeyID, c.Token[:8] + "\n" + c.Token[8:]},
		"with a line break at its end":   {c.AccessKeyID, c.Token + "\r\n"},
		"twice":                          {c.AccessKeyID, c.Token + c.Token},
		"in the alphabet of URLs":        {c.AccessKeyID, base64.URLEncoding.EncodeToString(append([]byte{0xff, 0xff}, raw...))},
		"longer than any":                {c.AccessKeyID, strings.Repeat("A", 1<<20)},
		"zeros":                          {c.AccessKeyID, base64.StdEncoding.EncodeToString(make([]byte, len(raw)))},
		"something else that was sealed": {c.AccessKeyID, sealed(t, r, "iam.access-key", c.AccessKeyID, "secret")},
		"no session inside":              {c.AccessKeyID, sealed(t, r, "sts.session", c.AccessKeyID, "no session")},
	}
	for i := range raw {
		changed := append([]byte(nil), raw...)
		changed[i] ^= 1
		tries[fmt.Sprint("changed at byte ", i)] = try{c.AccessKeyID, base64.StdEncoding.EncodeToString(changed)}
		tries[fmt.Sprint("cut behind byte ", i)] = try{c.AccessKeyID, base64.StdEncoding.EncodeToString(raw[:i])}
	}
	for name, x := range tries {
		s, secret, err := session.Open(r, x.id, x.token)
		if !errors.Is(err, session.ErrInvalid) || s != nil || secret != "" {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

func sealed(tb testing.TB, r *ring, purpose, aad, text string) string {
	tb.Helper()
	b, err := r.Seal(purpose, []byte(aad), []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// Sessions outlive the storage key that sealed them, on every node.
func TestTokensOutliveRotation(t *testing.T) {
	r := newRing(t)
	other := r.node(t)
	before := mustNew(t, r, full())
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := mustNew(t, r, full())
	for name, c := range map[string]session.Credentials{"before": before, "after": after} {
		for node, keys := range map[string]session.Keys{"this": r, "other": other} {
			if _, secret, err := session.Open(keys, c.AccessKeyID, c.Token); err != nil || secret != c.SecretAccessKey {
				t.Errorf("made %s the rotation, %s node: %v", name, node, err)
			}
		}
	}
}

// An outage is not the token's fault, and who is told so would throw good
// credentials away.
func TestOutageIsNotTheTokensFault(t *testing.T) {
	r := newRing(t)
	other := r.node(t)
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := mustNew(t, r, full())
	r.store.mu.Lock()
	r.store.err = errors.New("database is down")
	r.store.mu.Unlock()
	if _, _, err := session.Open(other, c.AccessKeyID, c.Token); err == nil || errors.Is(err, session.ErrInvalid) {
		t.Errorf("the key could not be fetched: %v", err)
	}
	r.Close()
	if _, _, err := session.Open(r, c.AccessKeyID, c.Token); err == nil || errors.Is(err, session.ErrInvalid) {
		t.Errorf("the keyring is closed: %v", err)
	}
	if _, err := session.New(r, full()); err == nil {
		t.Error("made a session without keys")
	}
}

// What does not fit is refused with its size, and what is just below it works.
func TestSizeIsBounded(t *testing.T) {
	r := newRing(t)
	s := full()
	var tooLarge *session.TooLargeError
	last := 0
	for i := range 200 {
		// Random text does not shrink.
		s.Tags = append(s.Tags, aws.Tag{Key: aws.RandomString("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/", 128)})
		c, err := session.New(r, s)
		if errors.As(err, &tooLarge) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.Packed < last || c.Packed > 100 || len(c.Token) > 12<<10 {
			t.Fatalf("%d tags take %d%% and %d characters", i, c.Packed, len(c.Token))
		}
		last = c.Packed
		if _, _, err := session.Open(r, c.AccessKeyID, c.Token); err != nil {
			t.Fatalf("%d tags: %v", i, err)
		}
	}
	if tooLarge == nil || tooLarge.Packed <= 100 {
		t.Errorf("%v after %d%%", tooLarge, last)
	}
	if _, err := session.New(r, &aws.Session{Account: "1"}); err == nil {
		t.Error("made a session of no account")
	}
}

// FuzzOpen holds the one law of tokens: only what New made opens, only with its
// access key, and in one spelling.
func FuzzOpen(f *testing.F) {
	r := newRing(f)
	c := mustNew(f, r, full())
	f.Add(c.AccessKeyID, c.Token)
	f.Add(c.AccessKeyID, c.Token[:len(c.Token)-4])
	f.Add(c.AccessKeyID, strings.ToLower(c.Token))
	f.Add("AKIAAAAAAAAAAAAAAAAA", "AAAA")
	f.Fuzz(func(t *testing.T, id, token string) {
		s, secret, err := session.Open(r, id, token)
		switch genuine := id == c.AccessKeyID && token == c.Token; {
		case genuine && (err != nil || secret != c.SecretAccessKey || !reflect.DeepEqual(s, full())):
			t.Fatalf("%v", err)
		case !genuine && (!errors.Is(err, session.ErrInvalid) || s != nil || secret != ""):
			t.Fatalf("opened %q with %q: %v", token, id, err)
		}
	})
}
