package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/limit"
)

// Options are what a Manager needs.
type Options struct {
	// Account owns the VPCs whose configuration names no account.
	Account string
	// Services are the names that endpoints may lead to.
	Services []string
	// Server makes the HTTP server of one listener.
	Server func() *http.Server
	// Limit bounds the connections of one listener, Addresses those of one address
	// at an endpoint.
	Limit     func(net.Listener) net.Listener
	Addresses *limit.Addresses
	// HeaderTime is how long a load balancer may take for its header,
	// ShutdownTime how long calls may take once their listener is closed.
	HeaderTime, ShutdownTime time.Duration
	Log                      *slog.Logger
	Now                      func() time.Time
}

// Manager holds the endpoints in force and their listeners. A new configuration
// comes into force as a whole or not at all.
type Manager struct {
	o      Options
	set    atomic.Pointer[set]
	meters *meters

	mu     sync.Mutex
	gates  map[string]*gate
	stamps map[string]stamp // :: file → as it was when last read
	closed bool
	wg     sync.WaitGroup
}

// New makes a Manager without endpoints.
func New(o Options) *Manager {
	m := &Manager{o: o, meters: newMeters(), gates: make(map[string]*gate)}
	m.set.Store(&set{byKey: map[string]*rule{}})
	return m
}

// Apply brings a configuration into force: listeners that are new are opened
// before anything else, listeners that are gone finish their calls, all others go
// on as they are. If it fails, all is as before.
func (m *Manager) Apply(cfg *config.Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return net.ErrClosed
	}
	// Noted before the files are read: what changes meanwhile is seen next time.
	m.stamps = stampsOf(cfg)
	next, err := compile(cfg, m.o.Account, m.o.Services)
	if err != nil {
		return err
	}
	if err := m.certify(cfg, next); err != nil {
		return err
	}
	for _, e := range next.endpoints {
		e.meter = m.meters.of(e.facts.ID)
	}
	opened, err := m.openNew(next)
	if err != nil {
		return err
	}
	m.set.Store(next)
	for _, g := range opened {
		m.gates[g.key] = g
		m.wg.Go(g.run)
	}
	for key, g := range m.gates {
		r := next.byKey[key]
		if r == nil {
			delete(m.gates, key)
			m.wg.Go(func() { m.shut(context.Background(), g) })
			continue
		}
		if err := g.permit(r); err != nil {
			m.o.Log.Warn("cannot set the mode of a socket", "listener", key, "error", err)
		}
	}
	return nil
}

// openNew opens the listeners that a set has and the Manager has not, all or none.
func (m *Manager) openNew(next *set) (opened []*gate, err error) {
	for _, r := range next.rules {
		if m.gates[r.key] != nil {
			continue
		}
		g, err := m.open(r)
		if err != nil {
			for _, g := range opened {
				g.Close()
			}
			return nil, fmt.Errorf("endpoint %s: %w", r.endpoints[0].facts.ID, err)
		}
		opened = append(opened, g)
	}
	return opened, nil
}

// shut closes a listener and lets its calls finish.
func (m *Manager) shut(ctx context.Context, g *gate) error {
	limit, cancel := context.WithTimeout(ctx, m.o.ShutdownTime)
	defer cancel()
	err := g.server.Shutdown(limit) // Closes g as well.
	if err != nil {
		err = errors.Join(err, g.server.Close())
	}
	return errors.Join(err, g.Close())
}

// Close closes all listeners, lets their calls finish within the shutdown time,
// and waits for it.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	gates := m.gates
	m.gates, m.closed = make(map[string]*gate), true
	m.mu.Unlock()
	errs := make(chan error, len(gates))
	for _, g := range gates {
		go func() { errs <- m.shut(ctx, g) }()
	}
	var err error
	for range gates {
		err = errors.Join(err, <-errs)
	}
	m.wg.Wait()
	return err
}

// Addr is the address of the first listener on TCP, or else of the first one; nil
// without any.
func (m *Manager) Addr() (first net.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.set.Load().rules {
		g := m.gates[r.key]
		if g == nil {
			continue
		}
		if _, ok := g.Addr().(*net.TCPAddr); ok {
			return g.Addr()
		}
		if first == nil {
			first = g.Addr()
		}
	}
	return first
}

// Addresses are all TCP addresses that endpoints listen on.
func (m *Manager) Addresses() (out []netip.AddrPort) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.gates {
		if a, ok := g.Addr().(*net.TCPAddr); ok {
			out = append(out, a.AddrPort())
		}
	}
	return out
}

// Changed reports whether a file that the last Apply read is another one by now.
func (m *Manager) Changed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path, was := range m.stamps {
		if stampOf(path) != was {
			return true
		}
	}
	return false
}

// Noted takes the files as they are for seen, so that a configuration which
// cannot be read is not tried again before it changes.
func (m *Manager) Noted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path := range m.stamps {
		m.stamps[path] = stampOf(path)
	}
}

// stamp tells one state of a file from the next.
type stamp struct {
	modified time.Time
	size     int64
	missing  bool
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{missing: true}
	}
	return stamp{modified: info.ModTime(), size: info.Size()}
}

// stampsOf looks at the configuration file and at those that it names. The
// certificates look after themselves.
func stampsOf(cfg *config.Config) map[string]stamp {
	out := map[string]stamp{}
	add := func(path string) {
		if path != "" {
			out[path] = stampOf(path)
		}
	}
	add(filepath.Join(cfg.Data, config.FileName))
	for i := range cfg.Network.Endpoints {
		e := &cfg.Network.Endpoints[i]
		add(cfg.Path(e.PolicyFile))
		add(cfg.Path(e.ClientCA))
	}
	return out
}
