package endpoint_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

// authority is a certificate authority of a test.
type authority struct {
	pem  []byte
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	a := authority{}
	a.cert, a.key, a.pem = certificate(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, authority{})
	return a
}

// certificate makes one signed by an authority, or by itself.
func certificate(t *testing.T, template *x509.Certificate, by authority) (*x509.Certificate, *ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by.cert == nil {
		by.cert, by.key = template, key
	}
	if template.SerialNumber == nil {
		template.SerialNumber = big.NewInt(time.Now().UnixNano())
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// machine is the certificate of a client.
func (a authority) machine(t *testing.T, name string, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	id, err := url.Parse("spiffe://team-a/" + name)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: []string{"Team A"}}, DNSNames: []string{name + ".team-a.internal"}, URIs: []*url.URL{id},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	cert, key, _ := certificate(t, template, a)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// TestClientCertificates: off, request and require; what is given must be good,
// and says which machine calls, not who.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	good, other := newAuthority(t, "Team A"), newAuthority(t, "Team B")
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, good.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	s := servertest.Start(t, network(func(n *config.Network) {
		n.VPCs = []config.VPC{vpc(vpcA)}
		off, request, require := private(idA, vpcA), private(idB, vpcA), private(idC, vpcA)
		off.ClientCA, off.ClientAuth = path, config.ClientAuthOff
		request.ClientCA, request.ClientAuth = path, config.ClientAuthRequest
		require.ClientCA = path
		n.Endpoints = []config.Endpoint{off, request, require}
	}))
	secret(t, s, "db")
	user := s.User(t, "app", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{
		"StringEquals":{"net:ClientCertSubject":"CN=app,O=Team A"},"ForAnyValue:StringEquals":{"net:ClientCertSAN":["URI:spiffe://team-a/app"]}}}]}`)
	certs := map[string][]tls.Certificate{
		"none": nil, "app": {good.machine(t, "app", nil)}, "web": {good.machine(t, "web", nil)}, "stranger": {other.machine(t, "app", nil)},
		"server's": {good.machine(t, "app", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })},
		"old": {good.machine(t, "app", func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		})},
		"self-made":  {authority{}.machine(t, "app", nil)},
		"other name": {good.machine(t, "app", func(c *x509.Certificate) { c.URIs, c.DNSNames = nil, []string{"spiffe://team-a/app"} })},
	}
	const no, denied = "no answer", "AccessDeniedException"
	for name, want := range map[string][3]string{ // off, request, require
		"none": {denied, denied, no}, "app": {denied, "", ""}, "web": {denied, denied, denied}, "other name": {denied, denied, denied},
		"stranger": {denied, no, no}, "server's": {denied, no, no}, "old": {denied, no, no}, "self-made": {denied, no, no},
	} {
		for i, id := range []string{idA, idB, idC} {
			h := forced(t, s, to(address(t, s, id), ""), id, certs[name])
			if code, text := read(t, sdk(s, user, h), "db"); code != want[i] {
				t.Errorf("%s certificate at %s: %s %s, want %q", name, id, code, text, want[i])
			}
		}
	}

	// A connection whose authority goes is refused at its next request.
	h := forced(t, s, to(address(t, s, idC), ""), idC, certs["app"])
	if code, text := read(t, sdk(s, user, h), "db"); code != "" {
		t.Fatal(code, text)
	}
	if err := os.WriteFile(path, append(other.pem, newAuthority(t, "Team C").pem...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reconfigure(func(*config.Config) {}); err != nil {
		t.Fatal(err)
	}
	if code, text := read(t, sdk(s, user, h), "db"); code != denied || text != "The private endpoint of this connection does not let it in any more." {
		t.Errorf("after its authority has gone: %s %s", code, text)
	}
	if code, text := read(t, sdk(s, user, h), "db"); code != no {
		t.Errorf("on a new connection: %s %s", code, text)
	}
	if err := os.WriteFile(path, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reconfigure(func(*config.Config) {}); err == nil {
		t.Error("an authority that is none was taken")
	}
}
