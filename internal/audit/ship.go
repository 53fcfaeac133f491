package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

// ErrTaken means that another process has opened the node's log since: a copy of
// its directory, or an operator who declared the node gone.
var ErrTaken = errors.New("another process continues this node's audit chain")

// maxShip bounds the bytes of lines that one transaction carries.
const maxShip = 4 << 20

// shipTime bounds a transaction of shipping.
const shipTime = 10 * time.Second

// spool is how far the chain has been shipped. Whoever holds the lock ships for
// all who wait.
//
// What is shipped are the lines as they stand in the segments, so that the copy
// proves itself exactly as the files do, and in the same transaction a head over
// them: no head in the database speaks of a record that the database has not.
type spool struct {
	epoch int64 // of this opening
	// segment and off are the first byte that has not been shipped. known is false
	// after a failure: then the database is asked.
	known        bool
	segment, off uint64
	last         uint64 // the newest record shipped
}

// stretch is a run of whole lines of one segment.
type stretch struct {
	segment, place uint64
	lines          []byte
	last           uint64 // the newest record up to its end, 0 for none
	chain          Hash   // at last, if the part holds a record
	records        bool
}

// takeEpoch makes this opening of the log the one that may ship.
func (l *Log) takeEpoch(ctx context.Context) error {
	err := l.cfg.Store.Maintain(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`INSERT INTO audit_nodes (node, epoch, opened) VALUES ($1, 1, $2)
			ON CONFLICT (node) DO UPDATE SET epoch = audit_nodes.epoch + 1, opened = excluded.opened
			RETURNING epoch`, l.cfg.Node, tx.Now().UnixMicro()).Scan(&l.spool.epoch)
	})
	if err != nil {
		return fmt.Errorf("take audit epoch: %w", err)
	}
	return nil
}

// checkEpoch refuses the transaction of an opening that is not the newest. The row
// is held until the end, so that no other can open in between. An upsert reads
// nothing, so that nodes which ship at once do not look dependent on each other.
func (l *Log) checkEpoch(tx store.Tx) error {
	n, err := tx.Exec(`INSERT INTO audit_nodes (node, epoch, opened) VALUES ($1, $2, 0)
		ON CONFLICT (node) DO UPDATE SET epoch = audit_nodes.epoch WHERE audit_nodes.epoch = $2`, l.cfg.Node, l.spool.epoch)
	if err == nil && n == 0 {
		err = ErrTaken
	}
	return err
}

// shippable is the newest record that may be shipped: one on disk, so that the
// copy is not ahead of the files after a power cut; with Replicated one that the
// operating system has, since its caller waits, and the files are then mended
// from the copy.
func (l *Log) shippable() mark {
	if l.cfg.Durability == Replicated {
		l.wmu.Lock()
		defer l.wmu.Unlock()
		return l.written
	}
	l.smu.Lock()
	defer l.smu.Unlock()
	return l.synced
}

// replicate returns once record seq is in the database. Like sync, it works for
// all who wait.
func (l *Log) replicate(seq uint64) error {
	for l.shippedSeq.Load() < seq {
		l.shipMu.Lock()
		if l.shippedSeq.Load() >= seq {
			l.shipMu.Unlock()
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), shipTime)
		_, err := l.shipOnce(ctx)
		cancel()
		l.shipMu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// ship ships what there is.
func (l *Log) ship(ctx context.Context) error {
	for {
		l.shipMu.Lock()
		more, err := l.shipOnce(ctx)
		l.shipMu.Unlock()
		if err != nil || !more {
			return err
		}
	}
}

// startTime bounds how long a start waits for what an earlier run, or an earlier
// release, has not shipped. The rest follows while the node serves.
const startTime = 5 * time.Second

// shipStart ships what the start has to hand on.
func (l *Log) shipStart(ctx context.Context) error {
	begun := time.Now()
	for {
		l.shipMu.Lock()
		more, err := l.shipOnce(ctx)
		l.shipMu.Unlock()
		if err != nil || !more {
			return err
		}
		if time.Since(begun) > startTime {
			l.log.Info("earlier audit records are still being shipped to the database", "last_shipped", l.shippedSeq.Load())
			return nil
		}
	}
}

// shipOnce ships up to maxShip and says whether it shipped anything. The caller
// holds shipMu.
func (l *Log) shipOnce(ctx context.Context) (bool, error) {
	if err := l.failed(); err != nil {
		return false, err
	}
	if err := l.findPlace(ctx); err != nil {
		return false, err
	}
	limit := l.shippable()
	parts, end, err := l.readSpool(limit.seq)
	if err != nil {
		return false, err
	}
	if err := unchanged(parts, limit); err != nil {
		return false, l.fail(err)
	}
	l.headMu.Lock()
	defer l.headMu.Unlock()
	due := l.dueHeads(end.last, limit)
	if len(parts) == 0 && len(due.heads) == 0 {
		return false, nil
	}
	l.cfg.Fault(FaultBeforeShip)
	err = l.cfg.Store.Maintain(ctx, func(tx store.Tx) error {
		if err := l.checkEpoch(tx); err != nil {
			return err
		}
		for i := range parts {
			if err := l.putPart(tx, &parts[i]); err != nil {
				return err
			}
		}
		for _, h := range due.heads {
			if err := putHead(tx, h); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, ErrTaken) {
		return false, l.fail(err)
	}
	if err != nil {
		// It may have been committed all the same.
		l.spool.known = false
		return false, fmt.Errorf("ship audit records: %w", err)
	}
	l.cfg.Fault(FaultAfterShip)
	l.spool = end
	l.shippedSeq.Store(end.last)
	for i := range parts {
		l.stats.shipped.Add(uint64(len(parts[i].lines)))
	}
	return true, l.signed(due)
}

// unchanged refuses to sign for lines that are not those that this process wrote.
func unchanged(parts []stretch, limit mark) error {
	for _, p := range parts {
		if p.records && p.last == limit.seq && p.chain != limit.chain {
			return fmt.Errorf("audit segment %d was changed on disk before record %d was shipped", p.segment, p.last)
		}
	}
	return nil
}

// findPlace asks the database how far the chain has been shipped.
func (l *Log) findPlace(ctx context.Context) error {
	if l.spool.known {
		return nil
	}
	copies, err := Copied(l.cfg.Store).Segments(ctx, l.cfg.Node)
	if err != nil {
		return err
	}
	l.spool.segment, l.spool.off, l.spool.last, l.spool.known = 0, 0, 0, true
	if n := len(copies); n > 0 {
		l.spool.segment, l.spool.off, l.spool.last = copies[n-1].First, copies[n-1].Size, copies[n-1].Last
	}
	l.shippedSeq.Store(l.spool.last)
	return nil
}

func (l *Log) putPart(tx store.Tx, p *stretch) error {
	b, err := compress(p.lines)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO audit_lines (node, segment, place, size, last, at, form, lines) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		l.cfg.Node, int64(p.segment), int64(p.place), int64(len(p.lines)), int64(p.last), tx.Now().UnixMicro(), formZstd, b)
	return err
}

// readSpool reads the lines that come next, up to record limit, and returns the
// place behind them.
func (l *Log) readSpool(limit uint64) (parts []stretch, end spool, err error) {
	end = l.spool
	if end.last >= limit && !l.closing.Load() {
		return nil, end, nil // A trailer alone can wait.
	}
	for size := 0; size < maxShip; {
		p, err := l.readPart(&end, limit)
		if err != nil {
			return nil, end, err
		}
		if len(p.lines) > 0 {
			parts = append(parts, p)
			size += len(p.lines)
			continue
		}
		// Nothing more in this segment. The next one exists only when this one is
		// at its end: closed, or left by a crash that the next one tells of.
		all, err := listSegments(l.cfg.Dir, l.cfg.Node)
		if err != nil {
			return nil, end, err
		}
		next := uint64(0)
		for _, first := range all {
			if first > end.segment && first <= limit {
				next = first
				break
			}
		}
		if next == 0 {
			break
		}
		// The last lines may have come between the reading and the listing.
		if p, err = l.readPart(&end, limit); err != nil {
			return nil, end, err
		}
		if len(p.lines) > 0 {
			parts = append(parts, p)
			size += len(p.lines)
			continue
		}
		end.segment, end.off = next, 0
	}
	return parts, end, nil
}

// readPart reads whole lines at end, at most maxLines bytes, and moves end behind
// them.
func (l *Log) readPart(end *spool, limit uint64) (stretch, error) {
	p := stretch{segment: end.segment, place: end.off}
	if end.segment == 0 {
		return p, nil
	}
	f, err := os.Open(l.path(fileName(l.cfg.Node, end.segment, segmentSuffix)))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("read audit spool: %w", err)
	}
	defer f.Close()
	b := make([]byte, maxLines)
	n, err := f.ReadAt(b, int64(end.off))
	if err != nil && err != io.EOF {
		return p, fmt.Errorf("read audit spool: %w", err)
	}
	b = b[:n]
	at := 0
	for {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			break
		}
		line := b[at : at+i]
		if isTrailer(line) {
			at += i + 1
			break
		}
		if record, err := parseLine(line); err == nil {
			if record.seq > limit {
				break
			}
			p.last, p.chain, p.records = max(end.last, record.seq), record.chain, true
		} else if _, _, err := parseHeader(line); err != nil {
			break // Not ours to hand on: the next start, or a verification, tells of it.
		}
		at += i + 1
	}
	if !p.records {
		p.last = end.last
	}
	p.lines = b[:at:at]
	end.off += uint64(at)
	end.last = p.last
	return p, nil
}

// removeShipped removes the oldest closed segments that the database has to the
// last byte, until what is left is within Config.Spool.
func (l *Log) removeShipped(ctx context.Context) error {
	if !l.cfg.Ship || l.cfg.Spool == 0 {
		return nil
	}
	l.shipMu.Lock()
	present := l.spool.segment
	l.shipMu.Unlock()
	all, err := listSegments(l.cfg.Dir, l.cfg.Node)
	if err != nil {
		return err
	}
	var kept int64
	var copies map[uint64]uint64 // sizes
	for i := len(all) - 1; i >= 0; i-- {
		if all[i] >= present {
			continue // Not all of it has been shipped.
		}
		name := fileName(l.cfg.Node, all[i], segmentSuffix)
		info, err := os.Stat(l.path(name))
		if err != nil {
			return err
		}
		if kept += info.Size(); kept <= l.cfg.Spool {
			continue
		}
		if copies == nil {
			if copies, err = l.copySizes(ctx); err != nil {
				return err
			}
		}
		if copies[all[i]] != uint64(info.Size()) {
			continue // A damaged one is evidence.
		}
		if err := os.Remove(l.path(name)); err != nil {
			return fmt.Errorf("remove shipped audit segment: %w", err)
		}
	}
	return nil
}

func (l *Log) copySizes(ctx context.Context) (map[uint64]uint64, error) {
	copies, err := Copied(l.cfg.Store).Segments(ctx, l.cfg.Node)
	sizes := make(map[uint64]uint64)
	for _, c := range copies {
		sizes[c.First] = c.Size
	}
	return sizes, err
}
