package crash

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/servertest/program"
	"github.com/strongroom/strongroom/internal/servertest/workload"
)

// points are those in the middle of a change.
var points = []struct {
	name      string
	committed bool
}{
	{audit.FaultAfterReserve, false},
	{audit.FaultBeforeAppend, true},
	{audit.FaultAfterAppend, true},
}

// TestFaultPoints kills the server in the middle of each operation that changes
// something: in `make test` at one of the points, another one in each run, in
// `make crash` at all of them.
func TestFaultPoints(t *testing.T) {
	seed := seedOf(t)
	t.Logf("seed %d", seed)
	for i, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			database := ""
			if engine == "postgresql" {
				database = pgtest.Start(t)
			}
			killAtPoints(t, database, seed+uint64(i))
		})
	}
}

func killAtPoints(t *testing.T, database string, seed uint64) {
	p := initialised(t, database)
	s := startArmed(t, p)
	w := load(t, p, s.Process, seed, 1)
	// The service's own key is made with the first secret, by a call of its own.
	first := w.Trial("secretsmanager:CreateSecret")
	if answered, err := first.Do(); !answered {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	names := workload.Changes()
	// First what needs a replica: the lease of the job that copies outlives a
	// killed server.
	at := slices.Index(names, "secretsmanager:StopReplicationToReplica")
	names[0], names[at] = names[at], names[0]
	for i, name := range names {
		chosen := points
		if _, all := rounds(t, 0); !all {
			at := (i + random.IntN(len(points))) % len(points)
			chosen = points[at : at+1]
		}
		for _, point := range chosen {
			s = killAt(t, s, w, p, name, point.name, point.committed)
		}
	}
	t.Log(w.Verify(t.Context(), t))
	s.Kill()
	sound(t, p, false)
	check(t, p)
}

// killAt kills the server in the middle of one change, and returns the next one.
func killAt(t *testing.T, s *armed, w *workload.Workload, p program.Place, name, point string, committed bool) *armed {
	t.Helper()
	x := w.Trial(name)
	if err := x.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.arm(t, point, 1)
	if answered, err := x.Do(); answered || err != nil {
		t.Fatalf("%s at %s: answered %v, %v, by a server that died", name, point, answered, err)
	}
	s.died(t, point)
	s = startArmed(t, p)
	w.SetEndpoints(s.URL)
	r := w.VerifyRecent(t.Context(), t)
	if r.Unknown != 1 || (r.Done == 1) != committed {
		t.Errorf("%s killed at %s: %s", name, point, r)
	}
	// The client tries again, and is told what it would have been told.
	again, err := x.Again(t.Context())
	if err != nil {
		t.Error(err)
	}
	if again {
		if answered, err := x.Do(); err != nil || !answered {
			t.Errorf("%s at %s: second try: %v", name, point, err)
		}
		w.VerifyRecent(t.Context(), t)
	}
	if t.Failed() {
		t.FailNow()
	}
	return s
}
