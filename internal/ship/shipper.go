package ship

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/panics"
	"github.com/strongroom/strongroom/internal/store"
)

// Config is what New needs.
type Config struct {
	// Data is the data directory of the store.
	Data string
	// Dir is the shipper's own folder in it.
	Dir    string
	Target Target
	// Recipients may restore (age1...).
	Recipients []string
	// Interval is how often new commits are taken.
	Interval time.Duration
	// BaseEvery is how often the whole database is copied, Retention how long it can
	// be restored to any moment.
	BaseEvery, Retention time.Duration
	// Spool bounds what waits for a target that does not take it, in bytes.
	Spool int64
	// About says whose store it is.
	About About
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	Log *slog.Logger
	// Timeout bounds one exchange with the target.
	Timeout time.Duration
}

// About says whose a stream is.
type About struct {
	Account string   `json:"account"`
	Region  string   `json:"region"`
	Regions []string `json:"regions"`
	Node    string   `json:"node"`
	Release string   `json:"release"`
}

// Sealer seals the stream's key for this machine; the keyring is one.
type Sealer interface {
	Seal(purpose string, aad, plaintext []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}

// Source is the open store that is shipped.
type Source struct {
	DB     *store.DB
	Sealer Sealer
	// Keys returns the storage keys but those in have. The shipper clears them.
	Keys func(ctx context.Context, have []string) ([]keyring.Bare, error)
	// Audit returns what is durable of the audit record beyond what is done, about
	// max bytes of it.
	Audit func(done map[string]int64, max int) ([]Piece, error)
}

const keyPurpose = "ship.stream-key"

// chunkFrames is about how many frames an object holds: 16 MB of pages.
const chunkFrames = 4096

// chunkAudit is how much of the audit record an object holds.
const chunkAudit = 8 << 20

// Shipper copies a store to a target. It is the store's Follower from New on; Attach
// gives it the open store, Run ships until its context ends.
type Shipper struct {
	c     Config
	spool *spool
	wal   string

	// clean says that the log was empty and the database unchanged since the last
	// process closed it.
	clean bool

	// mu guards what the writer's goroutine tells, and is held for moments only.
	mu      sync.Mutex
	marks   []mark
	salt    uint64 // of the run that was written last
	look    bool   // it may have begun anew
	frames  int64
	last    int64 // the last moment given out
	refused bool  // marks are dropped: nothing is taken

	// take guards taking and with it the state, spooled and the sources. It is held
	// by whoever takes; nobody who holds it waits for the writer or the target.
	take    sync.Mutex
	st      state
	ready   bool
	src     Source
	key     streamKey
	spooled int64
	from    foldPoint

	// sendMu lets one goroutine send at a time.
	sendMu sync.Mutex

	wake     chan struct{} // there is something to send
	hurry    chan struct{} // there is much to take
	status   atomic.Pointer[trouble]
	counters counters
}

// foldPoint is a moment at which the database file was whole: everything before log
// object number is in it.
type foldPoint struct {
	ok     bool
	number uint64
	prev   string
}

// trouble is the last failure.
type trouble struct {
	err   error
	since time.Time
}

type counters struct {
	objects, bytes, failures, gaps, bases atomic.Int64
	sentUntil, takenUntil, waiting        atomic.Int64
}

// New opens the shipper's folder. It must be there before the store is opened.
func New(c Config) (*Shipper, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Interval <= 0 {
		c.Interval = time.Second
	}
	if c.Timeout <= 0 {
		c.Timeout = time.Minute
	}
	p, err := openSpool(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder for shipping: %w", err)
	}
	s := &Shipper{c: c, spool: p, wal: store.LogPath(c.Data), wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
	st, ok, err := p.load()
	if err == nil {
		s.marks, err = p.noted()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the folder for shipping: %w", err), p.close())
	}
	if ok {
		s.st, s.last = st, st.Until
		if info, err := os.Stat(s.wal); errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0 {
			s.clean = st.Folding && st.Database == identify(store.DatabasePath(c.Data))
		}
	}
	for _, m := range s.marks {
		s.last = max(s.last, m.at)
	}
	return s, nil
}

// Attach gives the shipper the store, and decides whether its log continues what was
// taken before. It is called before anybody else writes much.
func (s *Shipper) Attach(src Source) error {
	s.take.Lock()
	defer s.take.Unlock()
	s.src = src
	key, why := s.resume()
	if why != "" && s.st.Stream != "" {
		s.c.Log.Warn("shipping begins a new stream", "why", why)
	}
	if key == nil {
		if s.st.Target != s.c.Target.String() {
			// Elsewhere the moments begin anew, also where a clock that was ahead has
			// left them ahead here.
			s.mu.Lock()
			s.last = 0
			s.mu.Unlock()
		}
		if err := s.begin(); err != nil {
			return fmt.Errorf("begin to ship: %w", err)
		}
	} else {
		s.key = key
		if why := s.continues(); why != "" {
			s.breakOff(errors.New(why))
		}
		var err error
		s.spooled, err = s.spool.clear(func(name string) bool {
			for kind, sr := range map[string]series{kindLog: s.st.Log, kindAudit: s.st.Audit} {
				for n := sr.Sent + 1; n < sr.Next; n++ {
					if fmt.Sprintf("%s-%012d", kind, n) == name {
						return true
					}
				}
			}
			return false
		})
		if err != nil {
			return fmt.Errorf("begin to ship: %w", err)
		}
	}
	s.keepMarks()
	s.ready = true
	s.counters.takenUntil.Store(s.st.Until)
	s.counters.sentUntil.Store(s.st.Until)
	return nil
}

// keepMarks drops the marks of runs of the log that are gone, and have been taken.
func (s *Shipper) keepMarks() {
	salt, err := s.readSalt()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks = slices.DeleteFunc(s.marks, func(m mark) bool { return err != nil || m.salt != salt })
}

// resume returns the key of the stream that was shipped before, or why there must be
// a new one.
func (s *Shipper) resume() (streamKey, string) {
	switch {
	case s.st.Stream == "":
		return nil, "there is none"
	case s.st.Target != s.c.Target.String():
		return nil, "the target is another one"
	case !slices.Equal(s.st.Recipients, s.c.Recipients):
		return nil, "the recipients are others"
	}
	key, err := s.src.Sealer.Open(keyPurpose, []byte(s.st.Stream), s.st.Sealed)
	if err != nil || len(key) != streamKeySize {
		return nil, "the key of the old one does not open"
	}
	for kind, sr := range map[string]series{kindLog: s.st.Log, kindAudit: s.st.Audit} {
		for n := sr.Sent + 1; n < sr.Next; n++ {
			if _, err := os.Stat(s.spool.path(kind, n)); err != nil {
				return nil, "objects that were to be shipped are gone"
			}
		}
	}
	return key, ""
}

// begin makes the state of a new stream, which begins where the log is now.
func (s *Shipper) begin() error {
	s.key = newStreamKey()
	s.mu.Lock()
	s.marks = nil
	s.last = max(s.last+1, s.c.Now().UnixMicro()) // It sorts behind the one before.
	name := newStreamName(moment(s.last))
	s.mu.Unlock()
	sealed, err := s.src.Sealer.Seal(keyPurpose, []byte(name), s.key)
	if err != nil {
		return err
	}
	former := s.st.Former
	if s.st.Stream != "" && s.st.Target == s.c.Target.String() {
		former = append(former, s.st.Stream)
	}
	s.st = state{Version: stateVersion, Stream: name, Sealed: sealed, Former: former, Target: s.c.Target.String(), Recipients: s.c.Recipients,
		Log: series{Next: 1}, Audit: series{Next: 1}, Files: map[string]int64{}, Until: s.last}
	s.spooled, s.from = 0, foldPoint{}
	if _, err := s.spool.clear(func(string) bool { return false }); err != nil {
		return err
	}
	return s.spool.save(&s.st)
}

// continues says why the log is not the continuation of what was taken; "" if it is.
func (s *Shipper) continues() string {
	if s.st.Gap {
		return ""
	}
	if s.clean {
		// What is written next is a run of its own. That has to be known even if this
		// process takes nothing of it.
		s.st.At = place{}
		if err := s.spool.save(&s.st); err != nil {
			return err.Error()
		}
		return ""
	}
	f, err := os.Open(s.wal)
	if err != nil {
		return "the database's log is not there"
	}
	defer f.Close()
	start, err := readRun(f)
	switch {
	case err != nil:
		return "the database's log cannot be read"
	case s.st.At.Salt == 0 && s.noted(start.Salt):
		s.st.At = start // Begun by a process that took nothing, and noted its commits.
		return ""
	case start.run == s.st.At.run:
		if sum, err := s.st.At.sumAt(f); err != nil || sum != s.st.At.Sum {
			return "the database's log is another one"
		}
		return ""
	case s.st.Folding && start.PageSize == s.st.At.PageSize && uint32(start.Salt>>32)-uint32(s.st.At.Salt>>32)-1 <= s.st.Turns:
		s.st.At = start
		return ""
	}
	return "the database was written to without being shipped"
}

func (s *Shipper) noted(salt uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.marks, func(m mark) bool { return m.salt == salt })
}

// breakOff notes that commits are lost to the stream, which goes on behind a gap.
func (s *Shipper) breakOff(why error) {
	s.st.Gap, s.st.At, s.st.Folding, s.st.Turns = true, place{}, false, 0
	s.from = foldPoint{}
	s.mu.Lock()
	s.marks, s.refused = nil, errors.Is(why, errSpool)
	s.mu.Unlock()
	s.counters.gaps.Add(1)
	s.c.Log.Warn("shipping has lost the thread and begins again with a new copy of the database; no moment between can be restored", "why", why)
	if err := s.spool.save(&s.st); err != nil {
		s.fail(err)
	}
}

// Committed notes when a commit was; it is part of store.Follower.
func (s *Shipper) Committed(frames int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.look || s.salt == 0 {
		salt, err := s.readSalt()
		if err != nil {
			return // Nothing was written, or taking will find out.
		}
		if s.look = false; salt != s.salt {
			s.salt, s.frames = salt, 0
		}
	}
	if frames == s.frames {
		return
	}
	s.frames = frames
	s.last = max(s.last+1, s.c.Now().UnixMicro())
	if s.refused {
		return
	}
	m := mark{s.salt, frames, s.last}
	s.marks = append(s.marks, m)
	if n := frames - s.marks[0].frames; n > chunkFrames/2 {
		select { // So that little is left when the log has to be folded.
		case s.hurry <- struct{}{}:
		default:
		}
	}
	if err := s.spool.note(m); err != nil {
		s.fail(fmt.Errorf("note the moment of a commit: %w", err))
	}
}

func (s *Shipper) readSalt() (uint64, error) {
	f, err := os.Open(s.wal)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	p, err := readRun(f)
	return p.Salt, err
}

// Fold takes what is left of the log; it is part of store.Follower. Nothing keeps the
// log from being folded once the shipper has the store: what cannot be taken now is a
// gap. Before that the log may hold what a process that was killed has left.
func (s *Shipper) Fold() bool {
	s.take.Lock()
	defer s.take.Unlock()
	if !s.ready {
		return false
	}
	if s.refused {
		return true
	}
	if err := s.takeNew(true); err != nil {
		s.fail(err)
		s.breakOff(err)
	}
	return true
}

// Folded notes that the log may begin anew; it is part of store.Follower.
func (s *Shipper) Folded(whole bool) {
	s.mu.Lock()
	s.look = true
	s.mu.Unlock()
	s.take.Lock()
	defer s.take.Unlock()
	if !whole || !s.ready || s.refused || s.st.Gap {
		return
	}
	s.from = foldPoint{true, s.st.Log.Next, s.st.Log.Prev}
	if info, err := os.Stat(s.wal); err != nil || info.Size() > 0 {
		return
	}
	// The log is empty: only the database file can tell the next process whether
	// somebody wrote to it meanwhile.
	s.st.Database = identify(store.DatabasePath(s.c.Data))
	s.st.Turns++
	if err := s.spool.save(&s.st); err != nil {
		s.fail(err)
	}
}

// takeNew puts all new commits into objects in the spool. folding says that the log
// may begin anew afterwards.
func (s *Shipper) takeNew(folding bool) error {
	s.mu.Lock()
	marks := s.marks
	s.marks = nil
	until := max(s.last, s.c.Now().UnixMicro()-1)
	s.last = until
	s.mu.Unlock()
	back := func(err error) error {
		s.mu.Lock()
		s.marks = append(marks, s.marks...)
		s.mu.Unlock()
		return err
	}
	if len(marks) == 0 && (!folding || s.st.Folding) {
		return nil
	}
	f, err := os.Open(s.wal)
	if errors.Is(err, os.ErrNotExist) && len(marks) == 0 {
		return nil
	}
	if err != nil {
		return back(err)
	}
	defer f.Close()
	for len(marks) > 0 {
		n, err := s.takeSome(f, marks, until, folding)
		if err != nil {
			return back(err)
		}
		marks = marks[n:]
	}
	if folding {
		s.st.Folding = true
		if err := s.spool.save(&s.st); err != nil {
			return err
		}
	}
	if err := s.forgetMarks(); err != nil {
		return err
	}
	s.st.Until = max(s.st.Until, until)
	return nil
}

// forgetMarks empties the file of marks if none came meanwhile.
func (s *Shipper) forgetMarks() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.marks) > 0 {
		return nil
	}
	return s.spool.forget()
}

var errSpool = errors.New("more waits to be shipped than backup.ship.spool allows")

// takeSome makes one object of the first marks and returns of how many.
func (s *Shipper) takeSome(f io.ReaderAt, marks []mark, until int64, quick bool) (int, error) {
	at := s.st.At
	if marks[0].salt != at.Salt {
		start, err := readRun(f)
		if err != nil {
			return 0, err
		}
		switch {
		case start.Salt != marks[0].salt:
			if at.Salt == start.Salt {
				return 1, nil // Left by a process before: taken already.
			}
			return 0, fmt.Errorf("%w: it has begun anew", errFrame)
		case at.Salt != 0 && !s.st.Folding:
			return 0, fmt.Errorf("%w: it began anew before all of it was taken", errFrame)
		}
		at = start
	}
	n := 0
	for n < len(marks) && marks[n].salt == at.Salt && (n == 0 || marks[n].frames-at.Frames <= chunkFrames) {
		n++
	}
	end := marks[n-1]
	if end.frames <= at.Frames {
		return n, nil // Noted, taken, and not forgotten by a process that was killed.
	}
	frames, err := at.readFrames(f, end.frames)
	if err != nil {
		return 0, err
	}
	h := segment{Number: s.st.Log.Next, Prev: s.st.Log.Prev, Gap: s.st.Gap, PageSize: at.PageSize, Until: end.at, Audit: s.st.Audit.Next - 1}
	if n == len(marks) {
		h.Until = max(h.Until, until)
	}
	commits := split(frames, end.frames, marks[:n], s.st.Until, &h)
	if h.Gap || h.Number == 1 {
		h.Unsure = 0 // What is before the first base is of no use anyway.
	}
	if err := s.put(kindLog, &s.st.Log, func(w io.Writer) error { return writeLog(w, &h, commits, quick) }, func(st *state) {
		st.At, st.Until, st.Folding, st.Turns = at, h.Until, false, 0
		if st.Gap {
			st.Gap, st.Missing = false, h.Number
		}
	}); err != nil {
		return 0, err
	}
	s.counters.takenUntil.Store(h.Until)
	return n, nil
}

// split makes commits of frames, the last of which is the log's frame end. A commit
// without a mark happened before a power cut that took the mark: its moment is known
// to lie between those of its neighbours.
func split(frames []frame, end int64, marks []mark, since int64, h *segment) []commit {
	var out []commit
	var now commit
	index := make(map[uint32]int)
	m := 0
	for i, f := range frames {
		// Of a page that a transaction wrote twice only the last image counts.
		if j, ok := index[f.page]; ok {
			now.frames[j] = f
		} else {
			index[f.page] = len(now.frames)
			now.frames = append(now.frames, f)
		}
		if f.pages == 0 {
			continue
		}
		position := end - int64(len(frames)-1-i)
		for m < len(marks)-1 && marks[m].frames < position {
			m++
		}
		if marks[m].frames != position && h.Unsure == 0 {
			h.Unsure = max(since, 1)
			if len(out) > 0 {
				h.Unsure = out[len(out)-1].at
			}
		}
		now.at, now.pages = marks[m].at, f.pages
		out = append(out, now)
		now = commit{}
		clear(index)
	}
	return out
}

// put seals an object, puts it into the spool and counts it.
func (s *Shipper) put(kind string, sr *series, write func(io.Writer) error, also func(*state)) error {
	if s.spooled >= s.c.Spool {
		return errSpool
	}
	n := sr.Next
	object, err := s.key.seal(objectName(s.st.Stream, kind, n), write)
	if err != nil {
		return err
	}
	if err := s.spool.put(kind, n, object); err != nil {
		return fmt.Errorf("write to the spool: %w", err)
	}
	return s.count(sr, object, also)
}

// count counts an object that is in the spool.
func (s *Shipper) count(sr *series, object []byte, also func(*state)) error {
	before := s.st
	sr.Next, sr.Prev = sr.Next+1, hash(object)
	also(&s.st)
	if err := s.spool.save(&s.st); err != nil {
		s.st = before
		return fmt.Errorf("write to the spool: %w", err)
	}
	s.spooled += int64(len(object))
	s.counters.waiting.Store(s.spooled)
	return nil
}

func hash(object []byte) string {
	sum := sha256.Sum256(object)
	return hex.EncodeToString(sum[:])
}

// fail notes a failure and tells of it once a minute.
func (s *Shipper) fail(err error) {
	s.counters.failures.Add(1)
	now := s.c.Now()
	old := s.status.Load()
	t := &trouble{err, now}
	if old != nil {
		t.since = old.since
	}
	s.status.Store(t)
	if old == nil {
		s.c.Log.Warn("shipping fails; it will be tried again", "target", s.c.Target.String(), "error", err)
	}
}

func (s *Shipper) works() {
	if old := s.status.Swap(nil); old != nil {
		s.c.Log.Info("shipping works again", "target", s.c.Target.String(), "failed_since", old.since)
	}
}

// Run ships until ctx ends.
func (s *Shipper) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, work := range []func(context.Context){s.taking, s.sending, s.copying} {
		wg.Go(func() {
			for ctx.Err() == nil {
				// A panic is a failure like another: it must not end the server.
				var err error
				func() {
					defer panics.Catch(&err)
					work(ctx)
				}()
				if err != nil {
					s.fail(err)
					pause(ctx, s.c.Interval)
				}
			}
		})
	}
	wg.Wait()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// taking takes new commits at each interval.
func (s *Shipper) taking(ctx context.Context) {
	t := time.NewTicker(s.c.Interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-s.hurry:
		}
		s.Take()
	}
}

// Take takes new commits now.
func (s *Shipper) Take() {
	s.take.Lock()
	defer s.take.Unlock()
	if !s.ready {
		return
	}
	if s.refused && s.spooled <= s.c.Spool/2 {
		s.mu.Lock()
		s.refused = false
		s.mu.Unlock()
	}
	if !s.refused {
		err := s.takeNew(false)
		if err != nil {
			s.fail(err)
		}
		if errors.Is(err, errSpool) || errors.Is(err, errFrame) {
			s.breakOff(err) // Anything else may pass.
		}
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Stop takes what is left, before the store is closed.
func (s *Shipper) Stop() { s.Take() }

// Close ends the shipper, after the store was closed.
func (s *Shipper) Close() error {
	s.take.Lock()
	defer s.take.Unlock()
	var err error
	if s.ready && !s.refused {
		s.st.Database = identify(store.DatabasePath(s.c.Data))
		err = s.spool.save(&s.st)
	}
	s.ready = false
	clear(s.key)
	return errors.Join(err, s.spool.close())
}
