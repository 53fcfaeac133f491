package ship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/strongroom/strongroom/internal/backup"
	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/store"
)

// plainSealer stands for the keyring: what it seals never leaves the test.
type plainSealer struct{}

func (plainSealer) Seal(_ string, _, b []byte) ([]byte, error) { return bytes.Clone(b), nil }
func (plainSealer) Open(_ string, _, b []byte) ([]byte, error) { return bytes.Clone(b), nil }

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// bench is a store that is shipped.
type bench struct {
	// starting is what the server writes before the shipper has the store.
	starting func()

	t      *testing.T
	data   string
	target Target
	ids    backup.Identities
	config Config
	audit  func(done map[string]int64, max int) ([]Piece, error)

	db   *store.DB
	ship *Shipper
}

func newBench(t *testing.T) *bench {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := backup.ParseIdentities(strings.NewReader(id.String()))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b := &bench{t: t, data: filepath.Join(dir, "data"), target: Directory(filepath.Join(dir, "target")), ids: ids}
	b.config = Config{Recipients: []string{id.Recipient().String()}, Interval: time.Hour, BaseEvery: time.Hour, Retention: time.Hour, Spool: 1 << 30,
		About: About{Account: "111122223333", Region: "us-east-1", Regions: []string{"us-east-1"}, Node: "n1"}, Log: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	b.audit = func(map[string]int64, int) ([]Piece, error) { return nil, nil }
	return b
}

// open opens store and shipper, as a server does.
func (b *bench) open() {
	b.t.Helper()
	c := b.config
	c.Data, c.Dir, c.Target = b.data, filepath.Join(b.data, "ship"), b.target
	var err error
	if b.ship, err = New(c); err != nil {
		b.t.Fatal(err)
	}
	if b.db, err = store.Open(b.t.Context(), store.Config{Dir: b.data, Follower: b.ship}); err != nil {
		b.t.Fatal(err)
	}
	if b.starting != nil {
		b.starting()
	}
	err = b.ship.Attach(Source{DB: b.db, Sealer: plainSealer{}, Audit: b.audit, Keys: func(_ context.Context, have []string) ([]keyring.Bare, error) {
		if len(have) > 0 {
			return nil, nil
		}
		return []keyring.Bare{{ID: "0102", Created: time.Unix(1, 0), Secret: bytes.Repeat([]byte{7}, 32)}}, nil
	}})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) close() {
	b.t.Helper()
	b.ship.Stop()
	if err := errors.Join(b.db.Close(), b.ship.Close()); err != nil {
		b.t.Fatal(err)
	}
}

// kill leaves the directory as a process leaves it that is killed: copied while it is
// open, the original then closed and thrown away.
func (b *bench) kill() {
	b.t.Helper()
	old := b.data
	b.data += "+"
	if err := os.CopyFS(b.data, os.DirFS(old)); err != nil {
		b.t.Fatal(err)
	}
	info, err := os.Stat(store.DatabasePath(old))
	if err = errors.Join(err, os.Chtimes(store.DatabasePath(b.data), info.ModTime(), info.ModTime())); err != nil {
		b.t.Fatal(err)
	}
	b.ship.take.Lock()
	b.ship.ready = false
	b.ship.take.Unlock()
	if err := b.db.Close(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) put(id string) {
	b.t.Helper()
	err := b.db.Maintain(b.t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO store_commits (id, at, committed) VALUES ($1, 1, TRUE)`, id)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) flush() {
	b.t.Helper()
	if err := b.ship.Flush(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) copy() {
	b.t.Helper()
	before := b.ship.counters.bases.Load()
	if err := b.ship.Copy(b.t.Context()); err != nil || b.ship.counters.bases.Load() == before {
		b.t.Fatalf("no copy was made: %v", err)
	}
}

// restore returns the ids in the store as it was.
func (b *bench) restore(at time.Time) ([]string, *Plan, error) {
	b.t.Helper()
	p, err := Prove(b.t.Context(), b.target, b.ids, at)
	if err != nil {
		return nil, nil, err
	}
	defer p.Close()
	dir := b.t.TempDir()
	if err := p.WriteDatabase(b.t.Context(), store.DatabasePath(dir)); err != nil {
		return nil, p, err
	}
	if err := p.WriteAudit(b.t.Context(), filepath.Join(dir, "audit")); err != nil {
		return nil, p, err
	}
	return rowsOf(b.t, dir), p, nil
}

// rowsOf opens the store in a directory, has SQLite prove it and returns its rows.
func rowsOf(t *testing.T, dir string) []string {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var ids []string
	err = db.Read(t.Context(), func(tx store.Tx) error {
		var in store.Inspection
		if err := db.InspectPages(&in, tx); err != nil {
			return err
		}
		if !in.OK() {
			t.Errorf("the restored file is damaged: %v", in.Faults)
		}
		rows, err := tx.Query(`SELECT id FROM store_commits ORDER BY id`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// record is a write of the model: what was begun and acknowledged, when.
type record struct {
	id           string
	begun, ended time.Time
}

// check compares a restored state with the model: what was acknowledged up to the
// moment is there, what was begun after it is not.
func check(t *testing.T, name string, at time.Time, model []record, got []string) {
	t.Helper()
	have := make(map[string]bool)
	for _, id := range got {
		have[id] = true
	}
	for _, r := range model {
		switch {
		case !r.ended.IsZero() && !r.ended.After(at) && !have[r.id]:
			t.Errorf("%s: %s was acknowledged at %v, before %v, and is not there", name, r.id, r.ended, at)
		case r.begun.After(at) && have[r.id]:
			t.Errorf("%s: %s was begun at %v, after %v, and is there", name, r.id, r.begun, at)
		}
	}
}

// TestAnyMoment: under load, with the log folded, the database copied, the server
// stopped and killed meanwhile, every moment can be restored exactly.
func TestAnyMoment(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	b := newBench(t)
	b.open()
	b.put("first")
	b.flush()
	b.copy()
	var mu sync.Mutex
	var model []record
	var moments []time.Time
	load := func(writers, each int) {
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					r := record{id: fmt.Sprintf("%d-%d-%d %0500d", len(moments), w, i, 0), begun: time.Now()}
					b.put(r.id)
					r.ended = time.Now()
					mu.Lock()
					model = append(model, r)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		moments = append(moments, time.Now())
	}
	for round := range 10 {
		load(1+random.IntN(4), 10+random.IntN(30))
		switch what := random.IntN(7); {
		case round == 5 || what == 0:
			b.close()
			b.open()
		case round == 8 || what == 1:
			b.kill()
			b.open()
		case what == 2:
			if _, err := b.db.Fold(t.Context()); err != nil {
				t.Fatal(err)
			}
		case what == 3:
			if err := b.db.Scrub(t.Context()); err != nil {
				t.Fatal(err)
			}
		case what == 4:
			b.flush()
		case what == 5:
			b.copy()
		}
	}
	b.flush()
	if gaps := b.ship.Status().Gaps; gaps != 0 {
		t.Errorf("%d gaps", gaps)
	}
	for _, r := range model { // Also moments within a round.
		if random.IntN(len(model)/10) == 0 {
			moments = append(moments, r.ended)
		}
	}
	for _, at := range moments {
		got, _, err := b.restore(at)
		if err != nil {
			t.Errorf("%v: %v", at, err)
			continue
		}
		check(t, "restored", at, model, got)
	}
	got, p, err := b.restore(time.Time{})
	if err != nil || len(got) != len(model)+1 {
		t.Errorf("the latest: %d rows of %d, %v", len(got), len(model)+1, err)
	}
	if _, _, err := b.restore(p.Last.Add(time.Second)); !errors.Is(err, ErrNoMoment) {
		t.Errorf("later than shipped: %v", err)
	}
	if _, _, err := b.restore(p.First.Add(-time.Hour)); !errors.Is(err, ErrNoMoment) {
		t.Errorf("earlier than the first copy: %v", err)
	}
	b.close()
}

// TestCopyWhileWriting: a copy of the database that is made while it changes is whole
// with the log.
func TestCopyWhileWriting(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.open()
	b.put("first")
	b.flush()
	slow := &slowTarget{Target: b.target}
	b.ship.c.Target = slow
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	n := 0
	wg.Go(func() {
		for ; ctx.Err() == nil; n++ {
			b.put(fmt.Sprintf("%d %0900d", n, 0))
			if n%20 == 0 {
				if _, err := b.db.Fold(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 4 {
		slow.wait = make(chan struct{})
		done := make(chan error)
		go func() { done <- b.ship.Copy(t.Context()) }()
		<-slow.wait
		for range 200 {
			b.flushSlow()
		}
		slow.wait <- struct{}{}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	stop()
	wg.Wait()
	slow.wait = nil
	b.flush()
	got, _, err := b.restore(time.Time{})
	if err != nil || len(got) != n+1 {
		t.Errorf("%d rows of %d, %v", len(got), n+1, err)
	}
	b.close()
}

func (b *bench) flushSlow() {
	b.ship.Take()
	time.Sleep(time.Millisecond / 2) // Only to let others write.
}

// slowTarget holds the parts of a base back.
type slowTarget struct {
	Target
	wait chan struct{}
}

func (s *slowTarget) Put(ctx context.Context, name string, object []byte) error {
	if strings.Contains(filepath.Base(name), ".") && s.wait != nil {
		s.wait <- struct{}{}
		<-s.wait
	}
	return s.Target.Put(ctx, name, object)
}

// TestRefuses: whatever is done to what lies at the target is found before anything
// is written, and never restores something else.
func TestRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.audit = func(done map[string]int64, max int) ([]Piece, error) {
		if n := done["n1.pub"]; n < 40 {
			return []Piece{{"n1.pub", n, bytes.Repeat([]byte("x"), 10)}}, nil
		}
		return nil, nil
	}
	b.open()
	b.put("first")
	b.flush()
	b.copy()
	for i := range 4 {
		b.put(fmt.Sprint("row ", i))
		b.flush()
	}
	b.close()
	dir := string(b.target.(Directory))
	other := newBench(t)
	other.config.Recipients, other.ids = b.config.Recipients, b.ids
	other.open()
	for i := range 4 {
		other.put(fmt.Sprint("foreign ", i))
		other.flush()
	}
	other.copy()
	other.close()
	otherDir := string(other.target.(Directory))

	want, plan, err := b.restore(time.Time{})
	if err != nil || len(want) != 5 {
		t.Fatalf("%v, %v", want, err)
	}
	names, err := b.target.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.target.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	needed := 0
	// try alters the target's files, restores, and puts them back.
	try := func(what string, alter func(path string) error, name string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := alter(path); err != nil {
			t.Fatal(err)
		}
		into := t.TempDir()
		p, err := Prove(t.Context(), b.target, b.ids, plan.At)
		if err == nil {
			t.Errorf("%s of %s: proven", what, name)
			p.Close()
		}
		if left, err := os.ReadDir(into); err != nil || len(left) > 0 {
			t.Errorf("%s of %s: something was written: %v, %v", what, name, left, err)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names {
		if kind, n, _, _ := parseName(plan.Stream, name); kind == kindLog && n < plan.base.Number {
			continue // Nothing needs it.
		} else if kind == kindAudit && n > plan.audit {
			continue // Nothing tells of it yet: the record ends earlier.
		}
		needed++
		good, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(good); at += max(1, len(good)/9) {
			try(fmt.Sprintf("byte %d", at), func(path string) error {
				bad := bytes.Clone(good)
				bad[at] ^= 1
				return os.WriteFile(path, bad, 0o600)
			}, name)
			try(fmt.Sprintf("cut at %d", at), func(path string) error { return os.WriteFile(path, good[:at], 0o600) }, name)
		}
		try("a byte more", func(path string) error { return os.WriteFile(path, append(bytes.Clone(good), 0), 0o600) }, name)
		try("loss", os.Remove, name)
		for j, from := range names {
			if i != j {
				try("exchange with "+from, func(path string) error {
					b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(from)))
					return errors.Join(err, os.WriteFile(path, b, 0o600))
				}, name)
			}
		}
		kind, n, part, _ := parseName(plan.Stream, name)
		for _, from := range foreign { // The same place in another stream for the same recipients.
			fk, fn, fp, _ := parseName(strings.SplitN(from, "/", 2)[0], from)
			if fk != kind || fn != n || fp != part {
				continue
			}
			try("foreign object", func(path string) error {
				b, err := os.ReadFile(filepath.Join(otherDir, filepath.FromSlash(from)))
				return errors.Join(err, os.WriteFile(path, b, 0o600))
			}, name)
		}
	}
	if needed < 8 {
		t.Errorf("only %d objects were altered", needed)
	}
	_, others := newBench(t).ids, newBench(t).ids
	if _, err := Prove(t.Context(), b.target, others, time.Time{}); err == nil {
		t.Error("somebody else's identity opens it")
	}
	got, _, err := b.restore(time.Time{})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the control: %v, %v", got, err)
	}
}

// deadTarget fails as long as it is told to.
type deadTarget struct {
	Target
	mu   sync.Mutex
	dead error
}

func (d *deadTarget) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = err
}

func (d *deadTarget) Put(ctx context.Context, name string, object []byte) error {
	d.mu.Lock()
	err := d.dead
	d.mu.Unlock()
	if err != nil {
		return err
	}
	return d.Target.Put(ctx, name, object)
}

// TestTargetGone: a target that is gone for a while costs nothing; one that is gone
// for longer than the spool lasts costs the moments in between, never a write.
func TestTargetGone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dead := &deadTarget{Target: b.target}
	b.target = dead
	b.config.Spool = 60 << 10
	b.open()
	b.put("first")
	b.flush()
	b.copy()
	before := time.Now()
	gone := errors.New("no space left on the target")
	dead.fail(gone)
	b.put("during")
	if err := b.ship.Flush(t.Context()); !errors.Is(err, gone) {
		t.Errorf("flush: %v", err)
	}
	during := time.Now()
	b.ship.Take()
	if s := b.ship.Status(); s.Waiting == 0 || s.Lag <= 0 || s.Gaps != 0 {
		t.Errorf("behind: %+v", s)
	}
	// A restart meanwhile loses nothing.
	b.close()
	b.open()
	dead.fail(nil)
	b.put("after")
	b.flush()
	if got, _, err := b.restore(during); err != nil || !slices.Equal(got, []string{"during", "first"}) {
		t.Errorf("during: %v, %v", got, err)
	}
	if s := b.ship.Status(); s.Waiting != 0 || s.Lag != 0 {
		t.Errorf("caught up: %+v", s)
	}

	// For longer than the spool lasts, with the log folded all the time.
	dead.fail(gone)
	for i := range 200 {
		b.put(fmt.Sprintf("%d %x", i, rand.N[int64](1<<62)))
		b.ship.Take()
		if i%20 == 0 {
			if _, err := b.db.Fold(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	lost := time.Now()
	if s := b.ship.Status(); s.Gaps != 1 || s.Waiting > 2*b.config.Spool {
		t.Errorf("lost: %+v", s)
	}
	if info, err := os.Stat(store.LogPath(b.data)); err != nil || info.Size() > 32<<20 {
		t.Errorf("the log has %d bytes, %v", info.Size(), err)
	}
	dead.fail(nil)
	b.flush() // What waited; then there is room again.
	b.ship.Take()
	b.put("again")
	b.flush()
	if !b.ship.due() {
		t.Error("no new copy is due")
	}
	b.copy()
	b.put("end")
	b.flush()
	if got, _, err := b.restore(time.Time{}); err != nil || len(got) != 205 {
		t.Errorf("the latest: %d rows, %v", len(got), err)
	}
	if got, _, err := b.restore(before); err != nil || !slices.Equal(got, []string{"first"}) {
		t.Errorf("before: %v, %v", got, err)
	}
	if _, _, err := b.restore(lost); !errors.Is(err, ErrNoMoment) {
		t.Errorf("in the gap: %v", err)
	}
	b.close()
}

// TestLongLogOfAKilledServer: a log that is long enough to be folded by the first writes
// of the next server, before that has told the shipper, is taken all the same.
func TestLongLogOfAKilledServer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.open()
	b.put("first")
	b.flush()
	b.copy()
	b.put("second") // Noted, not taken.
	b.kill()
	b.starting = func() {
		// A page for each row, and then as many as a fold takes.
		for i := range 5 {
			err := b.db.Maintain(t.Context(), func(tx store.Tx) error {
				for j := range 1000 {
					if _, err := tx.Exec(`INSERT INTO store_commits (id, at, committed) VALUES ($1, 1, TRUE)`, fmt.Sprintf("third %d %04d %s", i, j, strings.Repeat("x", 4000))); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		b.put("fourth") // The log would begin anew with this.
	}
	b.open()
	if s := b.ship.Status(); s.Gaps != 0 {
		t.Errorf("lost: %+v", s)
	}
	b.flush()
	got, _, err := b.restore(time.Time{})
	if err != nil || len(got) != 5003 || got[0] != "first" || got[1] != "fourth" || got[2] != "second" {
		t.Errorf("%d rows, %v", len(got), err)
	}
	b.close()
}

// TestSomebodyElseWrote: a store that was opened without being shipped is found out,
// and so is a copy of the directory that goes on with the stream.
func TestSomebodyElseWrote(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.open()
	b.put("first")
	b.flush()
	b.copy()
	b.close()
	db, err := store.Open(t.Context(), store.Config{Dir: b.data})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Maintain(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO store_commits (id, at, committed) VALUES ('unseen', 1, TRUE)`)
		return err
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	b.open()
	if s := b.ship.Status(); s.Gaps != 1 {
		t.Errorf("not found: %+v", s)
	}
	b.put("second")
	b.flush()
	b.copy()
	if got, _, err := b.restore(time.Time{}); err != nil || !slices.Equal(got, []string{"first", "second", "unseen"}) {
		t.Errorf("%v, %v", got, err)
	}
	b.close()

	old := b.data
	copied := b.data + "-copy"
	if err := os.CopyFS(copied, os.DirFS(old)); err != nil {
		t.Fatal(err)
	}
	b.open()
	b.put("third")
	b.flush()
	b.close()
	stream := b.ship.st.Stream
	b.data = copied
	b.open()
	if err := b.ship.compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.ship.st.Stream == stream {
		t.Error("the copy goes on with the stream")
	}
	b.put("fourth")
	b.flush()
	b.copy()
	if got, _, err := b.restore(time.Time{}); err != nil || !slices.Equal(got, []string{"first", "fourth", "second", "unseen"}) {
		t.Errorf("of the copy: %v, %v", got, err)
	}
	b.close()
}

// TestRetention: what no moment within the retention needs goes, and all the rest
// still restores.
func TestRetention(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	now := time.Now()
	var mu sync.Mutex
	b.config.Now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Millisecond)
		return now
	}
	later := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	b.config.Retention = 3 * time.Hour
	b.open()
	moments := []time.Time{}
	for i := range 8 {
		b.put(fmt.Sprintf("row %d", i))
		b.flush()
		b.copy()
		moments = append(moments, b.config.Now())
		later(time.Hour)
	}
	b.put("end")
	b.flush()
	names, err := b.target.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if bases := numbers(b.ship.st.Stream, kindBase, names); len(bases) != 4 {
		t.Errorf("bases %v", bases)
	}
	for i, at := range moments {
		got, _, err := b.restore(at)
		if i < 4 && !errors.Is(err, ErrNoMoment) {
			t.Errorf("%d: %v", i, err)
		}
		if i >= 4 && (err != nil || len(got) != i+1) {
			t.Errorf("%d: %v, %v", i, got, err)
		}
	}
	b.close()
}

// TestClockAhead: moments never go back with the clock; at another target they begin
// with it anew.
func TestClockAhead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var ahead time.Duration
	b.config.Now = func() time.Time { return time.Now().Add(ahead) }
	b.open()
	b.put("first")
	b.flush()
	b.copy()
	ahead = time.Hour
	b.put("ahead")
	ahead = 0
	b.put("right")
	b.flush()
	if s := b.ship.Status(); s.Ahead < 3000 || s.Gaps != 0 {
		t.Errorf("%+v", s)
	}
	if got, _, err := b.restore(time.Now()); err != nil || !slices.Equal(got, []string{"first"}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, _, err := b.restore(time.Time{}); err != nil || !slices.Equal(got, []string{"ahead", "first", "right"}) {
		t.Errorf("%v, %v", got, err)
	}
	b.close()
	b.target = Directory(t.TempDir())
	b.open()
	b.put("elsewhere")
	b.flush()
	b.copy()
	at := time.Now()
	b.put("later")
	b.flush()
	if s := b.ship.Status(); s.Ahead != 0 {
		t.Errorf("%+v", s)
	}
	if got, _, err := b.restore(at); err != nil || !slices.Equal(got, []string{"ahead", "elsewhere", "first", "right"}) {
		t.Errorf("%v, %v", got, err)
	}
	b.close()
}
