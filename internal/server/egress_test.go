package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/egress"
)

// TestWayOut: a running server refuses to call itself, by each of its listeners,
// and trusts the authorities that the configuration names.
func TestWayOut(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.Operations, cfg.Regions = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", []string{cfg.Region}
	cfg.Egress.CAFile = ca.CertificateFile
	if _, err := Init(t.Context(), cfg, "111122223333", slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Config: cfg, Log: slog.New(slog.DiscardHandler), ManualJobs: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() { done <- s.Serve(ctx, func(a net.Addr) { ready <- a }) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	api := <-ready
	own := s.own.all()
	if len(own) != 2 || own[0].String() != api.String() {
		t.Fatalf("own listeners: %v, the API's is %s", own, api)
	}
	for _, a := range own {
		for _, scheme := range []string{"https://", "http://"} {
			if _, err := s.egress.Get(t.Context(), scheme+a.String()+"/healthz", egress.Options{}); egress.ClassOf(err) != egress.Refused {
				t.Errorf("%s%s: %v", scheme, a, err)
			}
		}
	}

	// Another server on this machine, with a certificate of the named authority.
	source, err := ca.Local(cfg.Data, cfg.CertificateHosts(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	other := httptest.NewUnstartedServer(http.NotFoundHandler())
	other.TLS = &tls.Config{GetCertificate: source.Certificate}
	other.StartTLS()
	defer other.Close()
	_, port, _ := net.SplitHostPort(other.Listener.Addr().String())
	at := "https://localhost:" + port
	if _, err := s.egress.Get(t.Context(), at, egress.Options{}); egress.ClassOf(err) != egress.Status {
		t.Errorf("a neighbour, while all listeners are on loopback: %v", err)
	}
	s.own.set([]net.Listener{fixed("0.0.0.0:1"), fixed("127.0.0.1:2")})
	if _, err := s.egress.Get(t.Context(), at, egress.Options{}); egress.ClassOf(err) != egress.Refused {
		t.Errorf("a neighbour, while listening everywhere: %v", err)
	}
}

func TestEgressSettings(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]egress.Permission{"true": egress.Always, "false": egress.Never, "auto": egress.WhileLocal, "": egress.Never} {
		if got := permission(setting); got != want {
			t.Errorf("%q: %v", setting, got)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty.pem"), []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Data = dir
	for _, file := range []string{"empty.pem", "missing.pem", filepath.Join(dir, "empty.pem")} {
		cfg.Egress.CAFile = file
		if _, err := openEgress(cfg, time.Now, func() []netip.AddrPort { return nil }); err == nil {
			t.Errorf("%s passed", file)
		}
	}
}

// fixed is a listener of which only the address matters.
type fixed string

func (fixed) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (fixed) Close() error              { return nil }
func (f fixed) Addr() net.Addr          { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(string(f))) }
