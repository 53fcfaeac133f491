// Package netfault is the network between a server and its PostgreSQL, broken on
// demand: a TCP proxy that cuts connections, also around a commit, resets,
// delays and stalls them.
//
// Its one invariant: the product does not know of it. What it meets is what a
// broken cable, firewall, load balancer or database server does.
package netfault

import (
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Mode is what the proxy does with bytes and with new connections.
type Mode int32

const (
	// Pass lets everything through.
	Pass Mode = iota
	// Refuse has new connections refused, as by a machine on which no database
	// runs. Those that are open go on; see Cut and Reset.
	Refuse
	// Stall accepts and then moves nothing either way, until another mode is set:
	// a server that is stopped, a full queue.
	Stall
	// HalfOpen has the peer gone without a word: what the client sends is lost,
	// for good, and nothing comes back. New connections are accepted by nobody's
	// machine and stay as silent.
	HalfOpen
)

// Proxy stands before a database.
type Proxy struct {
	server  string
	address string

	mode  atomic.Int32
	delay atomic.Int64
	next  atomic.Int32 // a Cut, for one commit
	each  atomic.Int32 // a Cut, for every commit
	cuts  atomic.Int64

	mu       sync.Mutex
	moved    chan struct{} // closed when the mode changes
	listener net.Listener
	open     map[*link]struct{}
	ended    bool
	wg       sync.WaitGroup
}

// New returns a proxy before the database at a postgres:// address, and that
// database's address through it. It ends with the test.
func New(tb testing.TB, address string) (*Proxy, string) {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{server: u.Host, address: "127.0.0.1:0", moved: make(chan struct{}), open: map[*link]struct{}{}}
	if err := p.listen(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.close)
	u.Host = p.address
	return p, u.String()
}

// listen opens the proxy's port; mu is held, or nobody knows p yet.
func (p *Proxy) listen() error {
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		return err
	}
	p.listener, p.address = l, l.Addr().String()
	p.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(client) })
		}
	})
	return nil
}

// close ends the proxy and everything that runs in it.
func (p *Proxy) close() {
	p.mu.Lock()
	p.ended = true
	if p.listener != nil {
		p.listener.Close()
	}
	close(p.moved)
	p.moved = make(chan struct{})
	p.mu.Unlock()
	p.Cut()
	p.wg.Wait()
}

// Set changes the mode. Coming back from Refuse it takes the old port again.
func (p *Proxy) Set(tb testing.TB, m Mode) {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode.Store(int32(m))
	if m == HalfOpen {
		// The server learns that its client is gone; the client does not.
		for l := range p.open {
			l.deaf.Store(true)
			l.drop()
		}
	}
	if m == Refuse && p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	if m != Refuse && p.listener == nil {
		if err := p.listen(); err != nil {
			tb.Fatalf("listen again: %v", err)
		}
	}
	close(p.moved)
	p.moved = make(chan struct{})
}

// Delay holds back everything that the database sends by d.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// NextCommit breaks the connection around the next commit, EachCommit around
// every one until it is called with None.
func (p *Proxy) NextCommit(how Cut) { p.next.Store(int32(how)) }

// EachCommit is NextCommit for every commit.
func (p *Proxy) EachCommit(how Cut) { p.each.Store(int32(how)) }

// Cuts returns how many commits were broken.
func (p *Proxy) Cuts() int64 { return p.cuts.Load() }

// Open returns how many connections are open.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// Cut ends all connections as a server does that is stopped.
func (p *Proxy) Cut() {
	for _, l := range p.links() {
		l.close()
	}
}

// Reset ends them as a machine does that does not know them any more.
func (p *Proxy) Reset() {
	for _, l := range p.links() {
		if c, ok := l.client.(*net.TCPConn); ok {
			c.SetLinger(0) // closing sends RST instead of FIN
		}
		l.close()
	}
}

func (p *Proxy) links() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*link
	for l := range p.open {
		out = append(out, l)
	}
	return out
}

// link is one connection through the proxy.
type link struct {
	client net.Conn
	once   sync.Once
	gone   chan struct{}
	mu     sync.Mutex
	server net.Conn // nil until connected
	// mute loses what the server sends, deaf what the client sends.
	mute, deaf atomic.Bool
}

func (l *link) close() {
	l.once.Do(func() { close(l.gone) })
	l.client.Close()
	l.drop()
}

// drop ends the server's end.
func (l *link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server != nil {
		l.server.Close()
	}
}

// connect sets the server's end, unless the link has ended by now.
func (l *link) connect(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.gone:
		c.Close()
		return false
	default:
	}
	l.server = c
	return true
}

var errGone = errors.New("connection is gone")

// wait returns when bytes may move on l.
func (p *Proxy) wait(l *link) error {
	for {
		p.mu.Lock()
		moved := p.moved
		p.mu.Unlock()
		if Mode(p.mode.Load()) != Stall {
			return nil
		}
		select {
		case <-moved:
		case <-l.gone:
			return errGone
		}
	}
}

// swallow reads what the client of a half-open connection sends, until it gives
// up.
func (l *link) swallow() { io.Copy(io.Discard, l.client) }

func (p *Proxy) serve(client net.Conn) {
	l := &link{client: client, gone: make(chan struct{})}
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		client.Close()
		return
	}
	p.open[l] = struct{}{}
	p.mu.Unlock()
	defer func() {
		l.close()
		p.mu.Lock()
		delete(p.open, l)
		p.mu.Unlock()
	}()
	if Mode(p.mode.Load()) == HalfOpen {
		l.swallow()
		return
	}
	if p.wait(l) != nil {
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	if !l.connect(server) {
		return
	}
	answered := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { p.answer(l, answered) })
	if err := p.forward(l, answered); errors.Is(err, errDeaf) {
		l.swallow()
	}
	l.close()
	wg.Wait()
}

// answer moves what the server sends, and closes answered when it sends what is
// lost, or nothing any more.
func (p *Proxy) answer(l *link, answered chan<- struct{}) {
	lost := sync.OnceFunc(func() { close(answered) })
	defer lost()
	buffer := make([]byte, 64<<10)
	for {
		n, err := l.server.Read(buffer)
		if d := time.Duration(p.delay.Load()); d > 0 && n > 0 {
			select {
			case <-time.After(d):
			case <-l.gone:
			}
		}
		if p.wait(l) != nil {
			return
		}
		switch {
		case n == 0, l.deaf.Load():
		case l.mute.Load():
			lost()
		default:
			l.client.Write(buffer[:n])
		}
		if err != nil {
			if !l.deaf.Load() { // else the client does not learn of it
				l.client.Close()
			}
			return
		}
	}
}

// commits reports whether a message or the statement it names commits.
type commits map[string]bool // prepared statements by name

func (c commits) see(message []byte) bool {
	kind, body := message[0], message[5:]
	switch kind {
	case 'P':
		name, rest := text(body)
		statement, _ := text(rest)
		c[name] = statement == "commit"
	case 'B':
		_, rest := text(body)
		name, _ := text(rest)
		return c[name]
	case 'Q':
		statement, _ := text(body)
		return slices.Contains([]string{"commit", "COMMIT"}, statement)
	}
	return false
}
