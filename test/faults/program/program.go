// Package program runs the built program, as an operator does: init, server, check.
//
// The one invariant: no process outlives the test that started it.
package program

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// variable names the program to test; without it, it is built.
const variable = "STRONGROOM_BINARY"

// patience is for what takes a moment on a quiet machine and may take long on a busy one.
const patience = 60 * time.Second

var build = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(variable); path != "" {
		return path, nil
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", "strongroom")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/strongroom")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// Deployment is a data directory.
type Deployment struct {
	Dir   string
	Admin server.Credentials

	tb     testing.TB
	binary string
	files  uint64
	blind  bool
	client *http.Client
}

// At is a data directory that is to be made by Init.
func At(tb testing.TB, dir string) *Deployment {
	tb.Helper()
	return &Deployment{Dir: dir, tb: tb, binary: Binary(tb), client: http.DefaultClient}
}

// Init makes the deployment; settings go into strongroom.yaml.
func (d *Deployment) Init(database, settings string) {
	d.tb.Helper()
	args := []string{"init", "--account-id", servertest.Account, "--region", servertest.Region, "--regions", servertest.Region + "," + servertest.Other, "--json"}
	if database != "" {
		args = append(args, "--database", database)
	}
	if _, stderr, err := d.Run(args...); err != nil {
		d.tb.Fatalf("init: %v\n%s", err, stderr)
	}
	b, err := os.ReadFile(filepath.Join(d.Dir, server.CredentialsFile))
	if err == nil {
		err = json.Unmarshal(b, &d.Admin)
	}
	if err != nil {
		d.tb.Fatal(err)
	}
	path := filepath.Join(d.Dir, "strongroom.yaml")
	b, err = os.ReadFile(path)
	if err == nil {
		err = durably(path, append(b, "\n"+settings+"\n"...))
	}
	if err != nil {
		d.tb.Fatal(err)
	}
	d.client = servertest.Client(d.tb, d.Dir)
	d.client.Timeout = 2 * patience
	d.tb.Cleanup(d.client.CloseIdleConnections)
}

// Binary is the path of the program.
func Binary(tb testing.TB) string {
	tb.Helper()
	path, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// durably writes a file that the test wants to be there after a power cut.
func durably(path string, b []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// Files bounds how many files a server may have open; 0 leaves it alone.
func (d *Deployment) Files(n uint64) { d.files = n }

// Blind starts servers without health and metrics, whose port is only free until somebody else on the machine takes it.
func (d *Deployment) Blind() { d.blind = true }

func (d *Deployment) command(args ...string) *exec.Cmd {
	cmd := exec.Command(d.binary, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "STRONGROOM_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "STRONGROOM_DATA="+d.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Run runs a command to its end.
func (d *Deployment) Run(args ...string) (stdout, stderr string, err error) {
	var o, e bytes.Buffer
	cmd := d.command(args...)
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Start(); err != nil {
		return "", "", err
	}
	// A command that hangs says where.
	late := time.AfterFunc(2*patience, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
	defer late.Stop()
	err = cmd.Wait()
	return o.String(), e.String(), err
}

// Server is a running server.
type Server struct {
	*Deployment
	// URL is the API's, Operations that of health and metrics.
	URL, Operations string
	Log             *servertest.Buffer

	cmd   *exec.Cmd
	ended chan struct{}
	err   error
}

var serving = regexp.MustCompile(`msg=serving .*address=(\S+)`)

// Start starts the server and waits until it serves. An error tells what it said.
func (d *Deployment) Start() (*Server, error) {
	for tries := 0; ; tries++ {
		s, err := d.Launch()
		if err != nil {
			return nil, err
		}
		if err = s.Ready(); err == nil || tries == 3 || !strings.Contains(err.Error(), "address already in use") {
			return s, err
		}
	}
}

// Launch starts the server and waits for nothing.
func (d *Deployment) Launch() (*Server, error) {
	operations := ""
	if !d.blind {
		var err error
		if operations, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	s := &Server{Deployment: d, Operations: "http://" + operations, Log: &servertest.Buffer{}, ended: make(chan struct{})}
	s.cmd = d.command("server", "--listen", "127.0.0.1:0", "--operations", operations)
	if d.files > 0 {
		// The shell's own bound is what the program begins with.
		limited := d.command()
		limited.Path, limited.Args = "/bin/sh", append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, d.files)}, s.cmd.Args...)
		s.cmd = limited
	}
	s.cmd.Stdout, s.cmd.Stderr = s.Log, s.Log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	d.tb.Cleanup(s.Kill)
	return s, nil
}

// Ready waits until the server serves, or is gone.
func (s *Server) Ready() error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if m := serving.FindStringSubmatch(s.Log.String()); m != nil {
			s.URL = "https://" + m[1]
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("the server ended: %v\n%s", s.err, s.Log)
		default:
		}
	}
	s.Kill()
	return fmt.Errorf("the server does not serve\n%s", s.Log)
}

// freeAddress is one that nobody listens at now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Signal sends a signal; the process may be gone.
func (s *Server) Signal(sig syscall.Signal) { _ = s.cmd.Process.Signal(sig) }

// Kill kills the process and waits for its end. It may be called again.
func (s *Server) Kill() {
	s.Signal(syscall.SIGKILL)
	<-s.ended
	s.client.CloseIdleConnections()
}

// Ended is closed when the process is gone.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Stop asks the server to end and waits for it.
func (s *Server) Stop() error {
	s.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
		s.client.CloseIdleConnections()
		return s.err
	case <-time.After(patience):
		s.Kill()
		return errors.New("the server does not end")
	}
}

// AWS is the SDK's configuration for the admin in a region. Calls are not retried.
func (s *Server) AWS(region string) aws.Config {
	return aws.Config{Region: region, BaseEndpoint: &s.URL, HTTPClient: s.client, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(s.Admin.AccessKeyID, s.Admin.SecretAccessKey, "")}
}

// HTTP trusts the server's certificate.
func (s *Server) HTTP() *http.Client { return s.client }

// Get fetches a page of health or metrics; a server that does not answer has status 0.
func (s *Server) Get(path string) (status int, body string) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(s.Operations + path)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

// Metric is the value of a metric without labels, "" when there is none.
func (s *Server) Metric(name string) string {
	_, body := s.Get("/metrics")
	for line := range strings.Lines(body) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
