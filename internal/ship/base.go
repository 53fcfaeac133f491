package ship

import (
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// base is what the last object of a base says of it.
type base struct {
	Number uint64 `json:"number"`
	// Prev is the hash of the log object before Number.
	Prev string `json:"prev"`
	// Through is the last log object that has to be replayed, Until the first moment
	// that can be restored.
	Through  uint64   `json:"through"`
	Until    int64    `json:"until"`
	Keys     uint64   `json:"keyObjects"`
	PageSize int      `json:"pageSize"`
	Parts    []string `json:"parts"` // their SHA-256
	Size     int64    `json:"size"`  // of the database file
}

// partSize is how much of the database file a part holds.
const partSize = 16 << 20

// errGap means that commits were lost while a base was copied.
var errGap = errors.New("the copy of the database is of no use: commits were lost meanwhile")

// copying makes a base whenever one is due, and removes what is too old.
func (s *Shipper) copying(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, s.c.Interval)
		if !s.due() {
			continue
		}
		err := s.Copy(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.fail(err)
			pause(ctx, 5*s.c.Interval)
		}
	}
}

// due says whether a base is wanted: there is none that the log continues, or the
// newest is old.
func (s *Shipper) due() bool {
	s.take.Lock()
	defer s.take.Unlock()
	if !s.ready || !s.st.Begun || s.refused {
		return false
	}
	n := len(s.st.Bases)
	return n == 0 || s.st.Gap || s.st.Bases[n-1].Number < s.st.Missing ||
		s.c.Now().Sub(moment(s.st.Bases[n-1].Until)) >= s.c.BaseEvery
}

// Copy copies the database file to the target. It does nothing while a reader keeps
// the log from being folded whole.
func (s *Shipper) Copy(ctx context.Context) error {
	whole, err := s.src.DB.Fold(ctx)
	if err != nil || !whole {
		return err
	}
	s.take.Lock()
	from, stream := s.from, s.st.Stream
	s.take.Unlock()
	if !from.ok {
		return nil // The next commit closes a gap; then again.
	}
	b := base{Number: from.number, Prev: from.prev}
	image, size, err := s.src.DB.Image()
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	b.Size = size
	var head [18]byte
	if _, err := image.ReadAt(head[:], 0); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	if b.PageSize = int(binary.BigEndian.Uint16(head[16:])); b.PageSize == 1 {
		b.PageSize = 1 << 16
	}
	for off := int64(0); off < size; off += partSize {
		object, err := s.part(stream, &b, image, off)
		if err != nil {
			return err
		}
		if err := s.deliver(ctx, partName(stream, b.Number, len(b.Parts)), object); err != nil {
			return err
		}
		b.Parts = append(b.Parts, hash(object))
	}
	s.take.Lock()
	lost := s.st.Stream != stream || s.st.Gap || s.st.Missing > b.Number
	b.Through, b.Until, b.Keys = s.st.Log.Next-1, s.st.Until, s.st.Numbered
	s.take.Unlock()
	if lost {
		return errGap
	}
	name := objectName(stream, kindBase, b.Number)
	object, err := s.key.seal(name, func(w io.Writer) error { return json.NewEncoder(w).Encode(&b) })
	if err != nil {
		return err
	}
	if err := s.deliver(ctx, name, object); err != nil {
		return err
	}
	s.counters.bases.Add(1)
	err = s.change(stream, func(st *state) {
		// Copied twice without a commit between, it is the same base again.
		st.Bases = slices.DeleteFunc(slices.Clone(st.Bases), func(n baseNote) bool { return n.Number == b.Number })
		st.Bases = append(st.Bases, baseNote{b.Number, len(b.Parts), b.Until})
	})
	if err != nil {
		return err
	}
	return s.prune(ctx)
}

// part seals a part of the database file. A page that is being changed meanwhile may
// be torn in it: it is in the log as well.
func (s *Shipper) part(stream string, b *base, image io.ReaderAt, off int64) ([]byte, error) {
	name := partName(stream, b.Number, len(b.Parts))
	return s.key.seal(name, func(w io.Writer) error {
		z, err := flate.NewWriter(w, flate.BestSpeed)
		if err != nil {
			return err
		}
		if _, err := io.Copy(z, io.NewSectionReader(image, off, min(partSize, b.Size-off))); err != nil {
			return fmt.Errorf("copy the database: %w", err)
		}
		return z.Close()
	})
}

// prune removes from the target what no moment within the retention needs. The audit
// record stays.
func (s *Shipper) prune(ctx context.Context) error {
	s.take.Lock()
	stream, bases, former := s.st.Stream, slices.Clone(s.st.Bases), slices.Clone(s.st.Former)
	s.take.Unlock()
	cutoff := s.c.Now().Add(-s.c.Retention).UnixMicro()
	keep := -1
	for i, b := range bases {
		if b.Until <= cutoff {
			keep = i
		}
	}
	if keep < 0 {
		return nil
	}
	for _, old := range former {
		if err := s.remove(ctx, old, func(string, uint64) bool { return true }); err != nil {
			return err
		}
	}
	first := bases[keep].Number
	err := s.remove(ctx, stream, func(kind string, n uint64) bool { return (kind == kindLog || kind == kindBase) && n < first })
	if err != nil {
		return err
	}
	return s.change(stream, func(st *state) {
		st.Former = nil
		st.Bases = slices.DeleteFunc(slices.Clone(st.Bases), func(b baseNote) bool { return b.Number < first })
	})
}

// remove deletes objects of a stream. What tells what the others are goes first, so
// that a restore never begins with a base of which a part is gone.
func (s *Shipper) remove(ctx context.Context, stream string, old func(kind string, n uint64) bool) error {
	names, err := s.list(ctx, stream+"/")
	if err != nil {
		return err
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(stream, a) - rank(stream, b) })
	for _, name := range names {
		kind, n, _, ok := parseName(stream, name)
		if name == stream+"/"+streamFile {
			kind, ok = streamFile, true
		}
		if !ok || !old(kind, n) {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
		err := s.c.Target.Delete(ctx, name)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

func rank(stream, name string) int {
	kind, _, part, _ := parseName(stream, name)
	switch {
	case name == stream+"/"+streamFile:
		return 0
	case kind == kindBase && part < 0:
		return 1
	}
	return 2
}

// Status is what an operator sees of shipping.
type Status struct {
	Target string `json:"target"`
	Stream string `json:"stream"`
	// Until is the last moment that the target can restore; zero before there is one.
	Until time.Time `json:"until,omitzero"`
	// Since is the first one, of this stream.
	Since time.Time `json:"since,omitzero"`
	// Lag is how far the target is behind, in seconds; Waiting what waits for it, in
	// bytes.
	Lag     float64 `json:"lagSeconds"`
	Waiting int64   `json:"waitingBytes"`
	Objects int64   `json:"objects"`
	Bytes   int64   `json:"bytes"`
	Bases   int64   `json:"bases"`
	Gaps    int64   `json:"gaps"`
	// Ahead is how far the moments of commits are ahead of the clock, in seconds: it was
	// ahead itself, and they never go back.
	Ahead float64 `json:"aheadSeconds,omitempty"`
	// Failures count attempts; Error is the last one's, "" when the last attempt was
	// none, FailingSince when that began.
	Failures     int64     `json:"failures"`
	Error        string    `json:"error,omitempty"`
	FailingSince time.Time `json:"failingSince,omitzero"`
}

// Status tells how shipping goes.
func (s *Shipper) Status() Status {
	s.mu.Lock()
	ahead := moment(s.last).Sub(s.c.Now())
	oldest := int64(0)
	untaken := int64(0)
	if len(s.marks) > 0 {
		oldest = s.marks[0].at
		untaken = s.frames - s.marks[0].frames + 1
	}
	s.mu.Unlock()
	s.take.Lock()
	out := Status{Target: s.c.Target.String(), Stream: s.st.Stream, Waiting: s.spooled + untaken*int64(max(s.st.At.PageSize, 4096))}
	if ahead > time.Second {
		out.Ahead = ahead.Seconds()
	}
	bases := s.st.Bases
	waits := s.st.Log.Sent+1 < s.st.Log.Next
	gap := s.st.Gap || s.refused || len(bases) == 0 || bases[len(bases)-1].Number < s.st.Missing
	s.take.Unlock()
	sent := s.counters.sentUntil.Load()
	if len(bases) > 0 {
		out.Since = moment(bases[0].Until)
		out.Until = moment(max(sent, bases[0].Until))
	}
	if oldest > 0 || waits || gap {
		out.Lag = max(0, s.c.Now().Sub(moment(sent)).Seconds())
		if !waits && !gap {
			out.Lag = max(0, s.c.Now().Sub(moment(oldest)).Seconds())
		}
	}
	c := &s.counters
	out.Objects, out.Bytes, out.Bases, out.Gaps, out.Failures = c.objects.Load(), c.bytes.Load(), c.bases.Load(), c.gaps.Load(), c.failures.Load()
	if t := s.status.Load(); t != nil {
		out.Error, out.FailingSince = t.err.Error(), t.since
	}
	return out
}
