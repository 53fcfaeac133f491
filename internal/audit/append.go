package audit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// batch collects ordered lines until a writer takes them.
type batch struct {
	buf   []byte
	spans []span
	end   mark
}

// span is a run of lines for one segment: buf[from:to] goes to off.
type span struct {
	seg      *segment
	off      int64
	from, to int
	opens    bool // begins with the header: the file gets its name
	closes   bool // ends with the trailer
	end      mark
}

// dirty is a segment with unflushed bytes; closed ones are cut to size.
type dirty struct {
	seg    *segment
	closed bool
	opened bool
	size   int64
	end    mark
}

// maxKept bounds the buffer that a burst may leave behind.
const maxKept = 4 << 20

func (b *batch) reset() {
	if cap(b.buf) > maxKept {
		b.buf = nil
	}
	clear(b.spans)
	b.buf, b.spans = b.buf[:0], b.spans[:0]
}

// span returns the run to extend for seg.
func (b *batch) span(seg *segment) *span {
	if n := len(b.spans); n > 0 && b.spans[n-1].seg == seg {
		return &b.spans[n-1]
	}
	b.spans = append(b.spans, span{seg: seg, off: seg.off, from: len(b.buf), to: len(b.buf)})
	return &b.spans[len(b.spans)-1]
}

// event is an encoded record with its hash, ready to be ordered.
type event struct {
	body []byte
	hash Hash
	id   string  // of the call, if a pending row may wait for this record
	buf  *[]byte // to give back once the event is ordered
	// doubtful says that nobody knows whether there is a pending row.
	doubtful bool
}

func newEvent(body []byte) event { return event{body: body, hash: sha256.Sum256(body)} }

// order gives events their place in the chain. The caller holds mu and has
// reserved their room, so there is a spare segment whenever one is needed.
func (l *Log) order(events ...event) error {
	for i := range events {
		e := &events[i]
		if l.cur.off+int64(len(e.body))+lineOverhead+maxTrailer > l.cur.size {
			if err := l.rotate(); err != nil {
				return err
			}
		}
		prev := l.prev
		seq := l.end.seq + 1
		l.prev = link(prev, seq, e.hash)
		l.end = mark{seq, l.prev, l.cur.first}
		s := l.batch.span(l.cur)
		l.batch.buf = appendLine(l.batch.buf, seq, prev, e.hash, l.prev, e.body)
		l.extend(s)
		l.cur.records++
	}
	l.stats.appended.Add(uint64(len(events)))
	return nil
}

// extend moves a run's end, and the segment's, to the end of the buffer.
func (l *Log) extend(s *span) {
	n := len(l.batch.buf)
	l.cur.off += int64(n - s.to)
	l.stats.bytes.Add(uint64(n - s.to))
	s.to, s.end = n, l.end
	l.batch.end = l.end
}

// finish ends the current segment with its trailer.
func (l *Log) finish() {
	s := l.batch.span(l.cur)
	l.batch.buf = appendTrailer(l.batch.buf, l.end.seq, l.cur.records, l.prev)
	l.extend(s)
	s.closes = true
}

// close makes the trailer just added the last line of the log.
func (l *Log) close() {
	l.batch.buf = closing(l.batch.buf)
	l.extend(l.batch.span(l.cur))
}

var errNoSpare = errors.New("no spare segment although room was reserved")

// rotate continues in a spare segment.
func (l *Log) rotate() error {
	if len(l.spares) == 0 {
		return errNoSpare
	}
	if l.cur != nil {
		l.finish()
	}
	l.cur = l.spares[0]
	l.spares = slices.Delete(l.spares, 0, 1)
	l.cur.first = l.end.seq + 1
	l.cur.name = fileName(l.cfg.Node, l.cur.first, segmentSuffix)
	s := l.batch.span(l.cur)
	s.opens = true
	h := header{node: l.cfg.Node, first: l.cur.first, prev: l.prev, created: l.now()}
	l.batch.buf, l.prev = h.appendHeader(l.batch.buf)
	l.extend(s)
	l.kickAllocator()
	return nil
}

// write returns once all lines up to seq are in the operating system. The first
// to come writes what all others have queued. With all set it writes whatever
// there is, trailers included.
func (l *Log) write(seq uint64, all bool) error {
	if l.writtenSeq.Load() >= seq && !all {
		return nil
	}
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.writtenSeq.Load() >= seq && !all {
		return nil
	}
	if err := l.failed(); err != nil {
		return err
	}
	l.mu.Lock()
	b := l.batch
	l.batch = l.idle
	l.mu.Unlock()
	for i := range b.spans {
		if err := l.writeSpan(b, &b.spans[i]); err != nil {
			return l.fail(fmt.Errorf("write audit segment: %w", err))
		}
	}
	if len(b.spans) > 0 {
		l.written = b.end
		l.writtenSeq.Store(b.end.seq)
	}
	b.reset()
	l.idle = b
	return nil
}

func (l *Log) writeSpan(b *batch, s *span) error {
	if _, err := s.seg.f.WriteAt(b.buf[s.from:s.to], s.off); err != nil {
		return err
	}
	if s.opens {
		// Only now, so that a named segment always has its header.
		if err := os.Rename(s.seg.f.Name(), l.path(s.seg.name)); err != nil {
			return err
		}
	}
	if n := len(l.dirty); n == 0 || l.dirty[n-1].seg != s.seg {
		l.dirty = append(l.dirty, dirty{seg: s.seg})
	}
	d := &l.dirty[len(l.dirty)-1]
	d.opened = d.opened || s.opens
	d.closed = s.closes
	d.size = s.off + int64(s.to-s.from)
	d.end = s.end
	return nil
}

// sync returns once all lines up to seq are on disk. Like write, it works for
// all who wait.
func (l *Log) sync(seq uint64, all bool) error {
	if l.syncedSeq.Load() >= seq && !all {
		return nil
	}
	l.smu.Lock()
	defer l.smu.Unlock()
	if l.syncedSeq.Load() >= seq && !all {
		return nil
	}
	l.wmu.Lock()
	work, target := l.dirty, l.written
	l.dirty = nil
	l.wmu.Unlock()
	if err := l.failed(); err != nil {
		return err
	}
	if len(work) == 0 {
		return nil
	}
	start := time.Now()
	opened := false
	for _, d := range work {
		opened = opened || d.opened
		if err := l.flushSegment(d); err != nil {
			return l.fail(fmt.Errorf("flush audit segment: %w", err))
		}
	}
	if opened {
		if err := l.names.Sync(); err != nil {
			return l.fail(fmt.Errorf("flush audit directory: %w", err))
		}
	}
	l.synced = target
	l.syncedSeq.Store(target.seq)
	l.stats.flushed(time.Since(start))
	return nil
}

func (l *Log) flushSegment(d dirty) error {
	if !d.closed {
		return flush(d.seg.f)
	}
	// The unused rest goes back to the file system; the length must be durable
	// with the data.
	if err := d.seg.f.Truncate(d.size); err != nil {
		return err
	}
	l.done = append(l.done, d.end)
	return errors.Join(d.seg.f.Sync(), d.seg.f.Close())
}
