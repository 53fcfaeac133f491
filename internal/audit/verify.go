package audit

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// Source is a chain to read or verify: where its lines are and what its heads are
// believed by.
type Source struct {
	// Dir and Node name the chain's files. Without Dir there are none.
	Dir, Node string
	// Copies has what the node has shipped; nil means nothing. A segment that is in
	// both is read from its file.
	Copies Copies
	// Public is the key that the heads are signed with. Nil means the file
	// next to the segments, which proves less: whoever can replace all files
	// can replace that one.
	Public ed25519.PublicKey
	// Heads returns signed heads from outside the directory, such as
	// StoredHeads; nil means none. Those next to the segments always count.
	Heads func(ctx context.Context) ([]Head, error)
	// From is the first sequence number that must be there; 0 means 1. What
	// precedes it is left to the heads.
	From uint64
}

// Source returns l's own chain with the heads that the database holds.
func (l *Log) Source() Source {
	s := Source{
		Dir: l.cfg.Dir, Node: l.cfg.Node,
		Public: l.pub,
		Heads: func(ctx context.Context) ([]Head, error) {
			return StoredHeads(ctx, l.cfg.Store, l.cfg.Node)
		},
	}
	if l.cfg.Ship {
		s.Copies = Copied(l.cfg.Store)
	}
	return s
}

// load returns all heads, those of the directory last.
func (s Source) load(ctx context.Context) (heads []Head, err error) {
	if s.Dir != "" {
		heads, err = fileHeads(s.Dir, s.Node)
	}
	if err != nil || s.Heads == nil {
		return heads, err
	}
	outside, err := s.Heads(ctx)
	if err != nil {
		return nil, err
	}
	return append(outside, heads...), nil
}

// segments lists the chain's segments by their first sequence numbers.
func (s Source) segments(ctx context.Context) (all []uint64, err error) {
	if s.Dir != "" {
		if all, err = listSegments(s.Dir, s.Node); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if s.Copies == nil {
		return all, nil
	}
	// Files before copies: a file is removed only when all of it has been copied.
	copies, err := s.Copies.Segments(ctx, s.Node)
	for _, c := range copies {
		all = append(all, c.First)
	}
	slices.Sort(all)
	return slices.Compact(all), err
}

// open opens a segment wherever it is.
func (s Source) open(ctx context.Context, first uint64) (*segmentReader, error) {
	if s.Dir != "" {
		r, err := openSegment(s.Dir, s.Node, first)
		if err == nil || s.Copies == nil || !errors.Is(err, fs.ErrNotExist) {
			return r, err
		}
	}
	if s.Copies == nil {
		return nil, fmt.Errorf("open audit segment: %w", fs.ErrNotExist)
	}
	return newSegmentReader(&copyFile{ctx: ctx, copies: s.Copies, node: s.Node, first: first}, fileName(s.Node, first, segmentSuffix)), nil
}

// Kind says in which way a chain is broken.
type Kind string

// The kinds of break.
const (
	BadHeader      Kind = "segment header changed"
	BadTrailer     Kind = "segment trailer changed"
	BadLine        Kind = "line malformed"
	BadBody        Kind = "record body changed"
	BadHash        Kind = "record or chain hash changed"
	BadLink        Kind = "record does not continue from the one before it"
	Missing        Kind = "record missing"
	Reordered      Kind = "record out of order"
	Repeated       Kind = "sequence number used twice"
	MissingSegment Kind = "segment missing"
	Truncated      Kind = "truncated"
	Trailing       Kind = "bytes behind the end of the segment"
	Rewritten      Kind = "rewritten: contradicts a signed head"
	BadHead        Kind = "head signature invalid"
)

// Break is the first place at which a chain is not what was written.
type Break struct {
	Kind    Kind
	Segment string // the file
	Seq     uint64 // the record, or the first one missing
	Offset  int64  // in the file
	Detail  string // may be empty
}

// Error describes the break in one line.
func (b *Break) Error() string {
	s := fmt.Sprintf("record %d: %s (%s, byte %d)", b.Seq, b.Kind, b.Segment, b.Offset)
	if b.Detail != "" {
		s += ": " + b.Detail
	}
	return s
}

// Gap is a loss that the node itself found at a start and signed: records From
// to To were there, or room was left for them, and are gone.
type Gap struct {
	From, To uint64
	Break    Break     // what the node stumbled over
	Found    time.Time // when
}

// Window is a time from which records may be missing that nothing was promised
// about: the node lost its disk, and went on behind record After, the last one
// that it had shipped. Changes are not among what is missing.
type Window struct {
	After    uint64
	From, To time.Time
}

// Report is what Verify found.
type Report struct {
	Node string
	// Segments and Records were read; Dropped of the records have no body.
	Segments int
	Records  uint64
	Dropped  uint64
	// First and Last are the sequence numbers of the proven chain's ends and
	// Chain is the hash at Last.
	First, Last uint64
	Chain       Hash
	// Head is the newest head that was believed, nil if there is none; records
	// beyond it are consistent, but their removal could not be noticed.
	Head *Head
	// Torn counts bytes behind the last record that form no record: a write in
	// progress, or what a crash left.
	Torn int64
	// Gaps are acknowledged losses, Broken is the first other break.
	Gaps   []Gap
	Broken *Break
	// Windows are losses of what was never signed, as the node tells them itself.
	Windows []Window
}

// OK reports whether everything that was ever signed is there and unaltered.
func (r *Report) OK() bool { return r.Broken == nil && len(r.Gaps) == 0 }

// Verify proves a chain: every byte of every line, the order of records and
// segments, and each signed head against the record that it names. It stops at
// the first break that the node has not acknowledged itself. The chain may be
// growing meanwhile; Verify then ends where it was at some moment of the run.
// The error is about reading only; what is wrong with the chain is in the
// report.
func Verify(ctx context.Context, s Source) (*Report, error) {
	if s.Public == nil {
		key, err := readPublicKey(s.Dir, s.Node)
		if err != nil {
			return nil, err
		}
		s.Public = key
	}
	// Heads before files: what a head names must then be in the files.
	heads, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	good, bad := believe(heads, s.Public)
	w := newWalker(s, good)
	segments, err := s.segments(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.run(ctx, segments); err != nil {
		return nil, err
	}
	r := &w.report
	if bad != nil && (r.Broken == nil || bad.Seq <= r.Broken.Seq) {
		r.Broken = bad
	}
	if n := len(good); n > 0 {
		r.Head = &good[n-1]
	}
	return r, nil
}

// believe keeps the heads that are signed, in order, and describes the first
// that is not.
func believe(heads []Head, key ed25519.PublicKey) (good []Head, bad *Break) {
	for _, h := range heads {
		if h.Verify(key) {
			good = append(good, h)
			continue
		}
		if bad == nil || h.Seq < bad.Seq {
			bad = &Break{Kind: BadHead, Segment: fileName(h.Node, h.Segment, headSuffix), Seq: h.Seq}
		}
	}
	slices.SortFunc(good, func(a, b Head) int { return cmp.Compare(a.Seq, b.Seq) })
	return good, bad
}
