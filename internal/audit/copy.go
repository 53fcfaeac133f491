package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Piece is a part of a file of the audit directory. At offset 0 it begins the file
// anew.
type Piece struct {
	Name   string
	Offset int64
	Data   []byte
}

// Durable returns what is on disk of the directory's chains beyond done, which says
// how much of each file is known already: about max bytes, none when that is all. Of
// this node's own chain nothing is returned that a power cut could still take back,
// and what is returned reaches at least to the newest head that the database held
// when Durable was called; other chains lie there since a restore and are whole.
//
// A head's file is replaced as the chain grows, so it is returned whole with each
// part of its segment.
func (l *Log) Durable(done map[string]int64, max int) ([]Piece, error) {
	// Before the segments are looked at: all up to there is in them.
	synced := l.syncedSeq.Load()
	names, err := chainFiles(l.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var out []Piece
	size := 0
	for _, name := range names {
		if strings.HasSuffix(name, headSuffix) {
			continue
		}
		var p Piece
		if first, ok := segmentOf(name, l.cfg.Node); ok {
			p, err = l.durablePart(first, done[name], synced, max-size)
		} else {
			p, err = part(l.cfg.Dir, name, done[name], max-size)
		}
		if err != nil {
			return nil, err
		}
		if len(p.Data) == 0 {
			continue
		}
		out = append(out, p)
		size += len(p.Data)
		if head, ok := strings.CutSuffix(name, segmentSuffix); ok {
			h, err := part(l.cfg.Dir, head+headSuffix, 0, maxHeadFile)
			if err != nil {
				return nil, err
			}
			if parsed, err := parseHeadFile(h.Data); err == nil && (parsed.Node != l.cfg.Node || parsed.Seq <= synced) {
				out = append(out, h)
			}
		}
		if size >= max {
			break
		}
	}
	return out, nil
}

// chainFiles lists the files of all chains in order.
func chainFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasSuffix(name, segmentSuffix) || strings.HasSuffix(name, headSuffix) || strings.HasSuffix(name, keySuffix) {
			out = append(out, name)
		}
	}
	return out, nil
}

// segmentOf returns the first sequence number of a segment of the node.
func segmentOf(name, node string) (first uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if ok {
		digits, ok = strings.CutPrefix(digits, node+".")
	}
	if !ok {
		return 0, false
	}
	return parseDigits(digits)
}

// part reads a file that does not change.
func part(dir, name string, from int64, max int) (Piece, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return Piece{}, nil
	}
	if err != nil {
		return Piece{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, from, int64(max)))
	return Piece{name, from, b}, err
}

// durablePart reads lines of a segment of this node, up to the record synced.
func (l *Log) durablePart(first uint64, from int64, synced uint64, max int) (Piece, error) {
	p := Piece{Name: fileName(l.cfg.Node, first, segmentSuffix), Offset: from}
	if first > synced {
		return p, nil
	}
	r, err := openSegment(l.cfg.Dir, l.cfg.Node, first)
	if err != nil {
		return p, err
	}
	defer r.Close()
	if _, err := r.f.Seek(from, io.SeekStart); err != nil {
		return p, err
	}
	r.off = from
	for len(p.Data) < max {
		line, _, err := r.next()
		if err != nil {
			return p, ignoreEnd(err)
		}
		if !isTrailer(line) && (from > 0 || len(p.Data) > 0) {
			parsed, err := parseLine(line)
			if err != nil {
				return p, nil // What is broken is not ours to judge.
			}
			if parsed.seq > synced {
				return p, nil
			}
		}
		p.Data = append(append(p.Data, line...), '\n')
	}
	return p, nil
}

// Nodes lists the chains in a directory.
func Nodes(dir string) ([]string, error) {
	names, err := chainFiles(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range names {
		if node, ok := strings.CutSuffix(name, keySuffix); ok && validNode(node) {
			out = append(out, node)
		}
	}
	slices.Sort(out)
	return out, nil
}

// copiedFile are the names that a file of a chain may have.
var copiedFile = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.(pub|[0-9]{20}\.(jsonl|head))$`)

// Copy writes files of chains from pieces.
type Copy struct {
	dir   string
	sizes map[string]int64
}

// NewCopy makes the directory for a copy.
func NewCopy(dir string) (*Copy, error) {
	return &Copy{dir, make(map[string]int64)}, os.MkdirAll(dir, 0o700)
}

// Write writes a piece, which begins its file or continues it.
func (c *Copy) Write(p Piece) error {
	if !copiedFile.MatchString(p.Name) || p.Offset != 0 && p.Offset != c.sizes[p.Name] {
		return fmt.Errorf("copy the audit record: %q at %d", p.Name, p.Offset)
	}
	f, err := os.OpenFile(filepath.Join(c.dir, p.Name), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if p.Offset == 0 {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(p.Data, p.Offset)
	}
	c.sizes[p.Name] = p.Offset + int64(len(p.Data))
	return errors.Join(err, f.Close())
}

// Close makes the copy durable.
func (c *Copy) Close() error {
	for name := range c.sizes {
		f, err := os.OpenFile(filepath.Join(c.dir, name), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return syncDir(c.dir)
}
