package store

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxFaults bounds how many faults an Inspection keeps. All are counted; a store
// of which every row is damaged is not to fill the memory of who looks at it.
const maxFaults = 1000

// Fault is a row that is not what it must be.
type Fault struct {
	Table string `json:"table"`
	// Row names the row by what people know it by. It is never a value.
	Row     string `json:"row"`
	Problem string `json:"problem"`
}

// Inspection gathers what a check of the whole store saw. The slices fill it, each
// from its own tables.
type Inspection struct {
	// Rows is how many rows of each table were looked at.
	Rows map[string]int64
	// Faults are the first of them, Found is how many there are.
	Faults []Fault
	Found  int64
	// Notes count what is no damage, but what an operator may want to know.
	Notes map[string]int64
}

// Saw counts a row of a table.
func (i *Inspection) Saw(table string) {
	if i.Rows == nil {
		i.Rows = make(map[string]int64)
	}
	i.Rows[table]++
}

// Fault records what is wrong with a row.
func (i *Inspection) Fault(table, row, problem string, args ...any) {
	i.Found++
	if len(i.Faults) < maxFaults {
		i.Faults = append(i.Faults, Fault{table, row, fmt.Sprintf(problem, args...)})
	}
}

// Note counts something that is as it should be and yet worth saying.
func (i *Inspection) Note(what string) {
	if i.Notes == nil {
		i.Notes = make(map[string]int64)
	}
	i.Notes[what]++
}

// OK reports whether no fault was found.
func (i *Inspection) OK() bool { return i.Found == 0 }

// Tables lists the names of the tables that were looked at.
func (i *Inspection) Tables() []string { return slices.Sorted(maps.Keys(i.Rows)) }

// Each runs a query for a table and calls fn with every row of it. scan names the
// row as far as it could be read. A row that scan refuses is a fault and does not
// keep the others from being looked at; what the engine refuses ends the check.
func Each[T any](i *Inspection, tx Tx, table string, scan func(Row) (T, error), name func(*T) string, fn func(*T), query string, args ...any) error {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return fmt.Errorf("read %s: %w", table, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		i.Saw(table)
		v, err := scan(rows)
		if err != nil {
			i.Fault(table, cmp.Or(name(&v), "row without a name"), "it cannot be read: %v", err)
			continue
		}
		fn(&v)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read %s: %w", table, err)
	}
	return nil
}

// Orphans makes a fault of every row that a query returns: its one column names
// the row, and there must be none.
func (i *Inspection) Orphans(tx Tx, table, problem, query string) error {
	rows, err := tx.Query(query)
	if err != nil {
		return fmt.Errorf("read %s: %w", table, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			return fmt.Errorf("read %s: %w", table, err)
		}
		i.Fault(table, row, "%s", problem)
	}
	return rows.Err()
}

// InspectPages has the engine prove its own structure: pages, indexes and
// constraints. PostgreSQL offers a client nothing of the kind (its checksums of
// pages speak at each read).
func (db *DB) InspectPages(i *Inspection, tx Tx) error {
	if db.Engine() != SQLite {
		return nil
	}
	rows, err := tx.Query(`PRAGMA integrity_check(100)`)
	if err != nil {
		return fmt.Errorf("check the database file: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return fmt.Errorf("check the database file: %w", err)
		}
		if line != "ok" {
			i.Fault("strongroom.db", "page", "%s", strings.TrimSpace(line))
		}
	}
	return rows.Err()
}
