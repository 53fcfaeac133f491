package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Names in the audit directory, all beginning with the node:
//
//	n1.00000000000000000001.jsonl   a segment, by its first sequence number
//	n1.00000000000000000001.head    the newest signed head of that segment
//	n1.pub                          the public key of the heads, PEM
//	n1.spare.1                      a preallocated segment without a number yet
//	n1.lock                         held while a server has the log open
const (
	segmentSuffix = ".jsonl"
	headSuffix    = ".head"
	keySuffix     = ".pub"
	spareInfix    = ".spare."
	lockSuffix    = ".lock"
)

// ValidNode reports whether a node may be called so.
func ValidNode(s string) bool { return validNode(s) }

// validNode accepts what can stand in a file name and in JSON as it is: letters,
// digits, '-' and '_', at most 64.
func validNode(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func fileName(node string, first uint64, suffix string) string {
	return fmt.Sprintf("%s.%020d%s", node, first, suffix)
}

// listSegments returns the first sequence numbers of a node's segments, in
// order.
//
// A directory that changes while it is read may show a new segment and miss the
// one before it. But all up to the last that a first reading shows were there
// when it ended, so a second one shows them all.
func listSegments(dir, node string) ([]uint64, error) {
	first, err := listNumbers(dir, node, segmentSuffix)
	if err != nil || len(first) == 0 {
		return nil, err
	}
	all, err := listNumbers(dir, node, segmentSuffix)
	end, found := slices.BinarySearch(all, first[len(first)-1])
	if found {
		end++
	}
	return all[:end], err
}

func listNumbers(dir, node, suffix string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list audit directory: %w", err)
	}
	var out []uint64
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok {
			continue
		}
		digits, ok = strings.CutPrefix(digits, node+".")
		if n, numbered := parseDigits(digits); ok && numbered {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// parseDigits reads the number in a file's name.
func parseDigits(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && len(s) == 20
}

// segment is a file being written. Its fields belong to the order lock of Log,
// the file to the write and sync locks.
type segment struct {
	f       *os.File
	name    string // once it has a number
	size    int64  // allocated
	off     int64  // where the next line goes
	first   uint64
	records uint64
}

// room is how many bytes of lines are certain to fit. One line's length is kept
// back, since a line that no longer fits leaves the rest of a segment unused.
func (s *segment) room() int64 {
	return max(0, s.size-s.off-maxTrailer-maxLine)
}

// fresh is the room of an empty segment.
func fresh(size int64) int64 { return size - maxHeader - maxTrailer - maxLine }

// Allocator makes f occupy size bytes of disk, reading as zeros, or fails (with
// ENOSPC when the disk is full) before anything depends on it.
type Allocator func(f *os.File, size int64) error

// makeSpare creates and allocates a spare segment.
func makeSpare(dir, node string, number uint64, size int64, alloc Allocator) (*segment, error) {
	path := filepath.Join(dir, node+spareInfix+strconv.FormatUint(number, 10))
	// 0600: records name principals, resources and addresses.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create spare segment: %w", err)
	}
	if err := alloc(f, size); err != nil {
		// A half-made spare would keep the very space that is short.
		return nil, errors.Join(fmt.Errorf("allocate %d bytes for a spare segment: %w", size, err), f.Close(), os.Remove(path))
	}
	return &segment{f: f, size: size}, nil
}

// removeSpares deletes what an earlier run left: a spare holds no record.
func removeSpares(dir, node string) error {
	paths, err := filepath.Glob(filepath.Join(dir, node+spareInfix+"*"))
	if err != nil {
		return err
	}
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove spare segment: %w", err)
		}
	}
	return nil
}

// syncDir makes names in dir durable: a file's own sync does not cover them.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// fillZeros occupies the disk by writing; after it, overwriting changes no
// metadata, which halves the cost of a lone flush (bench-anchors.md 2).
func fillZeros(f *os.File, size int64) error {
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < size; {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off)
		if err != nil {
			return err
		}
		off += int64(n)
	}
	return f.Sync()
}
