package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/wire"
)

func TestOpenBeginsChainWithStartRecord(t *testing.T) {
	b := newBench(t)
	b.open()
	b.close()
	r := b.mustVerify()
	if r.Records != 1 || r.Head == nil || r.Head.Seq != 1 {
		t.Fatalf("got %+v", r)
	}
	if got := b.records()[0]["eventName"]; got != startEvent {
		t.Fatalf("first record is %v", got)
	}
}

func TestReopenContinuesChain(t *testing.T) {
	b := newBench(t)
	for range 3 {
		l := b.open()
		if l.Recovered().Lost() {
			t.Fatal("nothing was lost")
		}
		b.run(l, getCall(), nil)
		b.close()
	}
	r := b.mustVerify()
	if r.Records != 6 || r.Segments != 3 {
		t.Fatalf("got %d records in %d segments", r.Records, r.Segments)
	}
	if b.out.Len() != 0 {
		t.Fatalf("clean restarts logged: %s", b.out.String())
	}
}

func TestSecondProcessIsKeptOut(t *testing.T) {
	b := newBench(t)
	b.open()
	if _, err := Open(t.Context(), b.config()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("got %v", err)
	}
}

func TestNestedRecordsPrecedeTheirCall(t *testing.T) {
	b := newBench(t)
	l := b.open()
	parent := getCall()
	b.run(l, parent, func(ctx context.Context) {
		b.run(l, decryptCall(parent), nil)
		if n := l.Stats().Seq; n != 1 {
			t.Errorf("a nested record was appended before its call's answer: seq %d", n)
		}
	})
	b.close()
	b.mustVerify()
	got := b.records()
	if len(got) != 3 || got[1]["eventName"] != "Decrypt" || got[2]["eventName"] != "GetSecretValue" {
		t.Fatalf("got %v", got)
	}
}

func TestNestedRecordsOfBackgroundWorkDoNotWait(t *testing.T) {
	b := newBench(t)
	l := b.open()
	job := getCall()
	job.EventType, job.Operation = wire.EventServiceEvent, "RotationStarted"
	b.run(l, job, func(context.Context) {
		child := decryptCall(job)
		child.EventType = wire.EventAPICall
		b.run(l, child, nil)
		if n := l.Stats().Seq; n != 2 {
			t.Errorf("seq %d: the nested record is not in the chain", n)
		}
	})
}

func TestRecordWithoutBeginIsRefused(t *testing.T) {
	l := newBench(t).open()
	if err := l.Record(t.Context(), getCall()); !errors.Is(err, errNotBegun) {
		t.Fatalf("got %v", err)
	}
}

func TestClosedLogRefuses(t *testing.T) {
	b := newBench(t)
	l := b.open()
	running := getCall()
	if err := l.Begin(t.Context(), running); err != nil {
		t.Fatal(err)
	}
	b.close()
	if err := l.Begin(t.Context(), getCall()); !errors.Is(err, ErrClosed) {
		t.Fatalf("begin: %v", err)
	}
	if err := l.Record(t.Context(), running); !errors.Is(err, ErrClosed) {
		t.Fatalf("record: %v", err)
	}
	b.mustVerify()
}

func TestReservationsAreGivenBack(t *testing.T) {
	b := newBench(t)
	l := b.open()
	for range 50 {
		parent := getCall()
		b.run(l, parent, func(context.Context) {
			for range 3 {
				b.run(l, decryptCall(parent), nil)
			}
		})
	}
	if s := l.Stats(); s.Reserved != 0 || s.Calls != 0 {
		t.Fatalf("got %+v", s)
	}
}

func TestManyGoroutinesAndSegments(t *testing.T) {
	for _, durability := range []Durability{Written, Synced} {
		t.Run(fmt.Sprint(durability), func(t *testing.T) {
			b := newBench(t)
			l := b.open(func(c *Config) { c.Durability, c.HeadEvery = durability, 5*time.Millisecond })
			const workers, calls = 64, 25
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for range calls {
						parent := getCall()
						b.run(l, parent, func(context.Context) { b.run(l, decryptCall(parent), nil) })
					}
				})
			}
			wg.Wait()
			if s := l.Stats(); durability == Synced && s.SyncedSeq != s.Seq {
				t.Errorf("answered at %d, synced to %d", s.Seq, s.SyncedSeq)
			}
			b.close()
			r := b.mustVerify()
			if want := uint64(1 + 2*workers*calls); r.Records != want || r.Head.Seq != want {
				t.Fatalf("got %d records, head %d, want %d", r.Records, r.Head.Seq, want)
			}
			if r.Segments < 5 {
				t.Fatalf("only %d segments", r.Segments)
			}
			left, err := filepath.Glob(filepath.Join(b.dir(), "*.spare.*"))
			if err != nil || len(left) > 0 {
				t.Fatalf("spares left: %v %v", left, err)
			}
			heads, err := StoredHeads(t.Context(), b.db, testNode)
			if err != nil || len(heads) != r.Segments {
				t.Fatalf("%d heads for %d segments, %v", len(heads), r.Segments, err)
			}
		})
	}
}

// quota is a disk that has room for some segments.
type quota struct {
	left atomic.Int64
}

func (q *quota) allocate(f *os.File, size int64) error {
	if q.left.Add(-size) < 0 {
		q.left.Add(size)
		return syscall.ENOSPC
	}
	return reserve(f, size)
}

func TestFullDiskRefusesNewCallsAndServesRunningOnes(t *testing.T) {
	b := newBench(t)
	q := new(quota)
	q.left.Store(2 * minSegment)
	l := b.open(func(c *Config) { c.Allocate = q.allocate })
	var running []*wire.Call
	for {
		c := getCall()
		err := l.Begin(t.Context(), c)
		if err == nil {
			running = append(running, c)
			continue
		}
		if !errors.Is(err, ErrNoRoom) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		break
	}
	if len(running) < 10 {
		t.Fatalf("only %d calls found room in two segments", len(running))
	}
	if n := l.Stats().Refused; n == 0 {
		t.Fatal("refusal is not counted")
	}
	// Those that began must succeed, however large their records are.
	for _, c := range running {
		c.UserAgent = strings.Repeat("\x01", 1024)
		c.Input = &getInput{SecretId: new(strings.Repeat("s", 20<<10))}
		c.Resources[0].Account = "444455556666"
		if err := l.Record(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	// The disk gets room again.
	q.left.Store(20 * minSegment)
	deadline := time.Now().Add(5 * time.Second)
	for l.Begin(t.Context(), getCall()) != nil {
		if time.Now().After(deadline) {
			t.Fatal("still refusing although there is room")
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.close()
	r := b.mustVerify()
	if want := uint64(1 + 2*len(running)); r.Records != want {
		t.Fatalf("got %d records, want %d", r.Records, want)
	}
}

func TestFullDiskFillsToTheEnd(t *testing.T) {
	b := newBench(t)
	q := new(quota)
	q.left.Store(3 * minSegment)
	l := b.open(func(c *Config) { c.Allocate = q.allocate })
	acknowledged := 0
	for {
		c := getCall()
		if err := l.Begin(t.Context(), c); err != nil {
			if !errors.Is(err, ErrNoRoom) {
				t.Fatal(err)
			}
			break
		}
		if err := l.Record(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		acknowledged++
	}
	b.close()
	if r := b.mustVerify(); r.Records != uint64(1+acknowledged) {
		t.Fatalf("got %d records, %d were acknowledged", r.Records, acknowledged)
	}
	if acknowledged < 200 {
		t.Fatalf("only %d records in three segments", acknowledged)
	}
}

func TestWriteErrorStopsTheLog(t *testing.T) {
	b := newBench(t)
	l := b.open()
	c := getCall()
	if err := l.Begin(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	l.wmu.Lock()
	l.mu.Lock()
	_ = l.cur.f.Close() // Every write fails from now on.
	l.mu.Unlock()
	l.wmu.Unlock()
	if err := l.Record(t.Context(), c); err == nil {
		t.Fatal("a record that was not written was acknowledged")
	}
	if err := l.Begin(t.Context(), getCall()); err == nil {
		t.Fatal("a stopped log accepts calls")
	}
	if !l.Stats().Failed {
		t.Fatal("stats do not say so")
	}
	if err := l.Close(t.Context()); err == nil {
		t.Fatal("close hides the failure")
	}
	b.log = nil
	l2 := b.open()
	if l2.Recovered().Lost() {
		t.Fatal("nothing acknowledged was lost")
	}
	b.close()
	b.mustVerify()
}

func TestTailFollowsAcrossSegments(t *testing.T) {
	b := newBench(t)
	l := b.open()
	const calls = 400
	ctx, cancel := context.WithCancelCause(t.Context())
	done := errors.New("seen enough")
	var seen uint64
	var wg sync.WaitGroup
	var err error
	wg.Go(func() {
		err = Tail(ctx, b.dir(), testNode, 2, func(e Entry) error {
			if e.Seq != seen+2 {
				return fmt.Errorf("got record %d after %d", e.Seq, seen+1)
			}
			if seen++; seen == calls {
				return done
			}
			return nil
		})
	})
	time.AfterFunc(10*time.Second, func() { cancel(fmt.Errorf("too late, at %d", seen)) })
	for range calls {
		b.run(l, getCall(), nil)
	}
	wg.Wait()
	cancel(nil)
	if !errors.Is(err, done) {
		t.Fatal(err)
	}
}

func TestScanFromTheMiddle(t *testing.T) {
	b := newBench(t)
	l := b.open()
	for range 400 {
		b.run(l, getCall(), nil)
	}
	for _, from := range []uint64{1, 2, 150, 151, 399, 401} {
		next := from
		err := Scan(t.Context(), b.dir(), testNode, from, func(e Entry) error {
			if e.Seq != next {
				return fmt.Errorf("got %d, want %d", e.Seq, next)
			}
			next++
			return nil
		})
		if err != nil || next != 402 {
			t.Errorf("from %d: reached %d, %v", from, next, err)
		}
	}
}
