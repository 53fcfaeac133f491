// Package canary searches what a system has written for values that must not be
// there, in whatever spelling.
//
// A test sends values that are random, so that nothing else can look like them,
// through the system, and then looks for them in every file, log and answer. Each
// value is looked for raw and in the spellings that programs give to bytes (see
// spellings), and in pieces: sixteen bytes of it are enough, so that a value that
// was cut, wrapped or split between two pages is found too.
//
// Its one invariant: what is found is there. A piece is long enough that chance
// does not make one, so each hit is a leak.
package canary

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// gram is how many bytes are compared by their hash first.
	gram = 12
	// piece is how many bytes of a value make a hit in its raw spelling; other
	// spellings need as many as they spend on pieceValue bytes, but at least
	// piece.
	piece      = 16
	pieceValue = 8
	// maxPiece bounds what any spelling asks for.
	maxPiece = 160
	// MinValue is the length in bytes of the shortest value that can be told
	// from chance.
	MinValue = 16

	chunk      = 1 << 20
	filterBits = 22
	// multiplier is odd, so that the hash of a window can be rolled.
	multiplier = 0x9E3779B97F4A7C15
)

// Hit is a value that was found.
type Hit struct {
	// Label is the value's, Spelling how it was written.
	Label, Spelling string
	// Offset is where the piece begins, in bytes.
	Offset int64
}

func (h Hit) String() string {
	return fmt.Sprintf("%s as %s at byte %d", h.Label, h.Spelling, h.Offset)
}

// Needles is a set of values to search for. Add all, then search.
type Needles struct {
	forms []form
	grams map[uint64][]place
	// filter has the bit of each gram's hash set: nearly all of what is searched
	// is dismissed by one look at it.
	filter []uint64
	power  uint64 // multiplier to the gram-th
}

// form is one spelling of one value.
type form struct {
	label, spelling string
	text            []byte
	least           int // bytes that make a hit
}

// place is a gram in a form.
type place struct{ form, at int32 }

// New returns an empty set.
func New() *Needles {
	n := &Needles{grams: make(map[uint64][]place), filter: make([]uint64, 1<<filterBits/64), power: 1}
	for range gram {
		n.power *= multiplier
	}
	return n
}

// Add adds a value, of at least MinValue bytes, under a label for reports.
func (n *Needles) Add(label string, value []byte) error {
	if len(value) < MinValue {
		return fmt.Errorf("%s: %d bytes are too few to search for", label, len(value))
	}
	for _, s := range spellings(value) {
		least := max(piece, (pieceValue*len(s.text)+len(value)-1)/len(value))
		if s.whole {
			least = min(len(s.text), maxPiece)
		}
		if least > maxPiece {
			return fmt.Errorf("%s: spelling %s is too wide", label, s.name)
		}
		if len(s.text) < least {
			continue
		}
		n.index(form{label, s.name, s.text, least})
	}
	return nil
}

// index notes so many grams of f that every run of f.least bytes has one.
func (n *Needles) index(f form) {
	id := int32(len(n.forms))
	n.forms = append(n.forms, f)
	step := f.least - gram + 1
	for at := 0; at+gram <= len(f.text); at += step {
		if bytes.Count(f.text[at:at+gram], f.text[at:at+1]) == gram {
			continue // One byte over and over, as a picture may have, is no value's.
		}
		var h uint64
		for _, c := range f.text[at : at+gram] {
			h = h*multiplier + uint64(c) + 1
		}
		n.grams[h] = append(n.grams[h], place{id, int32(at)})
		bit := filterBit(h)
		n.filter[bit/64] |= 1 << (bit % 64)
	}
}

func filterBit(h uint64) uint64 { return (h ^ h>>29) * 0xBF58476D1CE4E5B9 >> (64 - filterBits) }

// Scan searches r to its end and reports each spelling of each value once.
func (n *Needles) Scan(r io.Reader, found func(Hit)) error {
	seen := make(map[int32]bool)
	buf := make([]byte, 0, chunk+maxPiece)
	var base int64 // of buf in r
	for {
		had := len(buf)
		read, err := io.ReadFull(r, buf[had:cap(buf)])
		buf = buf[:had+read]
		n.window(buf, base, seen, found)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
		// A piece that the end of the buffer cuts is whole in the next one.
		keep := min(len(buf), maxPiece)
		base += int64(len(buf) - keep)
		buf = buf[:copy(buf[:keep], buf[len(buf)-keep:])]
	}
}

func (n *Needles) window(b []byte, base int64, seen map[int32]bool, found func(Hit)) {
	if len(b) < gram {
		return
	}
	var h uint64
	for _, c := range b[:gram] {
		h = h*multiplier + uint64(c) + 1
	}
	for i := 0; ; i++ {
		if bit := filterBit(h); n.filter[bit/64]&(1<<(bit%64)) != 0 {
			for _, p := range n.grams[h] {
				if from, ok := n.matches(b, i, p); ok && !seen[p.form] {
					seen[p.form] = true
					f := &n.forms[p.form]
					found(Hit{f.label, f.spelling, base + int64(from)})
				}
			}
		}
		if i+gram == len(b) {
			return
		}
		h = h*multiplier + uint64(b[i+gram]) + 1 - n.power*(uint64(b[i])+1)
	}
}

// matches says whether the gram of p at b[i:] belongs to a piece of its form that
// is long enough.
func (n *Needles) matches(b []byte, i int, p place) (from int, ok bool) {
	f := &n.forms[p.form]
	at := int(p.at)
	if !bytes.Equal(b[i:i+gram], f.text[at:at+gram]) {
		return 0, false
	}
	before, after := 0, gram
	for before < at && before < i && b[i-before-1] == f.text[at-before-1] {
		before++
	}
	for at+after < len(f.text) && i+after < len(b) && b[i+after] == f.text[at+after] {
		after++
	}
	return i - before, before+after >= f.least && varied(b[i-before:i+after])
}

// varied says whether a piece can be anybody's value. A picture has runs of one
// byte, which are "0 0 0 0 " in decimal numbers and so in many a log.
func varied(piece []byte) bool {
	const enough = 6 // of 16 random hexadecimal digits, fewer differ four times in 100,000
	var seen [256]bool
	n := 0
	for _, c := range piece {
		if !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n >= enough
}

// ScanBytes searches b.
func (n *Needles) ScanBytes(b []byte, found func(Hit)) {
	n.window(b, 0, make(map[int32]bool), found)
}

// Tree searches all files under dir, and their names, and returns how many bytes
// it read. Files that vanish meanwhile are left out; what is not a regular file
// holds nothing.
func (n *Needles) Tree(dir string, found func(path string, h Hit)) (size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		n.ScanBytes([]byte(path), func(h Hit) { found(path, h) })
		if !d.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		counted := &counter{r: f}
		err = n.Scan(bufio.NewReaderSize(counted, chunk), func(h Hit) { found(path, h) })
		size += counted.n
		if err != nil {
			return fmt.Errorf("search %s: %w", path, err)
		}
		return nil
	})
	return size, err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
