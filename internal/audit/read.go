package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Entry is one record of a chain, as it stands in a segment.
type Entry struct {
	Node                string
	Seq                 uint64
	Prev, Record, Chain Hash
	// Body is the record, a JSON object; nil when it was dropped. It is valid
	// until the callback returns.
	Body []byte
	// Segment is the file's name, Offset the place of the line in it.
	Segment string
	Offset  int64
}

var (
	// errEnd: nothing is written from here on, or not yet.
	errEnd = errors.New("end of written lines")
	// errTorn: a line begins here and has no end.
	errTorn = errors.New("incomplete line")
)

// segmentReader reads a segment line by line. The unwritten rest reads as zero
// bytes, which no line contains.
type segmentReader struct {
	f    io.ReadSeekCloser
	b    *bufio.Reader
	name string
	off  int64 // of the next line
}

func openSegment(dir, node string, first uint64) (*segmentReader, error) {
	name := fileName(node, first, segmentSuffix)
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("open audit segment: %w", err)
	}
	return newSegmentReader(f, name), nil
}

func newSegmentReader(f io.ReadSeekCloser, name string) *segmentReader {
	return &segmentReader{f: f, b: bufio.NewReaderSize(f, 2*maxLine), name: name}
}

// next returns a line without its line feed, valid until the following call.
// After errEnd and errTorn it may be called again, once more has been written.
func (r *segmentReader) next() (b []byte, off int64, err error) {
	head, err := r.b.Peek(1)
	if err == io.EOF || err == nil && head[0] == 0 {
		return nil, r.off, r.again(errEnd)
	}
	if err != nil {
		return nil, r.off, fmt.Errorf("read audit segment: %w", err)
	}
	b, err = r.b.ReadSlice('\n')
	switch {
	case err == io.EOF, errors.Is(err, bufio.ErrBufferFull):
		return nil, r.off, r.again(errTorn)
	case err != nil:
		return nil, r.off, fmt.Errorf("read audit segment: %w", err)
	case slices.Contains(b, 0):
		return nil, r.off, r.again(errTorn)
	}
	off = r.off
	r.off += int64(len(b))
	return b[:len(b)-1], off, nil
}

// again forgets what was buffered and returns err.
func (r *segmentReader) again(err error) error {
	if _, e := r.f.Seek(r.off, io.SeekStart); e != nil {
		return fmt.Errorf("read audit segment: %w", e)
	}
	r.b.Reset(r.f)
	return err
}

// rest returns how many bytes from the current place are in use: up to the last
// that is not zero.
func (r *segmentReader) rest() (int64, error) {
	if err := r.again(nil); err != nil {
		return 0, err
	}
	var used, at int64
	buf := make([]byte, 256<<10)
	for {
		n, err := r.b.Read(buf)
		for i := n - 1; i >= 0; i-- {
			if buf[i] != 0 {
				used = at + int64(i) + 1
				break
			}
		}
		at += int64(n)
		if err == io.EOF {
			return used, r.again(nil)
		}
		if err != nil {
			return 0, fmt.Errorf("read audit segment: %w", err)
		}
	}
}

func (r *segmentReader) Close() error { return r.f.Close() }

// Scan calls fn for each record of node's chain in dir from sequence number
// from on, in order, up to the last one written, and stops at fn's first error.
// It does not verify. A running log may be scanned.
func Scan(ctx context.Context, dir, node string, from uint64, fn func(Entry) error) error {
	return Source{Dir: dir, Node: node}.Scan(ctx, from, fn)
}

// Scan is Scan of the files and of what else the source has.
func (s Source) Scan(ctx context.Context, from uint64, fn func(Entry) error) error {
	c := cursor{source: s, from: from}
	defer c.close()
	_, err := c.advance(ctx, fn)
	return err
}

// tailPoll is how often Tail looks for more.
const tailPoll = 200 * time.Millisecond

// Tail is Scan that goes on: it waits for more records until ctx ends, whose
// cause it returns, or fn fails. Records may still be lost to a power cut when
// fn sees them.
func Tail(ctx context.Context, dir, node string, from uint64, fn func(Entry) error) error {
	c := cursor{source: Source{Dir: dir, Node: node}, from: from}
	defer c.close()
	t := time.NewTicker(tailPoll)
	defer t.Stop()
	for {
		more, err := c.advance(ctx, fn)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
}

// cursor is a place in a chain that moves through its segments.
type cursor struct {
	source Source
	from   uint64
	first  uint64 // of the open segment
	r      *segmentReader
}

func (c *cursor) close() {
	if c.r != nil {
		_ = c.r.Close() // Opened for reading only.
		c.r = nil
	}
}

// advance passes on what there is, through all segments, and says whether it
// passed anything.
func (c *cursor) advance(ctx context.Context, fn func(Entry) error) (bool, error) {
	moved := false
	for {
		if c.r == nil {
			ok, err := c.open(ctx)
			if !ok || err != nil {
				return moved, err
			}
		}
		b, off, err := c.r.next()
		if errors.Is(err, errEnd) || errors.Is(err, errTorn) {
			// A segment without trailer that has a successor was left by a
			// crash whose loss the successor's start record tells.
			if n, e := c.successor(ctx); e != nil || n == 0 {
				return moved, e
			}
			if b, off, err = c.r.next(); err != nil {
				c.close()
				continue
			}
		}
		if err != nil {
			return moved, err
		}
		if isTrailer(b) {
			c.close()
			continue
		}
		l, err := parseLine(b)
		if err != nil {
			if _, _, e := parseHeader(b); e == nil {
				continue
			}
			return moved, fmt.Errorf("%s at byte %d: %w", c.r.name, off, err)
		}
		if l.seq < c.from {
			continue
		}
		if err := ctx.Err(); err != nil {
			return moved, context.Cause(ctx)
		}
		if err := fn(Entry{c.source.Node, l.seq, l.prev, l.record, l.chain, l.event, c.r.name, off}); err != nil {
			return moved, err
		}
		c.from, moved = l.seq+1, true
	}
}

// open opens the segment that holds from, or the one after the segment that was
// read to its end.
func (c *cursor) open(ctx context.Context) (bool, error) {
	next, err := c.successor(ctx)
	if err != nil || next == 0 {
		return false, err
	}
	c.close()
	if c.r, err = c.source.open(ctx, next); err != nil {
		return false, err
	}
	c.first = next
	return true, nil
}

// successor returns the first sequence number of the segment to read after the
// present one; 0 when there is none yet.
func (c *cursor) successor(ctx context.Context) (uint64, error) {
	all, err := c.source.segments(ctx)
	if err != nil {
		return 0, err
	}
	var next uint64
	for _, first := range all {
		switch {
		case first <= c.first:
		case c.first == 0 && first <= c.from:
			next = first // The last one that begins before from.
		case next == 0:
			next = first
		}
	}
	return next, nil
}
