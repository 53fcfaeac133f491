package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/strongroom/strongroom/internal/store/sqlite3"
)

const (
	databaseFile = "strongroom.db"
	lockFile     = "strongroom.lock"
)

// pragmas are set on each connection.
//
//   - synchronous FULL: the log is flushed at each commit, so acknowledged means
//     durable.
//   - secure_delete: deleted rows are overwritten with zeros.
//   - busy_timeout: hardly ever reached, since this process has one writer and
//     no other process gets in.
//   - foreign_keys, case_sensitive_like: as PostgreSQL does.
//   - trusted_schema off, cell_size_check: a tampered file runs no functions
//     from its schema and is noticed early.
//   - temp_store: nothing is spilled to a file outside the directory.
//   - mmap_size 0: an I/O error on a mapping kills the process instead of
//     failing a call, and mapped pages are decoded anew at each visit: a fifth
//     more processor time for a read. (They do avoid the lock of the page cache,
//     which all connections of the process share in this build of SQLite.)
//   - wal_autocheckpoint: the writer folds the log into the database itself;
//     journal_size_limit: give back what a burst made it grow to.
const pragmas = `
PRAGMA busy_timeout = 5000;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA foreign_keys = ON;
PRAGMA case_sensitive_like = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA temp_store = MEMORY;
PRAGMA mmap_size = 0;
PRAGMA wal_autocheckpoint = 0;
PRAGMA journal_size_limit = 67108864;
`

// sqlite is the embedded engine: one writer goroutine with its connection, a
// pool of reading connections, and the generations in memory.
type sqlite struct {
	lock        *os.File
	writer      *writer
	readers     *pool[*sqlite3.Conn]
	generations generations
	now         func() time.Time
	image       image
	disk        *disk
}

func openSQLite(c Config) (_ *sqlite, err error) {
	if strings.IndexByte(c.Dir, 0) >= 0 {
		return nil, fmt.Errorf("data directory %q: NUL in path", c.Dir)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	warnOpenDirectory(c.Dir, c.Log)
	s := &sqlite{now: c.Now, image: image{path: filepath.Join(c.Dir, databaseFile)}, disk: newDisk(c.Dir, c.Log)}
	if s.lock, err = lockDirectory(c.Dir); err != nil {
		return nil, s.disk.startError(err)
	}
	defer func() {
		if err != nil {
			unlockDirectory(s.lock)
		}
	}()
	path := filepath.Join(c.Dir, databaseFile)
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	if err := flushLog(LogPath(c.Dir)); err != nil {
		return nil, s.disk.startError(err)
	}
	conn, err := openWriter(path)
	if err != nil {
		return nil, s.disk.startError(err)
	}
	s.readers = newReaders(path)
	s.writer = newWriter(conn, path, &s.generations, s.disk, c)
	go s.writer.loop()
	return s, nil
}

// flushLog writes the log that another process has left once more, byte for byte,
// and flushes it. Should a flush have failed there, the system still shows what is
// not on the disk, takes it for flushed and would flush only what is new: then a
// later commit could be durable behind a hole, which hides it after a power cut.
func flushLog(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	b := make([]byte, 1<<20)
	for off := int64(0); err == nil; {
		var n int
		n, err = f.ReadAt(b, off)
		if n > 0 {
			if _, werr := f.WriteAt(b[:n], off); werr != nil {
				err = werr
			}
		}
		off += int64(n)
	}
	if errors.Is(err, io.EOF) {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("flush the write-ahead log: %w", err)
	}
	return nil
}

func openWriter(path string) (*sqlite3.Conn, error) {
	conn, err := openConn(path, "PRAGMA cache_size = -4096;")
	if err != nil {
		return nil, err
	}
	if err := conn.FollowLog(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// openFolder opens a connection that only folds the log, which takes no cache.
func openFolder(path string) (*sqlite3.Conn, error) {
	return openConn(path, "PRAGMA cache_size = -64;")
}

func openReader(path string) (*sqlite3.Conn, error) {
	// 4 MB hold most inner pages of the indexes of a million secrets; the rest comes
	// from the operating system's cache, at a system call a page. More would hold
	// rows as well, but every commit makes a reader forget them, and those read
	// often are kept above the store. Connections are taken last used first, so a
	// server that one or two of them keep up with pays for no more.
	return openConn(path, "PRAGMA cache_size = -4096; PRAGMA query_only = ON;")
}

func openConn(path, more string) (*sqlite3.Conn, error) {
	conn, err := sqlite3.Open(path)
	if err != nil {
		return nil, err
	}
	if err := conn.Script(pragmas + more); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// warnOpenDirectory logs when others may list the data directory. The files
// are private in any case, and narrowing a directory that the operator made,
// perhaps for more than us, is not ours to do.
func warnOpenDirectory(dir string, log *slog.Logger) {
	info, err := os.Stat(dir)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		log.Warn("data directory is open to others", slog.String("dir", dir), slog.String("mode", info.Mode().Perm().String()))
	}
}

// createPrivate makes the database file before SQLite would, which follows the
// umask; the log beside it inherits the mode. It is done under the lock and
// before the first connection: closing a descriptor of the file later would
// drop SQLite's own (POSIX) locks.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// lockDirectory keeps other processes out for as long as this one lives. The
// kernel drops the lock when the process dies, however that happens.
func lockDirectory(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder := make([]byte, 32)
		n, _ := f.ReadAt(holder, 0)
		f.Close()
		return nil, &hintError{
			err: fmt.Errorf("%w: %s, by process %q", ErrLocked, dir, strings.TrimSpace(string(holder[:n]))),
			hint: "stop the running server first, or use another data directory; " +
				"to change a running server, use its API",
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// The process number only serves the message above.
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return f, nil
}

// unlockDirectory lets others in. The lock is given up by name, since closing
// the file does that only once no other process has it open, and a child that
// was forked and has not come to its exec yet has a copy of every descriptor.
func unlockDirectory(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}

func (s *sqlite) name() string { return SQLite }

// ready loads the generations, and ends the leases of the processes before this
// one: the directory's lock proves them gone, so nobody need wait for the end of
// a lease that a killed process took. The epochs stay, for UnderLease.
func (s *sqlite) ready(ctx context.Context, _ func(context.Context) (bool, error)) error {
	defer s.disk.watch()
	err := s.write(ctx, func(t *txn) error {
		_, err := t.Exec(`UPDATE leases SET expires_at = 0 WHERE expires_at > 0`)
		return err
	})
	if err != nil {
		return err
	}
	return s.read(ctx, s.generations.load)
}

func (s *sqlite) generation(ctx context.Context, k generationKey) (int64, error) {
	if s.writer.closed() {
		return 0, ErrClosed
	}
	return s.generations.get(k), nil
}

func (s *sqlite) get(ctx context.Context, query string, args, dest []any) error {
	conn, err := s.readers.acquire(ctx)
	if err != nil {
		return s.disk.met(err)
	}
	defer s.readers.release(conn)
	if err := (sqliteRunner{conn}).queryRow(query, args, dest); err != nil {
		return s.disk.met(err)
	}
	return nil
}

// interruptEvery is the time between interrupts of a reader that was given up.
const interruptEvery = 5 * time.Millisecond

func (s *sqlite) read(ctx context.Context, fn func(*txn) error) (err error) {
	conn, err := s.readers.acquire(ctx)
	if err != nil {
		return s.disk.met(err)
	}
	run := sqliteRunner{conn}
	if _, err := run.exec("BEGIN DEFERRED", nil); err != nil {
		s.readers.discard(conn)
		return s.disk.met(err)
	}
	// A long scan stops when its caller has gone. AfterFunc costs no goroutine
	// until then. A statement that is just beginning misses an interrupt, so
	// interrupts are repeated until fn is through.
	through, interrupted := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		for {
			conn.Interrupt()
			select {
			case <-through:
				return
			case <-time.After(interruptEvery):
			}
		}
	})
	t := &txn{runner: run, now: transactionTime(s.now)}
	defer func() {
		hidden := t.end()
		close(through)
		if !stop() {
			<-interrupted
		}
		if err == nil {
			err = hidden
		}
		if e, ok := errors.AsType[*sqlite3.Error](err); ok && e.Primary() == sqlite3.Interrupt && ctx.Err() != nil {
			err = contextError(ctx)
		}
		err = s.disk.met(err)
		if _, e := run.exec("ROLLBACK", nil); e != nil {
			s.readers.discard(conn)
			return
		}
		s.readers.release(conn)
	}()
	return fn(t)
}

func (s *sqlite) write(ctx context.Context, fn func(*txn) error) error {
	return s.writer.write(ctx, fn)
}

func (s *sqlite) migrate(ctx context.Context, fn func(*txn, func(string) error) error) error {
	return s.writer.write(ctx, func(t *txn) error {
		return fn(t, func(text string) error { return t.note(s.writer.conn.Script(text)) })
	})
}

// scrubPause is the time between attempts to get past readers.
const scrubPause = 20 * time.Millisecond

func (s *sqlite) scrub(ctx context.Context) error {
	for {
		done, err := s.writer.truncateLog(ctx)
		if done || err != nil {
			return err
		}
		if err := pause(ctx, scrubPause); err != nil {
			return err
		}
	}
}

func (s *sqlite) ping(ctx context.Context) error {
	var one int64
	return s.get(ctx, "SELECT 1", nil, []any{&one})
}

func (s *sqlite) stats() Stats {
	st := s.writer.stats()
	st.Readers = int64(s.readers.inUse())
	s.disk.fill(&st)
	return st
}

// close ends the writer, which answers those that wait, then the readers, and
// lets the directory go last.
func (s *sqlite) close() error {
	if !s.writer.stop() {
		return nil
	}
	return errors.Join(s.readers.stop(), s.writer.closeConn(), s.image.close(), unlockDirectory(s.lock))
}

// clock is this process's: nobody else holds a lease in its directory.
func (s *sqlite) clock(tx Tx) (time.Time, error) { return tx.Now(), nil }
