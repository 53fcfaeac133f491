package crash

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// What the child is told by its environment.
const (
	roleVariable = "STRONGROOM_CRASH_ROLE" // "serve" or "init"
	dirVariable  = "STRONGROOM_CRASH_DIR"
	urlVariable  = "STRONGROOM_CRASH_URL"
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roleVariable) {
	case "":
		os.Exit(m.Run())
	case "serve":
		err = serve()
	case "init":
		_, err = server.Init(context.Background(), configuration(os.Getenv(dirVariable), os.Getenv(urlVariable)), servertest.Account, quiet())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

// configuration is the same in parent and child.
func configuration(dir, url string) config.Config {
	c := config.Default()
	c.Data, c.Database, c.Listen, c.Operations = dir, url, "127.0.0.1:0", ""
	c.Region, c.Regions = servertest.Region, []string{servertest.Region, servertest.Other}
	c.Audit.SegmentSize = 256 << 10 // so that segments are closed, too
	return c
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
	if point != t.point {
		return
	}
	if t.left--; t.left == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // Nothing runs after it.
		select {}
	}
}

// serve runs a server until it is killed. Lines on standard input arm the
// trigger; the end of the input means that the parent is gone.
func serve() error {
	var t trigger
	s, err := server.Open(context.Background(), server.Options{
		Config: configuration(os.Getenv(dirVariable), os.Getenv(urlVariable)), Log: quiet(), Fault: t.pass,
	})
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
	return s.Serve(context.Background(), func(a net.Addr) { fmt.Println("ready", a) })
}

// process is a running server in a child process, with clients for it.
type process struct {
	*servertest.Server
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Scanner
	err   *servertest.Buffer
	ended bool
}

// place is where a deployment keeps its data.
type place struct{ dir, url string }

// initialised makes a deployment, in a process of its own: another parallel test
// that starts a process just now would, for a moment, have a copy of every lock
// that this one holds.
func initialised(t *testing.T, url string) place {
	t.Helper()
	p := newPlace(t, url)
	if out, err := p.command(t, "init").CombinedOutput(); err != nil {
		t.Fatalf("init: %v: %s", err, out)
	}
	return p
}

func newPlace(t *testing.T, url string) place {
	t.Helper()
	// Not t.TempDir: a test's name can make the path too long for a socket.
	dir, err := os.MkdirTemp("", "crash")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return place{filepath.Join(dir, "data"), url}
}

func (p place) command(t *testing.T, role string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, dirVariable+"="+p.dir, urlVariable+"="+p.url)
	return cmd
}

// start runs the server of a deployment.
func (p place) start(t *testing.T) *process {
	t.Helper()
	c := &process{cmd: p.command(t, "serve"), err: &servertest.Buffer{}}
	c.cmd.Stderr = c.err
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.kill(t) })
	if !c.out.Scan() || !strings.HasPrefix(c.out.Text(), "ready ") {
		err := c.wait()
		t.Fatalf("the server does not start: %s %v %s", c.out.Text(), err, c.err)
	}
	admin, err := server.ReadCredentials(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	c.Server = &servertest.Server{
		Admin: admin, Dir: p.dir, URL: "https://" + strings.TrimPrefix(c.out.Text(), "ready "), HTTP: servertest.Client(t, p.dir),
	}
	c.HTTP.Timeout = 20 * time.Second
	return c
}

// arm makes the server die at the n-th passing of a fault point from now on.
func (c *process) arm(t *testing.T, point string, n int) {
	t.Helper()
	if _, err := fmt.Fprintln(c.in, point, n); err != nil {
		t.Fatal(err)
	}
	if !c.out.Scan() || c.out.Text() != "armed <nil>" {
		t.Fatalf("the server cannot be armed: %s %s", c.out.Text(), c.err)
	}
}

// died waits until the server has killed itself.
func (c *process) died(t *testing.T) {
	t.Helper()
	timer := time.AfterFunc(15*time.Second, func() { c.cmd.Process.Kill() })
	err := c.wait()
	if !timer.Stop() {
		t.Fatal("the server did not come past the fault point")
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the server did not die as it should: %v %s", err, c.err)
	}
}

// kill is kill -9, if it is not dead yet.
func (c *process) kill(t *testing.T) {
	t.Helper()
	if c.ended {
		return
	}
	if err := c.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = c.wait() // Killed is what it is.
}

func (c *process) wait() error {
	err := c.cmd.Wait()
	c.ended = true
	if c.Server != nil {
		c.HTTP.CloseIdleConnections()
	}
	return err
}
