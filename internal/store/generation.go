package store

import (
	"context"
	"fmt"
	"sync"
)

// generationKey names one generation.
type generationKey struct{ account, region, kind string }

// bump is a generation that a transaction has moved, and what it moved it to.
type bump struct {
	key   generationKey
	value int64
}

// GenerationSQL returns an expression that selects a generation as one more
// column of a slice's own statement, so that a cached thing can be checked with
// no further round trip. account and region are expressions, mostly parameters
// such as $1; kind is a literal of letters. A generation that was never bumped
// is 0.
func GenerationSQL(account, region, kind string) string {
	return "COALESCE((SELECT value FROM generations WHERE account = " + account +
		" AND region = " + region + " AND kind = '" + kind + "'), 0)"
}

const selectGeneration = `SELECT value FROM generations WHERE account = $1 AND region = $2 AND kind = $3`

// Bump adds one to the generation of a kind in an account and region. Whatever
// was cached under the old value is stale from the moment the transaction
// commits: on SQLite, Generation returns the new value before Write does.
func (db *DB) Bump(tx Tx, account, region, kind string) error {
	t, ok := tx.(*txn)
	if !ok {
		return fmt.Errorf("store: bump in a %T", tx)
	}
	b := bump{key: generationKey{account, region, kind}}
	err := t.QueryRow(`
		INSERT INTO generations (account, region, kind, value) VALUES ($1, $2, $3, 1)
		ON CONFLICT (account, region, kind) DO UPDATE SET value = generations.value + 1
		RETURNING value`, account, region, kind).Scan(&b.value)
	if err != nil {
		return fmt.Errorf("bump generation of %s: %w", kind, err)
	}
	t.bumps = append(t.bumps, b)
	return nil
}

// Generation returns how often Bump was committed for a kind in an account and
// region. On SQLite it reads memory, on PostgreSQL one row.
//
// A caller that fills a cache reads the generation first and the rows after:
// then a change in between can only make the entry look older than it is.
//
// Where ctx carries a value that a statement has just returned, see Observed,
// PostgreSQL is not asked again.
func (db *DB) Generation(ctx context.Context, account, region, kind string) (int64, error) {
	k := generationKey{account, region, kind}
	if v, ok := db.known(ctx, k); ok {
		return v, nil
	}
	return db.engine.generation(ctx, k)
}

// Known is Generation where that costs no round trip: on SQLite always, on
// PostgreSQL if ctx carries the value.
func (db *DB) Known(ctx context.Context, account, region, kind string) (value int64, ok bool) {
	return db.known(ctx, generationKey{account, region, kind})
}

func (db *DB) known(ctx context.Context, k generationKey) (int64, bool) {
	if s, ok := db.engine.(*sqlite); ok {
		return s.generations.get(k), !s.writer.closed()
	}
	for _, o := range observed(ctx) {
		if o.key() == k {
			return o.Value, true
		}
	}
	return 0, false
}

// Seen is a generation that a statement returned by a column of GenerationSQL.
type Seen struct {
	Account, Region, Kind string
	Value                 int64
}

func (s Seen) key() generationKey { return generationKey{s.Account, s.Region, s.Kind} }

type seenKey struct{}

// Observed returns a context in which Generation answers with what has been
// seen, so that a read which returns its generations costs one round trip. The
// values are as old as the statement: use the context for the rest of one call
// and no longer.
func Observed(ctx context.Context, seen ...Seen) context.Context {
	return context.WithValue(ctx, seenKey{}, seen)
}

func observed(ctx context.Context) []Seen {
	seen, _ := ctx.Value(seenKey{}).([]Seen)
	return seen
}

// generations is the copy in memory that the only writer keeps.
type generations struct {
	mu     sync.RWMutex
	values map[generationKey]int64
}

func (g *generations) get(k generationKey) int64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.values[k]
}

func (g *generations) apply(bumps []bump) {
	if len(bumps) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range bumps {
		g.values[b.key] = b.value
	}
}

// load fills the copy from the table.
func (g *generations) load(t *txn) error {
	rows, err := t.Query(`SELECT account, region, kind, value FROM generations`)
	if err != nil {
		return err
	}
	defer rows.Close()
	values := make(map[generationKey]int64)
	for rows.Next() {
		var b bump
		if err := rows.Scan(&b.key.account, &b.key.region, &b.key.kind, &b.value); err != nil {
			return err
		}
		values[b.key] = b.value
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.values = values
	return rows.Err()
}
