package powerloss

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/test/faults/faultfs"
)

const (
	// roundsVariable asks for more rounds, seedVariable for a certain seed.
	roundsVariable = "STRONGROOM_POWERLOSS_ROUNDS"
	seedVariable   = "STRONGROOM_POWERLOSS_SEED"
	// perMachine is how many rounds a deployment lives for: what accumulates makes each round slower.
	perMachine = 10
)

const (
	written = "audit: {durability: written, segment_size: 262144}"
	synced  = "audit: {durability: synced, segment_size: 262144}"
)

func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	v := os.Getenv(variable)
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// figures are the sum of a suite's rounds.
type figures struct {
	cuts, starts                         int
	acknowledged, unknown, done, objects int
	reads, readsLost                     int
	window                               time.Duration
}

func (g figures) String() string {
	return fmt.Sprintf("%d power cuts and %d more while starting: %d acknowledged changes, %d answers lost (%d of them done), %d objects compared; "+
		"%d answered reads, the records of %d lost, the oldest answered %v before the cut",
		g.cuts, g.starts, g.acknowledged, g.unknown, g.done, g.objects, g.reads, g.readsLost, g.window.Round(time.Millisecond))
}

func TestPowerLoss(t *testing.T) {
	seed := number(t, seedVariable, uint64(time.Now().UnixNano()))
	for _, c := range []struct {
		name, settings string
		postgres       bool
		rounds         uint64
	}{
		{"sqlite", written, false, 2},
		{"sqlite, audit synced", synced, false, 1},
		{"postgresql, audit spool", written, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			rounds := int(number(t, roundsVariable, c.rounds))
			r := rand.New(rand.NewPCG(seed, 0))
			t.Logf("%s=%d", seedVariable, seed)
			var sum figures
			for done := 0; done < rounds && !t.Failed(); done += perMachine {
				database := ""
				if c.postgres {
					database = pgtest.Start(t)
				}
				m := newMachine(t, database, c.settings)
				if f := lose(t, r, m, min(perMachine, rounds-done), &sum); len(f) > 0 {
					t.Errorf("after %d cuts:\n%v", sum.cuts, f)
				}
				m.unplug(t)
			}
			t.Log(sum)
			if sum.acknowledged < writers*rounds/2 {
				t.Errorf("only %d changes: the test proves nothing", sum.acknowledged)
			}
		})
	}
}

// TestControl is a disk that lies about flushes of the database, as SQLite does with synchronous=OFF.
func TestControl(t *testing.T) {
	seed := number(t, seedVariable, uint64(time.Now().UnixNano()))
	t.Logf("%s=%d", seedVariable, seed)
	r := rand.New(rand.NewPCG(seed, 1))
	const enough = 10
	for i := range enough {
		m := newMachine(t, "", written)
		m.disk.Fail(faultfs.Fault{Op: faultfs.Sync, Path: "d/strongroom.db*"})
		var sum figures
		if f := lose(t, r, m, 1, &sum); len(f) > 0 {
			t.Logf("cut %d lost something, as it should: %d faults, the first: %.300s", i+1, len(f), f[0])
			return
		}
	}
	t.Errorf("nothing was lost in %d cuts although no flush of the database was one: the suite proves nothing", enough)
}

// lose cuts the power so many times, and returns what was not as it must be.
func lose(t *testing.T, r *rand.Rand, m *machine, rounds int, sum *figures) faults {
	t.Helper()
	s, err := m.start()
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLoad(t.Context(), m, s, r.Uint64())
	if err != nil {
		t.Fatal(err)
	}
	before := sum.acknowledged
	for round := range rounds {
		frozen := m.disk.FreezeAfter(m.busy/3 + r.Int64N(m.busy))
		ended := make(chan error, 1)
		go func() { ended <- l.run(t.Context(), s) }()
		cut, err := m.cut(t, s, frozen, r.Uint64())
		if refused := <-ended; err == nil && refused != nil {
			err = fmt.Errorf("under load: %w", refused)
		}
		if err != nil {
			return faults{err.Error()}
		}
		sum.cuts++
		sum.acknowledged = before + int(l.Acknowledged())
		safe := m.safe()
		if s, err = m.restart(t, r, sum); err != nil {
			return faults{err.Error()}
		}
		if f := l.verify(t, s, round == rounds-1, safe, cut, sum); len(f) > 0 {
			return f
		}
	}
	return nil
}

// TestInit cuts the power while a data directory is made. The next init takes it up, or says that it is done.
func TestInit(t *testing.T) {
	seed := number(t, seedVariable, uint64(time.Now().UnixNano()))
	t.Logf("%s=%d", seedVariable, seed)
	r := rand.New(rand.NewPCG(seed, 2))
	for range number(t, roundsVariable, 2) {
		m := emptyMachine(t)
		frozen := m.disk.FreezeAfter(1 + r.Int64N(250))
		disk, ended := m.disk, make(chan struct{})
		go func() {
			defer close(ended)
			_, _, _ = m.Run("init")
			disk.Freeze()
		}()
		<-frozen
		m.replug(t, r.Uint64(), func() { <-ended })
		_, stderr, err := m.Run("init")
		if err != nil && !strings.Contains(stderr, "initialised already") {
			t.Fatalf("init after a power cut: %v\n%s", err, stderr)
		}
		s, err := m.start()
		if err != nil {
			t.Fatalf("start after a power cut: %v", err)
		}
		if out, stderr, err := m.Run("check"); err != nil {
			t.Errorf("check: %v\n%s%s", err, out, stderr)
		}
		s.Kill()
		m.unplug(t)
	}
}
