package endpoint_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/endpoint"
	"github.com/strongroom/strongroom/internal/servertest"
)

// TestCertificatesOfThePublicListener: off, request and require; policies can ask
// for them; the authorities are read again, and who has lost its own is shut out
// on the connection that it has.
func TestCertificatesOfThePublicListener(t *testing.T) {
	t.Parallel()
	good, other := newAuthority(t, "Team A"), newAuthority(t, "Team B")
	const no, denied = "no answer", "AccessDeniedException"
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{
		"StringEquals":{"net:ClientCertSubject":"CN=app,O=Team A"},"ForAnyValue:StringEquals":{"net:ClientCertSAN":["URI:spiffe://team-a/app"]}}}]}`
	certs := map[string][]tls.Certificate{"none": nil, "app": {good.machine(t, "app", nil)}, "web": {good.machine(t, "web", nil)}, "stranger": {other.machine(t, "app", nil)}}
	for mode, want := range map[string]map[string]string{
		config.ClientAuthRequest: {"none": denied, "app": "", "web": denied, "stranger": no},
		"":                       {"none": no, "app": "", "web": denied, "stranger": no},
	} {
		path := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(path, good.pem, 0o600); err != nil {
			t.Fatal(err)
		}
		s := servertest.Start(t, servertest.Config(func(c *config.Config) {
			// The authority comes after init has been done by a client without.
			c.TLS.ClientCA, c.TLS.ClientAuth = path, mode
		}))
		own := good.machine(t, "admin", nil)
		s.HTTP = forced(t, s, public(s), "localhost", []tls.Certificate{own})
		secret(t, s, "db")
		user := s.User(t, "app", policy)
		for name, code := range want {
			h := forced(t, s, public(s), "localhost", certs[name])
			if got, text := read(t, sdk(s, user, h), "db"); got != code {
				t.Errorf("%q, %s certificate: %s %s, want %q", mode, name, got, text, code)
			}
		}
		if mode != "" {
			continue
		}
		h := forced(t, s, public(s), "localhost", certs["app"])
		if code, text := read(t, sdk(s, user, h), "db"); code != "" {
			t.Fatal(code, text)
		}
		// A file that is none changes nothing; another authority does within a second.
		replace(t, path, []byte("no certificate"))
		replace(t, path, other.pem)
		var code, text string
		eventually(t, "the connection is shut", func() bool { code, text = read(t, sdk(s, user, h), "db"); return code != "" })
		if code != denied || text != "The certificate of this connection's client is not good any more." {
			t.Errorf("after its authority has gone: %s %s", code, text)
		}
		if code, _ := read(t, sdk(s, user, h), "db"); code != no {
			t.Errorf("a new connection without its authority: %s", code)
		}
		h = forced(t, s, public(s), "localhost", certs["stranger"])
		if code, text := read(t, sdk(s, user, h), "db"); code != "" {
			t.Errorf("with the new authority: %s %s", code, text)
		}
	}
	cfg := config.Default()
	cfg.TLS.ClientCA = "missing.pem"
	if err := endpoint.Check(&cfg, nil); err == nil || !strings.Contains(err.Error(), "tls.client_ca") {
		t.Error(err)
	}
}

func public(s *servertest.Server) dialer { return to(strings.TrimPrefix(s.URL, "https://"), "") }

// replace writes a file with a date of its own.
func replace(t *testing.T, path string, text []byte) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	next := info.ModTime().Add(time.Second)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, next, next); err != nil {
		t.Fatal(err)
	}
}

// TestRenewalUnderLoad: the operator's certificate is replaced while clients
// connect: none is disturbed, and soon all are shown the new one.
func TestRenewalUnderLoad(t *testing.T) {
	t.Parallel()
	dir, pool := t.TempDir(), x509.NewCertPool()
	cert, key := filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	// Two pairs, each of an authority of its own.
	var pairs [][2][]byte
	for range 2 {
		made := t.TempDir()
		if err := ca.Init(made, []string{"localhost"}, time.Now()); err != nil {
			t.Fatal(err)
		}
		var pair [2][]byte
		for i, name := range []string{"tls/server.pem", "tls/server.key", ca.CertificateFile} {
			b, err := os.ReadFile(filepath.Join(made, name))
			if err != nil {
				t.Fatal(err)
			}
			if i == 2 {
				pool.AppendCertsFromPEM(b)
				continue
			}
			pair[i] = b
		}
		pairs = append(pairs, pair)
	}
	for i, path := range []string{cert, key} {
		if err := os.WriteFile(path, pairs[0][i], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := servertest.Start(t, servertest.Config(func(c *config.Config) { c.TLS.Certificate, c.TLS.Key = cert, key }))
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}}
	s.HTTP = &http.Client{Transport: transport}
	block, _ := pem.Decode(pairs[1][0])
	if block == nil {
		t.Fatal("no PEM")
	}
	var renewed, calls atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r := s.Request(t, servertest.Raw{Service: "sts", Form: url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}}})
				res, err := s.HTTP.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					t.Errorf("status %d", res.StatusCode)
				}
				calls.Add(1)
				if string(res.TLS.PeerCertificates[0].Raw) == string(block.Bytes) {
					renewed.Add(1)
				}
			}
		})
	}
	eventually(t, "clients are served", func() bool { return calls.Load() > 20 })
	// In the order that is worst: for a moment certificate and key do not fit.
	replace(t, cert, pairs[1][0])
	time.Sleep(1100 * time.Millisecond) // Long enough to be seen.
	if n := renewed.Load(); n != 0 {
		t.Errorf("%d saw a certificate without its key", n)
	}
	replace(t, key, pairs[1][1])
	eventually(t, "clients see the new certificate", func() bool { return renewed.Load() > 20 })
	close(stop)
	clients.Wait()
}
