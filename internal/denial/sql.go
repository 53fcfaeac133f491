package denial

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

// row is a denial ready to be written.
type row struct {
	*Denial
	packed []byte
}

func newRow(d *Denial) (*row, error) {
	packed, err := pack(d)
	if err != nil {
		return nil, err
	}
	return &row{d, packed}, nil
}

// compressors are kept: making one takes longer than using it.
var compressors = sync.Pool{New: func() any {
	z, _ := zlib.NewWriterLevel(io.Discard, zlib.BestSpeed) // fails for a level that there is not
	return z
}}

func pack(d *Denial) ([]byte, error) {
	var b bytes.Buffer
	z := compressors.Get().(*zlib.Writer)
	defer compressors.Put(z)
	z.Reset(&b)
	if err := json.NewEncoder(z).Encode(d); err != nil {
		return nil, fmt.Errorf("encode explanation: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("encode explanation: %w", err)
	}
	return b.Bytes(), nil
}

// Unpack reads an explanation as the database holds it.
func Unpack(packed []byte) (*Denial, error) {
	z, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("read explanation: %w", err)
	}
	// More than the whole explanation, the account's and what JSON adds take: a
	// damaged row must not fill the memory.
	b, err := io.ReadAll(io.LimitReader(z, 64*maxBytes))
	if err != nil {
		return nil, fmt.Errorf("read explanation: %w", err)
	}
	d := new(Denial)
	if err := json.Unmarshal(b, d); err != nil {
		return nil, fmt.Errorf("read explanation: %w", err)
	}
	return d, nil
}

// insert writes rows. One that is there was written by an attempt whose outcome
// was unknown.
func insert(tx store.Tx, rows []*row) error {
	for _, r := range rows {
		if _, err := tx.Exec(`INSERT INTO denials (account, event_id, n, request_id, call_id, at, principal, principal_id, action, resource, explanation)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (account, event_id, n) DO NOTHING`,
			r.Principal.Account, r.EventID, r.number, r.RequestID, r.CallID, r.Time.UnixMicro(),
			r.Principal.ARN, r.Principal.ID, r.Explanation.Action, r.Explanation.Resource, r.packed); err != nil {
			return err
		}
	}
	return nil
}

// found is how many denials of one request are shown.
const found = 100

func (l *Log) stored(ctx context.Context, account, requestID string) ([]*Denial, error) {
	var out []*Denial
	err := l.db.Read(ctx, func(tx store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT n, explanation FROM denials
			WHERE (request_id = $1 OR call_id = $1) AND ($2 = '' OR account = $2) ORDER BY at, n LIMIT $3`, requestID, account, found)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var number int64
			var packed []byte
			if err := rows.Scan(&number, &packed); err != nil {
				return err
			}
			d, err := Unpack(packed)
			if err != nil {
				return err
			}
			d.number = number
			out = append(out, d)
		}
		return rows.Err()
	})
	return out, err
}

func (l *Log) latest(ctx context.Context, n int) ([]Summary, error) {
	var out []Summary
	err := l.db.Read(ctx, func(tx store.Tx) error {
		out = []Summary{}
		rows, err := tx.Query(`SELECT request_id, at, account, principal, action, resource FROM denials ORDER BY at DESC, event_id, n LIMIT $1`, n)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s Summary
			var at int64
			if err := rows.Scan(&s.RequestID, &at, &s.Account, &s.Principal, &s.Action, &s.Resource); err != nil {
				return err
			}
			s.Time = time.UnixMicro(at).UTC()
			out = append(out, s)
		}
		return rows.Err()
	})
	return out, err
}

const (
	// pruneEvery is the pause between two runs of Prune. What comes in between is
	// bounded by the queue.
	pruneEvery = time.Minute
	// pruned is how many rows one transaction deletes.
	pruned = 500
)

// Prune deletes what is older than is kept, and of each account what is more
// than it may have. It is a job's Run.
func (l *Log) Prune(ctx context.Context) (next time.Time, err error) {
	oldest := l.now().Add(-l.keep).UnixMicro()
	if err := l.deleteUpTo(ctx, oldest, `FROM denials WHERE at <= $1`); err != nil {
		return time.Time{}, err
	}
	full, err := l.full(ctx)
	if err != nil {
		return time.Time{}, err
	}
	for account, last := range full {
		if err := l.deleteUpTo(ctx, last, `FROM denials WHERE at <= $1 AND account = $2`, account); err != nil {
			return time.Time{}, err
		}
	}
	return l.now().Add(pruneEvery), nil
}

// full returns the accounts that have too much, with the time up to which it is.
func (l *Log) full(ctx context.Context) (map[string]int64, error) {
	out := map[string]int64{}
	err := l.db.Read(ctx, func(tx store.Tx) error {
		clear(out)
		rows, err := tx.Query(`SELECT account FROM denials GROUP BY account HAVING COUNT(*) > $1`, l.most)
		if err != nil {
			return err
		}
		var accounts []string
		for rows.Next() {
			var account string
			if err := rows.Scan(&account); err != nil {
				return err
			}
			accounts = append(accounts, account)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		rows.Close()
		for _, account := range accounts {
			var last int64
			if err := tx.QueryRow(`SELECT at FROM denials WHERE account = $1 ORDER BY at DESC LIMIT 1 OFFSET $2`, account, l.most).Scan(&last); err != nil {
				return err
			}
			out[account] = last
		}
		return nil
	})
	return out, err
}

// deleteUpTo deletes the rows that from selects, where $1 is a time, oldest
// first and some at a time: on SQLite nobody else writes meanwhile.
func (l *Log) deleteUpTo(ctx context.Context, last int64, from string, more ...any) error {
	args := append([]any{last}, more...)
	for {
		var at int64
		err := l.db.Get(ctx, `SELECT COALESCE(MAX(at), 0) FROM (SELECT at `+from+` ORDER BY at LIMIT `+fmt.Sprint(pruned)+`) AS oldest`, args...).Scan(&at)
		if err != nil || at == 0 {
			return err
		}
		args[0] = at
		err = l.db.Maintain(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(`DELETE `+from, args...)
			return err
		})
		if err != nil {
			return err
		}
		args[0] = last
	}
}
