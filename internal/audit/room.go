package audit

import (
	"context"
	"fmt"
	"time"
)

const (
	// leastEvent bounds a record in its shortest form (see shortLimits), so it
	// is the room that a call must have before it acts.
	leastEvent = 8 << 10
	leastRoom  = leastEvent + lineOverhead
)

// free is the room that no reservation takes yet, less the log's own. The
// caller holds mu.
//
// reserved never exceeds what the segments certainly hold: a line moves both by
// its length, and leaving a segment costs less than the one line's length that
// segment.room keeps back.
func (l *Log) free() int64 {
	return l.capacity() - l.reserved - ownRoom
}

func (l *Log) capacity() int64 {
	if l.cur == nil {
		return 0
	}
	return l.cur.room() + int64(len(l.spares))*fresh(l.cfg.SegmentSize)
}

// reserve takes n bytes of room, waiting for a segment in the making but not
// for a full disk.
func (l *Log) reserve(ctx context.Context, n int64) error {
	l.mu.Lock()
	for {
		if err := l.failed(); err != nil {
			l.mu.Unlock()
			return err
		}
		if l.closed {
			l.mu.Unlock()
			return ErrClosed
		}
		if l.free() >= n {
			l.reserved += n
			if l.wantsSpare() {
				l.kickAllocator()
			}
			l.mu.Unlock()
			return nil
		}
		if l.allocErr != nil {
			err := l.allocErr
			l.noRoom = true
			l.mu.Unlock()
			l.kickAllocator()
			l.stats.refused.Add(1)
			return fmt.Errorf("%w: %w", ErrNoRoom, err)
		}
		changed := l.changed
		l.waiting++
		l.mu.Unlock()
		l.kickAllocator()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		l.mu.Lock()
		l.waiting--
		if err != nil {
			l.mu.Unlock()
			return fmt.Errorf("reserve audit room: %w", err)
		}
	}
}

// giveBack returns room. The caller holds mu.
func (l *Log) giveBack(n int64) {
	l.reserved -= n
	if l.waiting > 0 {
		l.wakeLocked()
	}
}

func (l *Log) wakeLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// wantsSpare says whether another segment should be made ready: always one in
// advance, more while reservations take half of what is there. The caller holds
// mu.
func (l *Log) wantsSpare() bool {
	if l.closed || len(l.spares) >= maxSpares {
		return false
	}
	return len(l.spares) == 0 || l.waiting > 0 || l.free() < fresh(l.cfg.SegmentSize)/2
}

func (l *Log) kickAllocator() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// allocateSpares makes spare segments, and after a failure tries again at each
// kick and each second.
func (l *Log) allocateSpares() {
	retry := time.NewTicker(allocRetry)
	defer retry.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-l.kick:
		case <-retry.C:
		}
		for l.allocateSpare() {
		}
	}
}

// allocateSpare makes one spare if one is wanted, and says whether to look
// again.
func (l *Log) allocateSpare() bool {
	l.mu.Lock()
	want := l.wantsSpare() && l.failed() == nil
	l.spareNo++
	number := l.spareNo
	l.mu.Unlock()
	if !want {
		return false
	}
	s, err := makeSpare(l.cfg.Dir, l.cfg.Node, number, l.cfg.SegmentSize, l.cfg.Allocate)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && l.allocErr == nil {
		l.log.Error("no room for another audit segment; calls are refused once the present one is full", "dir", l.cfg.Dir, "err", err,
			"hint", "free space in its file system: it is tried again each second, and nothing needs a restart")
	}
	if err == nil {
		l.noRoom = false
		if l.allocErr != nil {
			l.log.Info("audit segments can be made again")
		}
		l.spares = append(l.spares, s)
	}
	l.allocErr = err
	l.wakeLocked()
	return err == nil
}

// appendOwn appends a record of the log itself, for which ownRoom is kept.
func (l *Log) appendOwn(body []byte) error {
	e := newEvent(body)
	l.mu.Lock()
	if l.cur == nil || l.capacity()-l.reserved < int64(len(body))+lineOverhead {
		l.mu.Unlock()
		return ErrNoRoom
	}
	err := l.order(e)
	seq := l.end.seq
	l.mu.Unlock()
	if err != nil {
		return l.fail(err)
	}
	return l.write(seq, false)
}
