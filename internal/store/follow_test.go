package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// witness is a follower that notes what it is told, and looks at the log's file.
type witness struct {
	path string
	mu   sync.Mutex
	// salt names the present run of the log, seen how much of it was committed, taken
	// whether all of that was announced to be folded.
	salt           uint64
	frames         int64
	taken, whole   bool
	folds, begun   int
	faults         []error
	commits, still int
}

func (w *witness) Committed(frames int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	salt, err := w.readSalt()
	if err != nil {
		w.faults = append(w.faults, err)
		return
	}
	w.commits++
	switch {
	case salt != w.salt:
		w.begun++
		if w.salt != 0 && (!w.taken || !w.whole) {
			w.faults = append(w.faults, fmt.Errorf("the log began anew after %d frames, taken %t, whole %t", w.frames, w.taken, w.whole))
		}
	case frames == w.frames:
		w.still++ // It wrote nothing.
		return
	case frames < w.frames:
		w.faults = append(w.faults, fmt.Errorf("the log has %d frames after %d", frames, w.frames))
	}
	w.salt, w.frames, w.taken, w.whole = salt, frames, false, false
}

func (w *witness) readSalt() (uint64, error) {
	f, err := os.Open(w.path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var b [8]byte
	_, err = f.ReadAt(b[:], 16)
	return binary.BigEndian.Uint64(b[:]), err
}

func (w *witness) Fold() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.folds++
	w.taken = true
	return true
}

func (w *witness) Folded(whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whole = whole
}

// TestFollower: the log never begins anew unless all of it was announced, which is
// what whoever copies it builds on.
func TestFollower(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := &witness{path: LogPath(dir)}
	db, err := Open(t.Context(), Config{Dir: dir, Follower: w})
	if err != nil {
		t.Fatal(err)
	}
	put := func(i int) {
		t.Helper()
		err := db.Maintain(t.Context(), func(tx Tx) error {
			_, err := tx.Exec(`INSERT INTO store_commits (id, at, committed) VALUES ($1, $2, TRUE)`, fmt.Sprintf("%d %0900d", i, i), i)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1500 {
		put(i)
	}
	// A reader of an old snapshot keeps the log from being folded whole.
	reading, done := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := db.Read(t.Context(), func(tx Tx) error {
			var n int64
			err := tx.QueryRow(`SELECT COUNT(*) FROM store_commits`).Scan(&n)
			close(reading)
			<-done
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-reading
	for i := range 10 {
		put(10_000 + i)
	}
	if whole, err := db.Fold(t.Context()); err != nil || whole {
		t.Errorf("folded past a reader: %t, %v", whole, err)
	}
	put(20_000)
	close(done)
	wg.Wait()
	if whole, err := db.Fold(t.Context()); err != nil || !whole {
		t.Errorf("fold: %t, %v", whole, err)
	}
	put(30_000)
	if err := db.Scrub(t.Context()); err != nil {
		t.Error(err)
	}
	put(40_000)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(w.faults...); err != nil {
		t.Error(err)
	}
	if w.folds < 4 || w.begun < 3 {
		t.Errorf("%d folds, the log began %d times: not what this test is about", w.folds, w.begun)
	}
	if _, err := db.Fold(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("fold a closed store: %v", err)
	}
}
