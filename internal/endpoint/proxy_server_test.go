package endpoint_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

// speaking dials and sends bytes before anything else.
func speaking(d dialer, first []byte) dialer {
	return func(ctx context.Context) (net.Conn, error) {
		c, err := d(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := c.Write(first); err != nil {
			c.Close()
			return nil, err
		}
		return c, nil
	}
}

// header is a PROXY header as a load balancer sends it, with the endpoint ids in
// their TLVs.
func header(t *testing.T, source string, ids ...string) []byte {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.ParseIP(source), Port: 40000}, &net.TCPAddr{IP: net.ParseIP("10.20.0.5"), Port: 443})
	return format(t, h, ids...)
}

func format(t *testing.T, h *proxyproto.Header, ids ...string) []byte {
	t.Helper()
	var list []proxyproto.TLV
	for _, id := range ids {
		list = append(list, proxyproto.TLV{Type: tlvparse.PP2_TYPE_AWS, Value: append([]byte{tlvparse.PP2_SUBTYPE_AWS_VPCE_ID}, id...)})
	}
	if err := h.SetTLVs(list); err != nil {
		t.Fatal(err)
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// free is a port that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// dropped reports whether a connection ends before TLS does.
func dropped(t *testing.T, s *servertest.Server, d dialer) bool {
	t.Helper()
	c, err := d(t.Context())
	if err != nil {
		return true // Reset while the header was written.
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return tls.Client(c, trusting(t, s, "secretsmanager.us-east-1.amazonaws.com")).Handshake() != nil
}

// TestLoadBalancer: the header of a trusted load balancer says which endpoint of
// those that share the listener, and who the client is; and only such a one.
func TestLoadBalancer(t *testing.T) {
	t.Parallel()
	shared, single := free(t), free(t)
	s := servertest.Start(t, servertest.Config(func(c *config.Config) {
		n := &c.Network
		n.VPCs = []config.VPC{vpc(vpcA, "10.20.0.0/16", "fd12:3456::/48"), vpc(vpcB, "10.21.0.0/16")}
		a, b, single := private(idA, vpcA, shared), private(idB, vpcB, shared), private(idC, vpcA, single)
		a.ProxyProtocol = config.ProxyProtocol{Mode: "v2", Trusted: []string{"127.0.0.2/32"}, EndpointFromTLV: true}
		b.ProxyProtocol = a.ProxyProtocol
		single.ProxyProtocol = config.ProxyProtocol{Mode: "v2", Trusted: []string{"127.0.0.2/32"}}
		single.AllowCIDRs = []string{"10.20.0.0/16", "127.0.0.2/32"}
		n.Endpoints = []config.Endpoint{a, b, single}
		c.Limits.HeaderTime = 500 * time.Millisecond
	}))
	secret(t, s, "db")
	user := s.User(t, "app", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpce":"`+idA+`"}}}]}`)
	balancer := to(shared, "127.0.0.2")
	through := func(d dialer) (code, text string) {
		t.Helper()
		return read(t, sdk(s, user, client(t, s, d, "secretsmanager.us-east-1.amazonaws.com")), "db")
	}
	for _, c := range []struct {
		name string
		d    dialer
		code string
		from string
	}{
		{"A", speaking(balancer, header(t, "10.20.0.9", idA)), "", "10.20.0.9"},
		{"A over IPv6", speaking(balancer, format(t, proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.ParseIP("fd12:3456::9"), Port: 1}, &net.TCPAddr{IP: net.ParseIP("fd12:3456::1"), Port: 443}), idA)), "", "fd12:3456::9"},
		{"B", speaking(balancer, header(t, "10.21.0.9", idB)), "AccessDeniedException", "10.21.0.9"},
		{"without choice", speaking(to(single, "127.0.0.2"), header(t, "10.20.0.9", idA)), "AccessDeniedException", "10.20.0.9"},
		{"the load balancer's own", speaking(to(single, "127.0.0.2"), format(t, &proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC})), "AccessDeniedException", "127.0.0.2"},
	} {
		if code, text := through(c.d); code != c.code {
			t.Errorf("%s: %s %s", c.name, code, text)
		}
		all := records(t, s, "GetSecretValue")
		if got := all[len(all)-1]["sourceIPAddress"]; got != c.from {
			t.Errorf("%s: on record from %v", c.name, got)
		}
	}

	good := header(t, "10.20.0.9", idA)
	cut := func(n int) []byte { return good[:len(good)-n] }
	with := func(i int, b byte) []byte {
		x := bytes.Clone(good)
		x[i] = b
		return x
	}
	for _, c := range []struct {
		name, id, reason string
		d                dialer
	}{
		{"a stranger with a good header", "unknown", "peer", speaking(to(shared, "127.0.0.3"), good)},
		{"a stranger without one", "unknown", "peer", to(shared, "127.0.0.3")},
		{"a stranger to one endpoint", idC, "peer", speaking(to(single, "127.0.0.1"), good)},
		{"no header", "unknown", "header", balancer},
		{"no header to one endpoint", idC, "header", to(single, "127.0.0.2")},
		{"version 1", "unknown", "header", speaking(balancer, []byte("PROXY TCP4 10.20.0.9 10.20.0.5 40000 443\r\n"))},
		{"version 1, unknown", "unknown", "header", speaking(balancer, []byte("PROXY UNKNOWN\r\n"))},
		{"HTTP", "unknown", "header", speaking(balancer, []byte("GET / HTTP/1.1\r\nX-Forwarded-For: 10.20.0.9\r\n\r\n"))},
		{"version 3", "unknown", "header", speaking(balancer, with(12, 0x31))},
		{"no such command", "unknown", "header", speaking(balancer, with(12, 0x2f))},
		{"no such family", "unknown", "header", speaking(balancer, with(13, 0x41))},
		{"datagrams", "unknown", "header", speaking(balancer, with(13, 0x12))},
		{"length of another header", "unknown", "header", speaking(balancer, with(15, 4))},
		{"60,000 bytes", "unknown", "header", speaking(balancer, append(with(14, 0xea), make([]byte, 60_000)...))},
		{"cut off", "unknown", "header", speaking(balancer, cut(3))},
		{"signature only", "unknown", "header", speaking(balancer, good[:12])},
		{"length of the TLV", "unknown", "header", speaking(balancer, with(30, 200))},
		{"two endpoints", "unknown", "header", speaking(balancer, header(t, "10.20.0.9", idA, idB))},
		{"bytes that are no id", "unknown", "header", speaking(balancer, header(t, "10.20.0.9", "vpce-\x00"))},
		{"no endpoint", "unknown", "endpoint", speaking(balancer, header(t, "10.20.0.9"))},
		{"unknown endpoint", "unknown", "endpoint", speaking(balancer, header(t, "10.20.0.9", "vpce-0123456789abcdeff"))},
		{"endpoint of another listener", "unknown", "endpoint", speaking(balancer, header(t, "10.20.0.9", idC))},
		{"id in other case", "unknown", "endpoint", speaking(balancer, header(t, "10.20.0.9", strings.ToUpper(idA)))},
		{"the load balancer's own, of no endpoint", "unknown", "endpoint", speaking(balancer, format(t, &proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}))},
		{"client of another network", idA, "address", speaking(balancer, header(t, "10.21.0.9", idA))},
		{"client of no network", idB, "address", speaking(balancer, header(t, "10.20.0.9", idB))},
	} {
		t.Run(c.name, func(t *testing.T) {
			labels := map[string]string{"endpoint": c.id, "reason": c.reason}
			before := metric(t, s, "strongroom_endpoint_refused_total", labels)
			if !dropped(t, s, c.d) {
				t.Error("let in")
			}
			eventually(t, "the refusal is counted", func() bool { return metric(t, s, "strongroom_endpoint_refused_total", labels) == before+1 })
		})
	}
	// Nor is one waited for without end.
	c, err := balancer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(good[:13]); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("half a header: %v", err)
	}
	// Where no load balancer is expected a header is no TLS.
	plain := strings.TrimPrefix(s.URL, "https://")
	for _, first := range [][]byte{good, []byte("PROXY TCP4 10.20.0.9 10.20.0.5 40000 443\r\n")} {
		if !dropped(t, s, speaking(to(plain, "127.0.0.2"), first)) {
			t.Error("the public listener takes a header")
		}
	}
}

// TestConnectionsOfOneClient: behind a load balancer each client has its own bound,
// and so has the same address at another endpoint.
func TestConnectionsOfOneClient(t *testing.T) {
	t.Parallel()
	listen := free(t)
	s := servertest.Start(t, servertest.Config(func(c *config.Config) { c.Limits.ConnectionsPerAddress = 1 }), network(func(n *config.Network) {
		n.VPCs = []config.VPC{vpc(vpcA)}
		for _, id := range []string{idA, idB} {
			e := private(id, vpcA, listen)
			e.ProxyProtocol = config.ProxyProtocol{Mode: "v2", Trusted: []string{"127.0.0.1/32"}, EndpointFromTLV: true}
			n.Endpoints = append(n.Endpoints, e)
		}
	}))
	open := func(source, id string) error {
		c, err := speaking(to(listen, ""), header(t, source, id))(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return tls.Client(c, trusting(t, s, id)).HandshakeContext(t.Context())
	}
	for _, c := range []struct {
		source, id string
		in         bool
	}{
		{"192.0.2.1", idA, true}, {"192.0.2.1", idA, false}, {"192.0.2.2", idA, true}, {"192.0.2.1", idB, true}, {"192.0.2.1", idB, false},
	} {
		if err := open(c.source, c.id); (err == nil) != c.in {
			t.Errorf("%s at %s: %v", c.source, c.id, err)
		}
	}
	for _, id := range []string{idA, idB} {
		if n := metric(t, s, "strongroom_endpoint_refused_total", map[string]string{"endpoint": id, "reason": "per_address"}); n != 1 {
			t.Errorf("%s: %v refused", id, n)
		}
	}
}
