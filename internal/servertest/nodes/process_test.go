package nodes

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
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/cli"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// What the child is told by its environment.
const (
	dirVariable = "STRONGROOM_NODE_DIR"
	urlVariable = "STRONGROOM_NODE_URL"
	// stopVariable names a fault point at which a serving child stops itself, once.
	stopVariable = "STRONGROOM_NODE_STOP"
	// commandVariable makes the child the strongroom command.
	commandVariable = "STRONGROOM_NODE_COMMAND"
)

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		os.Exit(cli.Run(context.Background(), &cli.Env{
			Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Version: "v0.0.0",
		}))
	}
	if os.Getenv(dirVariable) == "" {
		os.Exit(m.Run())
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

func configuration(dir, url string) config.Config {
	c := config.Default()
	c.Data, c.Database, c.Listen, c.Operations = dir, url, "127.0.0.1:0", ""
	c.Region, c.Regions = servertest.Region, []string{servertest.Region, servertest.Other}
	c.Audit.SegmentSize = 1 << 20
	return c
}

func quiet(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// serve runs a server until standard input ends: the parent is gone, or is done.
func serve() error {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	var armed atomic.Bool
	s, err := server.Open(ctx, server.Options{
		Config: configuration(os.Getenv(dirVariable), os.Getenv(urlVariable)), Log: quiet(os.Stderr),
		Fault: func(point string) {
			if point == os.Getenv(stopVariable) && armed.CompareAndSwap(true, false) {
				_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			}
		},
	})
	if err != nil {
		return err
	}
	err = s.Serve(ctx, func(a net.Addr) {
		armed.Store(true)
		fmt.Println("ready", a)
	})
	if e := s.Close(context.Background()); err == nil {
		err = e
	}
	return err
}

// deployment is two nodes of one deployment.
func deployment(t *testing.T) [2]*servertest.Server {
	t.Helper()
	nodes := pair(t)
	return [2]*servertest.Server{nodes[0].Server, nodes[1].Server}
}

// pair is deployment with its processes.
func pair(t *testing.T) [2]*node {
	t.Helper()
	nodes := unstarted(t)
	for _, n := range nodes {
		n.start()
	}
	return nodes
}

// unstarted is pair, not started yet.
func unstarted(t *testing.T) [2]*node {
	t.Helper()
	url := pgtest.Start(t)
	// Not t.TempDir: a test's name can make the path too long for a socket.
	root, err := os.MkdirTemp("", "nodes")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(root) })
	first, second := filepath.Join(root, "a"), filepath.Join(root, "b")
	admin, err := server.Init(t.Context(), configuration(first, url), servertest.Account, quiet(&servertest.Buffer{}))
	check(t, err)
	_, err = server.Join(t.Context(), configuration(second, url), filepath.Join(first, server.RootKeyFile), "node-second", quiet(&servertest.Buffer{}))
	check(t, err)
	return [2]*node{newNode(t, admin, first, url), newNode(t, admin, second, url)}
}

// node is a server in a process of its own.
type node struct {
	*servertest.Server
	t    *testing.T
	url  string // of the database
	cmd  *exec.Cmd
	in   io.Closer // its end ends the process
	out  *bufio.Scanner
	name string
}

// newNode is a node that runs in a child process, which is this test binary again.
func newNode(t *testing.T, admin server.Credentials, dir, url string) *node {
	t.Helper()
	name, err := server.Node(dir)
	check(t, err)
	n := &node{t: t, url: url, name: name, Server: &servertest.Server{Admin: admin, Dir: dir, HTTP: servertest.Client(t, dir), Log: &servertest.Buffer{}}}
	n.HTTP.Timeout = 20 * time.Second
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Errorf("node ends: %v %s", err, n.Log)
		}
	})
	return n
}

// start begins the process, and returns when it serves.
func (n *node) start(env ...string) {
	n.t.Helper()
	n.cmd = exec.Command(os.Args[0])
	n.cmd.Env = append(append(os.Environ(), dirVariable+"="+n.Dir, urlVariable+"="+n.url), env...)
	n.cmd.Stderr = n.Log
	var err error
	n.in, err = n.cmd.StdinPipe()
	check(n.t, err)
	out, err := n.cmd.StdoutPipe()
	check(n.t, err)
	check(n.t, n.cmd.Start())
	n.out = bufio.NewScanner(out)
	if !n.out.Scan() || !strings.HasPrefix(n.out.Text(), "ready ") {
		n.t.Fatalf("node does not start: %s %v %s", n.out.Text(), n.cmd.Wait(), n.Log)
	}
	n.URL = "https://" + strings.TrimPrefix(n.out.Text(), "ready ")
}

// stop ends the process in good order.
func (n *node) stop() error {
	if n.cmd == nil {
		return nil
	}
	n.HTTP.CloseIdleConnections()
	n.in.Close()
	err := n.cmd.Wait()
	n.cmd = nil
	if err != nil {
		return fmt.Errorf("%w: %s", err, n.Log)
	}
	return nil
}

// kill ends it as a power cut would, but for the disk.
func (n *node) kill() {
	n.HTTP.CloseIdleConnections()
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait() // It was killed.
	n.cmd = nil
}

// strongroom runs the command on the node's directory and returns what it prints
// and its exit code.
func (n *node) strongroom(args ...string) (string, int) {
	n.t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), commandVariable+"=1", "STRONGROOM_DATA="+n.Dir, "STRONGROOM_DATABASE="+n.url)
	out, err := cmd.CombinedOutput()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		n.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// must is strongroom, which must succeed.
func (n *node) must(args ...string) string {
	n.t.Helper()
	out, code := n.strongroom(args...)
	if code != 0 {
		n.t.Fatalf("strongroom %s: status %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
