package store

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/strongroom/strongroom/internal/store/sqlite3"
)

const (
	// diskRetry is how often a disk that took no change is tried again.
	diskRetry = 500 * time.Millisecond
	// diskTell is how often the log speaks of errors that come and go.
	diskTell = time.Minute
)

// disk is what is known of the disk under SQLite. From when it does not take a
// change until it takes one of the writer's own, changes are refused at once; reads
// go on for as long as they succeed.
//
// Its one invariant: the log has one line for each change of state, and one a
// minute for what is no state.
type disk struct {
	log *slog.Logger
	dir string

	down            atomic.Bool // what outage looks at first
	errors, damaged atomic.Int64

	mu      sync.Mutex
	watched bool
	cause   error
	since   time.Time
	trouble diskTrouble
	outages int64
	// last is what was last met that is no state, told when the log spoke of it.
	last string
	told map[string]time.Time
}

func newDisk(dir string, log *slog.Logger) *disk {
	return &disk{dir: dir, log: log, told: make(map[string]time.Time)}
}

// diskTrouble is what is wrong and what to do about it, in words.
type diskTrouble struct{ what, hint string }

func (t diskTrouble) String() string { return t.what + "; " + t.hint }

var (
	diskFull     = diskTrouble{"the disk is full", "free space in the data directory's file system: changes are then taken again by themselves"}
	diskReadOnly = diskTrouble{"the disk is read-only", "look into the system's log for why it became so, and make it writable: changes are then taken again by themselves"}
	diskFailing  = diskTrouble{"the disk gives errors", "look into the system's log, and move the data to another disk if they go on; \"strongroom check\" says whether anything is damaged"}
	noFiles      = diskTrouble{"no more files can be opened", "let the process have more (LimitNOFILE), or bound its connections (limits.connections)"}
	// SQLite says the same of a page that the disk does not read.
	diskDamaged = diskTrouble{"the database is damaged, or its disk cannot read it", "look into the system's log for errors of the disk; \"strongroom check\" says what is concerned; restore a backup onto a sound disk"}
)

// asDiskTrouble says what is wrong with the disk by an error of SQLite.
func asDiskTrouble(err error) (t diskTrouble, ok bool) {
	e, ok := errors.AsType[*sqlite3.Error](err)
	if !ok {
		return t, false
	}
	switch {
	case e.Primary() == sqlite3.Corrupt || e.Primary() == sqlite3.NoDatabase:
		return diskDamaged, true
	case e.Primary() == sqlite3.Full || e.System == syscall.ENOSPC || e.System == syscall.EDQUOT:
		return diskFull, true
	case e.Primary() == sqlite3.ReadOnly || e.System == syscall.EROFS:
		return diskReadOnly, true
	case e.System == syscall.EMFILE || e.System == syscall.ENFILE:
		return noFiles, true
	case e.Primary() == sqlite3.IO || e.Primary() == sqlite3.CantOpen:
		return diskFailing, true
	}
	return t, false
}

// unflushed says that bytes were written that the disk may not have.
func unflushed(err error) bool {
	e, ok := errors.AsType[*sqlite3.Error](err)
	return ok && e.Code == sqlite3.IOFlush
}

// stopsChanges says whether an error is of writing: one of reading, or of damage,
// concerns some page, and other changes go on.
func stopsChanges(err error) bool {
	e, ok := errors.AsType[*sqlite3.Error](err)
	if !ok {
		return false
	}
	t, ok := asDiskTrouble(err)
	return ok && t != diskDamaged && e.Code != sqlite3.IORead && e.Code != sqlite3.IOShortRead
}

// watch begins: before, a failure is the start's, which ends with it.
func (d *disk) watch() {
	d.mu.Lock()
	d.watched = true
	d.mu.Unlock()
}

// outage returns why changes are refused, or nil.
func (d *disk) outage() error {
	if !d.down.Load() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cause == nil {
		return nil
	}
	return unavailable(d.cause)
}

// failed notes an error of a change and reports whether it stops all changes.
func (d *disk) failed(err error) bool {
	if !stopsChanges(err) {
		return false
	}
	t, _ := asDiskTrouble(err)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.watched {
		return true
	}
	if d.cause == nil {
		d.since = time.Now()
		d.outages++
	}
	if d.cause == nil || t != d.trouble {
		d.log.Error("changes are refused: "+t.what, slog.String("dir", d.dir), slog.Any("error", err), slog.String("hint", t.hint))
	}
	d.cause, d.trouble = err, t
	d.down.Store(true)
	return true
}

// works notes that the disk took a change.
func (d *disk) works() {
	if !d.down.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log.Info("changes are taken again", slog.Duration("after", time.Since(d.since).Round(time.Millisecond)))
	d.cause = nil
	d.down.Store(false)
}

// met turns an error that a call met into what it is to the caller.
func (d *disk) met(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknown) || errors.Is(err, ErrDamaged) {
		return err
	}
	t, ok := asDiskTrouble(err)
	if !ok {
		return err
	}
	d.tell(t, err)
	if t == diskDamaged {
		d.damaged.Add(1)
		return &damagedError{err}
	}
	d.errors.Add(1)
	return unavailable(err)
}

// unfolded notes that the log could not be moved into the database. It is kept, and
// nothing is lost; it only grows.
func (d *disk) unfolded(err error) {
	t, ok := asDiskTrouble(err)
	if !ok {
		d.log.Warn("the write-ahead log cannot be moved into the database; it is kept and tried again", slog.Any("error", err))
		return
	}
	d.errors.Add(1)
	d.tell(t, err)
}

// tell logs what is no state, once a minute.
func (d *disk) tell(t diskTrouble, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = t.String()
	if d.cause != nil || time.Since(d.told[t.what]) < diskTell {
		return
	}
	d.told[t.what] = time.Now()
	d.log.Error(t.what, slog.String("dir", d.dir), slog.Any("error", err), slog.String("hint", t.hint))
}

// startError adds to an error of the start what to do about it.
func (d *disk) startError(err error) error {
	t, ok := asDiskTrouble(err)
	if n, is := errors.AsType[syscall.Errno](err); is && !ok {
		t, ok = map[syscall.Errno]diskTrouble{
			syscall.ENOSPC: diskFull, syscall.EDQUOT: diskFull, syscall.EROFS: diskReadOnly, syscall.EIO: diskFailing, syscall.EMFILE: noFiles,
		}[n]
	}
	if ok {
		return &hintError{err, t.String()}
	}
	return err
}

// fill adds to the store's counters.
func (d *disk) fill(s *Stats) {
	s.DiskErrors, s.Damaged = d.errors.Load(), d.damaged.Load()
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Outages, s.Trouble = d.outages, d.last
	if d.cause != nil {
		s.DownSince, s.Trouble = d.since, d.trouble.String()
	}
}

// damagedError makes err an ErrDamaged.
type damagedError struct{ err error }

func (e *damagedError) Error() string        { return e.err.Error() }
func (e *damagedError) Unwrap() error        { return e.err }
func (e *damagedError) Is(target error) bool { return target == ErrDamaged }
