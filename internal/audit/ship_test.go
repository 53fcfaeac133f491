package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

func shipping(c *Config) { c.Ship = true }

func replicated(c *Config) { c.Ship, c.Durability = true, Replicated }

// copyOf is the chain as the database alone has it.
func (b *bench) copyOf(node string) Source {
	b.Helper()
	var key []byte
	err := b.db.Read(b.Context(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT public FROM audit_keys WHERE node = $1`, node).Scan(&key)
	})
	if err != nil {
		b.Fatal(err)
	}
	return Source{Node: node, Public: key, Copies: Copied(b.db), Heads: func(ctx context.Context) ([]Head, error) {
		return StoredHeads(ctx, b.db, node)
	}}
}

func (b *bench) verifyCopy() *Report {
	b.Helper()
	r, err := Verify(b.Context(), b.copyOf(testNode))
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// text is a chain as lines.
func text(t testing.TB, s Source) string {
	t.Helper()
	var out strings.Builder
	err := s.Scan(t.Context(), 1, func(e Entry) error {
		_, err := fmt.Fprintf(&out, "%d %s %s\n", e.Seq, e.Chain, e.Body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func (b *bench) exec(query string, args ...any) int64 {
	b.Helper()
	var n int64
	err := b.db.Maintain(b.Context(), func(tx store.Tx) (err error) {
		n, err = tx.Exec(query, args...)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// The database's copy proves itself like the files, over several segments, starts
// and rows.
func TestCopyProvesItself(t *testing.T) {
	b := newBench(t)
	for range 3 {
		l := b.open(shipping)
		for range 300 {
			b.run(l, getCall(), nil)
		}
		b.close()
	}
	files, copies := b.mustVerify(), b.verifyCopy()
	if !copies.OK() || copies.Last != files.Last || copies.Chain != files.Chain || copies.Segments != files.Segments || copies.Segments < 3 {
		t.Fatalf("copy %+v (%v), files %+v", copies, copies.Broken, files)
	}
	if copies.Head == nil || copies.Head.Seq != copies.Last {
		t.Errorf("head %+v of %d", copies.Head, copies.Last)
	}
	if text(t, b.copyOf(testNode)) != text(t, b.source()) {
		t.Error("the copy has other lines than the files")
	}
	for _, p := range b.segments() {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	union := b.copyOf(testNode)
	union.Dir = b.dir()
	if r, err := Verify(t.Context(), union); err != nil || !r.OK() || r.Last != files.Last {
		t.Errorf("without the files: %+v %v", r, err)
	}
}

// While the log runs, the copy is behind by no more than a moment, and heads are
// never ahead of it.
func TestCopyFollows(t *testing.T) {
	b := newBench(t)
	l := b.open(shipping, func(c *Config) { c.HeadEvery = 10 * time.Millisecond })
	for round := range 20 {
		for range 40 {
			b.run(l, getCall(), nil)
		}
		if r := b.verifyCopy(); !r.OK() {
			t.Fatalf("round %d: %v", round, r.Broken)
		}
	}
	want := l.Stats().Seq
	await(t, func() bool { return l.Stats().ShippedSeq == want })
	if r := b.verifyCopy(); !r.OK() || r.Last != want || r.Head == nil || r.Head.Seq != want {
		t.Errorf("%+v, want record %d", r, want)
	}
}

// await waits until done, for at most a minute.
func await(t testing.TB, done func() bool) {
	t.Helper()
	for begun := time.Now(); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatal("waited for a minute")
		}
	}
}

// Whoever changes the copy is found.
func TestChangedCopyIsFound(t *testing.T) {
	forge := func(b *bench, old, new string) {
		var place int64
		var sealed []byte
		err := b.db.Read(b.Context(), func(tx store.Tx) error {
			return tx.QueryRow(`SELECT place, lines FROM audit_lines WHERE segment = 1 ORDER BY size DESC LIMIT 1`).Scan(&place, &sealed)
		})
		if err != nil {
			b.Fatal(err)
		}
		lines, err := decompress(formZstd, sealed)
		if err != nil {
			b.Fatal(err)
		}
		changed := bytes.Replace(lines, []byte(old), []byte(new), 1)
		if bytes.Equal(changed, lines) {
			b.Fatal("nothing to change")
		}
		if sealed, err = compress(changed); err != nil {
			b.Fatal(err)
		}
		b.exec(`UPDATE audit_lines SET lines = $1, size = $2 WHERE segment = 1 AND place = $3`, sealed, len(changed), place)
	}
	tests := []struct {
		name   string
		damage func(b *bench)
		kind   Kind
	}{
		{"body", func(b *bench) { forge(b, "alice", "mally") }, BadBody},
		{"first segment removed", func(b *bench) { b.exec(`DELETE FROM audit_lines WHERE segment = 1`) }, MissingSegment},
		{"last segment removed", func(b *bench) {
			b.exec(`DELETE FROM audit_lines WHERE segment = (SELECT MAX(segment) FROM audit_lines)`)
		}, Truncated},
		{"all removed", func(b *bench) { b.exec(`DELETE FROM audit_lines`) }, Truncated},
		{"end of a segment removed", func(b *bench) {
			b.exec(`DELETE FROM audit_lines WHERE segment = 1 AND place = (SELECT MAX(place) FROM audit_lines WHERE segment = 1)`)
		}, Truncated},
		{"head of another key", func(b *bench) { b.exec(`UPDATE audit_heads SET signature = chain`) }, BadHead},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			l := b.open(shipping)
			for range 300 {
				b.run(l, getCall(), nil)
			}
			b.close()
			if r := b.verifyCopy(); !r.OK() || r.Segments < 2 {
				t.Fatalf("%+v", r)
			}
			tt.damage(b)
			if r := b.verifyCopy(); r.OK() || r.Broken == nil || r.Broken.Kind != tt.kind {
				t.Errorf("%+v, want %s", r.Broken, tt.kind)
			}
		})
	}
}

// A node whose disk is deleted goes on behind what it had shipped: that stays
// provable, the record of each change is there, and the chain says between which
// moments other records may be missing.
func TestLostDisk(t *testing.T) {
	for _, upgraded := range []bool{false, true} {
		t.Run(fmt.Sprintf("upgraded %t", upgraded), func(t *testing.T) {
			b := newBench(t)
			l := b.open(func(c *Config) { c.Ship = !upgraded })
			for range 200 {
				b.run(l, getCall(), nil)
			}
			if upgraded { // A chain that an earlier release has begun.
				b.close()
				l = b.open(shipping)
			}
			if err := l.ship(t.Context()); err != nil {
				t.Fatal(err)
			}
			shipped := l.Stats().ShippedSeq
			// The log ships only when it is told to: these records are lost, but for
			// the change.
			b.run(l, getCall(), nil)
			put := putCall()
			b.run(l, put, func(ctx context.Context) { b.change(ctx, "kept") })
			b.crash()
			if err := os.RemoveAll(b.dir()); err != nil {
				t.Fatal(err)
			}
			l = b.open(shipping)
			found := l.Recovered()
			if found.Lost() || found.Found != shipped || found.Restored == 0 || found.Pending != 1 {
				t.Fatalf("found %+v, shipped %d", found, shipped)
			}
			b.run(l, getCall(), nil)
			b.close()
			union := b.copyOf(testNode)
			union.Dir = b.dir()
			for name, s := range map[string]Source{"copy": b.copyOf(testNode), "files and copy": union} {
				r, err := Verify(t.Context(), s)
				if err != nil || !r.OK() {
					t.Fatalf("%s: %v %v %v", name, r.Broken, r.Gaps, err)
				}
				if len(r.Windows) != 1 || r.Windows[0].After != shipped || !r.Windows[0].From.Before(r.Windows[0].To) {
					t.Errorf("%s: windows %+v", name, r.Windows)
				}
				if n := strings.Count(text(t, s), put.EventID); n != 1 {
					t.Errorf("%s: the change is recorded %d times", name, n)
				}
			}
			if n := b.pendingRows(); n != 0 {
				t.Errorf("%d pending rows", n)
			}
		})
	}
}

// With durability replicated a power cut may take the end of the files, which the
// copy has: it comes back, nothing is missing, and nothing is written twice.
func TestReplicatedSurvivesTheFiles(t *testing.T) {
	cuts := map[string]func(b *bench, path string){
		"end":       func(b *bench, path string) { b.write(path, b.read(path)[:3000]) },
		"hole":      func(b *bench, path string) { data := b.read(path); clear(data[3000:5000]); b.write(path, data) },
		"all of it": func(b *bench, path string) { _ = os.Remove(path) },
	}
	for name, cut := range cuts {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			l := b.open(replicated)
			for range 20 {
				b.run(l, getCall(), nil)
			}
			last := l.Stats().Seq
			if l.Stats().ShippedSeq != last {
				t.Fatalf("answered %d, in the database %d", last, l.Stats().ShippedSeq)
			}
			b.crash()
			before := text(t, b.copyOf(testNode))
			paths := b.segments()
			cut(b, paths[len(paths)-1])
			l = b.open(replicated)
			if f := l.Recovered(); f.Lost() || f.Found != last || f.Restored == 0 {
				t.Fatalf("found %+v, want record %d", f, last)
			}
			b.close()
			if r := b.mustVerify(); r.Last <= last {
				t.Errorf("files end at %d", r.Last)
			}
			if after := text(t, b.copyOf(testNode)); !strings.HasPrefix(after, before) || after != text(t, b.source()) {
				t.Error("the copy's records have changed")
			}
		})
	}
}

// The answer waits for the database, and many share a transaction.
func TestReplicatedIsInTheDatabaseBeforeTheAnswer(t *testing.T) {
	b := newBench(t)
	var ships atomic.Int64
	l := b.open(replicated, func(c *Config) {
		c.Fault = func(p string) {
			if p == FaultBeforeShip {
				ships.Add(1)
			}
		}
	})
	const callers, each = 32, 10
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				c := getCall()
				b.run(l, c, nil)
				found := false
				err := b.copyOf(testNode).Scan(t.Context(), 1, func(e Entry) error {
					found = found || bytes.Contains(e.Body, []byte(c.EventID))
					return nil
				})
				if err != nil || !found {
					t.Errorf("answered before it was in the database (%v)", err)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d calls in %d transactions", callers*each, ships.Load())
	if ships.Load() >= callers*each {
		t.Error("no two calls shared a transaction")
	}
}

// A call is not answered when its record does not reach the database, and the
// next one is when it does again.
func TestReplicatedFailsWithTheDatabase(t *testing.T) {
	b := newBench(t)
	s := &flaky{Store: b.db}
	l := b.open(replicated, func(c *Config) { c.Store = s })
	s.before.Store(true)
	c := getCall()
	if err := l.Begin(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := l.Record(t.Context(), c); !errors.Is(err, errFlaky) {
		t.Fatalf("recorded: %v", err)
	}
	s.before.Store(false)
	b.run(l, getCall(), nil)
	b.close()
	if r := b.verifyCopy(); !r.OK() {
		t.Error(r.Broken)
	}
}

var errFlaky = errors.New("database went away")

// flaky fails before a change, or after it as if the answer were lost.
type flaky struct {
	Store
	before, after atomic.Bool
}

func (f *flaky) Maintain(ctx context.Context, fn func(store.Tx) error) error {
	if f.before.Load() {
		return errFlaky
	}
	err := f.Store.Maintain(ctx, fn)
	if err == nil && f.after.Load() {
		return errFlaky
	}
	return err
}

// Whether a shipment whose answer was lost happened is looked up: nothing is
// shipped twice, and nothing is left out.
func TestLostAnswerOfAShipment(t *testing.T) {
	b := newBench(t)
	s := &flaky{Store: b.db}
	l := b.open(shipping, func(c *Config) { c.Store = s })
	for i, lost := range []*atomic.Bool{&s.after, &s.before, &s.after} {
		b.run(l, getCall(), nil)
		await(t, func() bool { st := l.Stats(); return st.SyncedSeq == st.Seq })
		lost.Store(true)
		if err := l.ship(t.Context()); !errors.Is(err, errFlaky) {
			t.Fatalf("%d: %v", i, err)
		}
		lost.Store(false)
		b.run(l, getCall(), nil) // So that the lines would be cut elsewhere.
		await(t, func() bool { st := l.Stats(); return st.SyncedSeq == st.Seq })
		if err := l.ship(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := b.verifyCopy(); !r.OK() || r.Last != l.Stats().Seq {
			t.Fatalf("%d: %+v %v", i, r, r.Broken)
		}
	}
}

// Two processes of one node, on copies of its directory: the newer goes on, the
// older is refused before anything of it is in the database.
func TestOlderOpeningIsRefused(t *testing.T) {
	b := newBench(t)
	old := b.open(shipping)
	b.run(old, getCall(), nil)
	if err := old.ship(t.Context()); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(b.root, "elsewhere")
	newer := b.open(shipping, func(c *Config) { c.Dir = elsewhere })
	b.run(newer, getCall(), nil)
	b.run(old, getCall(), nil)
	await(t, func() bool { st := old.Stats(); return st.SyncedSeq == st.Seq })
	if err := old.ship(t.Context()); !errors.Is(err, ErrTaken) {
		t.Fatalf("the older ships: %v", err)
	}
	c := getCall()
	if err := old.Begin(t.Context(), c); !errors.Is(err, ErrTaken) {
		t.Errorf("the older begins a call: %v", err)
	}
	if err := old.Close(context.Background()); !errors.Is(err, ErrTaken) {
		t.Errorf("the older ends: %v", err)
	}
	b.close()
	if r := b.verifyCopy(); !r.OK() || r.Last != newer.end.seq {
		t.Errorf("%+v %v", r, r.Broken)
	}
}

// A node that was retired while it lived sets aside what it had recorded beside its
// chain, and goes on behind what its retirement added.
func TestRetiredAlive(t *testing.T) {
	b := newBench(t)
	l := b.open(shipping)
	b.run(l, getCall(), nil)
	if err := l.ship(t.Context()); err != nil {
		t.Fatal(err)
	}
	elsewhere := b.open(shipping, func(c *Config) { c.Dir = filepath.Join(b.root, "elsewhere") })
	if err := elsewhere.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.run(l, getCall(), nil) // It does not know yet.
	}
	b.log = l
	b.crash()
	l = b.open(shipping)
	b.run(l, getCall(), nil)
	b.close()
	files, copies := b.mustVerify(), b.verifyCopy()
	if !copies.OK() || copies.Last != files.Last || copies.Chain != files.Chain {
		t.Errorf("files %+v, copy %+v %v", files, copies, copies.Broken)
	}
	if aside, err := filepath.Glob(filepath.Join(b.dir(), "*.torn-*")); err != nil || len(aside) != 1 {
		t.Errorf("set aside: %v %v", aside, err)
	}
}

// A segment that the release before has closed, in words of its own after this one had
// shipped it, is left as it is.
func TestClosedByAnotherRelease(t *testing.T) {
	b := newBench(t)
	l := b.open(shipping)
	b.run(l, getCall(), nil)
	b.close()
	path := b.segments()[0]
	data := b.read(path)
	short := bytes.Replace(data, []byte(`,"closed":true}`), []byte(`}`), 1)
	if len(short) == len(data) {
		t.Fatal("the trailer has another form")
	}
	b.write(path, short)
	b.open(shipping)
	b.close()
	if r := b.mustVerify(); len(r.Windows) > 0 {
		t.Errorf("%+v", r.Windows)
	}
	if r := b.verifyCopy(); !r.OK() {
		t.Error(r.Broken)
	}
}

// Shipped segments leave the disk when there is more than is to be kept, and the
// chain is still whole.
func TestSpoolIsBounded(t *testing.T) {
	b := newBench(t)
	const spool = 3 * minSegment
	l := b.open(shipping, func(c *Config) { c.Spool = spool })
	for range 2000 {
		b.run(l, getCall(), nil)
	}
	await(t, func() bool { st := l.Stats(); return st.SyncedSeq == st.Seq })
	if err := l.removeShipped(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := len(b.segments())
	if err := errors.Join(l.ship(t.Context()), l.removeShipped(t.Context())); err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, p := range b.segments() {
		size += int64(len(b.read(p)))
	}
	// One segment more is open.
	if n := len(b.segments()); n >= before || n < 3 || size > spool+minSegment {
		t.Errorf("%d segments of %d left, %d bytes", n, before, size)
	}
	b.close()
	union := b.copyOf(testNode)
	union.Dir = b.dir()
	if r, err := Verify(t.Context(), union); err != nil || !r.OK() || r.First != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if l = b.open(shipping, func(c *Config) { c.Spool = spool }); l.Recovered().Restored != 0 || !l.Recovered().Clean {
		t.Errorf("found %+v", l.Recovered())
	}
}

// Lines changed in the spool before they were shipped are not signed for.
func TestChangedSpoolIsNotSigned(t *testing.T) {
	b := newBench(t)
	l := b.open(shipping)
	b.run(l, getCall(), nil)
	await(t, func() bool { st := l.Stats(); return st.SyncedSeq == st.Seq })
	// The last record again, with a body of the forger's and a chain that holds.
	path := b.segments()[0]
	data := bytes.TrimRight(b.read(path), "\x00")
	lines := bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
	last, err := parseLine(lines[len(lines)-1])
	if err != nil {
		t.Fatal(err)
	}
	e := newEvent(bytes.Replace(last.event, []byte("alice"), []byte("mally"), 1))
	forged := appendLine(nil, last.seq, last.prev, e.hash, link(last.prev, last.seq, e.hash), e.body)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(forged, int64(len(data)-len(lines[len(lines)-1])-1))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := l.ship(t.Context()); err == nil || !strings.Contains(err.Error(), "changed on disk") {
		t.Errorf("shipped: %v", err)
	}
	heads, err := StoredHeads(t.Context(), b.db, testNode)
	if err != nil || slices.ContainsFunc(heads, func(h Head) bool { return h.Seq >= last.seq }) {
		t.Errorf("heads %+v %v", heads, err)
	}
	if err := b.log.Close(context.Background()); err == nil {
		t.Error("closed as if nothing were wrong")
	}
	b.log = nil
}
