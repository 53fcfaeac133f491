package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/store"
)

func openStore(t *testing.T, dir string) (*store.DB, keyring.SQL) {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, keyring.SQL{Read: db.Read, Change: db.Write}
}

// The whole way through a database on disk and back after a restart, with no
// key byte in its files.
func TestSQL(t *testing.T) {
	ctx := context.Background()
	dir, root := t.TempDir(), rootKey(t)
	db, rows := openStore(t, dir)
	if _, err := keyring.Open(ctx, rows, root, time.Now); !errors.Is(err, keyring.ErrEmpty) {
		t.Fatalf("Open before Init: %v", err)
	}
	if err := keyring.Init(ctx, rows, root, time.Now); err != nil {
		t.Fatal(err)
	}
	ring := open(t, rows, root, time.Now)
	first := mustSeal(t, ring, "p", "a", "first")
	if err := ring.Rotate(ctx); err != nil {
		t.Fatal(err)
	}
	second := mustSeal(t, ring, "p", "a", "second")
	if bytes.Equal(first[1:17], second[1:17]) {
		t.Error("Rotate changed nothing")
	}
	ring.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range root.seen {
			if bytes.Contains(content, key) {
				t.Errorf("%s holds a storage key", filepath.Base(name))
			}
		}
	}

	_, rows = openStore(t, dir)
	again := open(t, rows, root, time.Now)
	opens(t, again, first, "p", "a", "first")
	opens(t, again, second, "p", "a", "second")
	if s := mustSeal(t, again, "p", "a", ""); !bytes.Equal(s[1:17], second[1:17]) {
		t.Error("the restart chose another key to seal")
	}
	if _, err := keyring.Open(ctx, rows, rootKey(t), time.Now); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("other root key: %v", err)
	}
	if err := rows.Insert(ctx, keyring.Key{ID: "00", Wrapped: []byte{}, Provider: "x", Created: began}); err != nil {
		t.Fatal(err)
	}
	if err := rows.Insert(ctx, keyring.Key{ID: "00", Wrapped: []byte{}, Provider: "x", Created: began}); !store.IsUnique(err) {
		t.Errorf("the same id again: %v", err)
	}
}
