package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Permission says whether a kind of address may be dialled.
type Permission int

const (
	// WhileLocal allows it while all our own listeners are on loopback: who can
	// call us is on this machine then, and gains nothing by going through us.
	WhileLocal Permission = iota
	Always
	Never
)

// Config is what a Dialer needs; all of it may be left at zero.
type Config struct {
	// Private and Loopback are the policy for private ranges and for loopback.
	Private, Loopback Permission
	// Allow are private or loopback ranges that are open whatever the policy.
	// What is never dialled stays so.
	Allow []netip.Prefix
	// Own are the listeners of this process at the moment, as the kernel tells
	// them. Nobody is connected to them: a call of ours to ourselves would come
	// from loopback, with the trust that may have.
	Own func() []netip.AddrPort
	// RootCAs are trusted by Get; nil means those of the system.
	RootCAs *x509.CertPool
	// Time bounds connecting, and with Get the whole exchange; 10 seconds if 0.
	Time time.Duration
	// MaxBody bounds an answer to Get in bytes; 1 MiB if 0.
	MaxBody int64
	// Now is the clock for certificates; time.Now if nil.
	Now func() time.Time
	// Resolve looks up a name; the system's resolver if nil.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Local are the addresses of this machine, asked when a listener of our own
	// has none of its own; those of its interfaces if nil.
	Local func() ([]netip.Addr, error)
}

// Dialer connects where it is allowed to. It is safe for concurrent use.
type Dialer struct{ c Config }

// New returns a Dialer.
func New(c Config) *Dialer {
	if c.Own == nil {
		c.Own = func() []netip.AddrPort { return nil }
	}
	if c.Time == 0 {
		c.Time = 10 * time.Second
	}
	if c.MaxBody == 0 {
		c.MaxBody = 1 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Resolve == nil {
		c.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if c.Local == nil {
		c.Local = interfaces
	}
	return &Dialer{c}
}

// DialContext connects to host:port over TCP. Its form is the one that drivers
// and http.Transport take. Errors are of type *Error.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d.dial(ctx, network, address, false)
}

// dial connects; local leaves loopback only.
func (d *Dialer) dial(ctx context.Context, network, address string, local bool) (net.Conn, error) {
	host, port, err := split(network, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.c.Time)
	defer cancel()
	addrs, err := d.resolve(ctx, network, host)
	if err != nil {
		return nil, err
	}
	// One forbidden address forbids the name. To pick the good ones would be as
	// safe, but then the same call works or not by the luck of the resolver.
	for _, a := range addrs {
		if reason := d.forbids(a, port, local); reason != "" {
			return nil, refused(host, reason)
		}
	}
	for i, a := range addrs {
		attempt, stop := share(ctx, len(addrs)-i)
		conn, err := new(net.Dialer).DialContext(attempt, "tcp", netip.AddrPortFrom(a, port).String())
		stop()
		if err == nil {
			return conn, nil
		}
	}
	return nil, failed(ctx, Unreachable, host, "no connection")
}

// share gives the next of n attempts its part of the time that is left.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	end, _ := ctx.Deadline() // dial has set one
	return context.WithTimeout(ctx, max(time.Until(end)/time.Duration(n), time.Millisecond))
}

func split(network, address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return "", 0, refused("?", "not host:port")
	}
	// Names of ports are looked up in a file by the library; numbers only.
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, refused(host, "not a port")
	}
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return "", 0, refused(host, "not TCP")
	}
	return host, uint16(n), nil
}

// resolve returns the addresses of host, at least one, IPv4 in its own form.
func (d *Dialer) resolve(ctx context.Context, network, host string) ([]netip.Addr, error) {
	addrs := []netip.Addr{}
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, a)
	} else if addrs, err = d.c.Resolve(ctx, host); err != nil {
		return nil, failed(ctx, Unreachable, host, "name not found")
	}
	var out []netip.Addr
	for _, a := range addrs {
		a = a.Unmap()
		if a.IsValid() && (network == "tcp" || a.Is4() == (network == "tcp4")) && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, failed(ctx, Unreachable, host, "name without an address")
	}
	return out, nil
}

// forbids says why an address may not be dialled; "" if it may.
func (d *Dialer) forbids(a netip.Addr, port uint16, local bool) string {
	if a.Zone() != "" {
		return "its address has a zone"
	}
	a = meant(a)
	k, what := classify(a)
	allowed := slices.ContainsFunc(d.c.Allow, func(p netip.Prefix) bool { return p.Contains(a) })
	switch {
	case local && k != loopback:
		return "plain HTTP goes to loopback only"
	case k == forbidden,
		k == private && !allowed && !d.permits(d.c.Private),
		k == loopback && !allowed && !d.permits(d.c.Loopback):
		return "its address is " + what
	case d.own(a, port):
		return "it is this server"
	}
	return ""
}

func (d *Dialer) permits(p Permission) bool {
	if p != WhileLocal {
		return p == Always
	}
	own := d.c.Own()
	return len(own) > 0 && !slices.ContainsFunc(own, func(l netip.AddrPort) bool { return !l.Addr().Unmap().IsLoopback() })
}

// own reports whether a listener of ours is at the address. One that listens
// everywhere is at each address of this machine; if these cannot be told, at any.
func (d *Dialer) own(a netip.Addr, port uint16) bool {
	for _, l := range d.c.Own() {
		if l.Port() != port {
			continue
		}
		at := l.Addr().Unmap().WithZone("")
		if at == a || at.IsUnspecified() && (a.IsLoopback() || d.here(a)) {
			return true
		}
	}
	return false
}

func (d *Dialer) here(a netip.Addr) bool {
	all, err := d.c.Local()
	return err != nil || slices.ContainsFunc(all, func(l netip.Addr) bool { return l.Unmap().WithZone("") == a })
}

func interfaces() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok {
			return nil, errors.New("an interface without an address")
		}
		if ip, ok := netip.AddrFromSlice(n.IP); ok {
			out = append(out, ip)
		}
	}
	return out, nil
}
