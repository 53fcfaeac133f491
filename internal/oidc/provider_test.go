package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
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
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongroom/strongroom/internal/egress"
	"github.com/strongroom/strongroom/internal/oidc"
)

// token is a good one by a named key, whose id is the name.
func token(t *testing.T, name string) string {
	return sign(t, "ES256", keys()[name], kid(name), claims(map[string]any{"exp": now.Add(48 * time.Hour).Unix()}))
}

// TestRollover: a new key is found when a token names it, an old one is forgotten
// when the provider has left it out.
func TestRollover(t *testing.T) {
	t.Parallel()
	w := published(jwk("p256", "p256", nil))
	v := oidc.New(w.fetch)
	check := func(name string, at time.Duration, asked int32, want error) {
		t.Helper()
		before := w.asked.Load()
		_, err := v.Verify(t.Context(), token(t, name), provider, now.Add(at))
		if !errors.Is(err, want) || (err == nil) != (want == nil) || w.asked.Load()-before != asked {
			t.Errorf("%s after %s: %v and %d requests, want %v and %d", name, at, err, w.asked.Load()-before, want, asked)
		}
	}
	check("p256", 0, 2, nil)
	check("p256", time.Second, 0, nil)
	check("other", 2*time.Second, 0, oidc.ErrNoKeys) // too soon after the last
	w.set(func() { w.docs[keysURL] = jwks(jwk("p256", "p256", nil), jwk("other", "other", nil)) })
	check("other", 9*time.Second, 0, oidc.ErrNoKeys)
	check("other", 10*time.Second, 2, nil)
	check("p256", 11*time.Second, 0, nil)
	w.set(func() { w.docs[keysURL] = jwks(jwk("other", "other", nil)) })
	check("p256", 10*time.Second+10*time.Minute-1, 0, nil)
	check("p256", 10*time.Second+10*time.Minute, 2, oidc.ErrNoKeys)
	check("p256", 11*time.Second+10*time.Minute, 0, oidc.ErrNoKeys)
	check("other", 11*time.Second+10*time.Minute, 0, nil)
	// The provider takes back every key.
	w.set(func() { w.docs[keysURL] = jwks() })
	check("other", time.Hour, 2, oidc.ErrNoKeys)
	check("other", time.Hour+time.Second, 0, oidc.ErrNoKeys)
}

// TestProviderDown: old keys serve for an hour, known and unknown tokens are told
// apart, and a provider that is down is asked once in ten seconds.
func TestProviderDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := published(jwk("p256", "p256", nil))
		v := oidc.New(w.fetch)
		verify := func(name string, at time.Duration) error {
			_, err := v.Verify(t.Context(), token(t, name), provider, now.Add(at))
			synctest.Wait() // for a fetch in the background
			return err
		}
		w.set(func() { w.err = down{} })
		if err := verify("p256", 0); !errors.Is(err, oidc.ErrUnreachable) {
			t.Errorf("down from the start: %v", err)
		}
		if err := verify("p256", time.Second); !errors.Is(err, oidc.ErrUnreachable) || w.asked.Load() != 1 {
			t.Errorf("again at once: %v, %d requests", err, w.asked.Load())
		}
		w.set(func() { w.err = nil })
		if err := verify("p256", 10*time.Second); err != nil {
			t.Fatal(err)
		}
		w.set(func() { w.err = down{} })
		asked := w.asked.Load()
		for i, at := range []time.Duration{10 * time.Minute, 11 * time.Minute, 12 * time.Minute, 40 * time.Minute, time.Hour} {
			if err := verify("p256", at+9*time.Second); err != nil {
				t.Errorf("old key after %s: %v", at, err)
			}
			if n := w.asked.Load() - asked; at > 10*time.Minute && n != int32(i) {
				t.Errorf("after %s: %d requests, want %d", at, n, i)
			}
		}
		if err := verify("other", time.Hour); !errors.Is(err, oidc.ErrUnreachable) {
			t.Errorf("unknown key while down: %v", err)
		}
		if err := verify("p256", time.Hour+10*time.Second); !errors.Is(err, oidc.ErrUnreachable) {
			t.Errorf("old key after more than an hour: %v", err)
		}
		w.set(func() { w.err = nil })
		if err := verify("p256", 2*time.Hour); err != nil {
			t.Errorf("up again: %v", err)
		}
	})
}

// TestDownIsNoDelay: once a provider is known to be down, nobody with an old key
// waits for it.
func TestDownIsNoDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := published(jwk("p256", "p256", nil))
		v := oidc.New(w.fetch)
		verify := func(at time.Duration) (time.Duration, error) {
			start := time.Now()
			_, err := v.Verify(t.Context(), token(t, "p256"), provider, now.Add(at))
			return time.Since(start), err
		}
		if _, err := verify(0); err != nil {
			t.Fatal(err)
		}
		w.set(func() { w.wait = func(ctx context.Context) { <-ctx.Done() } }) // silent
		if took, err := verify(11 * time.Minute); err != nil || took != 20*time.Second {
			t.Errorf("the first: %s, %v", took, err)
		}
		for i := range 5 {
			if took, err := verify(12*time.Minute + time.Duration(i)*time.Minute); err != nil || took != 0 {
				t.Errorf("a later one: %s, %v", took, err)
			}
		}
		time.Sleep(time.Minute) // the fetches in the background end
	})
}

// TestSingleFlight: a hundred callers cost one fetch, and one that leaves takes
// nobody along.
func TestSingleFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := published(jwk("p256", "p256", nil))
		w.wait = func(context.Context) { time.Sleep(time.Second) }
		v := oidc.New(w.fetch)
		raw := token(t, "p256")
		leaving, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := v.Verify(leaving, raw, provider, now); !errors.Is(err, oidc.ErrUnreachable) || !errors.Is(err, context.Canceled) {
				t.Errorf("who left: %v", err)
			}
		})
		synctest.Wait()
		for range 100 {
			wg.Go(func() {
				if _, err := v.Verify(t.Context(), raw, provider, now); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		leave()
		wg.Wait()
		if n := w.asked.Load(); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

// TestFlood: tokens with made-up keys cost a fetch in ten seconds, however many.
func TestFlood(t *testing.T) {
	t.Parallel()
	w := published(jwk("p256", "p256", nil))
	v := oidc.New(w.fetch)
	for i := range 1000 {
		raw := sign(t, "ES256", keys()["other"], kid(fmt.Sprint(i)), claims(nil))
		if _, err := v.Verify(t.Context(), raw, provider, now.Add(time.Duration(i)*20*time.Millisecond)); !errors.Is(err, oidc.ErrNoKeys) {
			t.Fatal(err)
		}
	}
	if n := w.asked.Load(); n != 4 { // in 20 seconds
		t.Errorf("%d requests", n)
	}
	// What is wrong without a key asks nobody.
	for _, raw := range []string{"x", sign(t, "ES256", keys()["p256"], nil, claims(map[string]any{"aud": "x"}))} {
		_, _ = v.Verify(t.Context(), raw, provider, now.Add(time.Hour))
	}
	if n := w.asked.Load(); n != 4 {
		t.Errorf("%d requests", n)
	}
}

// TestManyIssuers: what is kept is bounded, and each has its own keys.
func TestManyIssuers(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	doc := jwks(jwk("p256", "p256", nil))
	v := oidc.New(func(_ context.Context, url string) ([]byte, error) {
		asked.Add(1)
		if base, ok := strings.CutSuffix(url, "/.well-known/openid-configuration"); ok {
			return discovery(base, base+"/keys"), nil
		}
		return doc, nil
	})
	for i := range 2500 {
		iss := fmt.Sprintf("https://%d.example", i)
		raw := sign(t, "ES256", keys()["p256"], kid("p256"), claims(map[string]any{"iss": iss}))
		if _, err := v.Verify(t.Context(), raw, oidc.Provider{Issuer: iss, ClientIDs: []string{client}}, now); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 5000 {
		t.Errorf("%d requests", n)
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	good := jwks(jwk("p256", "p256", nil))
	for name, c := range map[string]struct {
		issuer   string
		document []byte
		want     error
	}{
		"control":                   {issuerURL, discovery(issuerURL, keysURL), nil},
		"issuer that ends in slash": {issuerURL + "/", discovery(issuerURL+"/", keysURL), nil},
		"another issuer":            {issuerURL, discovery("https://issuer.example/attacker", keysURL), oidc.ErrNoKeys},
		"the host as issuer":        {issuerURL, discovery("https://issuer.example", keysURL), oidc.ErrNoKeys},
		"issuer with another slash": {issuerURL, discovery(issuerURL+"/", keysURL), oidc.ErrNoKeys},
		"no issuer":                 {issuerURL, []byte(`{"jwks_uri":"` + keysURL + `"}`), oidc.ErrNoKeys},
		"issuer in another case":    {issuerURL, []byte(`{"Issuer":"` + issuerURL + `","jwks_uri":"` + keysURL + `"}`), oidc.ErrNoKeys},
		"issuer twice":              {issuerURL, []byte(`{"issuer":"x","issuer":"` + issuerURL + `","jwks_uri":"` + keysURL + `"}`), oidc.ErrNoKeys},
		"keys over http":            {issuerURL, discovery(issuerURL, "http://keys.example/jwks?v=1"), oidc.ErrNoKeys},
		"keys in a file":            {issuerURL, discovery(issuerURL, "file:///etc/passwd"), oidc.ErrNoKeys},
		"keys with a password":      {issuerURL, discovery(issuerURL, "https://u:p@keys.example/jwks?v=1"), oidc.ErrNoKeys},
		"no keys":                   {issuerURL, []byte(`{"issuer":"` + issuerURL + `"}`), oidc.ErrNoKeys},
		"keys elsewhere":            {issuerURL, discovery(issuerURL, "https://keys.example/missing"), oidc.ErrNoKeys},
		"not JSON":                  {issuerURL, []byte("<html>"), oidc.ErrNoKeys},
		"no document":               {issuerURL, nil, oidc.ErrNoKeys},
		"large":                     {issuerURL, []byte(`{"issuer":"` + issuerURL + `","jwks_uri":"` + keysURL + `","x":"` + strings.Repeat("x", 600<<10) + `"}`), oidc.ErrNoKeys},
		"issuer over http":          {"http://issuer.example/tenant", discovery("http://issuer.example/tenant", keysURL), oidc.ErrNoKeys},
		"issuer without a scheme":   {"issuer.example/tenant", discovery("issuer.example/tenant", keysURL), oidc.ErrNoKeys},
		"issuer with a query":       {issuerURL + "?x=y", discovery(issuerURL+"?x=y", keysURL), oidc.ErrNoKeys},
	} {
		w := &web{docs: map[string][]byte{strings.TrimSuffix(c.issuer, "/") + "/.well-known/openid-configuration": c.document, keysURL: good,
			"http://keys.example/jwks?v=1": good, "https://u:p@keys.example/jwks?v=1": good}}
		raw := sign(t, "ES256", keys()["p256"], kid("p256"), claims(map[string]any{"iss": c.issuer}))
		_, err := oidc.New(w.fetch).Verify(t.Context(), raw, oidc.Provider{Issuer: c.issuer, ClientIDs: []string{client}}, now)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A set of keys that is none.
	for _, doc := range []string{"", "{}", `{"keys":7}`, "<html>"} {
		w := published()
		w.docs[keysURL] = []byte(doc)
		if _, err := oidc.New(w.fetch).Verify(t.Context(), token(t, "p256"), provider, now); !errors.Is(err, oidc.ErrNoKeys) {
			t.Errorf("keys %q: %v", doc, err)
		}
	}
}

// TestPastedDocument: with it the provider is never asked, not even for a key
// that the document lacks.
func TestPastedDocument(t *testing.T) {
	t.Parallel()
	w := published(jwk("p256", "p256", nil), jwk("other", "other", nil))
	v := oidc.New(w.fetch)
	p := provider
	p.JWKS = jwks(jwk("p256", "p256", nil))
	if _, err := v.Verify(t.Context(), token(t, "p256"), p, now); err != nil {
		t.Error(err)
	}
	if _, err := v.Verify(t.Context(), token(t, "other"), p, now); !errors.Is(err, oidc.ErrNoKeys) {
		t.Error(err)
	}
	p.JWKS = []byte("{}")
	if _, err := v.Verify(t.Context(), token(t, "p256"), p, now); !errors.Is(err, oidc.ErrNoKeys) {
		t.Error(err)
	}
	if n := w.asked.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
	if _, err := oidc.New(nil).Verify(t.Context(), token(t, "p256"), provider, now); !errors.Is(err, oidc.ErrNoKeys) {
		t.Errorf("neither a document nor a way to ask: %v", err)
	}
}

// TestOverTheNetwork: a provider of our own behind TLS on loopback, reached
// through egress as the server does.
func TestOverTheNetwork(t *testing.T) {
	t.Parallel()
	const issuer = "https://localhost:"
	var port string
	var mu sync.Mutex
	key, redirect, status := "p256", false, http.StatusOK
	certificate, roots := localhost(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case status != http.StatusOK:
			w.WriteHeader(status)
		case redirect:
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case r.URL.Path == "/.well-known/openid-configuration":
			_, _ = w.Write(discovery(issuer+port, issuer+port+"/jwks"))
		default:
			_, _ = w.Write(jwks(jwk(key, key, nil)))
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.StartTLS()
	defer s.Close()
	_, port, _ = net.SplitHostPort(s.Listener.Addr().String())
	through := func(c egress.Config) *oidc.Verifier {
		c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		d := egress.New(c)
		return oidc.New(func(ctx context.Context, url string) ([]byte, error) { return d.Get(ctx, url, egress.Options{}) })
	}
	p := oidc.Provider{Issuer: issuer + port, ClientIDs: []string{client}}
	signed := func(name string) string {
		return sign(t, "ES256", keys()[name], kid(name), claims(map[string]any{"iss": p.Issuer}))
	}
	v := through(egress.Config{Loopback: egress.Always, RootCAs: roots})
	got, err := v.Verify(t.Context(), signed("p256"), p, now)
	if err != nil || got.Issuer != p.Issuer {
		t.Fatalf("%+v, %v", got, err)
	}
	mu.Lock()
	key = "other"
	mu.Unlock()
	if _, err := v.Verify(t.Context(), signed("other"), p, now.Add(time.Minute)); err != nil {
		t.Errorf("rolled over: %v", err)
	}
	if _, err := v.Verify(t.Context(), signed("p256"), p, now.Add(2*time.Minute)); !errors.Is(err, oidc.ErrNoKeys) {
		t.Errorf("the old key: %v", err)
	}
	for name, c := range map[string]struct {
		config egress.Config
		want   error
	}{
		"loopback forbidden":       {egress.Config{Loopback: egress.Never, RootCAs: roots}, oidc.ErrNoKeys},
		"certificate not trusted":  {egress.Config{Loopback: egress.Always, RootCAs: x509.NewCertPool()}, oidc.ErrNoKeys},
		"documents over the bound": {egress.Config{Loopback: egress.Always, RootCAs: roots, MaxBody: 20}, oidc.ErrNoKeys},
	} {
		if _, err := through(c.config).Verify(t.Context(), signed("other"), p, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	mu.Lock()
	redirect = true
	mu.Unlock()
	if _, err := through(egress.Config{Loopback: egress.Always, RootCAs: roots}).Verify(t.Context(), signed("other"), p, now); !errors.Is(err, oidc.ErrNoKeys) {
		t.Errorf("redirect: %v", err)
	}
	mu.Lock()
	status = http.StatusBadGateway
	mu.Unlock()
	if _, err := through(egress.Config{Loopback: egress.Always, RootCAs: roots}).Verify(t.Context(), signed("other"), p, now); !errors.Is(err, oidc.ErrUnreachable) {
		t.Errorf("bad gateway: %v", err)
	}
	s.Close()
	if _, err := through(egress.Config{Loopback: egress.Always, RootCAs: roots}).Verify(t.Context(), signed("other"), p, now); !errors.Is(err, oidc.ErrUnreachable) {
		t.Errorf("closed: %v", err)
	}
	if _, err := v.Verify(t.Context(), signed("other"), p, now.Add(30*time.Minute)); err != nil {
		t.Errorf("closed, with keys kept: %v", err)
	}
}

func localhost(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true}
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

// TestPanicOfAFetch: a mistake of ours about what a provider sends is an error for
// those who wait, and is forgotten.
func TestPanicOfAFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := published(jwk("p256", "p256", nil))
		w.wait = func(context.Context) { panic("canary") }
		v := oidc.New(w.fetch)
		if _, err := v.Verify(t.Context(), token(t, "p256"), provider, now); err == nil || strings.Contains(err.Error(), "canary") {
			t.Error(err)
		}
		w.wait = nil
		if _, err := v.Verify(t.Context(), token(t, "p256"), provider, now.Add(time.Minute)); err != nil {
			t.Error(err)
		}
	})
}
