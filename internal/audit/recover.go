package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Recovery is what Open found at the end of the chain.
type Recovery struct {
	// Head is the newest signed head's sequence number, Found the last record
	// that the files prove. Found below Head is a loss behind a signed head:
	// somebody removed or changed records, or the disk lost what it had
	// acknowledged.
	Head, Found uint64
	// Clean says that the log had been closed. A segment that ends as it should is
	// not enough: the one after it may be lost as a whole.
	Clean bool
	// Discarded counts bytes behind the last good record that formed none: a
	// write cut short. They were moved to a file named .torn-*.
	Discarded int64
	// Pending counts records that were appended because a crash had come
	// between a change and its record.
	Pending int
	// Restored counts records that the files did not have and the database had. The
	// disk was lost, or a power cut took its end: what had not been shipped is gone
	// with it. Shipped is when the last of them had been shipped.
	Restored uint64
	Shipped  time.Time
	// Break is where the chain broke behind the head; nil when it did not.
	Break *Break

	first uint64 // what the next record is numbered
	prev  Hash   // what it continues from
	bad   *Break // a head that nobody signed
}

// Lost reports whether anything behind a signed head is gone or changed.
func (r Recovery) Lost() bool { return r.Break != nil }

// Recovered returns what Open found.
func (l *Log) Recovered() Recovery { return l.found }

func (r Recovery) report(log *slog.Logger) {
	if r.bad != nil {
		log.Error("audit head is not signed by this node and is ignored", "head", r.bad.Segment)
	}
	switch {
	case r.Lost():
		log.Error("audit records behind the last signed head are lost or changed; keep the files and run a verification",
			"head", r.Head, "found", r.Found, "break", r.Break.Error())
	case r.Restored > 0:
		log.Error("the audit spool was lost; the chain goes on behind what had been shipped, and says so",
			"restored", r.Restored, "last_record", r.Found, "shipped", r.Shipped)
	case !r.Clean && r.first > 1:
		log.Warn("audit log was not closed; records after the last flush may be lost if the machine went down",
			"head", r.Head, "found", r.Found, "discarded_bytes", r.Discarded)
	}
}

// recoverChain finds the end of the chain and mends a torn one. It changes
// nothing at or before the newest head: what is broken there is evidence.
func recoverChain(ctx context.Context, s Source, heads []Head) (Recovery, error) {
	good, bad := believe(heads, s.Public)
	out := Recovery{bad: bad}
	var newest Head
	if n := len(good); n > 0 {
		newest = good[n-1]
	}
	out.Head = newest.Seq
	segments, err := listSegments(s.Dir, s.Node)
	if err != nil {
		return out, err
	}
	for len(segments) > 0 {
		last := segments[len(segments)-1]
		discarded, empty, err := dropEmpty(s, last, newest.Seq)
		out.Discarded += discarded
		if err != nil {
			return out, err
		}
		if !empty {
			break
		}
		segments = segments[:len(segments)-1]
	}
	// Whole segments before the head were checked by earlier starts, and are by
	// Verify. Without a head nothing is known, so all is read.
	s.From = newest.Seq
	w := newWalker(s, good)
	if err := w.run(ctx, segments); err != nil {
		return out, err
	}
	out.Found, out.first, out.prev = w.next-1, w.next, w.prev
	if len(segments) == 0 && newest.Seq == 0 {
		out.Clean = true
		return out, nil
	}
	if len(segments) == 0 || newest.Seq > 0 && segments[0] > newest.Seq {
		out.Found = 0
	}
	b := w.report.Broken
	switch {
	case b == nil && w.end.closed:
		out.Clean = w.end.last && out.Discarded == 0
		return out, nil
	case b == nil:
		discarded, err := mend(s, segments[len(segments)-1], w)
		out.Discarded += discarded
		if w.end.records == 0 {
			out.prev = w.before
		}
		return out, errors.Join(err, writeAgain(s, newest.Seq))
	case w.mendable(b):
		discarded, err := mendBreak(s, segments, b, w)
		out.Discarded += discarded
		if w.end.records == 0 && w.end.off > 0 {
			out.prev = w.before // The header is gone with its segment.
		}
		return out, errors.Join(err, writeAgain(s, newest.Seq))
	}
	out.Break = b
	// New records are numbered behind everything that was ever signed or still
	// stands in a file, so that no number means two records.
	top := newest.Seq
	if len(segments) > 0 {
		n, err := highest(s, segments[len(segments)-1])
		if err != nil {
			return out, err
		}
		top = max(top, n)
	}
	out.first = max(top, out.Found) + 1
	if newest.Seq > 0 {
		out.prev = newest.Chain
	}
	return out, nil
}

// mendable says whether a break is what a power cut leaves: it is behind the newest
// head, where nothing was promised. Files reach the disk in no order, so it may be
// in any of the segments there, and one may be missing before another.
func (w *walker) mendable(b *Break) bool { return w.next > w.newest && b.Kind != Rewritten }

// mendBreak ends the chain before a break. What stands behind it is set aside, the
// last segment first: what a crash leaves of the work is mended likewise.
func mendBreak(s Source, segments []uint64, b *Break, w *walker) (discarded int64, err error) {
	for len(segments) > 0 {
		first := segments[len(segments)-1]
		segments = segments[:len(segments)-1]
		if fileName(s.Node, first, segmentSuffix) == b.Segment && w.end.records > 0 {
			n, err := mend(s, first, w)
			return discarded + n, err
		}
		n, err := dropWhole(s, first)
		discarded += n
		if err != nil || fileName(s.Node, first, segmentSuffix) == b.Segment {
			return discarded, err
		}
	}
	return discarded, nil
}

// writeAgain writes anew what no head speaks of. Where a flush failed, the system
// still shows bytes that are not on the disk, takes them for flushed, and would
// never write them: a head over them would turn into evidence of tampering at the
// next power cut.
func writeAgain(s Source, newest uint64) error {
	segments, err := listSegments(s.Dir, s.Node)
	if err != nil {
		return err
	}
	for _, first := range segments[startIndex(segments, newest+1):] {
		b, err := os.ReadFile(filepath.Join(s.Dir, fileName(s.Node, first, segmentSuffix)))
		if err != nil {
			return fmt.Errorf("write audit segment again: %w", err)
		}
		if err := replaceFile(s.Dir, fileName(s.Node, first, segmentSuffix), b); err != nil {
			return fmt.Errorf("write audit segment again: %w", err)
		}
	}
	return nil
}

// dropWhole sets a whole segment aside.
func dropWhole(s Source, first uint64) (discarded int64, err error) {
	r, err := openSegment(s.Dir, s.Node, first)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	r.off = 0
	used, err := r.rest()
	if err != nil {
		return 0, err
	}
	if err := setAside(s.Dir, r, used); err != nil {
		return 0, err
	}
	return used, os.Remove(filepath.Join(s.Dir, r.name))
}

// dropEmpty removes the last segment if it holds no complete record and no head
// speaks of it: a crash came between its naming and its first record.
func dropEmpty(s Source, first, newest uint64) (discarded int64, empty bool, err error) {
	if first <= newest {
		return 0, false, nil
	}
	r, err := openSegment(s.Dir, s.Node, first)
	if err != nil {
		return 0, false, err
	}
	defer r.Close()
	start := int64(0)
	if _, _, err = r.next(); err == nil {
		start = r.off
		_, _, err = r.next()
	}
	if err == nil || ignoreEnd(err) != nil {
		return 0, false, err
	}
	r.off = start
	used, err := r.rest()
	if err != nil {
		return 0, false, err
	}
	if err := setAside(s.Dir, r, used); err != nil {
		return 0, false, err
	}
	return used, true, os.Remove(filepath.Join(s.Dir, r.name))
}

// mend cuts the last segment behind its last good line and closes it.
func mend(s Source, first uint64, w *walker) (discarded int64, err error) {
	r, err := openSegment(s.Dir, s.Node, first)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	r.off = w.end.off
	used, err := r.rest()
	if err != nil {
		return 0, err
	}
	if err := setAside(s.Dir, r, used); err != nil {
		return 0, err
	}
	path := filepath.Join(s.Dir, r.name)
	if w.end.records == 0 {
		return used, os.Remove(path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return 0, fmt.Errorf("mend audit segment: %w", err)
	}
	err = f.Truncate(w.end.off)
	if err == nil && !w.end.closed {
		_, err = f.WriteAt(appendTrailer(nil, w.next-1, w.end.records, w.prev), w.end.off)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, fmt.Errorf("mend audit segment: %w", err)
	}
	return used, nil
}

// setAside keeps n bytes from r's place, for whoever wants to look at what a
// crash left.
func setAside(dir string, r *segmentReader, n int64) error {
	if n == 0 {
		return nil
	}
	if err := r.again(nil); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, r.name+".torn-*")
	if err != nil {
		return fmt.Errorf("set torn bytes aside: %w", err)
	}
	_, err = io.CopyN(f, r.b, n)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("set torn bytes aside: %w", err)
	}
	return nil
}

// highest returns the greatest sequence number that stands in a segment, sound
// or not, as far as the segment's length makes it believable.
func highest(s Source, first uint64) (uint64, error) {
	r, err := openSegment(s.Dir, s.Node, first)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	info, err := os.Stat(filepath.Join(s.Dir, r.name))
	if err != nil {
		return 0, err
	}
	bound := first + uint64(info.Size())/minLine
	top := first
	for {
		b, _, err := r.next()
		if err != nil {
			return top, ignoreEnd(err)
		}
		if l, err := parseLine(b); err == nil && l.seq <= bound {
			top = max(top, l.seq)
		}
	}
}

// minLine is less than the shortest line.
const minLine = 200

// start is the signed statement in a start record.
type start struct {
	Format string `json:"format"`
	Node   string `json:"node"`
	// First is the number of the start record itself, Prev the chain hash that
	// its segment continues from.
	First uint64 `json:"first"`
	Prev  string `json:"prev"`
	// Head and Found are as in Recovery: records Found+1 to First-1 are lost.
	Head      uint64 `json:"head"`
	Found     uint64 `json:"found"`
	Clean     bool   `json:"clean"`
	Discarded int64  `json:"discardedBytes"`
	Break     string `json:"break,omitempty"`
	// Restored is as in Recovery: what the node did after Shipped and had not
	// shipped is lost, but for changes, whose records are in their transactions.
	Restored uint64    `json:"restored,omitempty"`
	Shipped  time.Time `json:"shipped,omitzero"`
	At       time.Time `json:"at"`
}

const startFormat = "strongroom-audit-start/1"

// startEvent is the name of start records.
const startEvent = "StrongroomAuditStarted"

// startRecord encodes the record that begins every segment run.
func (l *Log) startRecord() ([]byte, error) {
	now := l.now().UTC().Truncate(time.Microsecond)
	s := start{
		Format: startFormat, Node: l.cfg.Node,
		First: l.found.first, Prev: l.found.prev.String(),
		Head: l.found.Head, Found: l.found.Found, Clean: l.found.Clean, Discarded: l.found.Discarded, At: now,
	}
	if l.found.Break != nil {
		s.Break = l.found.Break.Error()
	}
	s.Restored, s.Shipped = l.found.Restored, l.found.Shipped
	statement, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode start record: %w", err)
	}
	details, err := json.Marshal(signed{statement, ed25519.Sign(l.key, statement)})
	if err != nil {
		return nil, fmt.Errorf("encode start record: %w", err)
	}
	return l.appendNodeEvent(nil, startEvent, now, details), nil
}

// signed is a statement with the node's signature over its exact bytes.
type signed struct {
	Start     json.RawMessage `json:"start"`
	Signature []byte          `json:"signature"`
}

// parseStart returns the statement of a start record if key signed it.
func parseStart(event []byte, key ed25519.PublicKey) (start, bool) {
	var e struct {
		EventName string `json:"eventName"`
		Details   signed `json:"serviceEventDetails"`
	}
	var s start
	if len(key) != ed25519.PublicKeySize || json.Unmarshal(event, &e) != nil || e.EventName != startEvent ||
		!ed25519.Verify(key, e.Details.Start, e.Details.Signature) ||
		json.Unmarshal(e.Details.Start, &s) != nil || s.Format != startFormat {
		return start{}, false
	}
	return s, true
}
