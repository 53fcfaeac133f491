package store

import (
	"context"
	"fmt"
)

// Table is a table as both engines have it.
type Table struct {
	Name    string   `json:"name"`
	Columns []Column `json:"columns"`
}

// Column is a column; its type is TEXT, BIGINT, BYTEA or BOOLEAN.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// The columns of all tables, in the order of tables' names and columns' places.
const (
	sqliteSchema = `SELECT t.name, c.name, c.type FROM sqlite_master t, pragma_table_info(t.name) c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY t.name, c.cid`
	postgresSchema = `SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT), UPPER(CAST(data_type AS TEXT)) FROM information_schema.columns
		WHERE table_schema = current_schema() ORDER BY table_name COLLATE "C", ordinal_position`
)

// Tables lists the tables of the store. It asks the database, so that none can be
// forgotten.
func (db *DB) Tables(tx Tx) ([]Table, error) {
	query := sqliteSchema
	if db.Engine() == PostgreSQL {
		query = postgresSchema
	}
	rows, err := tx.Query(query)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Table
	for rows.Next() {
		var table string
		var c Column
		if err := rows.Scan(&table, &c.Name, &c.Type); err != nil {
			return nil, fmt.Errorf("list tables: %w", err)
		}
		if len(out) == 0 || out[len(out)-1].Name != table {
			out = append(out, Table{Name: table})
		}
		last := &out[len(out)-1]
		last.Columns = append(last.Columns, c)
	}
	return out, rows.Err()
}

// Schema returns the number of the newest migration of the store.
func Schema(tx Tx) (n int64, err error) {
	err = tx.QueryRow(`SELECT number FROM store_migrations ORDER BY number DESC LIMIT 1`).Scan(&n)
	return n, err
}

// sameSchema fails unless the store has exactly these migrations' schema.
func (db *DB) sameSchema(ctx context.Context, list []migration) error {
	return db.Read(ctx, func(tx Tx) error {
		n, err := Schema(tx)
		if err != nil {
			return fmt.Errorf("it is no store: %w", err)
		}
		if want := list[len(list)-1].number; n != want {
			return fmt.Errorf("the store is of schema %d, this release has %d", n, want)
		}
		return nil
	})
}
