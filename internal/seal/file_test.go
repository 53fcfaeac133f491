package seal_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/seal"
)

var _ seal.Provider = (*seal.File)(nil)

func create(t testing.TB) (path string, f *seal.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "root.key")
	f, err := seal.CreateFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, f
}

func wrap(t testing.TB, f *seal.File, key, aad string) []byte {
	t.Helper()
	w, err := f.Wrap(context.Background(), []byte(key), []byte(aad))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// hint returns the next step that an error names.
func hint(err error) string {
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return h.Hint()
	}
	return ""
}

// forms returns the ways in which key bytes could show in a text.
func forms(key []byte) []string {
	return []string{string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key), base64.RawStdEncoding.EncodeToString(key)[:24]}
}

func rootKey(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.Split(string(text), "\n")[1])
	if err != nil || len(key) != 32 {
		t.Fatalf("second line: %v, %d bytes", err, len(key))
	}
	return key
}

func TestWrapSurvivesRestart(t *testing.T) {
	path, f := create(t)
	wrapped := wrap(t, f, "storage key", "row 1")
	again, err := seal.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() != f.ID() || !strings.HasPrefix(f.ID(), "file:") {
		t.Errorf("ids %s and %s", f.ID(), again.ID())
	}
	got, err := again.Unwrap(context.Background(), wrapped, []byte("row 1"))
	if err != nil || string(got) != "storage key" {
		t.Errorf("Unwrap = %q, %v", got, err)
	}
	if bytes.Contains(wrapped, []byte("storage key")) {
		t.Error("plaintext inside")
	}
	if bytes.Equal(wrapped, wrap(t, f, "storage key", "row 1")) {
		t.Error("two wraps are equal")
	}
}

func TestUnwrapRefuses(t *testing.T) {
	_, f := create(t)
	wrapped := wrap(t, f, "storage key", "row 1")
	unwrap := func(w []byte, aad string) error {
		_, err := f.Unwrap(context.Background(), w, []byte(aad))
		return err
	}
	if err := unwrap(wrapped, "row 2"); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("other aad: %v", err)
	}
	for i := range wrapped {
		w := bytes.Clone(wrapped)
		w[i] ^= 1
		err := unwrap(w, "row 1")
		// The key's id stands at 1 to 16: there a change reads as another key.
		want := seal.ErrDamaged
		if i >= 1 && i <= 16 {
			want = seal.ErrWrongKey
		}
		if !errors.Is(err, want) {
			t.Errorf("byte %d: %v", i, err)
		}
		if err := unwrap(wrapped[:i], "row 1"); err == nil {
			t.Errorf("cut at %d: accepted", i)
		}
	}
}

func TestWrongKeyIsTold(t *testing.T) {
	path, f := create(t)
	wrapped := wrap(t, f, "storage key", "")
	_, other := create(t)
	_, err := other.Unwrap(context.Background(), wrapped, nil)
	if !errors.Is(err, seal.ErrWrongKey) || hint(err) == "" || !strings.Contains(err.Error(), f.ID()) {
		t.Errorf("other file: %v (%s)", err, hint(err))
	}
	// The file is exchanged under a running server.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.CreateFile(path); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Wrap(context.Background(), []byte("k"), nil); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("exchanged, Wrap: %v", err)
	}
	if _, err := f.Unwrap(context.Background(), wrapped, nil); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("exchanged, Unwrap: %v", err)
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	path, _ := create(t)
	before, _ := os.ReadFile(path)
	if _, err := seal.CreateFile(path); !errors.Is(err, fs.ErrExist) || hint(err) == "" {
		t.Errorf("second create: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the key changed")
	}
	link := filepath.Join(t.TempDir(), "link")
	target := filepath.Join(t.TempDir(), "planted")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.CreateFile(link); !errors.Is(err, fs.ErrExist) {
		t.Errorf("through a link: %v", err)
	}
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the planted link was followed")
	}
	if _, err := seal.CreateFile(filepath.Join(t.TempDir(), "no", "such", "dir")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes mean nothing here")
	}
	path, f := create(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("created with %v, %v", info.Mode(), err)
	}
	for mode, ok := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o660: false, 0o601: false, 0o666: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := seal.OpenFile(path)
		if ok != (err == nil) {
			t.Errorf("%#o: %v", mode, err)
		}
		if !ok && (!errors.Is(err, seal.ErrExposed) || !strings.Contains(hint(err), "chmod 600")) {
			t.Errorf("%#o: %v (%s)", mode, err, hint(err))
		}
	}
	// Exposed while the server runs: no further use.
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Wrap(context.Background(), []byte("k"), nil); !errors.Is(err, seal.ErrExposed) {
		t.Errorf("exposed later: %v", err)
	}
}

// Any damage to the file is told as such, never as a wrong key, and no error
// shows the key.
func TestDamagedFile(t *testing.T) {
	path, _ := create(t)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key := rootKey(t, path)
	try := func(title string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := seal.OpenFile(path)
		if !errors.Is(err, seal.ErrMalformed) || hint(err) == "" {
			t.Errorf("%s: %v", title, err)
			return
		}
		for _, form := range append(forms(key), string(good[30:50])) {
			if strings.Contains(err.Error()+hint(err), form) {
				t.Errorf("%s: shows the key: %v", title, err)
			}
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if i < len(good)-1 {
			try("byte changed", bad)
			try("cut", good[:i])
		}
	}
	try("too long", append(bytes.Clone(good), "more"...))
	try("another line end", append(bytes.Clone(good), '\n'))
	try("huge", bytes.Repeat(good, 10000))
	try("key only", good[23:67])

	if err := os.WriteFile(path, good[:len(good)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.OpenFile(path); err != nil {
		t.Errorf("without the last line end: %v", err)
	}
	if err := os.WriteFile(path, good[:60], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.OpenFile(path); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("cut short: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := seal.OpenFile(filepath.Join(dir, "gone")); !errors.Is(err, fs.ErrNotExist) || hint(err) == "" {
		t.Errorf("missing: %v", err)
	}
	if _, err := seal.OpenFile(dir); !errors.Is(err, seal.ErrMalformed) {
		t.Errorf("directory: %v", err)
	}
}

// The file is read for ever: this one was written by the first release.
func TestReleasedFile(t *testing.T) {
	const text = "strongroom root key v1\n" +
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n" +
		"430c9eac6e1dc70e\n"
	path := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := seal.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if f.ID() != "file:54697ed47607f4fb3afaabde713754e8" {
		t.Error(f.ID())
	}
}

func BenchmarkUnwrap(b *testing.B) {
	_, f := create(b)
	wrapped := wrap(b, f, "storage key", "row 1")
	for b.Loop() {
		if _, err := f.Unwrap(context.Background(), wrapped, []byte("row 1")); err != nil {
			b.Fatal(err)
		}
	}
}
