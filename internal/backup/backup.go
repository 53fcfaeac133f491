// Package backup writes a store into one stream and reads it back, into either
// engine and under another root key.
//
// Its one invariant: a backup is only ever a stream encrypted to somebody, and
// holds the storage keys but never the root key. What is read of it counts only
// when its end was reached and its hash is right.
//
// # Format
//
// Inside the encryption (age, https://age-encryption.org/v1) stands the line
// "strongroom backup v1", then frames: a type byte, the payload's length in four
// bytes (big-endian), the payload.
//
//	H  what and when, JSON: the first frame
//	K  a storage key: creation in microseconds (8 bytes), the secret (32), the id
//	T  a table with its columns, JSON; rows follow
//	R  a row: each column after its length in four bytes; BIGINT as eight bytes,
//	   BOOLEAN as one
//	A  a part of a file of the audit record: where in it (8 bytes), the length of its
//	   name (2), the name, the bytes; at 0 the file begins anew
//	E  SHA-256 of everything before this frame: the last one
//
// The order of rows means nothing.
package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/store"
)

const (
	magic = "strongroom backup v1\n"
	// maxFrame is far above any row: a secret has 64 KiB, an audit record less.
	maxFrame = 64 << 20
)

// own are the tables that belong to one database and not to what it holds: the
// keyring is carried in another form, the others begin anew.
var own = []string{"clock", "deployment", "generations", "keyring", "leases", "store_commits", "store_migrations"}

// Header says what a backup is of.
type Header struct {
	Account string    `json:"account"` // the first one's
	Region  string    `json:"region"`
	Regions []string  `json:"regions"`
	Release string    `json:"release"`
	Engine  string    `json:"engine"`
	Schema  int64     `json:"schema"`
	At      time.Time `json:"at"`
}

// Summary is a header with what followed it.
type Summary struct {
	Header
	Keys int              `json:"storageKeys"`
	Rows map[string]int64 `json:"rows"`
	// AuditBytes is the size of the audit record that is in it.
	AuditBytes int64 `json:"auditBytes"`
}

// Piece is a part of a file of the audit record.
type Piece struct {
	Name   string
	Offset int64
	Data   []byte
}

// Files returns what there is of the audit record beyond done, which says how much of
// each file was returned before: about max bytes, less when that is all.
type Files func(done map[string]int64, max int) ([]Piece, error)

// ErrDamaged means that a backup is cut short or altered.
var ErrDamaged = errors.New("the backup is cut short or altered")

// writer writes frames.
type writer struct {
	w   *bufio.Writer
	sum hash.Hash
}

func (w *writer) Write(b []byte) (int, error) {
	w.sum.Write(b)
	return w.w.Write(b)
}

func (w *writer) frame(kind byte, payload []byte) error {
	if len(payload) > maxFrame {
		return fmt.Errorf("write backup: %d bytes in one row", len(payload))
	}
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(payload)
	return err
}

func (w *writer) json(kind byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.frame(kind, b)
}

// Write writes the store as it is at one moment: everything committed before the
// call is in it. to must be encrypted: what is written holds the storage keys. The
// audit record follows, as it is after that moment: so it holds whatever a signed head
// in the database names. record may be nil.
func Write(ctx context.Context, to io.Writer, db *store.DB, root seal.Provider, h Header, record Files) (Summary, error) {
	out := Summary{Header: h, Rows: make(map[string]int64)}
	w := &writer{bufio.NewWriterSize(to, 64<<10), sha256.New()}
	begun := false
	err := db.Read(ctx, func(tx store.Tx) error {
		if begun { // PostgreSQL runs it again after a lost connection.
			return errors.New("write backup: the database was lost on the way; begin again")
		}
		begun = true
		var err error
		if out.Schema, err = store.Schema(tx); err != nil {
			return err
		}
		out.Engine, out.At = db.Engine(), tx.Now()
		if _, err := io.WriteString(w, magic); err != nil {
			return err
		}
		if err := w.json('H', out.Header); err != nil {
			return err
		}
		if out.Keys, err = writeKeys(ctx, w, tx, root); err != nil {
			return err
		}
		tables, err := db.Tables(tx)
		if err != nil {
			return err
		}
		for _, t := range tables {
			if slices.Contains(own, t.Name) {
				continue
			}
			if out.Rows[t.Name], err = writeTable(ctx, w, tx, t); err != nil {
				return fmt.Errorf("write backup of %s: %w", t.Name, err)
			}
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	if record != nil {
		if out.AuditBytes, err = writeFiles(ctx, w, record); err != nil {
			return out, fmt.Errorf("write backup of the audit record: %w", err)
		}
	}
	if err := w.frame('E', w.sum.Sum(nil)); err != nil {
		return out, err
	}
	return out, w.w.Flush()
}

// chunk is how much of the audit record is in memory at once.
const chunk = 4 << 20

func writeFiles(ctx context.Context, w *writer, record Files) (n int64, err error) {
	done := make(map[string]int64)
	for {
		pieces, err := record(done, chunk)
		if err != nil {
			return n, err
		}
		size := 0
		for _, p := range pieces {
			b := binary.BigEndian.AppendUint64(nil, uint64(p.Offset))
			b = binary.BigEndian.AppendUint16(b, uint16(len(p.Name)))
			if err := w.frame('A', append(append(b, p.Name...), p.Data...)); err != nil {
				return n, err
			}
			done[p.Name] = p.Offset + int64(len(p.Data))
			size += len(p.Data)
		}
		n += int64(size)
		// The record grows while it is read: what has come since is for the next
		// backup.
		if size < chunk {
			return n, nil
		}
		if err := ctx.Err(); err != nil {
			return n, err
		}
	}
}

func parsePiece(b []byte) (p Piece, err error) {
	if len(b) < 10 {
		return p, ErrDamaged
	}
	p.Offset = int64(binary.BigEndian.Uint64(b))
	n := int(binary.BigEndian.Uint16(b[8:]))
	if b = b[10:]; len(b) < n || p.Offset < 0 {
		return p, ErrDamaged
	}
	p.Name, p.Data = string(b[:n]), b[n:]
	return p, nil
}

func writeKeys(ctx context.Context, w *writer, tx store.Tx, root seal.Provider) (int, error) {
	keys, err := keyring.Export(ctx, tx, root)
	if err != nil {
		return 0, err
	}
	for _, k := range keys {
		b := binary.BigEndian.AppendUint64(nil, uint64(k.Created.UnixMicro()))
		b = append(append(b, k.Secret...), k.ID...)
		if e := w.frame('K', b); err == nil {
			err = e
		}
		clear(b)
		clear(k.Secret)
	}
	// No key stays in the buffer after the last row of a small store.
	if e := w.w.Flush(); err == nil {
		err = e
	}
	clear(w.w.AvailableBuffer()[:w.w.Available()])
	return len(keys), err
}

func writeTable(ctx context.Context, w *writer, tx store.Tx, t store.Table) (n int64, err error) {
	values, err := newValues(t)
	if err != nil {
		return 0, err
	}
	if err := w.json('T', t); err != nil {
		return 0, err
	}
	rows, err := tx.Query(`SELECT ` + names(t) + ` FROM ` + t.Name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	var b []byte
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return n, err
		}
		b = b[:0]
		for _, v := range values {
			b = appendValue(b, v)
		}
		if err := w.frame('R', b); err != nil {
			return n, err
		}
		if n++; n%1000 == 0 && ctx.Err() != nil {
			return n, ctx.Err()
		}
	}
	return n, rows.Err()
}

func names(t store.Table) string {
	var all []string
	for _, c := range t.Columns {
		all = append(all, c.Name)
	}
	return strings.Join(all, ", ")
}

// newValues makes a destination for each column.
func newValues(t store.Table) ([]any, error) {
	var out []any
	for _, c := range t.Columns {
		switch c.Type {
		case "TEXT":
			out = append(out, new(string))
		case "BIGINT":
			out = append(out, new(int64))
		case "BYTEA":
			out = append(out, new([]byte))
		case "BOOLEAN":
			out = append(out, new(bool))
		default:
			return nil, fmt.Errorf("column %s is of type %s", c.Name, c.Type)
		}
	}
	return out, nil
}

func appendValue(b []byte, v any) []byte {
	size := func(n int) { b = binary.BigEndian.AppendUint32(b, uint32(n)) }
	switch v := v.(type) {
	case *string:
		size(len(*v))
		b = append(b, *v...)
	case *[]byte:
		size(len(*v))
		b = append(b, *v...)
	case *int64:
		size(8)
		b = binary.BigEndian.AppendUint64(b, uint64(*v))
	case *bool:
		size(1)
		if *v {
			return append(b, 1)
		}
		b = append(b, 0)
	}
	return b
}

// parseRow returns the values of a row.
func parseRow(b []byte, t store.Table) ([]any, error) {
	out := make([]any, 0, len(t.Columns))
	for _, c := range t.Columns {
		if len(b) < 4 {
			return nil, ErrDamaged
		}
		n := uint64(binary.BigEndian.Uint32(b))
		if b = b[4:]; uint64(len(b)) < n {
			return nil, ErrDamaged
		}
		v := b[:n]
		b = b[n:]
		switch {
		case c.Type == "TEXT":
			out = append(out, string(v))
		case c.Type == "BYTEA":
			out = append(out, append([]byte{}, v...))
		case c.Type == "BIGINT" && n == 8:
			out = append(out, int64(binary.BigEndian.Uint64(v)))
		case c.Type == "BOOLEAN" && n == 1 && v[0] < 2:
			out = append(out, v[0] == 1)
		default:
			return nil, ErrDamaged
		}
	}
	if len(b) != 0 {
		return nil, ErrDamaged
	}
	return out, nil
}
