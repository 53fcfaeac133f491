package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"
)

// walker goes along a chain. Its place is the record expected next and the
// chain hash to continue from.
type walker struct {
	source Source
	node   string
	key    ed25519.PublicKey
	heads  []Head // believed, by sequence, those behind the place removed
	newest uint64 // of the heads
	next   uint64
	prev   Hash
	before Hash // prev as it was at the present segment's header
	trust  bool // take the first header's word for prev
	end    segmentEnd
	report Report
}

// segmentEnd is how far a segment could be read.
type segmentEnd struct {
	closed  bool
	last    bool // closed together with the log
	records uint64
	off     int64 // behind the last good line
	used    int64 // bytes behind off that are not zero
}

func newWalker(s Source, heads []Head) *walker {
	w := &walker{source: s, node: s.Node, key: s.Public, heads: heads, next: max(1, s.From), trust: s.From > 1}
	if n := len(heads); n > 0 {
		w.newest = heads[n-1].Seq
	}
	w.report = Report{Node: s.Node, First: w.next}
	return w
}

// run walks through the segments and fills the report.
func (w *walker) run(ctx context.Context, segments []uint64) error {
	if w.trust {
		segments = segments[startIndex(segments, w.next):]
		if len(segments) > 0 && segments[0] <= w.next {
			w.next = segments[0]
			w.report.First = w.next
		}
		for len(w.heads) > 0 && w.heads[0].Seq < w.next {
			w.heads = w.heads[1:]
		}
	}
	for i, first := range segments {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		last := i == len(segments)-1
		b, err := w.segment(ctx, first, last)
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		// The segment at which a loss is noticed either begins behind it, or
		// is followed by the one that does.
		ok, err := w.acknowledged(ctx, first, b)
		if err == nil && !ok && !last {
			ok, err = w.acknowledged(ctx, segments[i+1], b)
			if ok {
				continue
			}
		}
		if err != nil {
			return err
		}
		if ok {
			b, err = w.segment(ctx, first, last)
			if err != nil {
				return err
			}
			if b == nil {
				continue
			}
		}
		w.report.Broken = b
		return nil
	}
	if w.newest >= w.next {
		name := fileName(w.node, w.next, segmentSuffix)
		if n := len(segments); n > 0 {
			name = fileName(w.node, segments[n-1], segmentSuffix)
		}
		w.report.Broken = &Break{Kind: Truncated, Segment: name, Seq: w.next, Offset: w.end.off,
			Detail: fmt.Sprintf("a signed head names record %d", w.newest)}
	}
	return nil
}

// startIndex returns the index of the segment that holds record seq.
func startIndex(segments []uint64, seq uint64) int {
	i, found := slices.BinarySearch(segments, seq)
	if !found && i > 0 {
		i--
	}
	return i
}

// segment checks one segment from the present place on. last allows it to end
// without a trailer.
func (w *walker) segment(ctx context.Context, first uint64, last bool) (*Break, error) {
	r, err := w.source.open(ctx, first)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	w.end = segmentEnd{}
	b, err := w.header(r, first, last)
	if b != nil || err != nil {
		return b, err
	}
	for {
		line, off, err := r.next()
		w.end.off = off
		if errors.Is(err, errEnd) || errors.Is(err, errTorn) {
			return w.unclosed(r, last)
		}
		if err != nil {
			return nil, err
		}
		if isTrailer(line) {
			return w.trailer(r, line, off)
		}
		if b := w.record(r, line, off); b != nil {
			return w.classify(r, b)
		}
	}
}

func (w *walker) header(r *segmentReader, first uint64, last bool) (*Break, error) {
	line, off, err := r.next()
	if errors.Is(err, errEnd) || errors.Is(err, errTorn) {
		return w.unclosed(r, last)
	}
	if err != nil {
		return nil, err
	}
	h, chain, err := parseHeader(line)
	switch {
	case err != nil || h.node != w.node || h.first != first:
		return w.broken(BadHeader, r, off), nil
	case h.first > w.next:
		b := w.broken(MissingSegment, r, off)
		b.Detail = fmt.Sprintf("this one begins with record %d", h.first)
		return b, nil
	case h.first < w.next:
		return w.broken(Repeated, r, off), nil
	}
	if w.trust {
		w.prev, w.trust = h.prev, false
	}
	if h.prev != w.prev {
		return w.broken(BadLink, r, off), nil
	}
	w.before, w.prev = w.prev, chain
	w.end.off = r.off
	w.report.Segments++
	return nil, nil
}

// record checks one line and moves the place behind it.
func (w *walker) record(r *segmentReader, b []byte, off int64) *Break {
	l, err := parseLine(b)
	if err != nil {
		return w.broken(BadLine, r, off)
	}
	if l.seq != w.next {
		brk := w.broken(Reordered, r, off)
		brk.Detail = fmt.Sprintf("found record %d", l.seq)
		if l.seq+1 == w.next {
			brk.Kind, brk.Seq = Repeated, l.seq
		}
		return brk
	}
	body := l.record
	if l.event != nil {
		body = sha256.Sum256(l.event)
	}
	sound := link(l.prev, l.seq, l.record) == l.chain
	switch {
	case body != l.record && sound:
		return w.broken(BadBody, r, off)
	case body != l.record || !sound:
		return w.broken(BadHash, r, off)
	case l.prev != w.prev && w.end.records == 0:
		// The header is a link: it is what the first record continues from.
		b := w.broken(BadHeader, r, 0)
		b.Detail = "the first record does not continue from it"
		return b
	case l.prev != w.prev:
		return w.broken(BadLink, r, off)
	}
	for len(w.heads) > 0 && w.heads[0].Seq <= l.seq {
		h := w.heads[0]
		if h.Seq == l.seq && h.Chain != l.chain {
			brk := w.broken(Rewritten, r, off)
			brk.Detail = fmt.Sprintf("head of %s", h.Time.Format(time.RFC3339))
			return brk
		}
		w.heads = w.heads[1:]
	}
	if w.end.records == 0 {
		w.started(l.event)
	}
	w.prev = l.chain
	w.next++
	w.end.records++
	w.end.off = r.off
	w.report.Records++
	if l.event == nil {
		w.report.Dropped++
	}
	w.report.Last, w.report.Chain = l.seq, l.chain
	return nil
}

// started notes what a start record, which can only be the first of its segment,
// tells of a lost disk.
func (w *walker) started(event []byte) {
	if s, ok := parseStart(event, w.key); ok && s.Node == w.node && s.Restored > 0 {
		w.report.Windows = append(w.report.Windows, Window{After: s.Found, From: s.Shipped, To: s.At})
	}
}

func (w *walker) trailer(r *segmentReader, b []byte, off int64) (*Break, error) {
	want := appendTrailer(nil, w.next-1, w.end.records, w.prev)
	if string(want[:len(want)-1]) != string(b) {
		want = closing(want)
		w.end.last = true
	}
	if string(want[:len(want)-1]) != string(b) {
		return w.broken(BadTrailer, r, off), nil
	}
	w.end.closed, w.end.off = true, r.off
	// A closed segment is cut to its length; until that has happened the rest
	// is still zeros.
	used, err := r.rest()
	if err != nil {
		return nil, err
	}
	if w.end.used = used; used > 0 {
		return w.broken(Trailing, r, r.off), nil
	}
	return nil, nil
}

// unclosed judges a segment that ends without a trailer. Only the last one may,
// and only behind the newest head.
func (w *walker) unclosed(r *segmentReader, last bool) (*Break, error) {
	used, err := r.rest()
	if err != nil {
		return nil, err
	}
	w.end.used = used
	if !last || w.newest >= w.next {
		b := w.broken(Truncated, r, r.off)
		switch {
		case used > 0:
			b.Kind = BadLine
		case last:
			b.Detail = fmt.Sprintf("a signed head names record %d", w.newest)
		default:
			b.Detail = "the segment has no trailer"
		}
		return b, nil
	}
	w.report.Torn = used
	return nil, nil
}

// classify looks ahead whether a record that is not at its place stands further
// on.
func (w *walker) classify(r *segmentReader, b *Break) (*Break, error) {
	if b.Kind != Reordered {
		return b, nil
	}
	for {
		line, _, err := r.next()
		if errors.Is(err, errEnd) || errors.Is(err, errTorn) {
			b.Kind = Missing
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		if l, err := parseLine(line); err == nil && l.seq == w.next {
			return b, nil
		}
	}
}

func (w *walker) broken(k Kind, r *segmentReader, off int64) *Break {
	return &Break{Kind: k, Segment: r.name, Seq: w.next, Offset: off}
}

// acknowledged says whether the segment that begins with first was begun by the
// node after it had found the break b itself, and then moves the place there.
func (w *walker) acknowledged(ctx context.Context, first uint64, b *Break) (bool, error) {
	if first <= w.next || b.Kind == Rewritten {
		return false, nil
	}
	r, err := w.source.open(ctx, first)
	if err != nil {
		return false, err
	}
	defer r.Close()
	line, _, err := r.next()
	if err != nil {
		return false, ignoreEnd(err)
	}
	h, _, err := parseHeader(line)
	if err != nil || h.first != first {
		return false, nil
	}
	if line, _, err = r.next(); err != nil {
		return false, ignoreEnd(err)
	}
	l, err := parseLine(line)
	if err != nil {
		return false, nil
	}
	s, ok := parseStart(l.event, w.key)
	if !ok || s.Node != w.node || s.First != first || s.Found+1 != w.next || s.Prev != h.prev.String() {
		return false, nil
	}
	w.report.Gaps = append(w.report.Gaps, Gap{From: w.next, To: first - 1, Break: *b, Found: s.At})
	w.next, w.prev = first, h.prev
	for len(w.heads) > 0 && w.heads[0].Seq < first {
		w.heads = w.heads[1:]
	}
	return true, nil
}

func ignoreEnd(err error) error {
	if errors.Is(err, errEnd) || errors.Is(err, errTorn) {
		return nil
	}
	return err
}
