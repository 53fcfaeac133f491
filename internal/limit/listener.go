package limit

import (
	"net"
	"net/netip"
	"sync"
)

// Slots are the connections that listeners may have open together.
type Slots struct{ free chan struct{} }

// NewSlots makes n slots.
func NewSlots(n int) *Slots { return &Slots{make(chan struct{}, n)} }

// Open is how many connections there are.
func (s *Slots) Open() int { return len(s.free) }

// Listener bounds the connections of a listener, in all and from one address.
type Listener struct {
	net.Listener
	Slots *Slots
	// Addresses, if not nil, bounds those from one address. A listener behind a load
	// balancer has none: there one address stands for many clients.
	Addresses *Addresses

	closed chan struct{}
	once   sync.Once
}

// Listen bounds the connections of l.
func Listen(l net.Listener, slots *Slots, addresses *Addresses) *Listener {
	return &Listener{Listener: l, Slots: slots, Addresses: addresses, closed: make(chan struct{})}
}

// Accept returns the next connection. One too many from an address is closed at
// once, since its client is to blame; one too many in all waits, and those behind
// it in the kernel's queue, where they take no memory here.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		leave, ok := l.Addresses.Enter("", peer(c))
		if !ok {
			c.Close()
			continue
		}
		select {
		case l.Slots.free <- struct{}{}:
			return &conn{Conn: c, free: sync.OnceFunc(func() { <-l.Slots.free; leave() })}, nil
		case <-l.closed:
			leave()
			c.Close()
			return nil, net.ErrClosed
		}
	}
}

// Close ends the listener, and an Accept that waits for a slot.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type conn struct {
	net.Conn
	free func()
}

// NetConn is the connection itself.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) Close() error {
	defer c.free()
	return c.Conn.Close()
}

func peer(c net.Conn) netip.Addr {
	if t, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return t.AddrPort().Addr()
	}
	return netip.Addr{}
}

// Addresses counts the connections from each address. A nil one has no bound.
type Addresses struct {
	most int

	mu      sync.Mutex
	open    map[origin]int // only those with connections: as many as there are of these
	refused uint64
}

// origin is an address as one door sees it: private networks may use the same
// addresses.
type origin struct {
	door string
	net  netip.Prefix
}

// NewAddresses allows each address most connections; 0 has no bound.
func NewAddresses(most int) *Addresses {
	if most <= 0 {
		return nil
	}
	return &Addresses{most: most, open: make(map[origin]int)}
}

// Enter counts a connection from an address at a door, unless it has too many.
// leave is called when the connection has ended, once. An invalid address, as Unix
// sockets have, is not counted.
func (a *Addresses) Enter(door string, from netip.Addr) (leave func(), ok bool) {
	if a == nil || !from.IsValid() {
		return func() {}, true
	}
	k := origin{door, network(from)}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[k] >= a.most {
		a.refused++
		return nil, false
	}
	a.open[k]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.open[k]--; a.open[k] <= 0 {
			delete(a.open, k)
		}
	}, true
}

// Refused is how many connections were too many.
func (a *Addresses) Refused() uint64 {
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused
}

// network is what counts as one address: of IPv6 a /64, which is what a single
// host is given and can choose its addresses from.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // Fails for bits beyond the address's only.
	return p
}
