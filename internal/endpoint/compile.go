package endpoint

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

// maxPolicy is the length of an endpoint policy in characters (spec
// network-metering.md A1).
const maxPolicy = 20_480

// maxFile bounds what is read of a file that the configuration names.
const maxFile = 1 << 20

// fullAccess is the policy of an endpoint that was given none, as on AWS.
const fullAccess = `{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`

// set is a configuration made ready for use. It is never changed: a new
// configuration makes a new one.
type set struct {
	endpoints []*endpoint // as the configuration lists them
	rules     []*rule     // one for each listener
	byKey     map[string]*rule
}

// rule is what is in force at one listener.
type rule struct {
	// key tells listeners apart over reloads; address is what to listen on.
	key, address string
	proxied      bool
	fromTLV      bool
	trusted      []netip.Prefix
	// endpoints has one element, or those that the PROXY header chooses among.
	endpoints []*endpoint
}

// endpoint is one endpoint of a set.
type endpoint struct {
	facts wire.Endpoint
	cfg   *config.Endpoint
	// allow are the ranges let in; none lets everybody in.
	allow []netip.Prefix
	limit int
	tls   *tls.Config
	trust *trust // nil unless certificates of clients are asked for
	// policyText is what List counts.
	policyText string
	meter      *meter
}

// trust is which certificates of clients are good.
type trust struct {
	pool     *x509.CertPool
	required bool
}

// Check says what is wrong with the listeners of a configuration beyond what the
// file itself shows: policies, authorities, unknown services.
func Check(cfg *config.Config, services []string) error {
	if _, err := NewClients(cfg, &tls.Config{MinVersion: tls.VersionTLS13}, nil); err != nil {
		return err
	}
	_, err := compile(cfg, "", services)
	return err
}

// compile reads a configuration and the files it names. Certificates and meters
// are joined later, by the Manager.
func compile(cfg *config.Config, account string, services []string) (*set, error) {
	s := &set{byKey: make(map[string]*rule)}
	for _, c := range cfg.Network.Endpoints {
		e, err := compileEndpoint(cfg, &c, account, services)
		if err != nil {
			return nil, fmt.Errorf("endpoint %s: %w", c.ID, err)
		}
		s.endpoints = append(s.endpoints, e)
		for _, l := range e.cfg.Listen {
			if err := s.listen(e, l); err != nil {
				return nil, fmt.Errorf("endpoint %s: %w", e.facts.ID, err)
			}
		}
	}
	return s, nil
}

// listen adds e to the rule of a listener.
func (s *set) listen(e *endpoint, address string) error {
	key := address
	if _, port, err := net.SplitHostPort(address); err == nil && port == "0" {
		key = e.facts.ID + " " + address // Any free port: not the one of another.
	}
	if r := s.byKey[key]; r != nil {
		r.endpoints = append(r.endpoints, e)
		return nil
	}
	p := e.cfg.ProxyProtocol
	trusted, err := config.Prefixes(p.Trusted)
	if err != nil {
		return err
	}
	r := &rule{key: key, address: address, proxied: p.Mode != "", fromTLV: p.EndpointFromTLV, trusted: trusted, endpoints: []*endpoint{e}}
	s.rules, s.byKey[key] = append(s.rules, r), r
	return nil
}

func compileEndpoint(cfg *config.Config, c *config.Endpoint, account string, services []string) (*endpoint, error) {
	i := slices.IndexFunc(cfg.Network.VPCs, func(v config.VPC) bool { return v.ID == c.VPC })
	if i < 0 {
		return nil, fmt.Errorf("there is no VPC %s", c.VPC)
	}
	vpc := &cfg.Network.VPCs[i]
	if vpc.Account != "" {
		account = vpc.Account
	}
	for _, s := range c.Services {
		if !slices.Contains(services, s) {
			return nil, fmt.Errorf("there is no service %q; known are %s", s, strings.Join(services, ", "))
		}
	}
	e := &endpoint{cfg: c, limit: c.Connections}
	if e.limit == 0 {
		e.limit = cfg.Limits.Connections
	}
	allow := c.AllowCIDRs
	if len(allow) == 0 {
		allow = vpc.CIDRs
	}
	var err error
	if e.allow, err = config.Prefixes(allow); err != nil {
		return nil, err
	}
	source, err := e.readPolicy(cfg)
	if err != nil {
		return nil, err
	}
	if e.trust, err = readTrust(cfg, c); err != nil {
		return nil, err
	}
	e.facts = wire.Endpoint{
		ID: c.ID, VPC: c.VPC, Account: account, Policy: source, Services: c.Services,
		VPCARN: aws.ARN{Partition: aws.Partition, Service: "ec2", Region: cfg.Region, Account: account, Resource: "vpc/" + c.VPC}.String(),
	}
	return e, nil
}

// readPolicy reads the policy of an endpoint and says what AWS would not take.
func (e *endpoint) readPolicy(cfg *config.Config) (*policy.Source, error) {
	path, text := cfg.Path(e.cfg.PolicyFile), fullAccess
	if path != "" {
		b, err := readFile(path)
		if err != nil {
			return nil, fmt.Errorf("policy_file: %w", err)
		}
		text = string(b)
	}
	if n := utf8.RuneCountInString(text); n > maxPolicy {
		return nil, fmt.Errorf("policy_file %s: %d characters are more than %d", path, n, maxPolicy)
	}
	doc, err := policy.ParseAs([]byte(text), policy.KindEndpoint)
	if err != nil {
		return nil, fmt.Errorf("policy_file %s: %w", path, err)
	}
	// The version names the text in decisions that are explained later.
	sum := sha256.Sum256([]byte(text))
	e.policyText = text
	return &policy.Source{ID: e.cfg.ID, Version: hex.EncodeToString(sum[:6]), Doc: doc, Kind: policy.KindEndpoint}, nil
}

func readTrust(cfg *config.Config, c *config.Endpoint) (*trust, error) {
	mode := c.ClientAuthMode()
	if mode == config.ClientAuthOff {
		return nil, nil
	}
	path := cfg.Path(c.ClientCA)
	pem, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("client_ca: %w", err)
	}
	t := &trust{pool: x509.NewCertPool(), required: mode == config.ClientAuthRequire}
	if !t.pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client_ca %s: there is no certificate in it", path)
	}
	return t, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxFile)
	}
	return b, errors.Join(err, f.Close())
}

// certify gives the endpoints of a set their certificates.
func (m *Manager) certify(cfg *config.Config, s *set) error {
	for _, e := range s.endpoints {
		var source *ca.Source
		var err error
		if e.cfg.Certificate != "" {
			source, err = ca.Files(cfg.Path(e.cfg.Certificate), cfg.Path(e.cfg.Key))
		} else {
			source, err = ca.Named(cfg.Data, e.cfg.ID, Names(e.cfg), m.o.Now())
		}
		if err != nil {
			return fmt.Errorf("endpoint %s: certificate: %w", e.facts.ID, err)
		}
		e.tls = &tls.Config{
			MinVersion:     tls.VersionTLS13,
			NextProtos:     []string{"http/1.1"}, // As on the public listener.
			GetCertificate: source.Certificate,
		}
		if e.trust == nil {
			continue
		}
		e.trust.ask(e.tls)
	}
	return nil
}

// Names are the names and addresses of an endpoint's certificate: those that its
// clients use, those it listens on, and its id, for clients of Unix sockets.
func Names(c *config.Endpoint) []string {
	names := slices.Clone(c.DNSNames)
	for _, l := range c.Listen {
		host, _, err := net.SplitHostPort(l)
		if _, isUnix := config.UnixPath(l); isUnix || err != nil || host == "" {
			continue
		}
		if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() || slices.Contains(names, host) {
			continue
		}
		names = append(names, host)
	}
	return append(names, c.ID)
}

// find returns the endpoint of a listener with an id; nil when it is none of its.
func (r *rule) find(id string) *endpoint {
	for _, e := range r.endpoints {
		if e.facts.ID == id {
			return e
		}
	}
	return nil
}

func contains(ranges []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(a) })
}
