package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/limit"
	"github.com/strongroom/strongroom/internal/panics"
	"github.com/strongroom/strongroom/internal/wire"
)

// The reasons why a connection is not let in; labels of a metric.
const (
	refusedAddress     = "address"     // not in allow_cidrs
	refusedPeer        = "peer"        // not a trusted load balancer
	refusedHeader      = "header"      // no PROXY header of version 2, or not a valid one
	refusedEndpoint    = "endpoint"    // the header names no endpoint of the listener
	refusedUser        = "user"        // not in peer_uids
	refusedConnections = "connections" // too many
	refusedPerAddress  = "per_address" // too many from the client's address
	refusedCertificate = "certificate" // not good any more
	refusedService     = "service"     // one that the endpoint does not lead to
)

// gate is one listener and the HTTP server behind it. As a net.Listener it gives
// out the connections that were let in: looking at them may take time, so each is
// looked at on a goroutine of its own.
type gate struct {
	m      *Manager
	key    string
	raw    net.Listener
	server *http.Server

	ready chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// open listens on the address of a rule.
func (m *Manager) open(r *rule) (*gate, error) {
	raw, err := listen(r.address)
	if err != nil {
		return nil, err
	}
	g := &gate{m: m, key: r.key, raw: m.o.Limit(raw), server: m.o.Server(), ready: make(chan net.Conn), done: make(chan struct{})}
	g.server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return wire.WithDoor(wire.WithWait(ctx, limit.Waited(c)), c.(*tls.Conn).NetConn().(*conn))
	}
	return g, nil
}

func listen(address string) (net.Listener, error) {
	path, isUnix := config.UnixPath(address)
	if !isUnix {
		return net.Listen("tcp", address)
	}
	// What a process that is gone has left is removed, but neither a socket that
	// somebody listens on nor a file that is none.
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("listen on %s: there is a file that is no socket", path)
		}
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("listen on %s: another process does", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// Nobody but the owner, until the rule says who else.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// permit opens the file of a Unix socket for those that the rule names. The
// kernel's word on who connects decides; the mode only lets them ask.
func (g *gate) permit(r *rule) error {
	path, isUnix := config.UnixPath(r.address)
	if !isUnix {
		return nil
	}
	mode := os.FileMode(0o600)
	if len(r.endpoints[0].cfg.PeerUIDs) > 0 {
		mode = 0o666
	}
	return os.Chmod(path, mode)
}

// run accepts and serves until the gate is closed.
func (g *gate) run() {
	go g.accept()
	l := tls.NewListener(g, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		e := hello.Conn.(*conn).endpoint()
		if e == nil {
			return nil, errors.New("the endpoint is gone")
		}
		return e.tls, nil
	}})
	if err := g.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		g.m.o.Log.Error("a private listener has ended", "listener", g.key, "error", err)
	}
}

// accept takes connections from the kernel and has each looked at.
func (g *gate) accept() {
	pause := time.Duration(0)
	for {
		c, err := g.raw.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of file descriptors, mostly. As net/http does, wait and go on.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			g.m.o.Log.Warn("cannot accept on a private listener", "listener", g.key, "error", err)
			select {
			case <-time.After(pause):
			case <-g.done:
				return
			}
			continue
		}
		pause = 0
		go g.admit(c)
	}
}

// admit looks at a connection and hands it on, or drops it.
func (g *gate) admit(raw net.Conn) {
	// It reads what a stranger sends, and net/http does not stand around it yet.
	defer func() {
		if p := recover(); p != nil {
			raw.Close()
			g.m.o.Log.Error("looking at a connection panicked; it was refused", "listener", g.key, "error", panics.New(p))
		}
	}()
	c, id, reason := g.inspect(raw)
	if reason != "" {
		g.m.meters.refuse(id, reason)
		g.m.o.Log.LogAttrs(context.Background(), slog.LevelDebug, "connection refused by a private endpoint",
			slog.String("listener", g.key), slog.String("endpoint", id), slog.String("peer", raw.RemoteAddr().String()), slog.String("reason", reason))
		raw.Close()
		return
	}
	select {
	case g.ready <- c:
	case <-g.done:
		c.Close()
	}
}

// inspect finds the endpoint that a connection is for and asks whether it lets
// the connection in. Of a refusal it says of which endpoint, if that is known.
func (g *gate) inspect(raw net.Conn) (c *conn, id, reason string) {
	r := g.m.set.Load().byKey[g.key]
	if r == nil {
		return nil, "", refusedEndpoint
	}
	c = &conn{Conn: raw, m: g.m, key: g.key, peer: addressOf(raw.RemoteAddr()), remote: raw.RemoteAddr(), proof: proof{now: g.m.o.Now}}
	c.source = c.peer
	e := r.endpoints[0]
	if r.fromTLV {
		e = nil
	} else {
		id = e.facts.ID
	}
	if u, ok := unixConn(raw); ok {
		uid, err := peerUser(u)
		if err != nil {
			return nil, id, refusedUser
		}
		c.uid, c.name = uid, "unix:uid="+strconv.FormatUint(uint64(uid), 10)
	}
	if r.proxied {
		// Before the header: what a stranger says is not even read.
		if !contains(r.trusted, c.peer) {
			return nil, id, refusedPeer
		}
		chosen, err := c.readHeader(g.m.o.HeaderTime)
		if err != nil {
			return nil, id, refusedHeader
		}
		if r.fromTLV {
			if e = r.find(chosen); e == nil {
				return nil, "", refusedEndpoint
			}
		}
	}
	c.id = e.facts.ID
	if reason := c.refusal(r, e); reason != "" {
		return nil, c.id, reason
	}
	// Of the client's address: behind a load balancer the peer stands for many.
	leave, ok := g.m.o.Addresses.Enter(c.id, c.source)
	if !ok {
		return nil, c.id, refusedPerAddress
	}
	if !e.meter.enter(e.limit) {
		leave()
		return nil, c.id, refusedConnections
	}
	c.leave = sync.OnceFunc(func() { leave(); e.meter.leave() })
	return c, c.id, ""
}

// refusal says why an endpoint would not let a connection in; "" when it does.
// It is asked again at each request.
func (c *conn) refusal(r *rule, e *endpoint) string {
	switch {
	case r.proxied && !contains(r.trusted, c.peer):
		return refusedPeer
	case c.name != "":
		// 0600 on the socket's file lets in whoever it should; the list replaces it.
		if uids := e.cfg.PeerUIDs; len(uids) > 0 && !slices.Contains(uids, c.uid) {
			return refusedUser
		}
	case len(e.allow) > 0 && !contains(e.allow, c.source):
		return refusedAddress
	}
	return ""
}

// Accept returns the next connection that was let in.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.ready:
		return c, nil
	case <-g.done:
		return nil, net.ErrClosed
	}
}

// Addr is the address of the listener.
func (g *gate) Addr() net.Addr { return g.raw.Addr() }

// Close ends the listener, not the connections that were let in.
func (g *gate) Close() (err error) {
	g.once.Do(func() {
		close(g.done)
		err = g.raw.Close()
	})
	return err
}

// addressOf is the address of a peer, the zero one on a Unix socket.
func addressOf(a net.Addr) netip.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return t.AddrPort().Addr().Unmap().WithZone("")
}

// unixConn finds the Unix socket behind what Options.Limit has made of it.
func unixConn(c net.Conn) (*net.UnixConn, bool) {
	for {
		switch x := c.(type) {
		case *net.UnixConn:
			return x, true
		case interface{ NetConn() net.Conn }:
			c = x.NetConn()
		default:
			return nil, false
		}
	}
}

func peerUser(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); cerr != nil {
		return 0, cerr
	}
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
