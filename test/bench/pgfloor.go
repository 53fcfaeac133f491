package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strongroom/strongroom/internal/store"
)

// These are the statements that one call of the server runs, by what the database
// is told to log (log_statement=all), in the same messages. When the server's
// change, so must these.
var (
	pgSelect = `SELECT s.account, s.region, s.uid, s.name, s.suffix, s.description, s.kms_key_id, s.type, s.owning_service,
		s.tags, s.policy, s.policy_version, s.labels, s.create_token, s.created_at, s.changed_at, s.accessed_at,
		s.deleted_at, s.purge_at, s.primary_region, s.replica, s.revision, COALESCE(v.version_id, ''), COALESCE(v.created_at, 0), COALESCE(v.accessed_at, 0),
		COALESCE(v.kind, ''), COALESCE(v.kms_key_arn, ''), v.data_key, v.sealed, ` + store.GenerationSQL("$5", "''", "iam") + `, ` + store.GenerationSQL("s.account", "s.region", "kms") + `
	FROM secrets s LEFT JOIN secret_versions v ON v.account = s.account AND v.region = s.region AND v.secret_uid = s.uid
		AND v.version_id = CASE WHEN $4 = '' THEN s.current_version ELSE $4 END
	WHERE s.account = $1 AND s.region = $2 AND s.name = $3`
	pgLabels = `UPDATE secrets SET labels = $4, current_version = $5, changed_at = $6, revision = $7
		WHERE account = $1 AND region = $2 AND uid = $3 AND revision = $8`
	pgVersion = `INSERT INTO secret_versions (account, region, secret_uid, version_id, created_at, accessed_at, kind, kms_key_arn, data_key, sealed)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
		WHERE (SELECT COUNT(*) FROM secret_versions WHERE account = $1 AND region = $2 AND secret_uid = $3) < $11
		ON CONFLICT (account, region, secret_uid, version_id) DO NOTHING`
	pgPending = `INSERT INTO audit_pending (node, event_id, after_seq, at, records) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (node, event_id) DO UPDATE SET records = excluded.records, at = excluded.at`
	pgMarker = `INSERT INTO store_commits (id, at, committed) VALUES ($1, $2, TRUE)`
)

// pgFloor is one connection of the program that only runs the statements.
type pgFloor struct {
	conn    *pgx.Conn
	account string
	secrets int
}

func newPgFloor(url string, secrets int) (*pgFloor, error) {
	ctx := context.Background()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	f := &pgFloor{conn: conn, secrets: secrets}
	return f, conn.QueryRow(ctx, `SELECT account FROM accounts`).Scan(&f.account)
}

// pgRow is what a put needs of what it has read.
type pgRow struct {
	uid, labels, current string
	revision             int64
}

func (f *pgFloor) read(version string) (row pgRow, err error) {
	var text [13]string
	var number [12]int64
	var replica bool
	var key, sealed []byte
	err = f.conn.QueryRow(context.Background(), pgSelect, f.account, region, name(mathrand.IntN(f.secrets)), version, f.account).Scan(
		&text[0], &text[1], &row.uid, &text[2], &text[3], &text[4], &text[5], &text[6], &text[7],
		&text[8], &text[9], &number[0], &row.labels, &text[10], &number[1], &number[2], &number[3],
		&number[4], &number[5], &text[11], &replica, &row.revision, &row.current, &number[6], &number[7],
		&text[12], &text[12], &key, &sealed, &number[8], &number[9])
	return row, err
}

// get is what GetSecretValue asks.
func (f *pgFloor) get() error {
	row, err := f.read("")
	if err == nil && row.current == "" {
		err = errors.New("no version")
	}
	return err
}

// put is what PutSecretValue does, again when the database asks for it.
func (f *pgFloor) put() error {
	for {
		err := f.putOnce()
		var e *pgconn.PgError
		if errors.As(err, &e) && e.Code == "40001" || errors.Is(err, errMoved) {
			if _, err := f.conn.Exec(context.Background(), "rollback"); err != nil {
				return err
			}
			continue
		}
		return err
	}
}

var errMoved = errors.New("somebody else's change came first")

func (f *pgFloor) putOnce() error {
	ctx := context.Background()
	token := randomHex(16)
	row, err := f.read(token)
	if err != nil {
		return err
	}
	now := time.Now().UnixMicro()
	if _, err := f.conn.Exec(ctx, "begin isolation level serializable"); err != nil {
		return err
	}
	tag, err := f.conn.Exec(ctx, pgLabels, f.account, region, row.uid, row.labels, token, now, row.revision+1, row.revision)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return errMoved
	}
	if _, err := f.conn.Exec(ctx, pgVersion, f.account, region, row.uid, token, now, 0, "s", "", randomBytes(223), randomBytes(1053), 1_000_000); err != nil {
		return err
	}
	if _, err := f.conn.Exec(ctx, pgPending, "floor", token, 0, now, randomBytes(1400)); err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(pgMarker, token, now)
	batch.Queue("commit")
	return f.conn.SendBatch(ctx, batch).Close()
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func randomHex(n int) string { return hex.EncodeToString(randomBytes(n)) }

// pgRound lets all connections run as fast as they are answered.
func pgRound(floors []*pgFloor, length time.Duration, run func(*pgFloor) error) (result, error) {
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	start := time.Now()
	var wg sync.WaitGroup
	for _, f := range floors {
		wg.Go(func() {
			var mine []time.Duration
			var wrong error
			for {
				begin := time.Now()
				if begin.Sub(start) > length {
					break
				}
				if wrong = run(f); wrong != nil {
					break
				}
				mine = append(mine, time.Since(begin))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			failed = cmp.Or(failed, wrong)
		})
	}
	wg.Wait()
	if failed != nil || len(took) == 0 {
		return result{}, fmt.Errorf("%d runs: %w", len(took), failed)
	}
	r := result{PerSecond: float64(len(took)) / time.Since(start).Seconds(), answered: len(took)}
	r.P50, r.P99 = percentiles(took)
	return r, nil
}
