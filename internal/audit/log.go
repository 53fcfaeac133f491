package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// Durability is what Record waits for.
type Durability int

const (
	// Written waits until the operating system has the record; it reaches the
	// disk within Config.SyncEvery. A killed process loses nothing, a power cut
	// at most that window.
	Written Durability = iota
	// Synced waits until the record is on disk; concurrent calls share a flush.
	Synced
	// Replicated waits until the record is in the database; concurrent calls share
	// a transaction. It asks for Config.Ship.
	Replicated
)

// Sealer wraps the node's signing key; the keyring is one.
type Sealer interface {
	Seal(purpose string, aad, plaintext []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}

// Store is the part of *store.DB that the log uses for itself.
type Store interface {
	Read(ctx context.Context, fn func(store.Tx) error) error
	Maintain(ctx context.Context, fn func(store.Tx) error) error
}

// Config is what Open needs. Fields without a word on a default are required.
type Config struct {
	// Dir holds the segments; it is made when missing.
	Dir string
	// Node names this node's chain: letters, digits, '-' and '_', at most 64.
	Node string
	// Account receives the records about the node itself.
	Account string
	Store   Store
	Sealer  Sealer
	// SegmentSize is in bytes; 0 means 64 MiB, the least is 256 KiB.
	SegmentSize int64
	Durability  Durability
	// Ship copies the chain to the database, at each HeadEvery: for databases that
	// several nodes share. Then the files are a spool. Without it they are all
	// there is.
	Ship bool
	// Spool is how many bytes of closed segments stay on disk once they have been
	// shipped; 0 means all.
	Spool int64
	// SyncEvery bounds how long a written record may stay off the disk; 0
	// means 200 ms.
	SyncEvery time.Duration
	// HeadEvery is how often a moved head is signed; 0 means one second.
	HeadEvery time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log receives what an operator must see; nil means slog.Default().
	Log *slog.Logger
	// Allocate preallocates segments; nil means fallocate, followed under
	// Synced by writing zeros, which makes lone flushes cheaper.
	Allocate Allocator
	// Fault is called at the named points of crash tests, in the goroutine
	// that passes them; nil in production. Points: FaultAfterReserve,
	// FaultBeforeAppend, FaultAfterAppend, FaultBeforeForget.
	Fault func(point string)
}

// The points at which Config.Fault is called.
const (
	// FaultAfterReserve: room is reserved, nothing has been done yet.
	FaultAfterReserve = "after-reserve"
	// FaultBeforeAppend: a change is committed with its pending record, the
	// chain does not have it yet.
	FaultBeforeAppend = "after-commit-before-append"
	// FaultAfterAppend: the chain has the record, the caller has no answer yet.
	FaultAfterAppend = "after-append-before-answer"
	// FaultBeforeForget: records are synced, their pending rows still there.
	FaultBeforeForget = "before-pending-delete"
	// FaultBeforeShip: records are to be shipped, the database has none of them.
	FaultBeforeShip = "before-ship"
	// FaultAfterShip: the database has the records, the log does not know it yet.
	FaultAfterShip = "after-ship"
)

const (
	defaultSegment = 64 << 20
	minSegment     = 256 << 10

	// ownRoom is kept free for the log's own records, so that a full disk can
	// still be recorded as such.
	ownRoom = 16 << 10
	// maxSpares bounds how much disk a burst of reservations may occupy.
	maxSpares = 64
	// allocRetry is how soon a failed allocation is tried again.
	allocRetry = time.Second
)

// The errors of reserving and appending.
var (
	// ErrNoRoom means that no room for a record could be reserved: the disk is
	// full. The call must not act.
	ErrNoRoom = errors.New("no room for audit records")
	// ErrClosed means that the log has been closed.
	ErrClosed = errors.New("audit log closed")
	// ErrStopped means that the disk failed a write or a flush: see Stopped.
	ErrStopped = errors.New("audit log stopped")
)

// Log is a node's open chain. Its methods may be called concurrently.
//
// Three locks, always taken in this order and each as short as its task: smu
// around flushes, wmu around writes, mu around the order of records. Whoever
// gets wmu writes for all that queued before, whoever gets smu flushes for all.
type Log struct {
	cfg   Config
	now   func() time.Time
	log   *slog.Logger
	key   ed25519.PrivateKey // cleared when the log is closed
	pub   ed25519.PublicKey
	lock  *os.File
	names *os.File // the directory, open so that a flush of it needs no further file
	found Recovery

	mu       sync.Mutex
	end      mark // the last ordered record
	prev     Hash // what the next line continues from
	cur      *segment
	spares   []*segment
	spareNo  uint64
	reserved int64
	batch    *batch
	calls    map[*wire.Call]*room
	intents  map[string]struct{} // event ids with a pending row
	settled  []settled           // of those, the ones in the chain
	doubts   []doubt             // of those, the ones that may not be there
	allocErr error
	noRoom   bool // a call was refused since a segment was made
	waiting  int
	changed  chan struct{} // closed when there is more room
	closed   bool

	wmu     sync.Mutex
	idle    *batch
	dirty   []dirty
	written mark

	smu    sync.Mutex
	synced mark
	done   []mark // last records of segments closed since the last head

	headMu sync.Mutex
	head   mark // newest signed

	shipMu  sync.Mutex // taken before all others
	spool   spool
	closing atomic.Bool

	writtenSeq, syncedSeq, shippedSeq atomic.Uint64
	failure                           atomic.Pointer[error]
	stopped                           chan struct{} // closed with the first failure
	unverified                        unverified
	stats                             counters

	kick chan struct{}
	stop chan struct{}
	wg   sync.WaitGroup
}

// mark is a place in the chain: the last record up to there and the segment,
// by its first sequence number, that holds it.
type mark struct {
	seq     uint64
	chain   Hash
	segment uint64
}

// Open opens or begins the node's chain: it mends a torn end, adds the records
// that a crash kept out of the chain, and writes a start record that says what
// was found. A chain that ends before its last signed head is continued behind
// that head, logged as an error and told by Recovered: the evidence stays as it
// is, and Verify reports it for ever.
func Open(ctx context.Context, c Config) (*Log, error) {
	l, err := newLog(c)
	if err != nil {
		return nil, err
	}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open audit log: %w", err), l.abandon())
	}
	l.wg.Go(l.syncLoop)
	l.wg.Go(l.keepHouse)
	return l, nil
}

func newLog(c Config) (*Log, error) {
	if !validNode(c.Node) {
		return nil, fmt.Errorf("open audit log: invalid node name %q", c.Node)
	}
	if c.Store == nil || c.Sealer == nil {
		return nil, errors.New("open audit log: store and sealer are required")
	}
	if c.Durability == Replicated && !c.Ship {
		return nil, errors.New("open audit log: records cannot be replicated without shipping them")
	}
	if c.SegmentSize == 0 {
		c.SegmentSize = defaultSegment
	}
	if c.SegmentSize < minSegment {
		return nil, fmt.Errorf("open audit log: segment size %d is below %d", c.SegmentSize, minSegment)
	}
	if c.SyncEvery <= 0 {
		c.SyncEvery = 200 * time.Millisecond
	}
	if c.HeadEvery <= 0 {
		c.HeadEvery = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Fault == nil {
		c.Fault = func(string) {}
	}
	if c.Allocate == nil {
		c.Allocate = reserve
		if c.Durability == Synced {
			c.Allocate = reserveFilled
		}
	}
	return &Log{
		cfg: c, now: c.Now, log: c.Log,
		batch: new(batch), idle: new(batch),
		calls: make(map[*wire.Call]*room), intents: make(map[string]struct{}),
		changed: make(chan struct{}), kick: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}, nil
}

// open does the work of Open, up to the log's own goroutines except the
// allocator, which reconciliation may already need.
func (l *Log) open(ctx context.Context) error {
	if err := os.MkdirAll(l.cfg.Dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(l.path(l.cfg.Node+lockSuffix), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	l.lock = lock
	if err := lockFile(lock); err != nil {
		return fmt.Errorf("node %s is in use by another process: %w", l.cfg.Node, err)
	}
	if l.names, err = os.Open(l.cfg.Dir); err != nil {
		return err
	}
	if l.key, err = l.loadKey(ctx); err != nil {
		return err
	}
	l.pub = ed25519.PublicKey(bytes.Clone(l.key[ed25519.SeedSize:]))
	if err := removeSpares(l.cfg.Dir, l.cfg.Node); err != nil {
		return err
	}
	var back restored
	if l.cfg.Ship {
		if err := l.takeEpoch(ctx); err != nil {
			return err
		}
		if back, err = l.restoreSpool(ctx); err != nil {
			return err
		}
	}
	files := l.Source()
	files.Copies = nil
	heads, err := files.load(ctx)
	if err != nil {
		return err
	}
	if l.found, err = recoverChain(ctx, files, heads); err != nil {
		return err
	}
	l.found.Restored, l.found.Shipped = back.records, back.shipped
	l.found.report(l.log)
	l.end, l.prev = mark{seq: l.found.first - 1, chain: l.found.prev}, l.found.prev
	spare, err := makeSpare(l.cfg.Dir, l.cfg.Node, 0, l.cfg.SegmentSize, l.cfg.Allocate)
	if err != nil {
		return err
	}
	l.spares = append(l.spares, spare)
	l.wg.Go(l.allocateSpares)
	l.mu.Lock()
	err = l.rotate()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	record, err := l.startRecord()
	if err != nil {
		return err
	}
	if err := l.appendOwn(record); err != nil {
		return err
	}
	if err := l.reconcile(ctx); err != nil {
		return err
	}
	// The database must know of this start before the first call is answered.
	if err := l.sync(0, true); err != nil {
		return err
	}
	if !l.cfg.Ship {
		return l.signHeads(ctx)
	}
	return l.shipStart(ctx)
}

// hand hands the database what it is due: the chain and its heads, or the heads
// alone.
func (l *Log) hand(ctx context.Context) error {
	if l.cfg.Ship {
		return l.ship(ctx)
	}
	return l.signHeads(ctx)
}

// abandon releases what a failed open holds.
func (l *Log) abandon() error {
	close(l.stop)
	l.wg.Wait()
	return l.release()
}

// release closes all files, removes the spares and forgets the key.
func (l *Log) release() error {
	var errs []error
	l.wmu.Lock()
	defer l.wmu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.dirty {
		if d.seg != l.cur {
			errs = append(errs, d.seg.f.Close())
		}
	}
	if l.cur != nil {
		errs = append(errs, l.cur.f.Close())
	}
	for _, s := range l.spares {
		errs = append(errs, s.f.Close())
	}
	l.dirty, l.cur, l.spares = nil, nil, nil
	l.headMu.Lock()
	clear(l.key)
	l.headMu.Unlock()
	if l.names != nil {
		errs = append(errs, l.names.Close())
	}
	if l.lock != nil {
		errs = append(errs, removeSpares(l.cfg.Dir, l.cfg.Node), unlockFile(l.lock), l.lock.Close())
	}
	return errors.Join(errs...)
}

// Close writes what is due, closes the segment with its trailer, signs the last
// head and releases the directory. Calls that are still running afterwards get
// ErrClosed.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.wakeLocked()
	l.mu.Unlock()
	close(l.stop)
	l.wg.Wait()
	errs := []error{l.flushUnverified()}
	l.mu.Lock()
	l.finish()
	l.close()
	l.cur = nil // its file is closed by the flush
	l.mu.Unlock()
	errs = append(errs, l.write(0, true), l.sync(0, true))
	l.closing.Store(true)
	errs = append(errs, l.hand(ctx), l.forgetPending(ctx), l.release())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close audit log: %w", err)
	}
	return nil
}

func (l *Log) path(name string) string { return filepath.Join(l.cfg.Dir, name) }

// syncLoop flushes twice in each SyncEvery, so that a record which just missed
// one flush is still covered in time by the next.
func (l *Log) syncLoop() {
	t := time.NewTicker(l.cfg.SyncEvery / 2)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-t.C:
			if err := l.sync(0, true); err != nil {
				return // Stopped has told.
			}
		}
	}
}

// keepHouse ships, signs heads, deletes settled pending rows and writes the minute's
// count of unverified requests. A database that does not answer delays them, which
// the log tells once, and when it is over.
func (l *Log) keepHouse() {
	t := time.NewTicker(l.cfg.HeadEvery)
	defer t.Stop()
	behind := false
	for {
		select {
		case <-l.stop:
			return
		case <-t.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), shipTime)
		err := errors.Join(l.hand(ctx), l.settleDoubts(ctx), l.forgetPending(ctx), l.removeShipped(ctx))
		cancel()
		if l.unverified.due(l.now()) {
			err = errors.Join(err, l.flushUnverified())
		}
		switch {
		case err != nil && !behind:
			l.log.Error("audit housekeeping is behind", "err", err)
		case err == nil && behind:
			l.log.Info("audit housekeeping has caught up")
		}
		behind = err != nil
	}
}

// fail stops the log: after a failed write or flush nothing is known of what
// the disk holds (a second fsync may succeed without having written), so every
// later call is refused and the next start looks at the files afresh.
func (l *Log) fail(err error) error {
	l.stopFor(err)
	l.mu.Lock()
	l.wakeLocked()
	l.mu.Unlock()
	return fmt.Errorf("%w: %w", ErrStopped, err)
}

// stopFor notes the first failure.
func (l *Log) stopFor(err error) {
	if l.failure.CompareAndSwap(nil, &err) {
		l.log.Error("the audit log has stopped, and no call is answered without its record", "dir", l.cfg.Dir, "err", err)
		close(l.stopped)
	}
}

func (l *Log) failed() error {
	if p := l.failure.Load(); p != nil {
		return fmt.Errorf("%w: %w", ErrStopped, *p)
	}
	return nil
}

// Stopped is closed when the disk has failed a write or a flush of the log. No call
// is answered any more then; a new start mends the log and goes on.
func (l *Log) Stopped() <-chan struct{} { return l.stopped }

// Err is why the log has stopped, or nil.
func (l *Log) Err() error { return l.failed() }
