package crash

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest/program"
)

// childVariable names the data directory that the child serves.
const childVariable = "CRASH_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		fmt.Fprintln(os.Stderr, "child:", serve(dir))
		os.Exit(1)
	}
	code := m.Run()
	program.Remove()
	os.Exit(code)
}

// settings make segments of the audit log small, so that they are closed, too.
const settings = "audit:\n  segment_size: 262144\n"

// roundsVariable asks for more than `make test` does.
const roundsVariable = "STRONGROOM_CRASH_ROUNDS"

// rounds are how many were asked for; all says that somebody asked, who then gets
// everything.
func rounds(t *testing.T, most int) (n int, all bool) {
	t.Helper()
	v := os.Getenv(roundsVariable)
	if v == "" {
		return most, false
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", roundsVariable, err)
	}
	return n, true
}

// seedVariable asks for the choices of a run that failed. The moments at which the
// machine gets to what was chosen are its own.
const seedVariable = "STRONGROOM_CRASH_SEED"

func seedOf(t *testing.T) uint64 {
	t.Helper()
	v := os.Getenv(seedVariable)
	if v == "" {
		return uint64(time.Now().UnixNano())
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", seedVariable, err)
	}
	return n
}

// initialised is a new deployment; database is "" for SQLite.
func initialised(t *testing.T, database string) program.Place {
	t.Helper()
	p := program.NewPlace(t, database, settings)
	p.Init(t)
	return p
}

func configuration(dir string) (config.Config, error) {
	return config.Load(dir, func(string) string { return "" }, nil)
}

func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// trigger kills the process at a passing of a fault point.
type trigger struct {
	mu    sync.Mutex
	point string
	left  int
}

func (t *trigger) pass(point string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if point != t.point || byJob() {
		return
	}
	if t.left--; t.left == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // Nothing runs after it.
		select {}
	}
}

// byJob says whether a job passes the point. One that copies replicas records
// calls of its own, and a change that waits for its moment to be killed must not
// be spared because the job came first.
func byJob() bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "/internal/jobs.") {
			return true
		}
		if !more {
			return false
		}
	}
}

// serve runs a server until it is killed. Lines on standard input arm the
// trigger; the end of the input means that the parent is gone.
func serve(dir string) error {
	var t trigger
	cfg, err := configuration(dir)
	if err != nil {
		return err
	}
	s, err := server.Open(context.Background(), server.Options{Config: cfg, Log: quiet(), Fault: t.pass})
	if err != nil {
		return err
	}
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			t.mu.Lock()
			_, err := fmt.Sscanf(in.Text(), "%s %d", &t.point, &t.left)
			t.mu.Unlock()
			fmt.Println("armed", err)
		}
		os.Exit(3)
	}()
	return s.Serve(context.Background(), func(net.Addr) {})
}

// armed is a server that can be told to die at a fault point.
type armed struct {
	*program.Process
	in  io.WriteCloser
	out *bufio.Scanner
}

func startArmed(t *testing.T, p program.Place) *armed {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(program.Environment(), childVariable+"="+p.Dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	// Not StdoutPipe, which the end of the process closes, perhaps before the last
	// line is read.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	a := &armed{p.Adopt(t, cmd), in, bufio.NewScanner(r)}
	w.Close()
	t.Cleanup(func() { r.Close() })
	a.Await(t, p)
	return a
}

// arm makes the server die at the n-th passing of a fault point from now on.
func (a *armed) arm(t *testing.T, point string, n int) {
	t.Helper()
	if _, err := fmt.Fprintln(a.in, point, n); err != nil {
		t.Fatal(err)
	}
	if !a.out.Scan() || a.out.Text() != "armed <nil>" {
		t.Fatalf("the server cannot be armed: %s %s", a.out.Text(), a.Log())
	}
}

// pointTime is how long a server that is called may take to come past a fault
// point.
const pointTime = 30 * time.Second

// died waits until the server has killed itself.
func (a *armed) died(t *testing.T, point string) {
	t.Helper()
	select {
	case <-a.Ended():
	case <-time.After(pointTime):
		t.Fatalf("the server did not come past %s: %s", point, a.Log())
	}
	exit, ok := a.Err().(*exec.ExitError)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the server did not die as it should: %v %s", a.Err(), a.Log())
	}
}
