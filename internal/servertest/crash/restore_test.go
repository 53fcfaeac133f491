package crash

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest/program"
	"github.com/strongroom/strongroom/internal/servertest/workload"
)

// copied is a backup of a deployment that a load has filled.
type copied struct {
	load                   *workload.Workload
	file, identity, moment string
}

// backUp fills a deployment and backs it up.
func backUp(t *testing.T) copied {
	t.Helper()
	p := initialised(t, "")
	s := p.Start(t)
	c := copied{load: load(t, p, s, 1, 16), file: filepath.Join(t.TempDir(), "backup.age")}
	during(t, c.load, func(context.Context) {
		for c.load.Acknowledged() < 500 && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c.load.AwaitReplicas(ctx, t)
	c.load.VerifyRecent(t.Context(), t)

	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	c.identity = filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(c.identity, []byte(key.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t, "backup", "--recipient", key.Recipient().String(), "--output", c.file); err != nil {
		t.Fatal(err)
	}
	out, err := p.Run(t, "restore", "--identity", c.identity, "--dry-run", "--json", c.file)
	if err != nil {
		t.Fatal(err)
	}
	var summary struct{ At time.Time }
	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		t.Fatal(err)
	}
	c.moment = summary.At.UTC().Format(time.RFC3339)
	s.Kill()
	return c
}

func (c *copied) arguments() []string {
	return []string{"restore", "--identity", c.identity, "--as-of", c.moment, c.file}
}

// TestKilledDuringRestore kills a restore at any moment. Nobody may be served from
// what it leaves; the next one must take it up, or say what to do first; and what
// is restored in the end is what was backed up.
func TestKilledDuringRestore(t *testing.T) {
	t.Parallel()
	c := backUp(t)
	whole := program.NewPlace(t, "", settings)
	began := time.Now()
	if _, err := whole.Run(t, c.arguments()...); err != nil {
		t.Fatal(err)
	}
	takes := time.Since(began)

	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 0))
	n, _ := rounds(t, 4)
	outcomes := map[string]int{}
	for i := 0; i < min(n, 40) && !t.Failed(); i++ {
		database := func() string { return "" }
		if i%2 == 1 {
			database = func() string { return pgtest.Start(t) }
		}
		outcomes[c.killed(t, database, time.Duration(random.Int64N(int64(takes*5/4))))]++
	}
	t.Logf("seed %d, a restore takes %v, killed ones: %v", seed, takes.Round(time.Millisecond), outcomes)
}

// killed kills a restore, sees it through, and says how it went.
func (c *copied) killed(t *testing.T, database func() string, moment time.Duration) (outcome string) {
	t.Helper()
	p := program.NewPlace(t, database(), settings)
	cmd := p.Command(t, c.arguments()...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(moment, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	finished := server.Initialised(p.Dir)
	if err == nil && !finished {
		t.Fatal("a restore that went well has left nothing")
	}
	if !finished {
		refusesToServe(t, p)
	}
	_, err = p.Run(t, c.arguments()...)
	switch {
	case finished:
		outcome = "had ended"
		if err == nil || !strings.Contains(err.Error(), server.ErrInitialised.Error()) {
			t.Errorf("a restore over a finished one: %v", err)
		}
	case err == nil:
		outcome = "taken up"
	case strings.Contains(err.Error(), "name a new --data directory"):
		outcome = "begun anew"
		p = program.NewPlace(t, database(), settings)
		if _, err := p.Run(t, c.arguments()...); err != nil {
			t.Fatal(err)
		}
	case strings.Contains(err.Error(), "remove it and run"):
		outcome = "taken up without half a root key"
		if err := os.Remove(filepath.Join(p.Dir, server.RootKeyFile)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Run(t, c.arguments()...); err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatalf("killed after %v, and then: %v", moment, err)
	}
	check(t, p)
	s := p.Start(t)
	c.load.VerifyCopy(t.Context(), t, s.URL, s.HTTP)
	s.Kill()
	return outcome
}

// refusesToServe fails when a server runs on what is not finished.
func refusesToServe(t *testing.T, p program.Place) {
	t.Helper()
	s := p.Launch(t)
	select {
	case <-s.Ended():
		if _, ok := s.Err().(*exec.ExitError); !ok {
			t.Errorf("the server on half a store: %v: %s", s.Err(), s.Log())
		}
	case <-time.After(pointTime):
		t.Errorf("the server runs on half a store: %s", s.Log())
		s.Kill()
	}
}
