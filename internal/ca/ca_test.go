package ca

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var hosts = []string{"localhost", "127.0.0.1", "::1"}

func leaf(t *testing.T, s *Source) *x509.Certificate {
	t.Helper()
	c, err := s.Certificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

func TestLocalCertificate(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	if err := Init(dir, hosts, now); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{keyFile, serverKeyFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
	s, err := Local(dir, hosts, now)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(dir, CertificateFile))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	first := leaf(t, s)
	for _, h := range hosts {
		if _, err := first.Verify(x509.VerifyOptions{Roots: roots, DNSName: h, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
	if first.IsCA {
		t.Error("the server's certificate can sign")
	}

	again, err := Local(dir, hosts, now)
	if err != nil || !leaf(t, again).Equal(first) {
		t.Errorf("a good certificate was made anew: %v", err)
	}
	wider, err := Local(dir, append(hosts, "secrets.example"), now)
	if err != nil || leaf(t, wider).VerifyHostname("secrets.example") != nil {
		t.Errorf("a new host got no certificate: %v", err)
	}
	renewed, err := Local(dir, hosts, now.Add(serverLife-renewBefore+time.Hour))
	if err != nil || leaf(t, renewed).Equal(leaf(t, wider)) {
		t.Errorf("a certificate about to end was kept: %v", err)
	}
}

func TestChangedFileIsServed(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	if err := Init(dir, hosts, now); err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, serverCertFile), filepath.Join(dir, serverKeyFile)
	s, err := Files(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	before := leaf(t, s)
	if err := issue(dir, serverFiles, hosts, now); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(cert, later, later); err != nil {
		t.Fatal(err)
	}
	s.checked = time.Time{}
	after := leaf(t, s)
	if after.Equal(before) {
		t.Error("the old certificate is still served")
	}
	if err := os.WriteFile(cert, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.checked = time.Time{}
	if !leaf(t, s).Equal(after) {
		t.Error("a broken file replaced a good certificate")
	}
	if _, err := Files(cert, key); err == nil {
		t.Error("a broken file was taken at start")
	}
}
