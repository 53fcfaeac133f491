package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// This file is the life of a PostgreSQL transaction:
//
//  1. begin, serializable;
//  2. run the function;
//  3. in one message, insert the marker (a row named by a random number) and
//     commit;
//  4. on 40001 or 40P01 the whole function runs again after a pause, and so it
//     does when the connection breaks before step 3 was sent, or leads to a
//     standby: then nothing was committed;
//  5. if the connection breaks after step 3 was sent, the marker tells: see
//     resolve.

var (
	// errNotSent says that the connection broke before the commit was sent.
	errNotSent = errors.New("store: commit was not sent")
	// errVoided says that a lost commit did not happen and never will.
	errVoided = errors.New("store: commit did not happen")
	// errNotCommitted says that the server answered a commit with a rollback.
	errNotCommitted = errors.New("store: transaction was rolled back at commit")
	// errNotReplicated says that the server committed without waiting for its
	// synchronous standby, as one does whose wait is cancelled by an operator
	// or by its own shutdown. It answers with a warning and success. The next
	// primary may know nothing of such a commit.
	errNotReplicated = errors.New("store: the database server warned that it may have committed on itself alone")
)

const (
	beginWrite = "begin isolation level serializable"
	beginRead  = "begin isolation level repeatable read, read only"

	insertMarker = `INSERT INTO store_commits (id, at, committed) VALUES ($1, $2, TRUE)`
	voidMarker   = `INSERT INTO store_commits (id, at, committed) VALUES ($1, $2, FALSE)
		ON CONFLICT (id) DO UPDATE SET at = excluded.at RETURNING committed`
)

// write runs fn until it is committed or fails for good.
func (p *postgres) write(ctx context.Context, fn func(*txn) error) error {
	return p.again(ctx, func() error {
		return p.attempt(ctx, beginWrite, fn, p.commitMarked)
	})
}

func (p *postgres) read(ctx context.Context, fn func(*txn) error) error {
	return p.again(ctx, func() error {
		return p.attempt(ctx, beginRead, fn, commitPlain)
	})
}

// migrate commits without a marker: the table of markers is itself made by a
// migration, and a migration that was committed unnoticed is found as applied.
func (p *postgres) migrate(ctx context.Context, fn func(*txn, func(string) error) error) error {
	return p.attempt(ctx, beginWrite, func(t *txn) error {
		conn := t.runner.(postgresRunner).conn
		script := func(text string) error {
			_, err := conn.PgConn().Exec(ctx, collate(text)).ReadAll()
			return t.note(err)
		}
		// Changing a large table may take longer than a call may. The connection
		// is not used for anything else.
		conn.link.limit, conn.expires = 0, time.Time{}
		if err := script("SET LOCAL statement_timeout = 0"); err != nil {
			return err
		}
		return fn(t, script)
	}, commitPlain)
}

// again repeats attempt while the database asks for it, with growing, jittered
// pauses so that those who collided do not collide again in step.
func (p *postgres) again(ctx context.Context, attempt func() error) error {
	limit := time.Millisecond
	for n := 1; ; n++ {
		err := attempt()
		switch {
		case err == nil || !retriable(err):
			return err
		case n == maxAttempts:
			return unavailable(fmt.Errorf("tried %d times: %w", n, err))
		}
		p.retries.Add(1)
		if pause(ctx, rand.N(limit)) != nil {
			return err
		}
		limit = min(2*limit, 250*time.Millisecond)
	}
}

type commitFunc func(ctx context.Context, conn *postgresConn, now time.Time) error

// attempt runs fn once in a transaction of its own.
func (p *postgres) attempt(ctx context.Context, begin string, fn func(*txn) error, commit commitFunc) error {
	conn, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	defer p.release(conn)
	if _, err := conn.Exec(ctx, begin); err != nil {
		if sqlState(err) == stateNotSupported { // serializable, on a standby
			p.leave(conn)
		}
		return p.unsent(ctx, conn, postgresError(ctx, err))
	}
	t := &txn{runner: postgresRunner{ctx, conn}, now: transactionTime(p.now)}
	committing := false
	defer func() {
		if !committing {
			t.end() // a panic has left rows open
			rollback(ctx, conn)
			if begin == beginWrite {
				p.rollbacks.Add(1)
			}
		}
	}()
	if begin == beginRead {
		// A reader's panic goes on to the caller, as on SQLite.
		err = fn(t)
		if hidden := t.end(); hidden != nil && (err == nil || retriable(hidden)) {
			err = hidden
		}
	} else {
		err = protect(t, fn, func(e *PanicError) { logPanic(p.log, e) })
	}
	if err != nil {
		if begin == beginWrite && sqlState(t.failed) == stateReadOnly {
			p.leave(conn)
		}
		return p.unsent(ctx, conn, err)
	}
	committing = true
	return commit(ctx, conn, t.now)
}

// leave closes a connection to a server that takes no writes.
func (p *postgres) leave(conn *postgresConn) {
	p.primary.lost(conn.host)
	conn.abandon()
}

// unsent marks the error of a transaction whose connection broke before the
// commit was sent: nothing of it is there, and another connection may do it.
func (p *postgres) unsent(ctx context.Context, conn *postgresConn, err error) error {
	if err == nil || !conn.IsClosed() || ctx.Err() != nil {
		return err
	}
	p.health.broke(err)
	return fmt.Errorf("%w: %w", errNotSent, err)
}

// rollback ends the transaction, or else the connection, even if ctx is over.
func rollback(ctx context.Context, conn *postgresConn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, "rollback"); err != nil {
		conn.Close(ctx)
	}
}

// commitPlain commits what need not be looked for if the answer is lost.
func commitPlain(ctx context.Context, conn *postgresConn, _ time.Time) error {
	tag, err := conn.Exec(ctx, "commit")
	if err != nil {
		conn.Close(context.WithoutCancel(ctx))
		return postgresError(ctx, err)
	}
	return committed(tag)
}

// committed tells a commit from the rollback that PostgreSQL makes of it when
// the transaction had failed.
func committed(tag pgconn.CommandTag) error {
	if tag.String() != "COMMIT" {
		return errNotCommitted
	}
	return nil
}

// commitMarked commits together with a marker and returns nil if and only if
// the transaction is committed. From here on the caller's ctx does not count:
// what was sent can't be called back, so its outcome is awaited.
func (p *postgres) commitMarked(ctx context.Context, conn *postgresConn, now time.Time) error {
	ctx = context.WithoutCancel(ctx)
	id := randomID()
	conn.link.warned.Store(false)
	conn.link.committing.Store(true)
	err := sendCommit(ctx, conn, id, now)
	if err == nil && conn.link.warned.Load() {
		err = errNotReplicated
	}
	if err == nil {
		conn.link.committing.Store(false)
		p.commits.Add(1)
		return nil
	}
	if decided(err) {
		conn.link.committing.Store(false)
		rollback(ctx, conn)
		p.rollbacks.Add(1)
		return err
	}
	conn.abandon()
	p.health.broke(err)
	if pgconn.SafeToRetry(err) {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	p.lost.Add(1)
	p.log.Warn("answer to a commit was lost, looking for its marker", slog.Any("error", err))
	if err := p.resolve(ctx, id, now); err != nil {
		p.rollbacks.Add(1)
		return err
	}
	p.commits.Add(1)
	return nil
}

func sendCommit(ctx context.Context, conn *postgresConn, id string, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	batch := &pgx.Batch{}
	batch.Queue(insertMarker, id, now.UnixMicro())
	batch.Queue("commit")
	results := conn.SendBatch(ctx, batch)
	_, err := results.Exec()
	var tag pgconn.CommandTag
	if err == nil {
		tag, err = results.Exec()
	}
	if closing := results.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return committed(tag)
}

// decided reports whether an error of a commit says for certain that nothing
// was committed: the server must have answered that the statement failed. A
// connection it ends (FATAL), and the two codes for not knowing, do not say so.
func decided(err error) bool {
	if errors.Is(err, errNotCommitted) {
		return true
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.SeverityUnlocalized == "ERROR" &&
		e.Code != stateCompletionUnknown && e.Code != stateResolutionUnknown
}

// resolve finds out on another connection whether the commit with marker id
// happened: nil if so, errVoided if it did not and will not.
//
// Looking for the row is not enough: the lost commit may still be under way on
// the server. So we insert the row ourselves, as void. The unique index lets
// only one in: either ours waits for the lost transaction and finds its row
// there, or ours is first and the lost one can't be committed any more. Doing
// it twice is harmless, since the row says whose it is.
//
// A row that is there is written again: a primary may have committed it without
// its synchronous standby, because it was killed while it waited for that, and
// may be gone for good a moment later. A commit of our own that the standby has
// means that it has everything before it, too.
func (p *postgres) resolve(ctx context.Context, id string, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	limit := 10 * time.Millisecond
	for {
		happened, err := p.lookUp(ctx, id, now)
		switch {
		case err == nil && happened:
			return nil
		case err == nil:
			return errVoided
		}
		if pause(ctx, rand.N(limit)) != nil {
			return fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		limit = min(2*limit, time.Second)
	}
}

func (p *postgres) lookUp(ctx context.Context, id string, now time.Time) (happened bool, err error) {
	// A primary that was cut off from its standbys answers nothing, and another
	// may have taken its place by the next time.
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	// Not from the pool: its slots may all be held by those who look, too.
	conn, err := p.pool.open(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		if err != nil {
			conn.abandon()
		}
		p.pool.close(conn)
	}()
	conn.link.committing.Store(true)
	err = conn.QueryRow(ctx, voidMarker, id, now.UnixMicro()).Scan(&happened)
	if err == nil && conn.link.warned.Load() {
		err = errNotReplicated
	}
	return happened, err
}

// postgresRunner runs statements in the open transaction of one connection.
type postgresRunner struct {
	ctx  context.Context
	conn *postgresConn
}

func (r postgresRunner) queryRow(query string, args, dest []any) error {
	return postgresError(r.ctx, r.conn.QueryRow(r.ctx, query, args...).Scan(dest...))
}

func (r postgresRunner) exec(query string, args []any) (int64, error) {
	tag, err := r.conn.Exec(r.ctx, query, args...)
	return tag.RowsAffected(), postgresError(r.ctx, err)
}

func (r postgresRunner) query(query string, args []any) (cursor, error) {
	rows, err := r.conn.Query(r.ctx, query, args...)
	if err != nil {
		return nil, postgresError(r.ctx, err)
	}
	return &postgresCursor{r.ctx, rows}, nil
}

type postgresCursor struct {
	ctx  context.Context
	rows pgx.Rows
}

func (c *postgresCursor) next() (bool, error) {
	if c.rows.Next() {
		return true, nil
	}
	return false, postgresError(c.ctx, c.rows.Err())
}

func (c *postgresCursor) scan(dest []any) error {
	return postgresError(c.ctx, c.rows.Scan(dest...))
}

func (c *postgresCursor) close() { c.rows.Close() }
