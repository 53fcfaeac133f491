package keyring_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/seal"
)

var began = time.Date(2026, 2, 19, 18, 34, 51, 123456789, time.UTC)

// memory is a Store that counts and that fails on demand.
type memory struct {
	mu    sync.Mutex
	keys  []keyring.Key
	loads int
	err   error
}

func (m *memory) Load(context.Context) ([]keyring.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	return append([]keyring.Key(nil), m.keys...), m.err
}

func (m *memory) Insert(_ context.Context, k keyring.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.keys = append(m.keys, k)
	}
	return m.err
}

// watched is a provider that remembers the keys that pass, so that tests can
// look for them where they must not be.
type watched struct {
	seal.Provider
	mu   sync.Mutex
	seen [][]byte
}

func (w *watched) Wrap(ctx context.Context, key, aad []byte) ([]byte, error) {
	w.mu.Lock()
	w.seen = append(w.seen, bytes.Clone(key))
	w.mu.Unlock()
	return w.Provider.Wrap(ctx, key, aad)
}

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func rootKey(t testing.TB) *watched {
	t.Helper()
	f, err := seal.CreateFile(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &watched{Provider: f}
}

func open(t testing.TB, s keyring.Store, p seal.Provider, now func() time.Time) *keyring.Keyring {
	t.Helper()
	k, err := keyring.Open(context.Background(), s, p, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

type fixture struct {
	store *memory
	root  *watched
	clock *clock
	ring  *keyring.Keyring
}

func start(t testing.TB) fixture {
	t.Helper()
	f := fixture{store: &memory{}, root: rootKey(t), clock: &clock{t: began}}
	if err := keyring.Init(context.Background(), f.store, f.root, f.clock.now); err != nil {
		t.Fatal(err)
	}
	f.ring = open(t, f.store, f.root, f.clock.now)
	return f
}

func mustSeal(t testing.TB, k *keyring.Keyring, purpose, aad, plaintext string) []byte {
	t.Helper()
	sealed, err := k.Seal(purpose, []byte(aad), []byte(plaintext))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func opens(t testing.TB, k *keyring.Keyring, sealed []byte, purpose, aad, want string) {
	t.Helper()
	got, err := k.Open(purpose, []byte(aad), sealed)
	if err != nil || string(got) != want {
		t.Errorf("Open = %q, %v; want %q", got, err, want)
	}
}

func TestSealSurvivesRestart(t *testing.T) {
	f := start(t)
	sealed := mustSeal(t, f.ring, "iam.access-key", "AKIA1", "s3cret")
	f.ring.Close()
	opens(t, open(t, f.store, f.root, f.clock.now), sealed, "iam.access-key", "AKIA1", "s3cret")
	if got := len(sealed) - len("s3cret"); got != 93 {
		t.Errorf("a blob costs %d bytes; the comment of Seal says 93", got)
	}
}

func TestForeignIsRefused(t *testing.T) {
	f := start(t)
	sealed := mustSeal(t, f.ring, "iam.access-key", "AKIA1", "s3cret")
	for title, c := range map[string]struct{ purpose, aad string }{
		"other purpose":      {"kms.material", "AKIA1"},
		"no purpose":         {"", "AKIA1"},
		"other aad":          {"iam.access-key", "AKIA2"},
		"no aad":             {"iam.access-key", ""},
		"bytes moved over":   {"iam.access-keyA", "KIA1"},
		"bytes moved back":   {"iam.access-ke", "yAKIA1"},
		"purpose as the aad": {"AKIA1", "iam.access-key"},
	} {
		if _, err := f.ring.Open(c.purpose, []byte(c.aad), sealed); err != keyring.ErrInvalid {
			t.Errorf("%s: %v", title, err)
		}
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 0x40
		if _, err := f.ring.Open("iam.access-key", []byte("AKIA1"), bad); err == nil {
			t.Errorf("byte %d changed: accepted", i)
		}
		if _, err := f.ring.Open("iam.access-key", []byte("AKIA1"), sealed[:i]); err != keyring.ErrInvalid {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	// A keyring of its own under the same root key.
	other := &memory{}
	if err := keyring.Init(context.Background(), other, f.root, f.clock.now); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, other, f.root, f.clock.now).Open("iam.access-key", []byte("AKIA1"), sealed); !errors.Is(err, keyring.ErrUnknownKey) {
		t.Errorf("other keyring: %v", err)
	}
}

func TestSealRefuses(t *testing.T) {
	f := start(t)
	for title, purpose := range map[string]string{"no purpose": "", "long purpose": strings.Repeat("p", 65)} {
		if _, err := f.ring.Seal(purpose, nil, nil); err == nil {
			t.Errorf("%s: accepted", title)
		}
	}
	if _, err := f.ring.Seal("p", nil, make([]byte, 64<<10+1)); err == nil {
		t.Error("too long a plaintext: accepted")
	}
}

func TestWrongRootKeyIsToldFirst(t *testing.T) {
	f := start(t)
	before := fmt.Sprint(f.store.keys)
	_, err := keyring.Open(context.Background(), f.store, rootKey(t), f.clock.now)
	if !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("got %v", err)
	}
	if after := fmt.Sprint(f.store.keys); before != after {
		t.Error("the store changed")
	}
}

// forgetful is a provider that cannot tell why it fails, as remote ones cannot.
type forgetful struct{ seal.Provider }

func (forgetful) Unwrap(context.Context, []byte, []byte) ([]byte, error) {
	return nil, errors.New("400 bad request")
}

func TestWrongRootKeyIsToldByName(t *testing.T) {
	f := start(t)
	_, err := keyring.Open(context.Background(), f.store, forgetful{rootKey(t)}, f.clock.now)
	if !errors.Is(err, seal.ErrWrongKey) || !strings.Contains(err.Error(), f.root.ID()) {
		t.Errorf("another key: %v", err)
	}
	_, err = keyring.Open(context.Background(), f.store, forgetful{f.root}, f.clock.now)
	if err == nil || errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("the same key: %v", err)
	}
}

func TestRowsAreBound(t *testing.T) {
	for title, change := range map[string]func(k *keyring.Key){
		"id":            func(k *keyring.Key) { k.ID = strings.Repeat("0", 32) },
		"time":          func(k *keyring.Key) { k.Created = k.Created.Add(time.Microsecond) },
		"wrapped":       func(k *keyring.Key) { k.Wrapped[len(k.Wrapped)-1] ^= 1 },
		"wrapped empty": func(k *keyring.Key) { k.Wrapped = nil },
		"id upper case": func(k *keyring.Key) { k.ID = strings.Repeat("A", 32) },
		"id too short":  func(k *keyring.Key) { k.ID = k.ID[:30] },
	} {
		f := start(t)
		change(&f.store.keys[0])
		if _, err := keyring.Open(context.Background(), f.store, f.root, f.clock.now); err == nil {
			t.Errorf("%s: accepted", title)
		}
	}
}

func TestInitAndOpenKnowTheirPlace(t *testing.T) {
	f := start(t)
	if err := keyring.Init(context.Background(), f.store, f.root, f.clock.now); !errors.Is(err, keyring.ErrExists) {
		t.Errorf("second Init: %v", err)
	}
	if _, err := keyring.Open(context.Background(), &memory{}, f.root, f.clock.now); !errors.Is(err, keyring.ErrEmpty) {
		t.Errorf("Open before Init: %v", err)
	}
	broken := &memory{err: errors.New("disk gone")}
	if err := keyring.Init(context.Background(), broken, f.root, f.clock.now); !errors.Is(err, broken.err) {
		t.Errorf("Init on a broken store: %v", err)
	}
	if _, err := keyring.Open(context.Background(), broken, f.root, f.clock.now); !errors.Is(err, broken.err) {
		t.Errorf("Open on a broken store: %v", err)
	}
	flood := &memory{keys: make([]keyring.Key, 1001)}
	if _, err := keyring.Open(context.Background(), flood, f.root, f.clock.now); err == nil {
		t.Error("1001 keys: accepted")
	}
}

func TestRotate(t *testing.T) {
	f := start(t)
	var sealed [][]byte
	for i := range 4 {
		sealed = append(sealed, mustSeal(t, f.ring, "p", "a", fmt.Sprint(i)))
		// The clock goes back: the new key still has to be the newest.
		f.clock.add(-time.Hour)
		if err := f.ring.Rotate(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	newest := mustSeal(t, f.ring, "p", "a", "newest")
	ids := map[string]bool{string(newest[1:17]): true}
	for _, s := range sealed {
		ids[string(s[1:17])] = true
	}
	if len(ids) != 5 {
		t.Errorf("%d different keys sealed, want 5", len(ids))
	}
	for _, ring := range []*keyring.Keyring{f.ring, open(t, f.store, f.root, f.clock.now)} {
		for i, s := range sealed {
			opens(t, ring, s, "p", "a", fmt.Sprint(i))
		}
		if s := mustSeal(t, ring, "p", "a", ""); !bytes.Equal(s[1:17], newest[1:17]) {
			t.Error("a restart changed which key seals")
		}
	}
}

func TestRotateFailsWhole(t *testing.T) {
	f := start(t)
	before := mustSeal(t, f.ring, "p", "", "x")
	f.store.err = errors.New("disk full")
	if err := f.ring.Rotate(context.Background()); !errors.Is(err, f.store.err) {
		t.Errorf("got %v", err)
	}
	after := mustSeal(t, f.ring, "p", "", "x")
	if !bytes.Equal(before[1:17], after[1:17]) {
		t.Error("a key that was not stored seals")
	}
}

func TestRewrap(t *testing.T) {
	f := start(t)
	old := mustSeal(t, f.ring, "p", "a", "value")
	same, changed, err := f.ring.Rewrap("p", []byte("a"), old)
	if err != nil || changed || !bytes.Equal(same, old) {
		t.Errorf("nothing to do: %v, %v", changed, err)
	}
	if err := f.ring.Rotate(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, changed, err := f.ring.Rewrap("other", []byte("a"), old); err != keyring.ErrInvalid || changed {
		t.Errorf("other purpose: %v, %v", changed, err)
	}
	fresh, changed, err := f.ring.Rewrap("p", []byte("a"), old)
	if err != nil || !changed || bytes.Equal(fresh[1:17], old[1:17]) {
		t.Errorf("after Rotate: %v, %v", changed, err)
	}
	opens(t, f.ring, fresh, "p", "a", "value")
	if _, _, err := f.ring.Rewrap("p", []byte("a"), []byte("junk")); err != keyring.ErrInvalid {
		t.Errorf("junk: %v", err)
	}
}

// A second node opens what a key it has not seen has sealed, and foreign blobs
// cannot make it load the keys all the time.
func TestNodesShareKeys(t *testing.T) {
	f := start(t)
	other := open(t, f.store, f.root, f.clock.now)
	if err := f.ring.Rotate(context.Background()); err != nil {
		t.Fatal(err)
	}
	sealed := mustSeal(t, f.ring, "p", "", "value")
	opens(t, other, sealed, "p", "", "value")

	foreign := bytes.Clone(sealed)
	foreign[1] ^= 1
	f.clock.add(time.Minute)
	loads := f.store.loads
	for range 10 {
		if _, err := other.Open("p", nil, foreign); !errors.Is(err, keyring.ErrUnknownKey) {
			t.Fatal(err)
		}
	}
	if got := f.store.loads - loads; got != 1 {
		t.Errorf("%d loads for ten foreign blobs", got)
	}
	f.clock.add(time.Second)
	f.store.err = errors.New("database gone")
	if _, err := other.Open("p", nil, foreign); !errors.Is(err, f.store.err) {
		t.Errorf("store gone: %v", err)
	}
}

func TestClose(t *testing.T) {
	f := start(t)
	sealed := mustSeal(t, f.ring, "p", "", "x")
	f.ring.Close()
	f.ring.Close()
	if _, err := f.ring.Seal("p", nil, nil); err != keyring.ErrClosed {
		t.Errorf("Seal: %v", err)
	}
	if _, err := f.ring.Open("p", nil, sealed); err != keyring.ErrClosed {
		t.Errorf("Open: %v", err)
	}
	if _, _, err := f.ring.Rewrap("p", nil, sealed); err != keyring.ErrClosed {
		t.Errorf("Rewrap: %v", err)
	}
	if err := f.ring.Rotate(context.Background()); !errors.Is(err, keyring.ErrClosed) {
		t.Errorf("Rotate: %v", err)
	}
	if len(f.store.keys) != 1 {
		t.Error("a closed keyring stored a key")
	}
}

// Close while others seal: what was sealed opens after a restart, so nothing was
// ever sealed under a cleared key.
func TestCloseUnderLoad(t *testing.T) {
	f := start(t)
	var wg sync.WaitGroup
	sealed := make([][][]byte, 4)
	for g := range sealed {
		wg.Go(func() {
			for {
				s, err := f.ring.Seal("p", nil, []byte("value"))
				if err != nil {
					return
				}
				sealed[g] = append(sealed[g], s)
			}
		})
	}
	time.Sleep(5 * time.Millisecond)
	f.ring.Close()
	wg.Wait()
	again := open(t, f.store, f.root, f.clock.now)
	for _, list := range sealed {
		for _, s := range list {
			opens(t, again, s, "p", "", "value")
		}
	}
}

func TestConcurrentRotation(t *testing.T) {
	f := start(t)
	second := open(t, f.store, f.root, f.clock.now)
	var wg sync.WaitGroup
	for i := range 4 {
		ring := []*keyring.Keyring{f.ring, second}[i%2]
		wg.Go(func() {
			for range 5 {
				if err := ring.Rotate(context.Background()); err != nil {
					t.Error(err)
				}
				opens(t, ring, mustSeal(t, ring, "p", "", "x"), "p", "", "x")
			}
		})
	}
	wg.Wait()
	for _, ring := range []*keyring.Keyring{f.ring, second} {
		if err := ring.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	a, b := mustSeal(t, f.ring, "p", "", ""), mustSeal(t, second, "p", "", "")
	if !bytes.Equal(a[1:17], b[1:17]) {
		t.Error("the nodes disagree about the newest key")
	}
}

// Neither rows nor blobs nor error texts hold key bytes or plaintext, in any of
// the usual spellings.
func TestNothingShows(t *testing.T) {
	f := start(t)
	const plaintext = "correct horse battery staple"
	sealed := mustSeal(t, f.ring, "p", "a", plaintext)
	if err := f.ring.Rotate(context.Background()); err != nil {
		t.Fatal(err)
	}
	secrets := append([][]byte{[]byte(plaintext)}, f.root.seen...)
	if len(secrets) != 3 {
		t.Fatalf("%d secrets to look for", len(secrets))
	}
	var seen strings.Builder
	seen.Write(sealed)
	for _, k := range f.store.keys {
		fmt.Fprintf(&seen, "%s %s %s %x %s\n", k.ID, k.Provider, k.Wrapped, k.Wrapped, base64.StdEncoding.EncodeToString(k.Wrapped))
	}
	note := func(err error) {
		t.Helper()
		if err == nil {
			t.Error("no error")
		}
		fmt.Fprintf(&seen, "%v %+v %#v\n", err, err, err)
	}
	_, err := f.ring.Seal("", nil, []byte(plaintext))
	note(err)
	_, err = f.ring.Seal("p", nil, bytes.Repeat([]byte(plaintext), 10000))
	note(err)
	_, err = f.ring.Open("q", []byte("a"), sealed)
	note(err)
	unknown := bytes.Clone(sealed)
	unknown[1] ^= 1
	_, err = f.ring.Open("p", []byte("a"), unknown)
	note(err)
	_, err = keyring.Open(context.Background(), f.store, rootKey(t), f.clock.now)
	note(err)
	f.store.keys[0].Wrapped[40] ^= 1
	_, err = keyring.Open(context.Background(), f.store, f.root, f.clock.now)
	note(err)
	for i, s := range secrets {
		for _, form := range []string{string(s), hex.EncodeToString(s), base64.StdEncoding.EncodeToString(s)[:20], fmt.Sprint(s)} {
			if strings.Contains(seen.String(), form) {
				t.Errorf("secret %d shows", i)
			}
		}
	}
}
