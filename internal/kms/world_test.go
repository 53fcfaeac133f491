package kms

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

const (
	accountA = "111122223333"
	accountB = "444455556666"
	home     = "us-east-1"
	abroad   = "eu-west-1"
)

var start = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// world is the slice over a real store, keyring, registry and authorization.
type world struct {
	t    testing.TB
	dir  string
	db   *store.DB
	ring *keyring.Keyring
	reg  *wire.Registry
	auth *auth.Service
	svc  *Service
	rec  *recorder
	dirs *directory

	mu  sync.Mutex
	now time.Time
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	return newWorldOn(t, store.Config{Dir: filepath.Join(t.TempDir(), "data")}, change...)
}

func newWorldOn(t testing.TB, where store.Config, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, dir: where.Dir, now: start, rec: &recorder{}, dirs: newDirectory()}
	where.Now = w.clock
	where.Audit = func(ctx context.Context, _ store.Tx) error {
		if wire.CallFrom(ctx) == nil {
			return errors.New("a change outside any call")
		}
		return nil
	}
	var err error
	w.db, err = store.Open(t.Context(), where)
	check(t, err)
	root := filepath.Join(t.TempDir(), "root.key")
	provider, err := seal.CreateFile(root)
	check(t, err)
	keys := &memoryKeys{}
	check(t, keyring.Init(t.Context(), keys, provider, w.clock))
	w.ring, err = keyring.Open(t.Context(), keys, provider, w.clock)
	check(t, err)
	w.auth = auth.New(auth.Config{Directory: w.dirs, Generations: w.db, Regions: []string{home, abroad}, Now: w.clock})
	w.reg = wire.NewRegistry(wire.Config{Recorder: w.rec, Log: slog.New(slog.DiscardHandler), Now: w.clock})
	w.svc = w.service(change...)
	Register(w.reg, w.svc)
	t.Cleanup(func() {
		w.svc.Close()
		w.ring.Close()
		check(t, w.db.Close())
	})
	return w
}

// service makes another instance over the same store, as another node has one.
func (w *world) service(change ...func(*Config)) *Service {
	c := Config{DB: w.db, Sealer: w.ring, Auth: w.auth, Registry: w.reg, Principals: w.dirs}
	for _, f := range change {
		f(&c)
	}
	return New(c)
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// as returns a context in which calls are made by a user, in region home.
func (w *world) as(user string) context.Context { return w.in(user, home) }

func (w *world) in(user, region string) context.Context {
	return wire.NewContext(w.t.Context(), &wire.Call{
		Service: &wire.Service{Name: "secretsmanager", EventSource: "secretsmanager.amazonaws.com", Protocol: wire.JSON11},
		Region:  region, Principal: w.dirs.principal(user), EventType: wire.EventAPICall,
	})
}

// in is the input of an operation, as JSON.
type in map[string]any

// call performs an operation through the registry: decoding, validation,
// decision and record included.
func (w *world) call(ctx context.Context, operation string, input in) (map[string]any, error) {
	body, err := json.Marshal(input)
	check(w.t, err)
	answer, err := w.reg.Invoke(ctx, "kms", operation, body)
	if err != nil || len(answer) == 0 {
		return nil, err
	}
	var out map[string]any
	check(w.t, json.Unmarshal(answer, &out))
	return out, nil
}

func (w *world) must(ctx context.Context, operation string, input in) map[string]any {
	w.t.Helper()
	out, err := w.call(ctx, operation, input)
	if err != nil {
		w.t.Fatalf("%s(%v): %v", operation, input, err)
	}
	return out
}

// fails expects an error, and with message "*" any message of that code.
func (w *world) fails(ctx context.Context, operation string, input in, code, message string) {
	w.t.Helper()
	_, err := w.call(ctx, operation, input)
	wantError(w.t, err, code, message)
}

func wantError(t testing.TB, err error, code, message string) {
	t.Helper()
	e, ok := errors.AsType[*aws.Error](err)
	if !ok {
		t.Fatalf("error is %v, want %s: %s", err, code, message)
	}
	if e.Code != code || message != "*" && e.Message != message {
		t.Fatalf("error is\n  %s: %s\nwant\n  %s: %s", e.Code, e.Message, code, message)
	}
}

// newKey makes a key and returns its id.
func (w *world) newKey(ctx context.Context, input in) string {
	w.t.Helper()
	return w.must(ctx, "CreateKey", input)["KeyMetadata"].(map[string]any)["KeyId"].(string)
}

// encrypt returns the blob, as the wire has it.
func (w *world) encrypt(ctx context.Context, keyID, plaintext string, ec map[string]string) string {
	w.t.Helper()
	out := w.must(ctx, "Encrypt", in{"KeyId": keyID, "Plaintext": b64(plaintext), "EncryptionContext": ec})
	return out["CiphertextBlob"].(string)
}

func keyARN(account, id string) string { return place{account, home}.keyARN(id) }

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func unb64(t testing.TB, s any) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s.(string))
	check(t, err)
	return b
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// recorder keeps what was recorded.
type recorder struct {
	mu    sync.Mutex
	calls []*wire.Call
	// off forgets calls, for benchmarks; fail refuses records of an operation.
	off  bool
	fail string
}

func (r *recorder) Begin(context.Context, *wire.Call) error { return nil }

func (r *recorder) Record(_ context.Context, c *wire.Call) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail == c.Operation {
		return errors.New("disk full")
	}
	if !r.off {
		r.calls = append(r.calls, c)
	}
	return nil
}

func (r *recorder) Unverified(*wire.Call, error) {}

// of returns the recorded calls of an operation.
func (r *recorder) of(operation string) []*wire.Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*wire.Call
	for _, c := range r.calls {
		if c.Operation == operation {
			found = append(found, c)
		}
	}
	return found
}

// directory is a fixed IAM: in each account an admin who may do everything
// through his identity policies, and users who hold what a test gives them.
type directory struct {
	mu    sync.Mutex
	users map[string]*auth.Identity // :: account/name → identity
	ids   map[string]*auth.Identity // :: access key → identity
}

func newDirectory() *directory {
	d := &directory{users: make(map[string]*auth.Identity), ids: make(map[string]*auth.Identity)}
	for _, account := range []string{accountA, accountB} {
		d.user(account+"/admin", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
		d.user(account + "/nobody")
	}
	return d
}

// user adds a user with identity policies. Its name is account/name, or a name
// in accountA.
func (d *directory) user(name string, policies ...string) {
	account, short := accountA, name
	if len(name) > 13 && name[12] == '/' {
		account, short = name[:12], name[13:]
	}
	keyID, err := aws.NewAccessKeyID(aws.LongTermKeyPrefix, account)
	if err != nil {
		panic(err)
	}
	id := &auth.Identity{Principal: &aws.Principal{
		Type: aws.PrincipalUser, Account: account, ARN: "arn:aws:iam::" + account + ":user/" + short,
		UserID: aws.NewUniqueID("AIDA"), UserName: short, AccessKeyID: keyID,
	}}
	for i, text := range policies {
		doc, err := policy.Parse([]byte(text))
		if err != nil {
			panic(err)
		}
		id.Policies.Identity = append(id.Policies.Identity, policy.Source{ID: fmt.Sprint("inline/", i), Version: "1", Doc: doc})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users[account+"/"+short] = id
	d.ids[keyID] = id
}

func (d *directory) principal(name string) *aws.Principal {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id := d.users[name]; id != nil {
		return id.Principal
	}
	return d.users[accountA+"/"+name].Principal
}

func (d *directory) Identity(_ context.Context, keyID string) (*auth.Identity, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id := d.ids[keyID]; id != nil {
		return id, nil
	}
	return nil, auth.ErrUnknownKey
}

func (d *directory) Entity(context.Context, string, string) (*auth.Identity, error) {
	return nil, auth.ErrUnknownKey
}

func (d *directory) ManagedPolicy(context.Context, string, string, string) (policy.Source, error) {
	return policy.Source{}, auth.ErrUnknownKey
}

func (d *directory) PrincipalExists(_ context.Context, arn string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range d.users {
		p := id.Principal
		if slices.Contains([]string{p.ARN, p.Account, aws.RootARN(p.Account)}, arn) {
			return true, nil
		}
	}
	return false, nil
}

func (d *directory) PrincipalID(_ context.Context, arn string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range d.users {
		if id.Principal.ARN == arn {
			return id.Principal.UserID, nil
		}
	}
	return "", nil
}

func (d *directory) PrincipalARN(_ context.Context, id string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range d.users {
		if u.Principal.UserID == id {
			return u.Principal.ARN, nil
		}
	}
	return "", nil
}

// memoryKeys is the keyring's store.
type memoryKeys struct{ keys []keyring.Key }

func (m *memoryKeys) Load(context.Context) ([]keyring.Key, error) { return m.keys, nil }

func (m *memoryKeys) Insert(_ context.Context, k keyring.Key) error {
	m.keys = append(m.keys, k)
	return nil
}

// exec changes the store behind the service's back, as damage or another node's
// older release could; caches are told.
func (w *world) exec(query string, args ...any) (n int64, err error) {
	err = w.db.Maintain(w.t.Context(), func(tx store.Tx) (err error) {
		if n, err = tx.Exec(query, args...); err != nil {
			return err
		}
		for _, account := range []string{accountA, accountB} {
			if err := w.db.Bump(tx, account, home, generationKind); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
