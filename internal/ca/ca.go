// Package ca is the small certificate authority of a data directory: made at
// init, so that TLS is on from the first second, and trusted by whoever runs
// "strongroom env".
//
// Its one invariant: the authority's private key signs certificates for the
// server's own names only, and can sign nothing else that clients would accept:
// it may make no further authority (path length 0).
package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// File names inside the data directory.
const (
	CertificateFile = "tls/ca.pem"
	keyFile         = "tls/ca.key"
	serverCertFile  = "tls/server.pem"
	serverKeyFile   = "tls/server.key"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	serverLife    = 397 * 24 * time.Hour // the longest that common clients accept
	renewBefore   = 30 * 24 * time.Hour
)

// Init makes the authority and a first server certificate in dir.
func Init(dir string, hosts []string, now time.Time) error {
	if err := os.MkdirAll(filepath.Join(dir, "tls"), 0o700); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Strongroom local CA " + now.UTC().Format("2006-01-02")},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, keyFile), key); err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, CertificateFile), 0o644, "CERTIFICATE", der); err != nil {
		return err
	}
	return issue(dir, serverFiles, hosts, now)
}

// files are a certificate and its key, below the data directory.
type files struct{ cert, key string }

var serverFiles = files{serverCertFile, serverKeyFile}

// issue makes a server certificate for hosts (names and addresses).
func issue(dir string, f files, hosts []string, now time.Time) error {
	authority, err := tls.LoadX509KeyPair(filepath.Join(dir, CertificateFile), filepath.Join(dir, keyFile))
	if err != nil {
		return fmt.Errorf("load certificate authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "strongroom"},
		NotBefore: now.Add(-time.Hour), NotAfter: earlier(now.Add(serverLife), authority.Leaf.NotAfter),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, key.Public(), authority.PrivateKey)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, f.key), key); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, f.cert), 0o644, "CERTIFICATE", der)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func serialNumber() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	defer clear(der)
	return writePEM(path, 0o600, "PRIVATE KEY", der)
}

// writePEM replaces a file so that a reader sees the old or the new one whole, and
// returns when a power cut can no longer undo it: a key must be there before the
// certificate that belongs to it.
func writePEM(path string, mode os.FileMode, kind string, der []byte) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	// Flushed before the rename, or a power cut could leave the name on an
	// empty file.
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Source serves the server's certificate and reads it again when its file
// changes, so that a renewed one needs no restart.
type Source struct {
	cert, key string

	mu      sync.Mutex
	loaded  *tls.Certificate
	stamp   time.Time
	checked time.Time
}

// recheck is how often a handshake looks at the file's date.
const recheck = time.Second

// Files serves a certificate of the operator's own.
func Files(cert, key string) (*Source, error) {
	s := &Source{cert: cert, key: key}
	_, err := s.Certificate(nil)
	return s, err
}

// Local serves the data directory's own certificate, made anew when it is about
// to end, does not hold all hosts or cannot be used.
func Local(dir string, hosts []string, now time.Time) (*Source, error) {
	return local(dir, serverFiles, hosts, now)
}

// Named is Local for a further certificate of the same authority, kept under a
// name that must be fit for a file's.
func Named(dir, name string, hosts []string, now time.Time) (*Source, error) {
	return local(dir, files{"tls/" + name + ".pem", "tls/" + name + ".key"}, hosts, now)
}

func local(dir string, f files, hosts []string, now time.Time) (*Source, error) {
	cert, key := filepath.Join(dir, f.cert), filepath.Join(dir, f.key)
	s, err := Files(cert, key)
	if err == nil && !now.Before(s.loaded.Leaf.NotBefore) && now.Before(s.loaded.Leaf.NotAfter.Add(-renewBefore)) && holds(s.loaded.Leaf, hosts) {
		return s, nil
	}
	// Whatever is wrong with the pair is mended by a new one: it may be half a
	// renewal that a crash has left.
	if err := issue(dir, f, hosts, now); err != nil {
		return nil, err
	}
	return Files(cert, key)
}

func holds(leaf *x509.Certificate, hosts []string) bool {
	return !slices.ContainsFunc(hosts, func(h string) bool { return leaf.VerifyHostname(h) != nil })
}

// Certificate is tls.Config's GetCertificate. If a changed file cannot be read,
// the last good certificate goes on being served.
func (s *Source) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded != nil && time.Since(s.checked) < recheck {
		return s.loaded, nil
	}
	s.checked = time.Now()
	info, err := os.Stat(s.cert)
	if err == nil && s.loaded != nil && info.ModTime().Equal(s.stamp) {
		return s.loaded, nil
	}
	if err == nil {
		var fresh tls.Certificate
		if fresh, err = tls.LoadX509KeyPair(s.cert, s.key); err == nil {
			s.loaded, s.stamp = &fresh, info.ModTime()
		}
	}
	if s.loaded == nil {
		return nil, fmt.Errorf("load server certificate: %w", err)
	}
	return s.loaded, nil
}

// Export returns the authority of a directory, for a directory that is to have the
// same; both are PEM. The caller clears the key.
func Export(dir string) (certificate, key []byte, err error) {
	if certificate, err = os.ReadFile(filepath.Join(dir, CertificateFile)); err != nil {
		return nil, nil, err
	}
	key, err = os.ReadFile(filepath.Join(dir, keyFile))
	return certificate, key, err
}

// Join is Init with the authority of another directory.
func Join(dir string, certificate, key []byte, hosts []string, now time.Time) error {
	if _, err := tls.X509KeyPair(certificate, key); err != nil {
		return fmt.Errorf("read certificate authority: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "tls"), 0o700); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		mode os.FileMode
		text []byte
	}{{keyFile, 0o600, key}, {CertificateFile, 0o644, certificate}} {
		block, _ := pem.Decode(f.text)
		if err := writePEM(filepath.Join(dir, f.name), f.mode, block.Type, block.Bytes); err != nil {
			return err
		}
	}
	return issue(dir, serverFiles, hosts, now)
}
