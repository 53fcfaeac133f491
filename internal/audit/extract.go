package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Extract copies a chain to the empty or missing directory dst and drops the
// bodies of the records that keep refuses. What is left proves itself with
// Verify and the node's public key: each kept record is unaltered, and the
// hashes of all others show that none was left out between them. It is what one
// account is given, and what retention leaves.
//
// Extract does not verify s, but stops at a line that is none; what follows the
// last complete line of an open segment is not copied.
func Extract(ctx context.Context, s Source, dst string, keep func(Entry) bool) error {
	if err := extract(ctx, s, dst, keep); err != nil {
		return fmt.Errorf("extract audit chain: %w", err)
	}
	return nil
}

func extract(ctx context.Context, s Source, dst string, keep func(Entry) bool) error {
	if err := os.MkdirAll(dst, 0o700); err != nil {
		return err
	}
	there, err := os.ReadDir(dst)
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return fmt.Errorf("%s: %w", dst, fs.ErrExist)
	}
	key, err := os.ReadFile(filepath.Join(s.Dir, s.Node+keySuffix))
	if err != nil {
		return err
	}
	if err := replaceFile(dst, s.Node+keySuffix, key); err != nil {
		return err
	}
	// Heads first, so that the records they name are copied after them.
	heads, err := s.load(ctx)
	if err != nil {
		return err
	}
	newest := make(map[uint64]Head)
	for _, h := range heads {
		if h.Seq >= newest[h.Segment].Seq && h.Signature != nil {
			newest[h.Segment] = h
		}
	}
	for first, h := range newest {
		if err := replaceFile(dst, fileName(s.Node, first, headSuffix), h.appendFile(nil)); err != nil {
			return err
		}
	}
	segments, err := s.segments(ctx)
	if err != nil {
		return err
	}
	for _, first := range segments {
		if err := extractSegment(ctx, s, dst, first, keep); err != nil {
			return err
		}
	}
	return nil
}

func extractSegment(ctx context.Context, s Source, dst string, first uint64, keep func(Entry) bool) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	r, err := s.open(ctx, first)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.OpenFile(filepath.Join(dst, r.name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 256<<10)
	err = copyLines(s.Node, r, w, keep)
	return errors.Join(err, w.Flush(), f.Sync(), f.Close())
}

func copyLines(node string, r *segmentReader, w *bufio.Writer, keep func(Entry) bool) error {
	var buf []byte
	for n := 0; ; n++ {
		b, off, err := r.next()
		if errors.Is(err, errEnd) || errors.Is(err, errTorn) {
			return nil
		}
		if err != nil {
			return err
		}
		if n > 0 && !isTrailer(b) {
			l, err := parseLine(b)
			if err != nil {
				return fmt.Errorf("%s at byte %d: %w", r.name, off, err)
			}
			if l.event != nil && !keep(Entry{node, l.seq, l.prev, l.record, l.chain, l.event, r.name, off}) {
				buf = appendLine(buf[:0], l.seq, l.prev, l.record, l.chain, nil)
				b = buf[:len(buf)-1]
			}
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		if err := w.WriteByte('\n'); err != nil {
			return err
		}
	}
}

// ForAccount keeps the records that were written for one account; see Extract.
// The node's start records stay too, since they acknowledge gaps and tell
// nothing of anybody.
func ForAccount(account string) func(Entry) bool {
	return func(e Entry) bool {
		var r struct {
			EventName string `json:"eventName"`
			Source    string `json:"eventSource"`
			Recipient string `json:"recipientAccountId"`
		}
		if json.Unmarshal(e.Body, &r) != nil {
			return false
		}
		return r.Recipient == account || r.Source == own && r.EventName == startEvent
	}
}
