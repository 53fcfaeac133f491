package iam

import (
	"errors"

	"github.com/strongroom/strongroom/internal/store"
)

// The queries of each noun stand in sql_<noun>.go; here is what they share.

// collect runs a query and scans its rows.
func collect[T any](tx store.Tx, scan func(store.Row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// scanText scans a row of one text.
func scanText(r store.Row) (s string, err error) {
	err = r.Scan(&s)
	return s, err
}

// count runs a query that counts.
func count(tx store.Tx, query string, args ...any) (n int, err error) {
	var wide int64
	err = tx.QueryRow(query, args...).Scan(&wide)
	return int(wide), err
}

func isMissing(err error) bool { return errors.Is(err, store.ErrNoRows) }
