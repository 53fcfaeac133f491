package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"time"

	"github.com/strongroom/strongroom/internal/wire"
)

// conn is a connection that an endpoint let in. It is the wire.Door of its
// requests.
type conn struct {
	net.Conn
	m *Manager
	// key is the listener, id the endpoint.
	key, id string
	// peer is the other end of the socket, source the client: another one behind a
	// load balancer. Both are zero on a Unix socket, which has uid and name.
	peer, source netip.Addr
	uid          uint32
	name         string
	// remote is what RemoteAddr says.
	remote net.Addr
	// rest came with the PROXY header and was not read yet.
	rest  []byte
	leave func()

	proof
}

// proof is what is known of the certificate of a connection's client, and by whose
// word. Requests of a connection come one after the other.
type proof struct {
	seen    bool
	cert    *wire.ClientCert
	checked *trust
	now     func() time.Time
}

// gone is what a connection is told that would not be let in any more.
const gone = "The private endpoint of this connection does not let it in any more."

// Read returns first what came with the header.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.rest = nil
	}
	return n, nil
}

// RemoteAddr is the client's address.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// Close ends the connection and makes room for another.
func (c *conn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// endpoint is the connection's endpoint as it is in force now, nil when there is
// none any more.
func (c *conn) endpoint() *endpoint {
	r := c.m.set.Load().byKey[c.key]
	if r == nil {
		return nil
	}
	return r.find(c.id)
}

// Enter implements wire.Door.
func (c *conn) Enter(call *wire.Call, state *tls.ConnectionState) (refusal string) {
	call.Source, call.SourceName = c.source, c.name
	r := c.m.set.Load().byKey[c.key]
	if r == nil {
		c.m.meters.refuse("", refusedEndpoint)
		return gone
	}
	e := r.find(c.id)
	if e == nil {
		c.m.meters.refuse("", refusedEndpoint)
		return gone
	}
	call.Endpoint = &e.facts
	reason := c.refusal(r, e)
	if reason == "" && !c.proves(e.trust, state) {
		reason = refusedCertificate
	}
	if reason != "" {
		c.m.meters.refuse(c.id, reason)
		return gone
	}
	if e.trust != nil {
		call.ClientCert = c.cert
	}
	e.meter.requests.Inc()
	return ""
}

// proves reports whether the client's certificate, or the lack of one, is what
// the endpoint asks for now. TLS has asked already; authorities may have changed
// since.
func (c *proof) proves(t *trust, state *tls.ConnectionState) bool {
	if t == nil || c.checked == t {
		return true
	}
	if state == nil || len(state.PeerCertificates) == 0 {
		return !t.required
	}
	leaf := state.PeerCertificates[0]
	between := x509.NewCertPool()
	for _, x := range state.PeerCertificates[1:] {
		between.AddCert(x)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: t.pool, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, CurrentTime: c.now()}); err != nil {
		return false
	}
	if !c.seen {
		c.seen, c.cert = true, describe(leaf)
	}
	c.checked = t
	return true
}

// describe says of a certificate what policies may ask for.
func describe(x *x509.Certificate) *wire.ClientCert {
	out := &wire.ClientCert{Subject: x.Subject.String()}
	for _, n := range x.DNSNames {
		out.SANs = append(out.SANs, "DNS:"+n)
	}
	for _, u := range x.URIs {
		out.SANs = append(out.SANs, "URI:"+u.String())
	}
	for _, ip := range x.IPAddresses {
		out.SANs = append(out.SANs, "IP:"+ip.String())
	}
	for _, m := range x.EmailAddresses {
		out.SANs = append(out.SANs, "email:"+m)
	}
	return out
}
