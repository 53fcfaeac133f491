package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/internal/store/sqlite3"
)

const (
	// maxBatch bounds how many callers share a commit: the flush is shared out
	// far enough by then, and the first of them should not wait much longer.
	maxBatch = 64
	// truncateEvery is how often the log is emptied when something was
	// written, so that old pages do not stay in it on a quiet server.
	truncateEvery = time.Minute
	// truncateWait is how long emptying the log may wait for readers. Writes
	// wait with it, so it is short, and tried again later.
	truncateWait = 100 * time.Millisecond
	// foldFrames is how long the log may become before it is folded into the
	// database: 16 MB. Pages that are written again meanwhile, as those of the
	// indexes and of the pending audit records are, are folded once for all.
	foldFrames = 4000
	// busyWait is the connection's usual patience, see pragmas.
	busyWait = 5 * time.Second
)

// writer is the one goroutine that changes the SQLite file. It takes the
// changes that wait, runs each in a savepoint of one transaction, commits, and
// only then answers all: so they share one flush to disk.
type writer struct {
	path        string
	conn        *sqlite3.Conn
	generations *generations
	now         func() time.Time
	log         *slog.Logger
	disk        *disk
	follower    Follower // nil when nobody follows the log

	// queue has no buffer: a caller that gives up is simply no longer there,
	// and none is left behind at the end.
	queue     chan *change
	truncates chan chan truncated
	folds     chan chan truncated
	quit      chan struct{}
	quitOnce  sync.Once
	stopped   chan struct{}

	// foldNext is the length of the log at which it is folded next.
	foldNext int64
	// ahead says that a folder is at work beside the writer, which sends on
	// folded when it is through.
	ahead  bool
	folded chan error

	// dirty says that something was committed since the log was last emptied.
	dirty bool

	waiting, commits, batches, rollbacks atomic.Int64

	onChange atomic.Pointer[func(keys []string)]
}

// change is one caller's function on its way through the writer.
type change struct {
	ctx    context.Context
	fn     func(*txn) error
	bumps  []bump
	keys   []string
	err    error
	result chan error
}

type truncated struct {
	done bool
	err  error
}

func newWriter(conn *sqlite3.Conn, path string, g *generations, d *disk, c Config) *writer {
	return &writer{
		path: path, conn: conn, generations: g, now: c.Now, log: c.Log, disk: d, follower: c.Follower, foldNext: foldFrames,
		queue:     make(chan *change),
		truncates: make(chan chan truncated),
		folds:     make(chan chan truncated),
		folded:    make(chan error, 1),
		quit:      make(chan struct{}),
		stopped:   make(chan struct{}),
	}
}

// write hands fn to the writer and waits for its outcome.
func (w *writer) write(ctx context.Context, fn func(*txn) error) error {
	if err := contextError(ctx); err != nil {
		return err
	}
	if w.closed() {
		return ErrClosed
	}
	if err := w.disk.outage(); err != nil {
		return err
	}
	c := &change{ctx: ctx, fn: fn, result: make(chan error, 1)}
	w.waiting.Add(1)
	select {
	case w.queue <- c:
		w.waiting.Add(-1)
	case <-w.quit:
		w.waiting.Add(-1)
		return ErrClosed
	case <-ctx.Done():
		w.waiting.Add(-1)
		return contextError(ctx)
	}
	return <-c.result
}

// truncateLog empties the log and reports whether no reader was in the way.
func (w *writer) truncateLog(ctx context.Context) (bool, error) {
	return w.ask(ctx, w.truncates)
}

// foldLog moves the log into the database and reports whether all of it was.
func (w *writer) foldLog(ctx context.Context) (bool, error) {
	return w.ask(ctx, w.folds)
}

func (w *writer) ask(ctx context.Context, what chan chan truncated) (bool, error) {
	answer := make(chan truncated, 1)
	select {
	case what <- answer:
	case <-w.quit:
		return false, ErrClosed
	case <-ctx.Done():
		return false, contextError(ctx)
	}
	t := <-answer
	return t.done, t.err
}

func (w *writer) closed() bool {
	select {
	case <-w.quit:
		return true
	default:
		return false
	}
}

// stop makes the writer finish what it has begun and reports whether this call
// was the first to ask.
func (w *writer) stop() bool {
	first := false
	w.quitOnce.Do(func() {
		first = true
		close(w.quit)
	})
	<-w.stopped
	return first
}

// closeConn empties the log, so that a stopped store is one file, and closes.
// A log that can't be emptied is no loss: the next Open reads it.
func (w *writer) closeConn() error {
	w.awaitFolder()
	if _, err := w.truncate(); err != nil {
		w.log.Warn("empty log on close", slog.Any("error", err))
	}
	return w.conn.Close()
}

func (w *writer) stats() Stats {
	return Stats{
		Waiting:   w.waiting.Load(),
		Commits:   w.commits.Load(),
		Batches:   w.batches.Load(),
		Rollbacks: w.rollbacks.Load(),
	}
}

func (w *writer) loop() {
	var batch []*change
	finished := false
	// A function that ends its goroutine (testing.T.FailNow does) takes this
	// one with it. The others in its batch were not committed; the writer goes
	// on in a new goroutine.
	defer func() {
		if finished {
			close(w.stopped)
			return
		}
		w.fail(batch, &PanicError{})
		go w.loop()
	}()

	tick := time.NewTicker(truncateEvery)
	defer tick.Stop()
	for {
		var try <-chan time.Time // Never, while all is well.
		if w.disk.outage() != nil {
			try = time.After(diskRetry)
		}
		select {
		case <-try:
			w.tryDisk()
		case <-w.quit:
			finished = true
			return
		case first := <-w.queue:
			batch = w.gather(append(batch[:0], first))
			w.run(batch)
			clear(batch)
			w.foldWhenLong()
		case answer := <-w.truncates:
			done, err := w.truncate()
			answer <- truncated{done, err}
		case answer := <-w.folds:
			done, err := w.fold("PASSIVE")
			answer <- truncated{done, err}
		case err := <-w.folded:
			w.foldRest(err)
		case <-tick.C:
			if !w.dirty {
				continue
			}
			if _, err := w.truncate(); err != nil {
				w.disk.unfolded(err)
			}
		}
	}
}

// tryDisk makes a commit that changes nothing. What a commit that failed has left
// in the log is overwritten by it, so that it never comes back.
func (w *writer) tryDisk() bool {
	err := w.exec("BEGIN IMMEDIATE")
	if err == nil {
		// A row that comes and goes, or there would be nothing to flush.
		err = w.exec(`INSERT OR REPLACE INTO store_commits (id, at, committed) VALUES ('disk', 0, FALSE)`)
	}
	if err == nil {
		err = w.exec(`DELETE FROM store_commits WHERE id = 'disk'`)
	}
	if err == nil {
		err = w.exec("COMMIT")
	}
	if err != nil {
		w.rollback()
		w.disk.failed(err)
		return false
	}
	w.dirty = true
	if w.follower != nil {
		w.follower.Committed(w.conn.Logged())
	}
	w.disk.works()
	return true
}

// gather adds the changes that wait already. It gives the callers that the
// last commit has just released one chance to come back first: without it
// they would miss this commit and share every second one only.
func (w *writer) gather(batch []*change) []*change {
	yielded := false
	for len(batch) < maxBatch {
		select {
		case c := <-w.queue:
			batch = append(batch, c)
			continue
		default:
		}
		if yielded {
			break
		}
		yielded = true
		runtime.Gosched()
	}
	return batch
}

// run executes a batch in one transaction and answers everybody in it.
func (w *writer) run(batch []*change) {
	if err := w.disk.outage(); err != nil {
		w.fail(batch, err)
		return
	}
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		w.fail(batch, w.broken(fmt.Errorf("begin: %w", err)))
		return
	}
	good := 0
	for _, c := range batch {
		if c.err = contextError(c.ctx); c.err != nil {
			continue
		}
		if err := w.runOne(c); err != nil {
			// The transaction itself is broken, and with it what came before.
			w.fail(batch, w.broken(err))
			return
		}
		if c.err == nil {
			good++
		}
	}
	if good == 0 {
		w.rollback()
		w.answer(batch)
		return
	}
	if err := w.exec("COMMIT"); err != nil {
		w.fail(batch, w.broken(fmt.Errorf("commit: %w", err)))
		return
	}
	w.dirty = true
	if w.follower != nil {
		w.follower.Committed(w.conn.Logged())
	}
	w.commits.Add(int64(good))
	w.batches.Add(1)
	// After the commit and before the first answer: whoever begins to read
	// after any of these callers was told of success sees the new generations.
	for _, c := range batch {
		if c.err == nil {
			w.generations.apply(c.bumps)
		}
	}
	w.tell(batch)
	w.answer(batch)
}

// broken is what callers get for an error that ended the transaction. Of a commit
// that could not be flushed the system may still show everything, and a restart
// would take it for committed: so it is overwritten at once, or else its outcome is
// not known.
func (w *writer) broken(err error) error {
	w.rollback()
	down := w.disk.failed(err)
	if !down {
		return w.disk.met(err)
	}
	if w.tryDisk() || !unflushed(err) {
		return unavailable(err)
	}
	return fmt.Errorf("%w: %w", ErrUnknown, err)
}

// tell says what has changed to those who cache it.
func (w *writer) tell(batch []*change) {
	listen := w.onChange.Load()
	if listen == nil {
		return
	}
	for _, c := range batch {
		if c != nil && len(c.keys) > 0 {
			(*listen)(c.keys)
		}
	}
}

// runOne runs one change in its savepoint and puts its error into the change.
// The error it returns is of the whole transaction.
func (w *writer) runOne(c *change) error {
	if err := w.exec("SAVEPOINT change"); err != nil {
		return err
	}
	t := &txn{runner: sqliteRunner{w.conn}, now: transactionTime(w.now)}
	c.err = protect(t, c.fn, func(p *PanicError) { logPanic(w.log, p) })
	c.bumps, c.keys = t.bumps, t.changed
	if !w.conn.InTransaction() {
		// SQLite gave up the transaction by itself: disk full, I/O error.
		return errors.Join(errors.New("transaction was rolled back"), c.err)
	}
	if c.err != nil {
		if err := w.exec("ROLLBACK TO change"); err != nil {
			return err
		}
	}
	return w.exec("RELEASE change")
}

// fail rolls back and gives err to everybody in the batch who has no error yet.
func (w *writer) fail(batch []*change, err error) {
	w.rollback()
	// A commit that failed has most likely changed nothing; whoever caches need
	// not rely on it.
	w.tell(batch)
	for _, c := range batch {
		if c != nil && c.err == nil {
			c.err = err
		}
	}
	w.answer(batch)
}

func (w *writer) answer(batch []*change) {
	for _, c := range batch {
		if c == nil {
			continue
		}
		if c.err != nil {
			w.rollbacks.Add(1)
		}
		c.result <- w.disk.met(c.err)
	}
}

// rollback ends the transaction if there is one. Should even that fail, a new
// connection starts from what is committed.
func (w *writer) rollback() {
	if !w.conn.InTransaction() {
		return
	}
	err := w.exec("ROLLBACK")
	if err == nil && !w.conn.InTransaction() {
		return
	}
	if w.disk.outage() == nil {
		w.log.Error("roll back", slog.Any("error", err))
	}
	conn, err := openWriter(w.path)
	if err != nil {
		w.disk.failed(err)
		return
	}
	w.conn.Close()
	w.conn = conn
}

func (w *writer) exec(text string) error {
	_, err := sqliteRunner{w.conn}.exec(text, nil)
	return err
}

// truncate moves the log into the database file and cuts it to nothing. It
// reports false when a reader of an older snapshot was in the way.
func (w *writer) truncate() (bool, error) {
	if err := w.patience(truncateWait); err != nil {
		return false, err
	}
	done, err := w.fold("TRUNCATE")
	if err := errors.Join(err, w.patience(busyWait)); err != nil {
		return false, err
	}
	if done {
		w.dirty = false
	}
	return done, nil
}

// fold moves the log into the database, and reports whether no reader of an older
// snapshot kept a part of it.
func (w *writer) fold(mode string) (bool, error) {
	w.awaitFolder()
	if w.follower != nil && !w.follower.Fold() {
		return false, nil
	}
	var busy, logged, moved int64
	if err := (sqliteRunner{w.conn}).queryRow("PRAGMA wal_checkpoint("+mode+")", nil, []any{&busy, &logged, &moved}); err != nil {
		return false, fmt.Errorf("checkpoint: %w", err)
	}
	whole := busy == 0 && logged == moved
	if w.follower != nil {
		w.follower.Folded(whole)
	}
	return whole, nil
}

// foldWhenLong folds a log that has become long. The callers of the last commit
// have their answers already; those of the next ones wait only for the little
// that comes in while a folder does most of the work beside the writer. A
// follower must be asked before any of it, so with one the writer does all.
func (w *writer) foldWhenLong() {
	logged := w.conn.Logged()
	if logged < w.foldNext-foldFrames {
		w.foldNext = foldFrames // It begins anew since the last fold.
	}
	if logged < w.foldNext || w.ahead {
		return
	}
	// Where a reader is in the way the log grows on: not again after each commit.
	w.foldNext = logged + foldFrames
	if w.follower == nil {
		w.ahead = true
		go func() { w.folded <- foldAhead(w.path) }()
		return
	}
	if _, err := w.fold("PASSIVE"); err != nil {
		w.disk.unfolded(err)
	}
}

// foldAhead folds what the log of the database at path holds now, on a connection
// of its own, while others read and write.
func foldAhead(path string) error {
	conn, err := openFolder(path)
	if err != nil {
		return err
	}
	var busy, logged, moved int64
	err = sqliteRunner{conn}.queryRow("PRAGMA wal_checkpoint(PASSIVE)", nil, []any{&busy, &logged, &moved})
	return errors.Join(err, conn.Close())
}

// foldRest folds what was written while the folder was at work: only when nothing
// is left does the log begin anew.
func (w *writer) foldRest(err error) {
	w.ahead = false
	if err == nil {
		_, err = w.fold("PASSIVE")
	}
	if err != nil {
		w.disk.unfolded(err)
	}
}

// awaitFolder returns when no folder is at work: SQLite lets only one fold.
func (w *writer) awaitFolder() {
	if !w.ahead {
		return
	}
	if err := <-w.folded; err != nil {
		w.disk.unfolded(err)
	}
	w.ahead = false
}

func (w *writer) patience(d time.Duration) error {
	return w.conn.Script(fmt.Sprintf("PRAGMA busy_timeout = %d", d.Milliseconds()))
}

// logPanic reports a panic with its stack. Its value is shown only if the
// runtime made it (index out of range and the like): any other may carry data.
func logPanic(log *slog.Logger, p *PanicError) {
	attrs := []any{slog.String("stack", string(p.Stack))}
	if e, ok := p.Value.(runtime.Error); ok {
		attrs = append(attrs, slog.Any("error", e))
	}
	log.Error(p.Error(), attrs...)
}
