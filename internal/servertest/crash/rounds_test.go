package crash

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/servertest/program"
	"github.com/strongroom/strongroom/internal/servertest/workload"
)

const (
	writers = 64
	// perStore is how many rounds a store lives through.
	perStore = 50
	// replicaTime is how long the job may take that copies what is behind.
	replicaTime = 2 * time.Minute
	// most is how many changes a round sees before the kill, at most.
	most = 600
)

// The ways of dying, besides the fault points.
const (
	atRandom   = "at any moment"
	atStart    = "while it starts"
	anyMoment  = 6 // of ten rounds
	anyStart   = 1
	inTen      = 10
	latestKill = 20 * time.Millisecond
)

// faultPoints are where a server under load is killed; how often each is passed
// before that, at most.
var faultPoints = []struct {
	name string
	most int
}{
	{audit.FaultAfterReserve, 400}, {audit.FaultBeforeAppend, 200}, {audit.FaultAfterAppend, 300}, {audit.FaultBeforeForget, 2},
}

// deployment is one store on its way through many crashes.
type deployment struct {
	name   string
	place  program.Place
	load   *workload.Workload
	random *rand.Rand
	armed  *armed // nil when the built program runs
	server *program.Process
	point  string
	rounds int
	tally  *tally
}

// tally is what was done in all.
type tally struct {
	kills                       map[string]int
	acknowledged, unknown, done int
	records, objects, lost      int
	replicas                    int
}

// TestKilledUnderLoad kills the server again and again while many clients change
// everything there is to change, and compares what is there with what they were
// told. SQLite and PostgreSQL take turns.
func TestKilledUnderLoad(t *testing.T) {
	seed := seedOf(t)
	n, all := rounds(t, 6)
	total := &tally{kills: map[string]int{}}
	t.Cleanup(func() { t.Logf("seed %d: %s", seed, total) })
	random := rand.New(rand.NewPCG(seed, 0))
	engines := []string{"sqlite", "postgresql"}
	var now [2]*deployment
	for i := 0; i < n && !t.Failed(); i++ {
		which := i % len(engines)
		d := now[which]
		if d == nil {
			database := ""
			if which == 1 {
				database = pgtest.Start(t)
			}
			d = deploy(t, engines[which], database, random.Uint64(), total)
			now[which] = d
		}
		began := time.Now()
		d.round(t)
		if all && (i+1)%10 == 0 {
			t.Logf("round %d, %s, %.1f s: %s", i+1, engines[which], time.Since(began).Seconds(), total)
		}
		if d.rounds == perStore {
			d.end(t)
			now[which] = nil
		}
	}
	for _, d := range now {
		if d != nil && !t.Failed() {
			d.end(t)
		}
	}
	if !t.Failed() && total.acknowledged < 10*n {
		t.Errorf("only %d changes: the test proves nothing", total.acknowledged)
	}
}

func deploy(t *testing.T, name, database string, seed uint64, total *tally) *deployment {
	t.Helper()
	d := &deployment{name: name, place: initialised(t, database), random: rand.New(rand.NewPCG(seed, 1)), tally: total}
	d.start(t)
	d.load = load(t, d.place, d.server, seed, writers)
	return d
}

// start decides how the server will die, and starts it: at a fault point only the
// child can.
func (d *deployment) start(t *testing.T) {
	t.Helper()
	d.armed, d.point = nil, ""
	if d.random.IntN(inTen) >= anyMoment+anyStart {
		d.armed = startArmed(t, d.place)
		d.server = d.armed.Process
	} else {
		d.server = d.place.Start(t)
	}
	if d.load != nil {
		d.load.SetEndpoints(d.server.URL)
	}
}

// round is a load, a kill, a start and a comparison.
func (d *deployment) round(t *testing.T) {
	t.Helper()
	d.rounds++
	before := d.load.Acknowledged()
	during(t, d.load, func(context.Context) {
		// So many changes, not so long: a slow machine tests as much.
		enough := before + int64(1+d.random.IntN(most))
		for d.load.Acknowledged() < enough && running(d.server) && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
		d.kill(t)
	})
	if d.random.IntN(anyMoment+anyStart) < anyStart {
		s := d.place.Launch(t)
		select {
		case <-s.Ended():
			t.Errorf("%s: the server does not start: %v: %s", d.name, s.Err(), s.Log())
		case <-time.After(time.Duration(d.random.IntN(300)) * time.Millisecond):
		}
		s.Kill()
		d.tally.kills[atStart]++
	}
	d.start(t)
	r := d.load.VerifyRecent(t.Context(), t)
	sound(t, d.place, true)
	d.tally.add(r, int(d.load.Acknowledged()-before))
	if d.rounds%perStore == perStore/2 {
		check(t, d.place)
	}
}

func running(s *program.Process) bool {
	select {
	case <-s.Ended():
		return false
	default:
		return true
	}
}

func (d *deployment) kill(t *testing.T) {
	t.Helper()
	if d.armed == nil {
		time.Sleep(time.Duration(d.random.Int64N(int64(latestKill))))
		d.server.Kill()
		d.tally.kills[atRandom]++
		return
	}
	p := faultPoints[d.random.IntN(len(faultPoints))]
	d.armed.arm(t, p.name, 1+d.random.IntN(p.most))
	d.armed.died(t, p.name)
	d.tally.kills[p.name]++
}

// end looks at all that a store holds, running and stopped.
func (d *deployment) end(t *testing.T) {
	t.Helper()
	if d.place.Database == "" { // Elsewhere the lease of a dead node keeps the job from copying.
		ctx, cancel := context.WithTimeout(t.Context(), replicaTime)
		defer cancel()
		d.load.AwaitReplicas(ctx, t)
	}
	r := d.load.Verify(t.Context(), t)
	d.tally.add(r, 0)
	d.server.Kill()
	check(t, d.place)
	sound(t, d.place, false)
	if !t.Failed() {
		os.RemoveAll(d.place.Dir) // Many stores come and go in one test.
	}
}

func (s *tally) add(r workload.Report, acknowledged int) {
	s.acknowledged += acknowledged
	s.unknown += r.Unknown
	s.done += r.Done
	s.records += r.Records
	s.objects += r.Objects
	s.replicas += r.Replicas
	s.lost += r.Lost
}

func (s *tally) String() string {
	var kills []string
	n := 0
	for _, how := range slices.Sorted(maps.Keys(s.kills)) {
		kills = append(kills, fmt.Sprintf("%s %d", how, s.kills[how]))
		n += s.kills[how]
	}
	return fmt.Sprintf("%d kills (%s), %d changes acknowledged, %d answers lost (%d of them done), %d comparisons of objects and %d of replicas, %d audit records read, faults: %d",
		n, strings.Join(kills, ", "), s.acknowledged, s.unknown, s.done, s.objects, s.replicas, s.records, s.lost)
}
