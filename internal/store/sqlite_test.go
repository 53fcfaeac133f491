package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/store/sqlite3"
)

// openDir opens a SQLite store in dir.
func openDir(t testing.TB, dir string) *DB {
	t.Helper()
	db, err := open(t.Context(), Config{Dir: dir}, testMigrations(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// onWriter runs statements on the writer's connection, in its goroutine.
func onWriter(t testing.TB, db *DB, text string) {
	t.Helper()
	err := db.Maintain(t.Context(), func(tx Tx) error {
		return tx.(*txn).runner.(sqliteRunner).conn.Script(text)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesArePrivate(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "new", "data")
	db := openDir(t, dir)
	write(t, db, insert("x"))
	names(t, db, allNames)
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory is %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("files are %v, %v", entries, err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v, %v", entry.Name(), info.Mode(), err)
		}
	}
}

func TestFilesAreMadePrivateAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, databaseFile)
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	openDir(t, dir)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestDatabaseIsNoLink(t *testing.T) {
	for _, name := range []string{databaseFile, lockFile} {
		dir := t.TempDir()
		target := filepath.Join(t.TempDir(), "target")
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Config{Dir: dir}); !errors.Is(err, syscall.ELOOP) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(target); err == nil {
			t.Errorf("%s: wrote through the link", name)
		}
	}
}

func TestNoDatabaseFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, databaseFile), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir}); err == nil {
		t.Fatal("opened")
	}
	// The directory was let go.
	if err := os.Remove(filepath.Join(dir, databaseFile)); err != nil {
		t.Fatal(err)
	}
	openDir(t, dir)
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	db := openDir(t, dir)
	_, err := Open(t.Context(), Config{Dir: dir})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("got %v", err)
	}
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || hint.Hint() == "" {
		t.Errorf("no hint in %v", err)
	}
	db.Close()
	openDir(t, dir)
}

// TestCloseBesideAFork: a child between its fork and its exec has copies of all
// descriptors, and does not keep a directory that was let go.
func TestCloseBesideAFork(t *testing.T) {
	dir := t.TempDir()
	db := openDir(t, dir)
	child, err := syscall.Dup(int(db.engine.(*sqlite).lock.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(child) })
	db.Close()
	openDir(t, dir)
}

func TestOpenAtTheSameTime(t *testing.T) {
	engines(t, func(t *testing.T, _ opener) {
		config := Config{Dir: t.TempDir()}
		if strings.HasSuffix(t.Name(), PostgreSQL) {
			config = Config{URL: newDatabase(t)}
		}
		var wg sync.WaitGroup
		dbs := make([]*DB, 6)
		errs := make([]error, 6)
		for i := range dbs {
			wg.Go(func() { dbs[i], errs[i] = open(context.Background(), config, testMigrations(t)) })
		}
		within(t, "opening", wg.Wait)
		opened := 0
		for i, err := range errs {
			switch {
			case err == nil:
				opened++
				write(t, dbs[i], insert(fmt.Sprint(i)))
				if err := dbs[i].Close(); err != nil {
					t.Error(err)
				}
			case config.URL != "" || !errors.Is(err, ErrLocked):
				t.Error(err)
			}
		}
		if config.URL == "" && opened != 1 {
			t.Errorf("%d have the directory", opened)
		}
	})
}

// TestFailingCommit makes COMMIT itself fail, by a constraint that is checked
// only then. Migrations may not have such; here it stands for a disk error.
func TestFailingCommit(t *testing.T) {
	db := openDir(t, t.TempDir())
	write(t, db, insert("parent"))
	onWriter(t, db, `CREATE TABLE children (parent TEXT REFERENCES things (name) DEFERRABLE INITIALLY DEFERRED)`)
	release := holdWriter(t, db)
	var wg sync.WaitGroup
	for i, name := range someNames("n", 10) {
		wg.Go(func() {
			err := db.Write(context.Background(), func(tx Tx) error {
				if err := errors.Join(insert(name)(tx), db.Bump(tx, "1", "r", "iam")); err != nil || i != 5 {
					return err
				}
				_, err := tx.Exec(`INSERT INTO children VALUES ('none')`)
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "commit") {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	waitFor(t, func() bool { return db.Stats().Waiting == 10 })
	release()
	within(t, "writing", wg.Wait)
	if got := names(t, db, allNames); got != "parent" {
		t.Errorf("found %q", got)
	}
	if g, _ := db.Generation(t.Context(), "1", "r", "iam"); g != 0 {
		t.Errorf("generation is %d", g)
	}
	write(t, db, insert("next"))
	if got := names(t, db, allNames); got != "next parent" {
		t.Errorf("found %q", got)
	}
}

// TestFullDisk fills a small file system. Whatever was acknowledged is there,
// nothing else is, and when there is room again the store goes on.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	db := openDir(t, dir)
	defer db.Close()
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	fill := func(prefix string) (full int) {
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				for _, name := range someNames(fmt.Sprint(prefix, worker, "-"), 80) {
					err := db.Write(context.Background(), func(tx Tx) error {
						_, err := tx.Exec(`INSERT INTO things (name, bytes) VALUES ($1, $2)`, name, make([]byte, 20_000))
						return err
					})
					mu.Lock()
					if err == nil {
						acknowledged[name] = true
					} else if IsFull(err) {
						full++
					} else {
						t.Errorf("%s: %v", name, err)
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		return full
	}
	check := func(when string) {
		t.Helper()
		for _, name := range strings.Fields(names(t, db, allNames)) {
			if !acknowledged[name] {
				t.Errorf("%s: %s is there and was refused", when, name)
			}
			delete(acknowledged, name)
		}
		for name := range acknowledged {
			t.Errorf("%s: %s is lost", when, name)
		}
		if err := db.Maintain(t.Context(), func(tx Tx) error {
			_, err := tx.Exec(`DELETE FROM things`)
			return err
		}); err != nil && !IsFull(err) {
			t.Error(err)
		}
		clear(acknowledged)
	}
	if fill("a") == 0 {
		t.Fatal("the disk is not full")
	}
	check("full")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	// Room for the log to be folded in.
	if err := db.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); !db.Stats().DownSince.IsZero(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("changes are refused although there is room")
		}
	}
	write(t, db, func(tx Tx) error {
		_, err := tx.Exec(`DELETE FROM things`)
		return err
	})
	write(t, db, insert("z"))
	acknowledged["z"] = true
	check("room again")
}

// contains reports which file below dir holds needle.
func contains(t *testing.T, dir string, needle []byte) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, needle) {
			return entry.Name()
		}
	}
	return ""
}

func TestScrubErases(t *testing.T) {
	dir := t.TempDir()
	db := openDir(t, dir)
	for _, size := range []int{20, 20_000} { // within a page, and on overflow pages
		material := bytes.Repeat([]byte("key material "), size/13+1)
		needle := material[:26]
		write(t, db, func(tx Tx) error {
			_, err := tx.Exec(`INSERT INTO things (name, bytes) VALUES ('key', $1)`, material)
			return err
		})
		if contains(t, dir, needle) == "" {
			t.Fatal("the test can't see stored bytes")
		}
		write(t, db, func(tx Tx) error {
			_, err := tx.Exec(`DELETE FROM things WHERE name = 'key'`)
			return err
		})
		if err := db.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		if file := contains(t, dir, needle); file != "" {
			t.Errorf("%d bytes: still in %s", size, file)
		}
	}
}

func TestScrubWaitsForReaders(t *testing.T) {
	db := openDir(t, t.TempDir())
	write(t, db, insert("x"))
	err := db.Read(t.Context(), func(tx Tx) error {
		if _, err := namesIn(tx, allNames); err != nil {
			return err
		}
		write(t, db, insert("y"))
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := db.Scrub(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		within(t, "write beside a waiting scrub", func() { write(t, db, insert("z")) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Scrub(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLogDoesNotGrowForEver(t *testing.T) {
	dir := t.TempDir()
	db := openDir(t, dir)
	for i := range 1000 {
		write(t, db, func(tx Tx) error {
			_, err := tx.Exec(`INSERT INTO things (name, bytes) VALUES ('x', $1)
				ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes`, bytes.Repeat([]byte{byte(i)}, 100_000))
			return err
		})
		names(t, db, allNames)
	}
	info, err := os.Stat(filepath.Join(dir, databaseFile+"-wal"))
	if err != nil || info.Size() > 50<<20 {
		t.Errorf("log has %d bytes after 100 MB of changes, %v", info.Size(), err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, databaseFile+"-wal")); !os.IsNotExist(err) {
		t.Errorf("log is left after Close: %v", err)
	}
}

func TestPragmas(t *testing.T) {
	db := openDir(t, t.TempDir())
	want := map[string]string{
		"journal_mode": "wal", "synchronous": "2", "secure_delete": "1",
		"foreign_keys": "1", "busy_timeout": "5000", "trusted_schema": "0",
	}
	check := func(who string, conn *sqlite3.Conn) error {
		for name, value := range want {
			s, err := conn.Prepare("PRAGMA " + name)
			if err != nil {
				return err
			}
			if _, err := s.Step(); err != nil {
				return err
			}
			if got := s.Text(0); got != value {
				t.Errorf("%s: %s is %s, want %s", who, name, got, value)
			}
			s.Reset()
		}
		return nil
	}
	err := errors.Join(
		db.Maintain(t.Context(), func(tx Tx) error { return check("writer", tx.(*txn).runner.(sqliteRunner).conn) }),
		db.Read(t.Context(), func(tx Tx) error { return check("reader", tx.(*txn).runner.(sqliteRunner).conn) }))
	if err != nil {
		t.Fatal(err)
	}
}

func TestGetIsReadOnly(t *testing.T) {
	db := openDir(t, t.TempDir())
	err := db.Get(t.Context(), `INSERT INTO things (name) VALUES ('x') RETURNING name`).Scan(new(string))
	if err == nil {
		t.Error("wrote through Get")
	}
}

// TestLeaseEndsWithItsProcess: on SQLite whoever opens the directory knows that
// the holder of any lease is gone, and takes over at once, in a new epoch.
func TestLeaseEndsWithItsProcess(t *testing.T) {
	dir := t.TempDir()
	var epochs []int64
	for range 2 {
		db, err := Open(t.Context(), Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		epoch, held, err := db.Lease(t.Context(), "job", time.Hour)
		if err != nil || !held {
			t.Fatalf("lease: %v, %v", held, err)
		}
		epochs = append(epochs, epoch)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if epochs[1] <= epochs[0] {
		t.Errorf("epochs %v do not grow", epochs)
	}
}
