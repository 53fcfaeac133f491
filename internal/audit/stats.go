package audit

import (
	"crypto/rand"
	"maps"
	"sync/atomic"
	"time"
)

// Stats are counters since Open, for metrics.
type Stats struct {
	// Appended counts records, Bytes their lines with headers and trailers.
	Appended, Bytes uint64
	// Refused counts calls that found no room.
	Refused uint64
	// Flushes counts flushes to disk, FlushTime is their sum and LastFlush the
	// latest.
	Flushes   uint64
	FlushTime time.Duration
	LastFlush time.Duration
	// Seq is the last record, SyncedSeq the last on disk, HeadSeq the last
	// under a stored signature: the difference is what could still be lost
	// unnoticed.
	// ShippedSeq is the last in the database.
	Seq, SyncedSeq, HeadSeq, ShippedSeq uint64
	// ShippedBytes counts the lines that were shipped.
	ShippedBytes uint64
	// Reserved and Free are bytes of room: taken by running calls, and left.
	Reserved, Free int64
	// Spares counts preallocated segments.
	Spares int
	// Calls counts running calls from outside and background work.
	Calls int
	// Pending counts changes whose row in the database is still to be deleted.
	Pending int
	// Unverified counts requests without a known caller, by error code; there
	// are at most 33 codes, the last of which is "other".
	Unverified      uint64
	UnverifiedCodes map[string]uint64
	// Failed says that the log has stopped and refuses every call; NoRoom, that it
	// refuses calls until there is room on its disk.
	Failed, NoRoom bool
}

type counters struct {
	appended, bytes, refused, unverified atomic.Uint64
	shipped                              atomic.Uint64
	flushes                              atomic.Uint64
	flushTime, lastFlush                 atomic.Int64
}

func (c *counters) flushed(d time.Duration) {
	c.flushes.Add(1)
	c.flushTime.Add(int64(d))
	c.lastFlush.Store(int64(d))
}

// Stats returns the counters.
func (l *Log) Stats() Stats {
	s := Stats{
		Appended: l.stats.appended.Load(), Bytes: l.stats.bytes.Load(), Refused: l.stats.refused.Load(),
		Flushes: l.stats.flushes.Load(), FlushTime: time.Duration(l.stats.flushTime.Load()),
		LastFlush: time.Duration(l.stats.lastFlush.Load()),
		SyncedSeq: l.syncedSeq.Load(), ShippedSeq: l.shippedSeq.Load(), ShippedBytes: l.stats.shipped.Load(), Unverified: l.stats.unverified.Load(), Failed: l.failed() != nil,
	}
	l.mu.Lock()
	s.Seq, s.Reserved, s.Free = l.end.seq, l.reserved, max(0, l.free())
	s.NoRoom = l.noRoom
	s.Spares, s.Calls, s.Pending = len(l.spares), len(l.calls), len(l.intents)+len(l.settled)
	l.mu.Unlock()
	l.headMu.Lock()
	s.HeadSeq = l.head.seq
	l.headMu.Unlock()
	l.unverified.mu.Lock()
	s.UnverifiedCodes = maps.Clone(l.unverified.reasons)
	l.unverified.mu.Unlock()
	return s
}

// randomID makes an id of version 4 (RFC 9562 5.4).
func randomID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // Never fails: it ends the process instead.
	return formatID(u, 4)
}
