package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/egress"
)

// openEgress makes the way out that the configuration describes.
func openEgress(c config.Config, now func() time.Time, own func() []netip.AddrPort) (*egress.Dialer, error) {
	e := egress.Config{
		Private: permission(c.Egress.AllowPrivate), Loopback: permission(c.Egress.AllowLoopback),
		Allow: c.Egress.Allow, Own: own, Time: c.Egress.Time, Now: now,
	}
	if c.Egress.CAFile != "" {
		roots, err := authorities(c.Data, c.Egress.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read egress.ca_file: %w", err)
		}
		e.RootCAs = roots
	}
	return egress.New(e), nil
}

func permission(setting string) egress.Permission {
	switch setting {
	case "true":
		return egress.Always
	case "auto":
		return egress.WhileLocal
	}
	return egress.Never
}

// authorities are those of the system and those of a PEM file.
func authorities(data, path string) (*x509.CertPool, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(data, path)
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in " + path)
	}
	return roots, nil
}

// listeners are the TCP addresses that this process listens on.
type listeners struct {
	mu    sync.Mutex
	addrs []netip.AddrPort
}

// set notes all that stand; a Unix socket is no place to connect to from here.
func (l *listeners) set(standing []net.Listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addrs = nil
	for _, s := range standing {
		if a, ok := s.Addr().(*net.TCPAddr); ok {
			l.addrs = append(l.addrs, a.AddrPort())
		}
	}
}

func (l *listeners) all() []netip.AddrPort {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]netip.AddrPort(nil), l.addrs...)
}

// fetchDocument gets a document of an identity provider.
func (s *Server) fetchDocument(ctx context.Context, url string) ([]byte, error) {
	return s.egress.Get(ctx, url, egress.Options{})
}
