// Package store is the engine under all slices: one SQL text, two databases.
// With a directory it is SQLite, opened by this process alone; with a URL it is
// PostgreSQL (or what speaks its protocol), shared by many nodes. Slices hold
// their SQL; this package owns begin, commit, rollback, retry, migrations,
// generations and leases.
//
// # Writing SQL for it
//
// Parameters are $1, $2, … (repeatable, in any order). Types are TEXT, BIGINT,
// BYTEA, BOOLEAN; times are microseconds since 1970 in BIGINT. ON CONFLICT … DO
// UPDATE … WHERE, RETURNING, partial indexes and row values behave alike.
// Text compares bytewise and LIKE is case-sensitive on both. Constraints are
// never DEFERRABLE. A parameter that meets no column needs a CAST.
//
// Arguments may be nil, string, []byte, bool, integers, pointers to and named
// types of those, and driver.Valuer (sql.NullString). Text must be UTF-8
// without NUL. Scan takes pointers to string, []byte, bool and integers and
// named types of those, pointers to such pointers for NULL (**string), and
// sql.Scanner. A NULL []byte is nil, an empty one is not.
//
// To keep code that works on one engine working on the other: after a failed
// statement the transaction only rolls back, and while Rows are open no other
// statement runs.
//
// # Invariant
//
// Write returns nil if and only if the change is durable, applied once, and
// has its audit record. An error means that nothing was applied, but for
// ErrUnknown, which says that even asking afterwards failed.
package store

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"
)

// Engine names, as Engine returns them.
const (
	SQLite     = "sqlite"
	PostgreSQL = "postgresql"
)

//go:embed migrations/*.sql
var embedded embed.FS

// Config says where the data is and what surrounds each change.
type Config struct {
	// Dir is the data directory for SQLite: the file strongroom.db is in it.
	// It is created with mode 0700 when missing. Unused with URL.
	Dir string
	// URL is a postgres:// address; empty means SQLite. Hosts other than
	// loopback get sslmode=verify-full unless the address says otherwise.
	URL string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Audit runs at the end of every Write, in its transaction and with the
	// context of the call. Its error keeps the change from being committed.
	// Nil means none, which only tests and tools want.
	Audit func(ctx context.Context, tx Tx) error
	// Log receives what no caller gets to see; nil discards it.
	Log *slog.Logger
	// Follower reads SQLite's write-ahead log along; nil when nobody does. Unused
	// with URL.
	Follower Follower
	// AsIs opens a store of this release's schema for a look at it, and changes
	// nothing; of any other schema it is an error.
	AsIs bool
}

// DB is an open store. Its methods may be called concurrently, but never from
// within the function given to Read, Write or Maintain.
type DB struct {
	engine engine
	audit  func(ctx context.Context, tx Tx) error
	node   string
	// understood is the highest store version that this release understands.
	understood int64
	log        *slog.Logger

	clockWait *atomic.Int64 // as Steady last saw it
}

// engine is what SQLite and PostgreSQL implement.
type engine interface {
	name() string
	// get runs one statement outside a transaction and scans its first row.
	get(ctx context.Context, query string, args, dest []any) error
	read(ctx context.Context, fn func(*txn) error) error
	write(ctx context.Context, fn func(*txn) error) error
	// migrate runs fn in a transaction that may change the schema.
	migrate(ctx context.Context, fn func(t *txn, script func(string) error) error) error
	// ready is called once, after the migrations; steady is DB.Steady.
	ready(ctx context.Context, steady func(context.Context) (bool, error)) error
	generation(ctx context.Context, k generationKey) (int64, error)
	// clock is the time that leases are judged by.
	clock(tx Tx) (time.Time, error)
	scrub(ctx context.Context) error
	ping(ctx context.Context) error
	stats() Stats
	close() error
}

// Stats are counters since Open, for metrics.
type Stats struct {
	// Waiting is the number of writes that wait for their turn now.
	Waiting int64
	// Commits is the number of committed writes.
	Commits int64
	// Batches is the number of transactions they were committed in. It is
	// smaller than Commits where writes share a commit.
	Batches int64
	// Rollbacks is the number of writes that were not committed.
	Rollbacks int64
	// Retries is the number of times a write ran again after a conflict.
	Retries int64
	// Lost is the number of commits whose answer was lost and looked up.
	Lost int64
	// Primaries is how often another server of the database took the writes.
	Primaries int64
	// Readers is the number of connections in use: for reading, and on PostgreSQL
	// for writing, too.
	Readers int64
	// DownSince is when the database stopped answering, or its disk to take changes;
	// zero while all is well.
	DownSince time.Time
	// Outages is how often it did, Broken how many connections to it broke.
	Outages, Broken int64
	// ClockWait is for how long nothing is destroyed because the clock was set; see
	// Steady.
	ClockWait time.Duration
	// Trouble says what is wrong with the disk under SQLite and what to do, "" when
	// nothing is. With DownSince set changes are refused; reads go on.
	Trouble string
	// DiskErrors counts calls that failed for the disk's sake, Damaged those that met
	// a damaged page.
	DiskErrors, Damaged int64
}

// Open opens the store, brings its schema up to date and returns it.
//
// It fails with ErrLocked when another process has the directory, and with
// ErrNewer when a newer release has changed the store beyond what this one
// understands; both carry a hint.
func Open(ctx context.Context, c Config) (*DB, error) {
	migrations, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return nil, err
	}
	return open(ctx, c, migrations)
}

func open(ctx context.Context, c Config, migrations fs.FS) (_ *DB, err error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	list, err := loadMigrations(migrations)
	if err != nil {
		return nil, err
	}
	db := &DB{audit: c.Audit, node: randomID(), log: c.Log, clockWait: new(atomic.Int64)}
	switch {
	case c.URL != "":
		db.engine, err = openPostgres(ctx, c)
	case c.Dir != "":
		db.engine, err = openSQLite(c)
	default:
		return nil, errors.New("open store: neither a directory nor a URL")
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	db.understood = understood(list)
	if c.AsIs {
		return db, db.sameSchema(ctx, list)
	}
	if err := migrate(ctx, db.engine, list); err != nil {
		return nil, fmt.Errorf("migrate store: %w", err)
	}
	if err := db.engine.ready(ctx, db.Steady); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return db, nil
}

// Close lets running calls end, refuses those that wait with ErrClosed, and
// closes the store.
func (db *DB) Close() error { return db.engine.close() }

// Engine returns SQLite or PostgreSQL.
func (db *DB) Engine() string { return db.engine.name() }

// Get runs one SELECT outside a transaction, prepared once per connection. It
// is the hot path: one look-up by key. It runs when the returned Row is
// scanned, and is not interrupted by ctx once it runs. Scan returns ErrNoRows
// when the result is empty.
func (db *DB) Get(ctx context.Context, query string, args ...any) Row {
	return &getRow{ctx: ctx, engine: db.engine, query: query, args: args}
}

type getRow struct {
	ctx    context.Context
	engine engine
	query  string
	args   []any
}

func (r *getRow) Scan(dest ...any) error {
	args, err := plainArgs(r.args)
	if err != nil {
		return err
	}
	return r.engine.get(r.ctx, r.query, args, dest)
}

// Read runs fn on a consistent snapshot, which begins with the first statement.
// Writing in fn fails. On PostgreSQL fn may run more than once.
func (db *DB) Read(ctx context.Context, fn func(Tx) error) error {
	return db.engine.read(ctx, func(t *txn) error { return fn(t) })
}

// Write runs fn and then Config.Audit in one transaction and commits it.
//
// fn may run more than once, so it sets what it hands out anew each time. On
// SQLite it runs on the single writer's goroutine, between other callers'
// changes: no network, no heavy cryptography, no other call of the store. A
// panic in fn becomes a *PanicError. If ctx ends before fn's turn, fn does not
// run; a commit under way is awaited.
func (db *DB) Write(ctx context.Context, fn func(Tx) error) error {
	return db.engine.write(ctx, func(t *txn) error {
		if err := fn(t); err != nil {
			return err
		}
		if db.audit != nil {
			if err := t.usable(); err != nil {
				return err
			}
			if err := db.audit(ctx, t); err != nil {
				return err
			}
		}
		return fence(ctx, t)
	})
}

// Maintain is Write without an audit record, for the machinery's own
// housekeeping: leases, audit heads, last-accessed days.
func (db *DB) Maintain(ctx context.Context, fn func(Tx) error) error {
	return db.engine.write(ctx, func(t *txn) error {
		if err := fn(t); err != nil {
			return err
		}
		return fence(ctx, t)
	})
}

// Scrub makes deleted rows unrecoverable as far as the engine can. It is called
// after key material was destroyed.
//
// On SQLite deleted content has been overwritten in the database file
// (secure_delete); Scrub moves the log into it and truncates the log, so no
// old page is left in our files. It waits, bounded by ctx, for readers of older
// snapshots. What the file system or disk keeps of freed blocks is out of reach.
//
// On PostgreSQL it does nothing: dead rows stay until vacuum, and longer in the
// write-ahead log, replicas and backups, none of which a client can erase.
// There, destruction rests on the wrapping key's being destroyed.
func (db *DB) Scrub(ctx context.Context) error { return db.engine.scrub(ctx) }

// Fit reports whether the store answers and is one that this release understands:
// with ErrNewer if a newer one has changed it beyond that since Open.
func (db *DB) Fit(ctx context.Context) error {
	var version int64
	if err := db.Get(ctx, `SELECT MAX(version) FROM store_migrations`).Scan(&version); err != nil {
		return err
	}
	if version > db.understood {
		return fmt.Errorf("%w: store version %d, this release understands up to %d", ErrNewer, version, db.understood)
	}
	return nil
}

// Ping reports whether the store answers.
func (db *DB) Ping(ctx context.Context) error { return db.engine.ping(ctx) }

// Stats returns the counters.
func (db *DB) Stats() Stats {
	s := db.engine.stats()
	s.ClockWait = time.Duration(db.clockWait.Load())
	return s
}

// randomID returns 128 random bits in hex: unguessable and unique without
// coordination.
func randomID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
