package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/strongroom/strongroom/internal/store"
)

// Copies reads what nodes have shipped of their chains. Copied is the database's;
// the operator's socket offers the same to other processes.
type Copies interface {
	// Segments returns the segments of which a node has shipped something, in
	// order.
	Segments(ctx context.Context, node string) ([]CopiedSegment, error)
	// Lines returns the run of lines that holds a byte of a segment, and where the
	// run begins; nil when the byte has not been shipped.
	Lines(ctx context.Context, node string, segment, place uint64) (lines []byte, from uint64, err error)
}

// CopiedSegment is what there is of a segment.
type CopiedSegment struct {
	First uint64 `json:"first"` // its first sequence number, which is its name
	Size  uint64 `json:"size"`  // bytes, from its beginning
	Last  uint64 `json:"last"`  // its newest record, 0 for none
	// At is when the newest part was shipped.
	At time.Time `json:"at"`
}

// formZstd says that a row's lines are compressed: chain lines are mostly
// repetition, and what is written to the database is written to its log and its
// replicas as well.
const formZstd = 1

// maxLines bounds the bytes of lines in one row. A line is shorter, see maxLine.
const maxLines = 256 << 10

// Encoder and decoder hold tables worth keeping; both may be used by many at once.
var (
	encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	})
	decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
		// The bound keeps a forged row from filling the memory of who reads it.
		return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(2*maxLines), zstd.WithDecoderConcurrency(1))
	})
)

func compress(lines []byte) ([]byte, error) {
	e, err := encoder()
	if err != nil {
		return nil, err
	}
	return e.EncodeAll(lines, nil), nil
}

func decompress(form int64, b []byte) ([]byte, error) {
	if form != formZstd {
		return nil, fmt.Errorf("audit lines in form %d, which a later release has written", form)
	}
	d, err := decoder()
	if err != nil {
		return nil, err
	}
	return d.DecodeAll(b, nil)
}

// Copied returns the copies in a database.
func Copied(s Store) Copies { return copied{s} }

type copied struct{ store Store }

func (c copied) Segments(ctx context.Context, node string) ([]CopiedSegment, error) {
	var out []CopiedSegment
	err := c.store.Read(ctx, func(tx store.Tx) (err error) {
		out, err = copiedSegments(tx, node)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read audit copies: %w", err)
	}
	return out, nil
}

func copiedSegments(tx store.Tx, node string) ([]CopiedSegment, error) {
	rows, err := tx.Query(`SELECT segment, MAX(place + size), MAX(last), MAX(at) FROM audit_lines WHERE node = $1
		GROUP BY segment ORDER BY segment`, node)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []CopiedSegment
	for rows.Next() {
		var first, size, last, at int64
		if err := rows.Scan(&first, &size, &last, &at); err != nil {
			return nil, err
		}
		out = append(out, CopiedSegment{uint64(first), uint64(size), uint64(last), time.UnixMicro(at).UTC()})
	}
	return out, rows.Err()
}

func (c copied) Lines(ctx context.Context, node string, segment, place uint64) (lines []byte, from uint64, err error) {
	var at, size, form int64
	var b []byte
	err = c.store.Read(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT place, size, form, lines FROM audit_lines WHERE node = $1 AND segment = $2 AND place <= $3
			ORDER BY place DESC LIMIT 1`, node, int64(segment), int64(place)).Scan(&at, &size, &form, &b)
	})
	if errors.Is(err, store.ErrNoRows) || err == nil && int64(place) >= at+size {
		return nil, 0, nil
	}
	if err == nil {
		lines, err = decompress(form, b)
	}
	if err == nil && int64(len(lines)) != size {
		err = fmt.Errorf("%d bytes instead of %d", len(lines), size)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read audit copy of %s at byte %d: %w", fileName(node, segment, segmentSuffix), place, err)
	}
	return lines, uint64(at), nil
}

// copyFile reads a shipped segment as if it were its file. What has not been
// shipped yet is the end of the file.
type copyFile struct {
	ctx    context.Context
	copies Copies
	node   string
	first  uint64
	off    int64
	lines  []byte // what was read last, from byte from of the segment on
	from   int64
}

func (f *copyFile) Read(b []byte) (int, error) {
	if f.off < f.from || f.off >= f.from+int64(len(f.lines)) {
		lines, from, err := f.copies.Lines(f.ctx, f.node, f.first, uint64(f.off))
		if err != nil {
			return 0, err
		}
		if lines == nil {
			return 0, io.EOF
		}
		f.lines, f.from = lines, int64(from)
	}
	n := copy(b, f.lines[f.off-f.from:])
	f.off += int64(n)
	return n, nil
}

// Seek knows the beginning of the segment only, which is all that reading lines
// needs.
func (f *copyFile) Seek(off int64, whence int) (int64, error) {
	if whence != io.SeekStart || off < 0 {
		return 0, errors.New("seek in an audit copy")
	}
	f.off = off
	return off, nil
}

func (f *copyFile) Close() error { return nil }
