// Package program runs the built program as its users do: a data directory, the
// command, a process that can be killed.
//
// Its one invariant: no process outlives its test, and the data directory of a
// test that failed is kept and named.
package program

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// variable names the program to test; without it, it is built.
const variable = "STRONGROOM_BINARY"

var built = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/strongroom/strongroom").Output()
	if err != nil {
		return "", fmt.Errorf("find the source: %w", err)
	}
	dir, err := os.MkdirTemp("", "program")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "strongroom")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/strongroom")
	cmd.Dir = strings.TrimSpace(string(root))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// Path is the program: what STRONGROOM_BINARY names, or one that is built now and
// lies in the temporary directory until Remove.
func Path(tb testing.TB) string {
	tb.Helper()
	if given := os.Getenv(variable); given != "" {
		path, err := filepath.Abs(given)
		if err != nil {
			tb.Fatal(err)
		}
		return path
	}
	path, err := built()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// Remove removes what Path has built; for TestMain, behind the tests.
func Remove() {
	if os.Getenv(variable) == "" {
		if path, err := built(); err == nil {
			os.RemoveAll(filepath.Dir(path))
		}
	}
}

// Place is where a deployment keeps its data: a directory, and a database other
// than SQLite if there is one.
type Place struct{ Dir, Database string }

// NewPlace makes a place with a configuration for tests, to which settings are
// added, in YAML. It is removed with the test, unless that fails.
func NewPlace(tb testing.TB, database, settings string) Place {
	tb.Helper()
	// Not tb.TempDir: a test's name can make the path too long for a socket.
	dir, err := os.MkdirTemp("", "sr")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the data is kept: %s", dir)
			return
		}
		os.RemoveAll(dir)
	})
	p := Place{filepath.Join(dir, "data"), database}
	if err := os.Mkdir(p.Dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	text := fmt.Sprintf("region: %s\nregions: [%s, %s]\nlisten: 127.0.0.1:0\n", servertest.Region, servertest.Region, servertest.Other) + settings
	if !strings.Contains(settings, "operations:") {
		text += "operations: \"\"\n"
	}
	if database != "" {
		text += "database: " + database + "\n"
	}
	if err := os.WriteFile(filepath.Join(p.Dir, "strongroom.yaml"), []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return p
}

// Command is the program with arguments, without the caller's own settings.
func (p Place) Command(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := exec.Command(Path(tb), args...)
	cmd.Env = append(Environment(), "STRONGROOM_DATA="+p.Dir)
	return cmd
}

// Environment is that of the test without what steers the program or the SDK.
func Environment() (out []string) {
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "STRONGROOM_") && !strings.HasPrefix(e, "AWS_") {
			out = append(out, e)
		}
	}
	return out
}

// Run runs the program to its end.
func (p Place) Run(tb testing.TB, args ...string) (string, error) {
	tb.Helper()
	cmd := p.Command(tb, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("strongroom %s: %w: %s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String(), nil
}

// Init makes the deployment.
func (p Place) Init(tb testing.TB) {
	tb.Helper()
	if _, err := p.Run(tb, "init", "--account-id", servertest.Account); err != nil {
		tb.Fatal(err)
	}
}

// Process is a running server.
type Process struct {
	// Admin is the key of the first user, URL the endpoint, HTTP trusts it.
	Admin server.Credentials
	URL   string
	HTTP  *http.Client

	cmd   *exec.Cmd
	log   string // file
	ended chan struct{}
	err   error // of Wait, once ended is closed
}

// Launch starts a server and does not wait for it.
func (p Place) Launch(tb testing.TB) *Process {
	tb.Helper()
	return p.Adopt(tb, p.Command(tb, "server"))
}

// Adopt starts a command that serves the place.
func (p Place) Adopt(tb testing.TB, cmd *exec.Cmd) *Process {
	tb.Helper()
	// Written anew by each server once it listens.
	if err := os.Remove(filepath.Join(p.Dir, "endpoint")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	s := &Process{cmd: cmd, log: filepath.Join(filepath.Dir(p.Dir), "server.log"), ended: make(chan struct{})}
	// A file, which is kept with the data, and does not fill the memory of a long test.
	log, err := os.OpenFile(s.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		s.err = cmd.Wait()
		close(s.ended)
	}()
	tb.Cleanup(s.Kill)
	return s
}

// startTime is how long a server may take until it listens; recovery is part of
// it, and so is a machine with other things to do.
const startTime = 60 * time.Second

// Await waits until the server listens.
func (s *Process) Await(tb testing.TB, p Place) {
	tb.Helper()
	for deadline := time.Now().Add(startTime); ; time.Sleep(2 * time.Millisecond) {
		b, err := os.ReadFile(filepath.Join(p.Dir, "endpoint"))
		if err == nil && strings.HasSuffix(string(b), "\n") {
			s.URL = strings.TrimSpace(string(b))
			break
		}
		select {
		case <-s.ended:
			tb.Fatalf("the server does not start: %v: %s", s.err, s.Log())
		default:
		}
		if time.Now().After(deadline) {
			tb.Fatalf("the server does not start: %s", s.Log())
		}
	}
	var err error
	// A restored deployment has none.
	if s.Admin, err = server.ReadCredentials(p.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	s.HTTP = servertest.Client(tb, p.Dir)
}

// Start starts a server and waits until it listens.
func (p Place) Start(tb testing.TB) *Process {
	tb.Helper()
	s := p.Launch(tb)
	s.Await(tb, p)
	return s
}

// PID is the number of the process.
func (s *Process) PID() int { return s.cmd.Process.Pid }

// keep is how much of its log a server is quoted with.
const keep = 4 << 10

// Log is the end of what the server has written.
func (s *Process) Log() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-keep):])
}

// Ended is closed when the process is gone.
func (s *Process) Ended() <-chan struct{} { return s.ended }

// Signal sends a signal.
func (s *Process) Signal(sig os.Signal) error { return s.cmd.Process.Signal(sig) }

// Kill is kill -9; a process that is gone already is no matter.
func (s *Process) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
	if s.HTTP != nil {
		s.HTTP.CloseIdleConnections()
	}
}

// Err is how the process ended; it waits for that.
func (s *Process) Err() error {
	<-s.ended
	return s.err
}

// Stop asks the server to end, as the operator does.
func (s *Process) Stop(tb testing.TB) {
	tb.Helper()
	s.HTTP.CloseIdleConnections()
	if err := s.Signal(os.Interrupt); err != nil {
		tb.Error(err)
	}
	select {
	case <-s.ended:
	case <-time.After(startTime):
		s.Kill()
		tb.Error("the server does not stop")
	}
	if s.err != nil {
		tb.Errorf("the server ends with %v: %s", s.err, s.Log())
	}
}
