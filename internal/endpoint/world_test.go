package endpoint_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/endpoint"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

const (
	vpcA, vpcB = "vpc-0a1b2c3d4e5f60718", "vpc-1a1b2c3d4e5f60718"
	idA, idB   = "vpce-0123456789abcdef0", "vpce-1123456789abcdef0"
	idC        = "vpce-2123456789abcdef0"
)

// list asks the operator's socket for the endpoints in force.
func list(t *testing.T, s *servertest.Server) (out []endpoint.Info) {
	t.Helper()
	if err := json.Unmarshal(s.Operator(t, http.MethodGet, "/v1/endpoints", nil).Body, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// address is where an endpoint listens.
func address(t *testing.T, s *servertest.Server, id string) string {
	t.Helper()
	for _, e := range list(t, s) {
		if e.ID == id && len(e.Addresses) > 0 {
			return e.Addresses[0]
		}
	}
	t.Fatalf("endpoint %s listens nowhere", id)
	return ""
}

// dialer connects to an endpoint.
type dialer func(ctx context.Context) (net.Conn, error)

// to dials an address from another one ("" = any).
func to(address, from string) dialer {
	return func(ctx context.Context) (net.Conn, error) {
		d := &net.Dialer{}
		if from != "" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
		}
		if filepath.IsAbs(address) {
			return d.DialContext(ctx, "unix", address)
		}
		return d.DialContext(ctx, "tcp", address)
	}
}

// trusting is a TLS client that trusts the installation's authority, with
// certificates of its own.
func trusting(t *testing.T, s *servertest.Server, name string, own ...tls.Certificate) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(s.Dir, ca.CertificateFile))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: roots, ServerName: name, Certificates: own}
}

// client reaches the API through d, as the endpoint of that name.
func client(t *testing.T, s *servertest.Server, d dialer, name string, own ...tls.Certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig: trusting(t, s, name, own...),
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return d(ctx) },
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// sdk is the official SDK's client of Secrets Manager over an HTTP client.
func sdk(s *servertest.Server, c server.Credentials, h *http.Client) *secretsmanager.Client {
	cfg := s.AWS(c, "")
	cfg.BaseEndpoint, cfg.HTTPClient = aws.String("https://secretsmanager.us-east-1.amazonaws.com"), h
	return secretsmanager.NewFromConfig(cfg)
}

// read reads a secret and returns how that was refused: code and message.
func read(t *testing.T, c *secretsmanager.Client, id string) (code, message string) {
	t.Helper()
	out, err := c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err == nil {
		if *out.SecretString != "value of "+id {
			t.Errorf("%s has value %q", id, *out.SecretString)
		}
		return "", ""
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode(), e.ErrorMessage()
	}
	return "no answer", err.Error()
}

// secret makes a secret as the admin.
func secret(t *testing.T, s *servertest.Server, name string) {
	t.Helper()
	if _, err := s.Secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String("value of " + name)}); err != nil {
		t.Fatal(err)
	}
}

// vpc and private are sections of a configuration.
func vpc(id string, cidrs ...string) config.VPC {
	return config.VPC{ID: id, Account: "444455556666", CIDRs: cidrs}
}

func private(id, vpc string, listen ...string) config.Endpoint {
	if len(listen) == 0 {
		listen = []string{"127.0.0.1:0"}
	}
	return config.Endpoint{ID: id, VPC: vpc, Listen: listen, DNSNames: []string{"secretsmanager.us-east-1.amazonaws.com"}}
}

func network(f func(*config.Network)) servertest.Option {
	return servertest.Config(func(c *config.Config) { f(&c.Network) })
}

// file writes a file beside the test's other ones.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// records are the audit records of an event.
func records(t *testing.T, s *servertest.Server, event string) (out []map[string]any) {
	t.Helper()
	node, err := server.Node(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.Scan(t.Context(), filepath.Join(s.Dir, server.AuditDir), node, 0, func(e audit.Entry) error {
		var r map[string]any
		if err := json.Unmarshal(e.Body, &r); err != nil {
			return err
		}
		if r["eventName"] == event {
			out = append(out, r)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// metric is the value of a metric, 0 when it is not there.
func metric(t *testing.T, s *servertest.Server, name string, labels map[string]string) float64 {
	t.Helper()
	families, err := s.Server().Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			same := len(m.GetLabel()) == len(labels)
			for _, l := range m.GetLabel() {
				same = same && labels[l.GetName()] == l.GetValue()
			}
			if same {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// forced is a client that shows its certificate whoever is asked for: Go's own
// leaves out what the server will not trust.
func forced(t *testing.T, s *servertest.Server, d dialer, name string, own []tls.Certificate) *http.Client {
	t.Helper()
	h := client(t, s, d, name)
	h.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(own) == 0 {
			return &tls.Certificate{}, nil
		}
		return &own[0], nil
	}
	return h
}
