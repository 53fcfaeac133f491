// Package servertest starts whole servers for tests: a temporary data directory,
// SQLite or a real PostgreSQL, TLS, and the official SDK's clients.
//
// Its one invariant: a test talks to what users talk to. The server is made by
// the same functions as the command's, and reached over the network.
package servertest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/server"
)

// Account is the account of every test server.
const Account = "111122223333"

// Region is its default region; Other is the second one.
const (
	Region = "us-east-1"
	Other  = "eu-west-1"
)

// Server is a running server.
type Server struct {
	// Admin is the key of the first user.
	Admin server.Credentials
	// URL is the endpoint of the API.
	URL string
	// Dir is the data directory.
	Dir string
	// HTTP trusts the server's certificate.
	HTTP *http.Client
	// Log gathers everything that was logged.
	Log *Buffer

	tb      testing.TB
	options options
	asked   asked
	server  *server.Server
	stop    func()

	mu     sync.Mutex
	config config.Config // what a reload reads
}

type options struct {
	config   []func(*config.Config)
	now      func() time.Time
	fault    func(string)
	postgres bool
	manual   bool
	quiet    bool
	thread   func()
}

// Option changes how a server is started.
type Option func(*options)

// Postgres puts the data into a fresh database of a real PostgreSQL.
func Postgres() Option { return func(o *options) { o.postgres = true } }

// Config changes the configuration before the server starts; of several each does.
func Config(f func(*config.Config)) Option {
	return func(o *options) { o.config = append(o.config, f) }
}

// Now replaces the clock.
func Now(f func() time.Time) Option { return func(o *options) { o.now = f } }

// Fault is called at the named points of crash tests.
func Fault(f func(string)) Option { return func(o *options) { o.fault = f } }

// ManualJobs starts no jobs: they run when the test calls Server().RunJobsOnce.
func ManualJobs() Option { return func(o *options) { o.manual = true } }

// Quiet leaves the server as it is in production: nothing watches its calls, and it
// logs warnings only. For benchmarks.
func Quiet() Option { return func(o *options) { o.quiet = true } }

// Thread is called before the server listens, on a thread that does nothing else
// any more: to listen in another network namespace.
func Thread(f func()) Option { return func(o *options) { o.thread = f } }

// Start makes a data directory and serves it until the test ends.
func Start(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	s := &Server{tb: tb, Log: &Buffer{}}
	for _, o := range opts {
		o(&s.options)
	}
	// Not tb.TempDir: a test's name can make the path too long for a socket.
	dir, err := os.MkdirTemp("", "sr")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	s.Dir = filepath.Join(dir, "data")
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.Operations = s.Dir, "127.0.0.1:0", ""
	cfg.Region, cfg.Regions = Region, []string{Region, Other}
	cfg.Audit.SegmentSize = 1 << 20
	if s.options.postgres {
		cfg.Database = pgtest.Start(tb)
	}
	for _, f := range s.options.config {
		f(&cfg)
	}
	if s.Admin, err = server.Init(tb.Context(), cfg, Account, s.logger()); err != nil {
		tb.Fatalf("init: %v", err)
	}
	s.serve(cfg)
	tb.Cleanup(func() {
		s.Stop()
		s.asked.report(tb)
	})
	return s
}

// Restart stops the server and serves the same data again.
func (s *Server) Restart() {
	s.tb.Helper()
	cfg := s.server.Config()
	s.Stop()
	s.serve(cfg)
}

// Reconfigure changes the configuration that the server reads, and has it read.
func (s *Server) Reconfigure(f func(*config.Config)) error {
	s.mu.Lock()
	// Not the slices of the configuration in force.
	s.config.Network.VPCs = slices.Clone(s.config.Network.VPCs)
	s.config.Network.Endpoints = slices.Clone(s.config.Network.Endpoints)
	f(&s.config)
	s.mu.Unlock()
	return s.server.ReloadNetwork()
}

// configured is what the server reads.
func (s *Server) configured() (config.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config, s.config.Validate()
}

// Stop ends the server; it may be called twice.
func (s *Server) Stop() { s.stop() }

// Server is the value under test.
func (s *Server) Server() *server.Server { return s.server }

func (s *Server) logger() *slog.Logger {
	level := slog.LevelDebug
	if s.options.quiet {
		level = slog.LevelWarn
	}
	return slog.New(slog.NewTextHandler(s.Log, &slog.HandlerOptions{Level: level}))
}

func (s *Server) serve(cfg config.Config) {
	s.tb.Helper()
	s.mu.Lock()
	s.config = cfg
	s.mu.Unlock()
	o := server.Options{Config: cfg, Log: s.logger(), Now: s.options.now, Fault: s.options.fault, ManualJobs: s.options.manual, Reload: s.configured}
	if !s.options.quiet {
		o.Observe = s.asked.observe
	}
	opened, err := server.Open(s.tb.Context(), o)
	if err != nil {
		s.tb.Fatalf("open server: %v", err)
	}
	s.server = opened
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		if s.options.thread != nil {
			runtime.LockOSThread() // And never unlocked: the thread ends with its goroutine.
			s.options.thread()
		}
		ended <- opened.Serve(ctx, func(a net.Addr) { ready <- a })
	}()
	select {
	case a := <-ready:
		s.URL = "https://" + a.String()
	case err := <-ended:
		cancel()
		s.tb.Fatalf("serve: %v", err)
	}
	s.stop = sync.OnceFunc(func() {
		s.HTTP.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			s.tb.Errorf("serve: %v", err)
		}
		if err := opened.Close(context.Background()); err != nil {
			s.tb.Errorf("close server: %v", err)
		}
	})
	s.HTTP = Client(s.tb, s.Dir)
}

// Client is an HTTP client that trusts the certificate of a data directory.
func Client(tb testing.TB, dir string) *http.Client {
	tb.Helper()
	pem, err := os.ReadFile(filepath.Join(dir, ca.CertificateFile))
	if err != nil {
		tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &http.Client{Transport: plainBodies{&http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 128}}}
}

// plainBodies hides what else a request's body can do. The SDK closes the body
// once the answer's headers are there, and its WriteTo then fails; a net/http
// that still looks for the body's end takes that for a failed request and drops
// the connection, with the rest of the answer in it. Only a server as near as
// ours answers so soon. The SDK's own retry would hide it, which is off here.
type plainBodies struct{ *http.Transport }

func (t plainBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r = r.Clone(r.Context())
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return t.Transport.RoundTrip(r)
}

// Buffer is a log that can be read while it is written.
type Buffer struct {
	mu   sync.Mutex
	data []byte
}

// Write appends p.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	return len(p), nil
}

// String returns all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data)
}
