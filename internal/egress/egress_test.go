package egress

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// names answers look-ups from a table.
func names(table map[string][]string) func(context.Context, string) ([]netip.Addr, error) {
	return func(_ context.Context, host string) ([]netip.Addr, error) {
		var out []netip.Addr
		for _, a := range table[host] {
			out = append(out, netip.MustParseAddr(a))
		}
		if out == nil {
			return nil, errors.New("no such host")
		}
		return out, nil
	}
}

var issuer = names(map[string][]string{"issuer.example": {"127.0.0.1"}})

// identity makes a certificate for a name and the pool that trusts it.
func identity(t *testing.T, name string, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// serve starts an https server for a name and returns its port and its roots.
func serve(t *testing.T, name string, h http.HandlerFunc) (port string, roots *x509.CertPool) {
	t.Helper()
	certificate, roots := identity(t, name, time.Now().Add(time.Hour))
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes are expected
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return portOf(s.Listener.Addr()), roots
}

func portOf(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

func TestGet(t *testing.T) {
	t.Parallel()
	port, roots := serve(t, "issuer.example", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "application/json" || r.Host == "" || r.URL.Path != "/a/b" || r.URL.RawQuery != "c=d" {
			t.Errorf("got %s %s %v", r.Host, r.URL, r.Header)
		}
		fmt.Fprint(w, "hello")
	})
	for name, c := range map[string]struct {
		config  Config
		options Options
	}{
		"roots of the dialer":  {Config{RootCAs: roots}, Options{}},
		"pinned":               {Config{}, Options{RootCAs: roots}},
		"exactly of the bound": {Config{RootCAs: roots, MaxBody: 5}, Options{}},
		"bound of its own":     {Config{RootCAs: roots, MaxBody: 1}, Options{MaxBody: 5}},
	} {
		c.config.Resolve, c.config.Loopback = issuer, Always
		body, err := New(c.config).Get(t.Context(), "https://issuer.example:"+port+"/a/b?c=d", c.options)
		if err != nil || string(body) != "hello" {
			t.Errorf("%s: %q, %v", name, body, err)
		}
	}
	// Pinned roots stand instead of the others.
	_, others := identity(t, "issuer.example", time.Now().Add(time.Hour))
	_, err := New(Config{RootCAs: roots, Resolve: issuer, Loopback: Always}).Get(t.Context(), "https://issuer.example:"+port+"/", Options{RootCAs: others})
	if ClassOf(err) != TLS {
		t.Errorf("pinned to others: %v", err)
	}
}

// TestResolvedOnce: a name server that answers otherwise the second time moves
// nothing; what was checked is what is dialled.
func TestResolvedOnce(t *testing.T) {
	t.Parallel()
	inside := listen(t, "127.0.0.2:0", func(c net.Conn) { t.Error("the second address was dialled") })
	port := portOf(inside.Addr())
	listen(t, "127.0.0.1:"+port, func(c net.Conn) { fmt.Fprint(c, "outside") })
	var asked atomic.Int32
	d := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Loopback: Never, Resolve: func(context.Context, string) ([]netip.Addr, error) {
		if asked.Add(1) == 1 {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.2")}, nil
	}})
	conn, err := d.DialContext(t.Context(), "tcp", "rebind.example:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if b, err := io.ReadAll(conn); err != nil || string(b) != "outside" {
		t.Errorf("%q, %v", b, err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if _, err := d.DialContext(t.Context(), "tcp", "rebind.example:"+port); ClassOf(err) != Refused {
		t.Errorf("the next call: %v", err)
	}
}

// TestOneForbiddenAddress forbids the name.
func TestOneForbiddenAddress(t *testing.T) {
	t.Parallel()
	l := listen(t, "127.0.0.1:0", func(c net.Conn) { t.Error("dialled") })
	d := New(Config{Loopback: Always, Resolve: names(map[string][]string{
		"first.example": {"169.254.169.254", "127.0.0.1"}, "last.example": {"127.0.0.1", "::ffff:169.254.169.254"}})})
	for _, host := range []string{"first.example", "last.example"} {
		if _, err := d.DialContext(t.Context(), "tcp", host+":"+portOf(l.Addr())); ClassOf(err) != Refused {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// TestNextAddress: of several good addresses the first that answers is taken.
func TestNextAddress(t *testing.T) {
	t.Parallel()
	l := listen(t, "127.0.0.1:0", func(c net.Conn) { fmt.Fprint(c, "here") })
	d := New(Config{Loopback: Always, Resolve: names(map[string][]string{"two.example": {"127.0.0.3", "127.0.0.1"}})})
	conn, err := d.DialContext(t.Context(), "tcp", "two.example:"+portOf(l.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestOwnListener(t *testing.T) {
	t.Parallel()
	var seen atomic.Int32
	port, roots := serve(t, "issuer.example", func(http.ResponseWriter, *http.Request) { seen.Add(1) })
	at := netip.MustParseAddrPort("127.0.0.1:" + port)
	own := []netip.AddrPort{at}
	d := New(Config{RootCAs: roots, Loopback: Always, Resolve: issuer, Own: func() []netip.AddrPort { return own }})
	for _, u := range []string{"https://issuer.example:" + port, "https://127.0.0.1:" + port, "https://[::ffff:127.0.0.1]:" + port, "http://127.0.0.1:" + port} {
		if _, err := d.Get(t.Context(), u, Options{}); ClassOf(err) != Refused || !strings.Contains(err.Error(), "it is this server") {
			t.Errorf("%s: %v", u, err)
		}
	}
	own = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:" + port)}
	if _, err := d.DialContext(t.Context(), "tcp", at.String()); ClassOf(err) != Refused {
		t.Error(err)
	}
	own = nil
	if _, err := d.Get(t.Context(), "https://issuer.example:"+port, Options{}); err != nil || seen.Load() != 1 {
		t.Errorf("control: %v, %d requests", err, seen.Load())
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const banner = "SENSITIVE-BANNER"
	var elsewhere atomic.Int32
	other, _ := serve(t, "issuer.example", func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	port, roots := serve(t, "issuer.example", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "https://issuer.example:"+other+"/"+banner, http.StatusFound)
		case "/unauthorized":
			http.Error(w, banner, http.StatusUnauthorized)
		case "/forbidden":
			http.Error(w, banner, http.StatusForbidden)
		case "/gone":
			http.Error(w, banner, http.StatusGone)
		case "/busy":
			http.Error(w, banner, http.StatusServiceUnavailable)
		case "/often":
			http.Error(w, banner, http.StatusTooManyRequests)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/partial":
			w.WriteHeader(http.StatusPartialContent)
		case "/large": // with a length
			w.Header().Set("Content-Length", "101")
			_, _ = w.Write(make([]byte, 101))
		case "/endless": // without
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(banner, 1000)); err != nil {
					return
				}
			}
		case "/headers":
			for i := range 100 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat(banner, 50))
			}
		case "/cut":
			w.Header().Set("Content-Length", "50")
			_, _ = io.WriteString(w, banner)
		case "/slow": // a byte now and then
			for {
				if _, err := io.WriteString(w, "x"); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-stop:
					return
				case <-r.Context().Done():
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		case "/silent":
			select {
			case <-stop:
			case <-r.Context().Done():
			}
			panic(http.ErrAbortHandler) // no answer at all
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			if r.Header.Get("Accept-Encoding") != "" {
				t.Error("compression was asked for")
			}
			_, _ = io.WriteString(w, "raw")
		}
	})
	d := New(Config{RootCAs: roots, Loopback: Always, Resolve: issuer, MaxBody: 100, Time: 5 * time.Second})
	impatient := New(Config{RootCAs: roots, Loopback: Always, Resolve: issuer, MaxBody: 100, Time: 300 * time.Millisecond})
	for _, c := range []struct {
		path   string
		d      *Dialer
		class  Class
		status int
	}{
		{"/redirect", d, Status, 302},
		{"/unauthorized", d, Auth, 401},
		{"/forbidden", d, Auth, 403},
		{"/gone", d, Status, 410},
		{"/busy", d, Status, 503},
		{"/often", d, Status, 429},
		{"/empty", d, Status, 204},
		{"/partial", d, Status, 206},
		{"/large", d, TooLarge, 0},
		{"/endless", d, TooLarge, 0},
		{"/headers", d, Unreachable, 0},
		{"/cut", d, Unreachable, 0},
		{"/slow", impatient, Unreachable, 0},
		{"/silent", impatient, Unreachable, 0},
		{"/gzip", d, "", 0},
	} {
		t.Run(c.path[1:], func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			body, err := c.d.Get(t.Context(), "https://issuer.example:"+port+c.path, Options{})
			if ClassOf(err) != c.class {
				t.Fatalf("got %q, %v", body, err)
			}
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("took %s", took)
			}
			if err == nil {
				return
			}
			e, _ := errors.AsType[*Error](err)
			if again := c.class == Unreachable || c.status == 503 || c.status == 429; e.Retryable() != again {
				t.Errorf("retryable: %t", e.Retryable())
			}
			if e.Status != c.status || body != nil {
				t.Errorf("status %d, body %q", e.Status, body)
			}
			if s := fmt.Sprintf("%v %+v %#v", err, err, *e); strings.Contains(s, banner) {
				t.Errorf("the error repeats the peer: %s", s)
			}
			if c.d == impatient && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("not the end of the time: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		if n := elsewhere.Load(); n != 0 {
			t.Errorf("%d redirects were followed", n)
		}
	})
}

func TestTLS(t *testing.T) {
	t.Parallel()
	start := func(name string, until time.Time, c *tls.Config) (string, *x509.CertPool) {
		certificate, roots := identity(t, name, until)
		c.Certificates = []tls.Certificate{certificate}
		l := listen(t, "127.0.0.1:0", func(conn net.Conn) {
			_ = tls.Server(conn, c).HandshakeContext(context.Background()) // it is to fail
		})
		return portOf(l.Addr()), roots
	}
	good := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		host   string
		until  time.Time
		server *tls.Config
		trust  bool
		reason string
	}{
		"another authority": {"issuer.example", good, &tls.Config{}, false, "authority that is not trusted"},
		"another name":      {"SENSITIVE-BANNER.example", good, &tls.Config{}, true, "another name"},
		"expired":           {"issuer.example", time.Now().Add(-time.Hour), &tls.Config{}, true, "outside its time"},
		"not yet":           {"issuer.example", time.Now().Add(72 * time.Hour), &tls.Config{}, true, "outside its time"},
		"TLS 1.1":           {"issuer.example", good, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, true, "no handshake"},
	} {
		port, roots := start(c.host, c.until, c.server)
		if !c.trust {
			roots = x509.NewCertPool()
		}
		_, err := New(Config{RootCAs: roots, Loopback: Always, Resolve: issuer}).Get(t.Context(), "https://issuer.example:"+port, Options{})
		if ClassOf(err) != TLS || !strings.Contains(err.Error(), c.reason) || strings.Contains(err.Error(), "BANNER") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The clock is the one that was given.
	port, roots := serve(t, "issuer.example", func(http.ResponseWriter, *http.Request) {})
	later := func() time.Time { return time.Now().Add(2 * time.Hour) }
	if _, err := New(Config{RootCAs: roots, Loopback: Always, Resolve: issuer, Now: later}).Get(t.Context(), "https://issuer.example:"+port, Options{}); ClassOf(err) != TLS {
		t.Errorf("two hours later: %v", err)
	}
}

// TestPeersThatAreNoServers: what they say stays with them.
func TestPeersThatAreNoServers(t *testing.T) {
	t.Parallel()
	const banner = "SSH-2.0-SENSITIVE"
	speaks := listen(t, "127.0.0.1:0", func(c net.Conn) { fmt.Fprint(c, banner+"\r\n\r\n") })
	hangsUp := listen(t, "127.0.0.1:0", func(net.Conn) {})
	silent := listen(t, "127.0.0.1:0", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	nobody := listen(t, "127.0.0.1:0", func(net.Conn) {})
	nobody.Close()
	d := New(Config{Loopback: Always, Resolve: issuer, Time: 300 * time.Millisecond})
	for _, c := range []struct {
		scheme string
		l      net.Listener
		class  Class
	}{
		{"https", speaks, TLS}, {"http", speaks, Unreachable},
		{"https", hangsUp, TLS}, {"http", hangsUp, Unreachable},
		{"https", silent, Unreachable}, {"http", silent, Unreachable},
		{"https", nobody, Unreachable}, {"http", nobody, Unreachable},
	} {
		_, err := d.Get(t.Context(), c.scheme+"://issuer.example:"+portOf(c.l.Addr()), Options{})
		if ClassOf(err) != c.class || strings.Contains(fmt.Sprintf("%v %#v", err, err), "SENSITIVE") {
			t.Errorf("%s: %v", c.scheme, err)
		}
	}
	if _, err := d.Get(t.Context(), "https://nowhere.example", Options{}); ClassOf(err) != Unreachable {
		t.Error(err)
	}
}

func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "plain") }))
	defer s.Close()
	resolve := names(map[string][]string{"issuer.example": {"127.0.0.1"}, "both.example": {"127.0.0.1", "10.0.0.1"}, "inside.example": {"10.0.0.1"}, "outside.example": {"8.8.8.8"}})
	d := New(Config{Loopback: Always, Private: Always, Resolve: resolve})
	if body, err := d.Get(t.Context(), "http://issuer.example:"+portOf(s.Listener.Addr()), Options{}); err != nil || string(body) != "plain" {
		t.Errorf("%q, %v", body, err)
	}
	for _, host := range []string{"both.example", "inside.example", "outside.example"} {
		if _, err := d.Get(t.Context(), "http://"+host, Options{}); ClassOf(err) != Refused {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := New(Config{Loopback: Never, Resolve: resolve}).Get(t.Context(), s.URL, Options{}); ClassOf(err) != Refused {
		t.Errorf("loopback forbidden: %v", err)
	}
}

func TestBadTargets(t *testing.T) {
	t.Parallel()
	d := New(Config{Loopback: Always, Resolve: issuer})
	for _, u := range []string{"", "issuer.example", "//issuer.example", "ftp://issuer.example", "file:///etc/passwd", "https://", "https:issuer.example", "https://u:p@issuer.example",
		"https://issuer.example:0", "https://issuer.example:99999", "https://issuer.example:http", "https://[::1", "unix:///run/x", "https://\x00"} {
		if _, err := d.Get(t.Context(), u, Options{}); ClassOf(err) != Refused {
			t.Errorf("get %q: %v", u, err)
		}
	}
	for _, c := range [][2]string{{"udp", "127.0.0.1:53"}, {"unix", "/run/x"}, {"tcp", "127.0.0.1"}, {"tcp", ":80"}, {"tcp", "127.0.0.1:ssh"}, {"tcp", "127.0.0.1:0"}, {"tcp", "127.0.0.1:65536"}, {"ip", "127.0.0.1:1"}} {
		if _, err := d.DialContext(t.Context(), c[0], c[1]); ClassOf(err) != Refused {
			t.Errorf("dial %v: %v", c, err)
		}
	}
	if _, err := d.DialContext(t.Context(), "tcp6", "issuer.example:1"); ClassOf(err) != Unreachable {
		t.Errorf("tcp6 to an IPv4 name: %v", err)
	}
}

// TestCallerGivesUp: the context ends a look-up, a connection and an exchange.
func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	d := New(Config{Resolve: func(ctx context.Context, _ string) ([]netip.Addr, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	if _, err := d.DialContext(ctx, "tcp", "slow.example:443"); ClassOf(err) != Unreachable || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := d.Get(ctx, "https://slow.example", Options{}); ClassOf(err) != Unreachable || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestEnvironmentHasNoSay: no proxy is asked. The name is not one of loopback, for
// which the library asks none anyway.
func TestEnvironmentHasNoSay(t *testing.T) {
	proxy := listen(t, "127.0.0.1:0", func(c net.Conn) {
		line, _ := bufio.NewReader(c).ReadString('\n')
		t.Errorf("the proxy was asked: %q", line)
	})
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, "http://"+proxy.Addr().String())
	}
	t.Setenv("NO_PROXY", "")
	port, roots := serve(t, "issuer.example", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "direct") })
	d := New(Config{RootCAs: roots, Loopback: Always, Resolve: issuer})
	if body, err := d.Get(t.Context(), "https://issuer.example:"+port, Options{}); err != nil || string(body) != "direct" {
		t.Errorf("%q, %v", body, err)
	}
}

// TestSystemResolver: without a table, "localhost" is looked up and judged.
func TestSystemResolver(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}).DialContext(t.Context(), "tcp", "localhost:443"); ClassOf(err) != Refused {
		t.Error(err)
	}
	all, err := interfaces()
	if err != nil || len(all) == 0 {
		t.Errorf("interfaces: %v, %v", all, err)
	}
}

// listen accepts connections until the test ends, and hangs up after talk.
func listen(t *testing.T, address string, talk func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				talk(c)
			}()
		}
	}()
	return l
}
