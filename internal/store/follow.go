package store

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Follower reads SQLite's write-ahead log along, to copy it elsewhere. Its methods
// are called on the writer's goroutine: every commit waits for them, and they must
// not call the store.
//
// The log is written from its beginning again once all of it has been folded into
// the database, and only then; so a follower that takes what is left of it in Fold
// misses nothing.
type Follower interface {
	// Committed is called after each commit, before anybody is told of it: the log's
	// first frames frames are committed.
	Committed(frames int64)
	// Fold is called before the log is folded into the database, and reports whether it
	// may be. A follower that cannot read the log yet, because the server is still
	// starting, says no; the log then grows on for a moment.
	Fold() bool
	// Folded is called after that. whole says that nothing of the log is left to fold:
	// what is written next may stand at its beginning.
	Folded(whole bool)
}

// DatabasePath is the SQLite file of a data directory.
func DatabasePath(dir string) string { return filepath.Join(dir, databaseFile) }

// LogPath is the write-ahead log beside it.
func LogPath(dir string) string { return DatabasePath(dir) + "-wal" }

// ErrNoFile means that the store is not a file of this machine.
var ErrNoFile = errors.New("the store is not a SQLite file")

// Fold moves the log into the SQLite file and reports whether all of it was: a
// reader of an older snapshot keeps what is newer than that.
func (db *DB) Fold(ctx context.Context) (bool, error) {
	s, ok := db.engine.(*sqlite)
	if !ok {
		return false, ErrNoFile
	}
	return s.writer.foldLog(ctx)
}

// Image is the SQLite file as it lies there, for a copy of its pages. The log is
// folded into it while it is read, so that the copy is whole only together with
// the log from a whole Fold before its beginning to its end.
func (db *DB) Image() (io.ReaderAt, int64, error) {
	s, ok := db.engine.(*sqlite)
	if !ok {
		return nil, 0, ErrNoFile
	}
	return s.image.open()
}

// image is a descriptor of the database file, kept until the store is closed:
// closing it earlier would drop the locks that SQLite's own descriptors of the file
// hold for this process.
type image struct {
	path string
	mu   sync.Mutex
	f    *os.File
}

func (i *image) open() (io.ReaderAt, int64, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.f == nil {
		f, err := os.Open(i.path)
		if err != nil {
			return nil, 0, err
		}
		i.f = f
	}
	info, err := i.f.Stat()
	if err != nil {
		return nil, 0, err
	}
	return i.f, info.Size(), nil
}

func (i *image) close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.f == nil {
		return nil
	}
	return i.f.Close()
}
