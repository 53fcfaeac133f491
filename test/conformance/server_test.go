package conformance

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	account      = "111122223333"
	region       = "us-east-1"
	secondRegion = "eu-west-1" // replication needs a second one

	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
)

// server is a running strongroom process with a data directory of its own.
type server struct {
	binary string
	data   string
	env    map[string]string // what `strongroom env --json` says: endpoint, region, CA and credentials
	log    string            // file with the process's output

	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone; err is set then
	err  error
}

// shared is the one server that all tests use. Tests keep out of each other's way by the names of their secrets, as users
// of one account do. It starts with the first test that asks for it, so `go test -run Validator` needs no server.
var shared struct {
	once   sync.Once
	dir    string
	server *server
	err    error
}

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "kubectl" {
		if err := kubectl(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// sharedServer returns the running server, or ends the test with the reason why there is none.
func sharedServer(t *testing.T) *server {
	t.Helper()
	shared.once.Do(func() {
		shared.dir, shared.err = os.MkdirTemp("", "strongroom-conformance-")
		if shared.err != nil {
			return
		}
		shared.server, shared.err = startServer(t.Context(), shared.dir)
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// stopShared ends the shared server as an operator would, and reports it if the server does not go in peace.
func stopShared() error {
	if shared.dir == "" {
		return nil
	}
	defer os.RemoveAll(shared.dir)
	if shared.server == nil {
		return nil
	}
	return shared.server.stop()
}

// startServer builds the program if need be, initialises a data directory in dir, starts the server and waits until it
// answers.
func startServer(ctx context.Context, dir string) (*server, error) {
	binary, err := programBinary(ctx, dir)
	if err != nil {
		return nil, err
	}
	s := &server{binary: binary, data: filepath.Join(dir, "data"), log: filepath.Join(dir, "server.log")}

	if out, err := s.command(ctx, "init", "--data", s.data, "--account-id", account, "--region", region).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("strongroom init: %w\n%s", err, out)
	}

	// The port is free now and might not be when the server asks for it, so a lost race gets another try.
	var lastErr error
	for range 3 {
		if lastErr = s.start(ctx); lastErr == nil {
			return s, nil
		}
	}
	return nil, lastErr
}

func (s *server) start(ctx context.Context) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	operations, err := freeAddress()
	if err != nil {
		return err
	}
	config := fmt.Sprintf("region: %s\nregions: [%s, %s]\noperations: %s\n", region, region, secondRegion, operations)
	if err := os.WriteFile(filepath.Join(s.data, "strongroom.yaml"), []byte(config), 0o600); err != nil {
		return err
	}
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close()

	// Not bound to ctx: the context of the first test ends before the server should.
	s.cmd = s.command(context.WithoutCancel(ctx), "server", "--data", s.data, "--listen", address)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("strongroom server: %w", err)
	}
	done := make(chan struct{})
	s.done = done
	go func() {
		s.err = s.cmd.Wait()
		close(done)
	}()

	if err := s.waitReady(address, operations); err != nil {
		_ = s.cmd.Process.Kill()
		<-s.done
		return fmt.Errorf("%w\n%s", err, s.tail())
	}
	return nil
}

// waitReady waits until the server calls itself ready, reads the settings that `strongroom env` gives to users, and checks
// with nothing but these that the endpoint is the server just started and that its certificate is good.
func (s *server) waitReady(address, operations string) error {
	deadline := time.Now().Add(startTimeout)
	err := errors.New("not tried")
	for time.Now().Before(deadline) {
		select {
		case <-s.done:
			return fmt.Errorf("strongroom server ended while starting: %v", s.err)
		case <-time.After(50 * time.Millisecond):
		}
		if err = s.probe(address, operations); err == nil {
			return nil
		}
	}
	return fmt.Errorf("strongroom server not ready after %v: %w", startTimeout, err)
}

func (s *server) probe(address, operations string) error {
	plain := &http.Client{Timeout: 5 * time.Second}
	ready, err := plain.Get("http://" + operations + "/readyz")
	if err != nil {
		return err
	}
	ready.Body.Close()
	if ready.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answers %s", ready.Status)
	}

	cmd := s.command(context.Background(), "env", "--data", s.data, "--json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("strongroom env: %w\n%s", err, stderr.Bytes())
	}
	env := map[string]string{}
	if err := json.Unmarshal(out, &env); err != nil {
		return fmt.Errorf("strongroom env --json: %w", err)
	}
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		if env[name] == "" {
			return fmt.Errorf("strongroom env --json: no %s", name)
		}
	}
	if want := "https://" + address; env["AWS_ENDPOINT_URL"] != want {
		return fmt.Errorf("strongroom env: endpoint %s, the server listens on %s", env["AWS_ENDPOINT_URL"], want)
	}

	pem, err := os.ReadFile(env["AWS_CA_BUNDLE"])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("no certificate in %s", env["AWS_CA_BUNDLE"])
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	response, err := client.Get(env["AWS_ENDPOINT_URL"])
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
	if response.StatusCode >= 500 {
		return fmt.Errorf("endpoint answers %s", response.Status)
	}
	s.env = env
	return nil
}

// stop asks the server to end and expects it to do so in time, with status 0.
func (s *server) stop() error {
	select {
	case <-s.done:
		return fmt.Errorf("the server ended by itself: %v\n%s", s.err, s.tail())
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
		_ = s.cmd.Process.Kill()
		<-s.done
		return fmt.Errorf("the server did not stop within %v of SIGTERM\n%s", stopTimeout, s.tail())
	}
	if s.err != nil {
		return fmt.Errorf("the server did not stop cleanly: %w\n%s", s.err, s.tail())
	}
	return nil
}

// command prepares a run of the program with the caller's AWS and STRONGROOM settings taken away, so that a test does
// not depend on the shell it is started from.
func (s *server) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "AWS_") && !strings.HasPrefix(entry, "STRONGROOM_") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	return cmd
}

// tail returns the end of the server's output, for the message of a test that failed.
func (s *server) tail() string {
	const keep = 4 << 10
	out, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return "end of the server's output:\n" + string(out[max(0, len(out)-keep):])
}

// programBinary returns the program to test, as an absolute path.
func programBinary(ctx context.Context, dir string) (string, error) {
	if given := os.Getenv("STRONGROOM_BINARY"); given != "" {
		return filepath.Abs(given)
	}
	binary := filepath.Join(dir, "bin", "strongroom")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/strongroom")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/strongroom: %w\n%s", err, out)
	}
	return binary, nil
}

// freeAddress returns a loopback address whose port nobody listens on at this moment.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
