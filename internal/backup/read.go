package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/store"
)

// sink takes what a backup holds, in its order.
type sink interface {
	key(keyring.Bare) error
	table(store.Table) error
	row(store.Table, []any) error
	piece(Piece) error
}

// Verify reads a backup to its end and says what is in it. Nothing is stored.
func Verify(from io.Reader) (Summary, error) { return read(from, nothing{}) }

type nothing struct{}

func (nothing) key(keyring.Bare) error       { return nil }
func (nothing) table(store.Table) error      { return nil }
func (nothing) row(store.Table, []any) error { return nil }
func (nothing) piece(Piece) error            { return nil }

// Rows calls fn with every row of the tables that want names, and reads to the end: an
// error means that the rows are not to be believed.
func Rows(from io.Reader, want func(table string) bool, fn func(store.Table, []any) error) (Summary, error) {
	return read(from, &picker{want: want, fn: fn})
}

type picker struct {
	nothing
	want func(string) bool
	fn   func(store.Table, []any) error
}

func (p *picker) row(t store.Table, values []any) error {
	if !p.want(t.Name) {
		return nil
	}
	return p.fn(t, values)
}

// ErrNotEmpty means that a store to restore into holds something.
var ErrNotEmpty = errors.New("the store is not empty")

// Load puts a backup into an empty store, with the storage keys under root, and hands
// the audit record to files. An error leaves it to the caller's transaction that
// nothing is kept.
func Load(ctx context.Context, from io.Reader, db *store.DB, tx store.Tx, root seal.Provider, files func(Piece) error) (Summary, error) {
	schema, err := store.Schema(tx)
	if err != nil {
		return Summary{}, err
	}
	l := &loader{ctx: ctx, tx: tx, root: root, files: files, known: make(map[string]store.Table)}
	tables, err := db.Tables(tx)
	if err != nil {
		return Summary{}, err
	}
	for _, t := range tables {
		if t.Name == "keyring" || !slices.Contains(own, t.Name) {
			var n int64
			if err := tx.QueryRow(`SELECT COUNT(*) FROM (SELECT 1 FROM ` + t.Name + ` LIMIT 1) x`).Scan(&n); err != nil {
				return Summary{}, err
			}
			if n > 0 {
				return Summary{}, fmt.Errorf("%w: there are rows in %s", ErrNotEmpty, t.Name)
			}
			l.known[t.Name] = t
		}
	}
	out, err := read(from, l)
	if err == nil {
		err = l.flush()
	}
	if err == nil && out.Schema != schema {
		err = fmt.Errorf("the backup is of schema %d, made by release %q, this release has %d: restore with that release, then upgrade", out.Schema, out.Release, schema)
	}
	return out, err
}

// loader is the sink that fills a store.
type loader struct {
	ctx   context.Context
	tx    store.Tx
	root  seal.Provider
	files func(Piece) error
	known map[string]store.Table
	// Rows of at wait for being inserted together.
	at   store.Table
	rows [][]any
	size int
}

const (
	maxBatch = 4 << 20 // bytes of values in one statement
	maxParts = 30_000  // parameters in one statement: SQLite takes 32,766
)

func (l *loader) piece(p Piece) error { return l.files(p) }

func (l *loader) key(b keyring.Bare) error { return keyring.Import(l.ctx, l.tx, l.root, b) }

// table accepts exactly the tables of this release: names from a file never reach
// a statement.
func (l *loader) table(t store.Table) error {
	if err := l.flush(); err != nil {
		return err
	}
	known, ok := l.known[t.Name]
	if !ok || !slices.Equal(byName(known), byName(t)) {
		return fmt.Errorf("this release has no table %s like that of the backup", strconv.Quote(t.Name))
	}
	l.at = t
	return nil
}

func byName(t store.Table) []store.Column {
	return slices.SortedFunc(slices.Values(t.Columns), func(a, b store.Column) int { return strings.Compare(a.Name, b.Name) })
}

func (l *loader) row(t store.Table, values []any) error {
	l.rows = append(l.rows, values)
	for _, v := range values {
		switch v := v.(type) {
		case string:
			l.size += len(v)
		case []byte:
			l.size += len(v)
		}
	}
	if l.size < maxBatch && (len(l.rows)+1)*len(t.Columns) < maxParts && len(l.rows) < 200 {
		return nil
	}
	return l.flush()
}

func (l *loader) flush() error {
	if len(l.rows) == 0 {
		return nil
	}
	if err := l.ctx.Err(); err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString(`INSERT INTO ` + l.at.Name + ` (` + names(l.at) + `) VALUES `)
	var args []any
	for i, row := range l.rows {
		if i > 0 {
			text.WriteString(", ")
		}
		for j, v := range row {
			text.WriteString(map[bool]string{true: "($", false: ", $"}[j == 0])
			args = append(args, v)
			text.WriteString(strconv.Itoa(len(args)))
		}
		text.WriteString(")")
	}
	l.rows, l.size = nil, 0
	if _, err := l.tx.Exec(text.String(), args...); err != nil {
		return fmt.Errorf("restore %s: %w", l.at.Name, err)
	}
	return nil
}

// reader reads frames.
type reader struct {
	r   *bufio.Reader
	sum hash.Hash
}

// take reads n bytes; what is missing is damage, what the source fails with is told.
func (r *reader) take(n int) ([]byte, error) {
	// In steps: a false length must not make us reserve what is not there.
	var b []byte
	for len(b) < n {
		step := min(n-len(b), 1<<20)
		b = append(b, make([]byte, step)...)
		if _, err := io.ReadFull(r.r, b[len(b)-step:]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return b, nil
}

func (r *reader) frame() (kind byte, payload []byte, err error) {
	head, err := r.take(5)
	if err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, ErrDamaged
	}
	if payload, err = r.take(int(n)); err != nil {
		return 0, nil, err
	}
	if head[0] != 'E' {
		r.sum.Write(head)
		r.sum.Write(payload)
	}
	return head[0], payload, nil
}

func read(from io.Reader, to sink) (out Summary, err error) {
	r := &reader{bufio.NewReaderSize(from, 64<<10), sha256.New()}
	line, err := r.take(len(magic))
	if err != nil {
		return out, err
	}
	if string(line) != magic {
		return out, errors.New("this is no backup that this release can read")
	}
	r.sum.Write(line)
	kind, payload, err := r.frame()
	if err != nil {
		return out, err
	}
	if kind != 'H' || json.Unmarshal(payload, &out.Header) != nil {
		return out, ErrDamaged
	}
	out.Rows = make(map[string]int64)
	var at store.Table
	for {
		kind, payload, err := r.frame()
		if err != nil {
			return out, err
		}
		switch kind {
		case 'K':
			if len(payload) < 40 {
				return out, ErrDamaged
			}
			out.Keys++
			err = to.key(keyring.Bare{ID: string(payload[40:]), Created: time.UnixMicro(int64(binary.BigEndian.Uint64(payload))).UTC(), Secret: payload[8:40]})
			clear(payload)
		case 'T':
			at = store.Table{}
			if json.Unmarshal(payload, &at) != nil || at.Name == "" || len(at.Columns) == 0 {
				return out, ErrDamaged
			}
			out.Rows[at.Name] = 0
			err = to.table(at)
		case 'R':
			var values []any
			if values, err = parseRow(payload, at); err == nil && at.Name == "" {
				err = ErrDamaged
			}
			if err == nil {
				out.Rows[at.Name]++
				err = to.row(at, values)
			}
		case 'A':
			var p Piece
			if p, err = parsePiece(payload); err == nil {
				out.AuditBytes += int64(len(p.Data))
				err = to.piece(p)
			}
		case 'E':
			return out, r.end(payload)
		default:
			err = ErrDamaged
		}
		if err != nil {
			return out, err
		}
	}
}

// end checks the hash, and that nothing follows.
func (r *reader) end(sum []byte) error {
	if subtle.ConstantTimeCompare(sum, r.sum.Sum(nil)) != 1 {
		return ErrDamaged
	}
	// This also has the encryption's own end be looked at.
	switch _, err := r.r.ReadByte(); {
	case err == nil:
		return ErrDamaged
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}
