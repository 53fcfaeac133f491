package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// restored is what was taken back from the database into the node's files.
type restored struct {
	// records is how many the files did not have, shipped when the last of them
	// had been shipped.
	records uint64
	shipped time.Time
}

// restoreSpool gives the directory back what the node had shipped and the disk has
// lost: the last segment when the disk is a new one, the end of it after a power
// cut. That is all the chain needs to go on; what is older stays in the database
// alone.
func (l *Log) restoreSpool(ctx context.Context) (out restored, err error) {
	copies, err := Copied(l.cfg.Store).Segments(ctx, l.cfg.Node)
	if err != nil {
		return out, err
	}
	for i := len(copies) - 1; i >= 0; i-- {
		c := copies[i]
		end, err := l.endOf(c.First)
		if err != nil {
			return out, err
		}
		apart := out.records > 0 && end.off > c.Size
		if apart {
			// Another process went on behind what had been shipped: the node was retired
			// while it lived. What it did meanwhile is no part of the chain.
			l.log.Error("audit records behind those that another process continued are set aside", "segment", c.First, "last_record", end.last)
			name := l.path(fileName(l.cfg.Node, c.First, segmentSuffix))
			if err := os.Rename(name, fmt.Sprintf("%s.torn-%d", name, l.spool.epoch)); err != nil {
				return out, err
			}
			end = segmentPlace{}
		}
		// A segment that is whole was on disk before the next one began; one that is
		// missing altogether may have been removed since it was shipped.
		// Records count, not bytes: another release may close a segment in other words.
		if end.last >= c.Last || end.off == 0 && i < len(copies)-1 && !apart {
			break
		}
		l.log.Warn("audit records that the disk has lost are taken back from the database",
			"segment", c.First, "bytes", c.Size-end.off, "last_record", c.Last)
		if err := l.restoreSegment(ctx, c, end); err != nil {
			return out, fmt.Errorf("restore audit segment: %w", err)
		}
		out.records += c.Last - max(end.last, c.First-1)
		out.shipped = copies[len(copies)-1].At
	}
	return out, nil
}

// segmentPlace is how far the lines of a file are sound, as far as can be seen
// without following the chain.
type segmentPlace struct{ off, last uint64 }

func (l *Log) endOf(first uint64) (end segmentPlace, err error) {
	r, err := openSegment(l.cfg.Dir, l.cfg.Node, first)
	if errors.Is(err, os.ErrNotExist) {
		return end, nil
	}
	if err != nil {
		return end, err
	}
	defer r.Close()
	for {
		b, _, err := r.next()
		if err != nil {
			return end, ignoreEnd(err)
		}
		if line, err := parseLine(b); err == nil {
			end.last = line.seq
		} else if _, _, err := parseHeader(b); err != nil && !isTrailer(b) {
			return end, nil
		}
		end.off = uint64(r.off)
	}
}

// restoreSegment adds to a file what the copy has behind end. What stands there
// instead, if anything, is kept aside.
func (l *Log) restoreSegment(ctx context.Context, c CopiedSegment, end segmentPlace) error {
	if end.off > 0 {
		r, err := openSegment(l.cfg.Dir, l.cfg.Node, c.First)
		if err != nil {
			return err
		}
		r.off = int64(end.off)
		used, err := r.rest()
		if err == nil {
			err = setAside(l.cfg.Dir, r, used)
		}
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	path := filepath.Join(l.cfg.Dir, fileName(l.cfg.Node, c.First, segmentSuffix))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = f.Truncate(int64(end.off))
	if err == nil {
		_, err = f.Seek(int64(end.off), io.SeekStart)
	}
	if err == nil {
		_, err = io.Copy(f, &copyFile{ctx: ctx, copies: Copied(l.cfg.Store), node: l.cfg.Node, first: c.First, off: int64(end.off)})
	}
	return errors.Join(err, f.Sync(), f.Close(), syncDir(l.cfg.Dir))
}
