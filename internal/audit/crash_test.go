package audit

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

// The process that is killed is this test binary with childRoot set. childPoint
// names the fault point at which it kills itself, childSynced asks for synced
// durability, childShip for a copy in the database: "replicated" before the answer.
const (
	childRoot   = "AUDIT_TEST_ROOT"
	childPoint  = "AUDIT_TEST_POINT"
	childSynced = "AUDIT_TEST_SYNCED"
	childShip   = "AUDIT_TEST_SHIP"
)

// TestVictim is not a test of its own: it appends until it is killed, and says
// on standard output which calls it has answered.
func TestVictim(t *testing.T) {
	root := os.Getenv(childRoot)
	if root == "" {
		t.Skip("runs in a process of its own")
	}
	b := &bench{TB: t, root: root}
	b.openStore()
	var passed sync.Map
	aim := 40
	if os.Getenv(childShip) != "" {
		aim = 10 // Each is a commit.
	}
	l := b.open(func(c *Config) {
		c.HeadEvery, c.SyncEvery = 5*time.Millisecond, 10*time.Millisecond
		if os.Getenv(childSynced) != "" {
			c.Durability = Synced
		}
		c.Ship = os.Getenv(childShip) != ""
		if os.Getenv(childShip) == "replicated" {
			c.Durability = Replicated
		}
		c.Fault = func(point string) {
			// Not the first time, so that there is something to lose.
			n, _ := passed.LoadOrStore(point, new(counter))
			if point == os.Getenv(childPoint) && n.(*counter).next() == aim {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
	})
	for i := range 8 {
		go func() {
			for n := 0; ; n++ {
				c := getCall()
				var change func(context.Context)
				if (n+i)%3 == 0 {
					c = putCall()
					change = func(ctx context.Context) { b.change(ctx, c.EventID) }
				} else {
					change = func(context.Context) { b.run(l, decryptCall(c), nil) }
				}
				b.run(l, c, change)
				_, _ = io.WriteString(os.Stdout, "answered "+c.EventID+"\n")
			}
		}()
	}
	time.Sleep(time.Minute)
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

// kill runs a victim, kills it after a while unless it does so itself, and
// returns the ids of the calls that it had answered.
func (b *bench) kill(after time.Duration, env ...string) []string {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	cmd.Env = append(append(os.Environ(), childRoot+"="+b.root), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var answered []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		id, ok := strings.CutPrefix(lines.Text(), "answered ")
		if !ok {
			b.Errorf("victim: %s", lines.Text())
			continue
		}
		if len(answered) == 0 && after > 0 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		answered = append(answered, id)
	}
	_ = cmd.Wait()
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		b.Fatalf("victim ended otherwise: %v", cmd.ProcessState)
	}
	return answered
}

// checkAfterCrash opens the log again and checks that the chain has each id,
// and each committed change, exactly once.
func (b *bench) checkAfterCrash(answered []string, change ...func(*Config)) {
	b.Helper()
	b.openStore()
	rec := b.open(change...).Recovered()
	if rec.Lost() {
		b.Fatalf("recovery %+v", rec)
	}
	seen := make(map[string]int)
	for _, r := range b.records() {
		if id, ok := r["eventID"].(string); ok {
			seen[id]++
		}
	}
	for _, id := range answered {
		if seen[id] != 1 {
			b.Errorf("answered call %s has %d records", id, seen[id])
		}
	}
	err := b.db.Read(b.Context(), func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT name FROM things`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			if seen[id] != 1 {
				b.Errorf("committed change of call %s has %d records", id, seen[id])
			}
		}
		return rows.Err()
	})
	if err != nil {
		b.Fatal(err)
	}
	b.run(b.log, getCall(), nil)
	b.close()
	b.mustVerify()
	if err := b.db.Close(); err != nil {
		b.Fatal(err)
	}
}

func TestKilledProcessLosesNothingAnswered(t *testing.T) {
	b := newBench(t)
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	var answered []string
	for round := range 5 {
		var env []string
		if round%2 == 1 {
			env = []string{childSynced + "=1"}
		}
		answered = append(answered, b.kill(time.Duration(rand.IntN(250))*time.Millisecond, env...)...)
		b.checkAfterCrash(answered)
	}
	t.Logf("%d calls answered", len(answered))
}

func TestProcessKilledAtEachPoint(t *testing.T) {
	b := newBench(t)
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	var answered []string
	for _, point := range []string{FaultAfterReserve, FaultBeforeAppend, FaultAfterAppend, FaultBeforeForget} {
		answered = append(answered, b.kill(0, fmt.Sprintf("%s=%s", childPoint, point))...)
		b.checkAfterCrash(answered)
	}
}

// TestKilledWhileShipping: whatever the moment, the copy is the chain, once.
func TestKilledWhileShipping(t *testing.T) {
	b := newBench(t)
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	var answered []string
	for _, tt := range []struct{ mode, point string }{
		{"written", FaultBeforeShip}, {"written", FaultAfterShip}, {"replicated", FaultAfterShip},
	} {
		answered = append(answered, b.kill(0, childPoint+"="+tt.point, childShip+"="+tt.mode)...)
		b.checkAfterCrash(answered, shipping)
		b.openStore()
		if r := b.verifyCopy(); !r.OK() || len(r.Windows) > 0 {
			t.Errorf("%v: %v %v %v", tt, r.Broken, r.Gaps, r.Windows)
		}
		if text(t, b.copyOf(testNode)) != text(t, b.source()) {
			t.Errorf("%v: the copy is not the chain", tt)
		}
		if err := b.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
