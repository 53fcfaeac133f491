package workload

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/internal/server"
)

// Config says what is loaded and how. Fields without a word on a default are
// required.
type Config struct {
	// Endpoints are the URLs of the nodes; each call goes to one of them.
	Endpoints []string
	// HTTP trusts their certificates.
	HTTP *http.Client
	// Credentials may do everything in the account of the tests.
	Credentials server.Credentials
	// Regions are the one and the other.
	Regions [2]string
	// Seed makes all choices.
	Seed uint64
	// Writers is how many write at once; 0 means 64.
	Writers int
	// Timeout bounds a call; 0 means 20 seconds.
	Timeout time.Duration
	// Records reads the audit log; nil leaves it out.
	Records Records
	// QuietMayBeLost says that what is broken takes the last records of calls
	// that changed nothing along, as a power cut does (audit.durability written).
	QuietMayBeLost bool
}

// Workload is a load with all that it was told.
type Workload struct {
	cfg     Config
	nodes   atomic.Pointer[[]*clients]
	writers []*writer
	trials  *writer // owns the units of trials
	trail   trail
	base    *census // what was there before
	acks    atomic.Int64
	mu      sync.Mutex
	counts  map[string]int
	refusal atomic.Pointer[error]
}

// New prepares a load; it looks at what is there already and belongs to nobody
// here.
func New(ctx context.Context, cfg Config) (*Workload, error) {
	if cfg.Writers == 0 {
		cfg.Writers = 64
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 20 * time.Second
	}
	w := &Workload{cfg: cfg, trail: newTrail(), counts: map[string]int{}}
	w.SetEndpoints(cfg.Endpoints...)
	for i := range cfg.Writers {
		w.writers = append(w.writers, newWriter(w, i))
	}
	w.trials = &writer{w: w, number: cfg.Writers, random: rand.New(rand.NewPCG(cfg.Seed, uint64(cfg.Writers))), done: map[string]int{}}
	r, err := w.take(ctx, (*w.nodes.Load())[0])
	if err != nil {
		return nil, fmt.Errorf("look at what is there: %w", err)
	}
	w.base = r.census
	return w, nil
}

// SetEndpoints says where the nodes are now. It may be called while Run runs.
func (w *Workload) SetEndpoints(urls ...string) {
	var all []*clients
	for _, u := range urls {
		all = append(all, newClients(u, &w.cfg))
	}
	w.nodes.Store(&all)
}

// Acknowledged is how many changes have been acknowledged so far.
func (w *Workload) Acknowledged() int64 { return w.acks.Load() }

// Counts are how many changes of each operation have been acknowledged so far.
func (w *Workload) Counts() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.counts)
}

// Run lets all writers write until ctx ends. Calls that are under way then are
// waited for, so that their answers count; cut the connection to lose them. It
// returns an error when the server refuses what it must not.
func (w *Workload) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, x := range w.writers {
		wg.Go(func() { x.run(ctx) })
	}
	wg.Wait()
	if err := w.refusal.Swap(nil); err != nil {
		return *err
	}
	return nil
}

// writer changes its own units, one call at a time.
type writer struct {
	w      *Workload
	number int
	random *rand.Rand
	units  []*unit // in use
	left   []*unit // left as they are
	made   int
	calls  int
	done   map[string]int // by operation
	// sent are the marks of calls whose records are not yet accounted for.
	sent []sent
}

// sent is a call that was answered, or one whose answer was lost.
type sent struct {
	mark, requestID string
	outcome         outcome
	quiet           bool
	unit            *unit
}

func newWriter(w *Workload, number int) *writer {
	x := &writer{w: w, number: number, random: rand.New(rand.NewPCG(w.cfg.Seed, uint64(number))), done: map[string]int{}}
	x.add(&secrets, 0)
	x.add(&secrets, 0)
	x.add(&secrets, 1)
	x.add(&keys, number%2)
	x.add(&identities, 0)
	if number%4 == 1 { // An account may have a hundred.
		x.add(&providers, 0)
	}
	if number == 0 {
		x.add(&account, 0)
	}
	return x
}

// prefix begins the names of all that the load makes.
const prefix = "wl-"

func (x *writer) add(k *kind, region int) *unit {
	x.made++
	u := &unit{
		kind: k, name: fmt.Sprintf("%sw%02d-%s-%d", prefix, x.number, k.name, x.made), region: x.w.cfg.Regions[region], other: x.w.cfg.Regions[1-region],
		state: facts{}, keys: map[string]string{},
	}
	x.units = append(x.units, u)
	return u
}

// pause is how long a writer waits that found nobody to write to.
const pause = 20 * time.Millisecond

func (x *writer) run(ctx context.Context) {
	for ctx.Err() == nil && x.w.refusal.Load() == nil {
		u := x.choose()
		if u == nil || !x.turn(ctx, u) {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// choose picks a unit that no lost answer stands in the way of.
func (x *writer) choose() *unit {
	total := 0
	for _, u := range x.units {
		if u.maybe == nil {
			total += u.kind.weight
		}
	}
	if total == 0 {
		return nil
	}
	n := x.random.IntN(total)
	for _, u := range x.units {
		if u.maybe != nil {
			continue
		}
		if n -= u.kind.weight; n < 0 {
			return u
		}
	}
	return nil
}

// turn changes a unit once; false means that there was nobody to do it.
func (x *writer) turn(ctx context.Context, u *unit) bool {
	nodes := *x.w.nodes.Load()
	c := nodes[x.random.IntN(len(nodes))]
	s, err := u.plan(ctx, c, x.random, x.done)
	if err != nil || s == nil {
		return false // A look that fails changes nothing.
	}
	if x.do(c, u, s) == unsent {
		return false
	}
	if u.kind.life > 0 && u.steps >= u.kind.life && u.maybe == nil && u.again == nil {
		x.leave(u)
	}
	return true
}

// leave lets a unit be as it is, and begins the next one.
func (x *writer) leave(u *unit) {
	for i := range x.units {
		if x.units[i] == u {
			x.units = append(x.units[:i], x.units[i+1:]...)
			break
		}
	}
	x.left = append(x.left, u)
	region := 0
	if u.region == x.w.cfg.Regions[1] {
		region = 1
	}
	x.add(u.kind, region)
}

// do makes one call. Its time is its own, not the run's: an answer that comes a
// moment later counts.
func (x *writer) do(c *clients, u *unit, s *step) outcome {
	x.calls++
	_, operation, _ := strings.Cut(s.op.name, ":")
	s.mark = fmt.Sprintf("%x-w%02d-%07d-%s", x.w.cfg.Seed, x.number, x.calls, operation)
	mine := &call{mark: s.mark}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), callKey{}, mine), x.w.cfg.Timeout)
	defer cancel()
	id, err := s.op.do(ctx, c, u, s)
	o := outcomeOf(err)
	if errors.Is(err, errWrong) {
		o = refused
	}
	// Asking for what is there already changes nothing in the store either.
	quiet := s.op.quiet || maps.Equal(s.after, u.state)
	u.settled(s, o, id)
	switch o {
	case acknowledged:
		x.done[s.op.name]++
		x.w.acknowledge(s.op.name)
		x.sent = append(x.sent, sent{s.mark, mine.requestID, o, quiet, u})
	case unknown:
		x.sent = append(x.sent, sent{s.mark, "", o, quiet, u})
	case refused:
		x.w.refuse(fmt.Errorf("%s of %s, call %s, is refused, which the model did not expect: %w; it was %v", s.op.name, u.name, s.mark, err, u.state))
	}
	return o
}

func (w *Workload) acknowledge(operation string) {
	w.acks.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[operation]++
}

func (w *Workload) refuse(err error) { w.refusal.CompareAndSwap(nil, &err) }
