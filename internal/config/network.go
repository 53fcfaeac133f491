package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/strongroom/strongroom/internal/aws"
)

// Network says on which networks the API is served: private endpoints, the
// counterpart of AWS's interface VPC endpoints, and the public listener.
type Network struct {
	VPCs      []VPC      `yaml:"vpcs,omitempty"`
	Endpoints []Endpoint `yaml:"endpoints,omitempty"`
	Public    Public     `yaml:"public,omitempty"`
}

// VPC is a network that endpoints belong to: what policies name as aws:SourceVpc.
type VPC struct {
	ID string `yaml:"id"`
	// Account owns the VPC and its endpoints; empty means the first account.
	Account string `yaml:"account,omitempty"`
	// CIDRs are its addresses, and what its endpoints let in unless they say so
	// themselves.
	CIDRs []string `yaml:"cidrs,omitempty"`
}

// Endpoint is a private endpoint: listeners that lead to the API, and what is
// true of whoever comes through them.
type Endpoint struct {
	ID  string `yaml:"id"`
	VPC string `yaml:"vpc"`
	// Services are those it leads to; empty means all.
	Services []string `yaml:"services,omitempty"`
	// Listen are host:port or unix:/path.
	Listen []string `yaml:"listen"`
	// DNSNames are further names for its certificate: those that its clients use.
	DNSNames []string `yaml:"dns_names,omitempty"`
	// PolicyFile is its policy; empty means full access.
	PolicyFile string `yaml:"policy_file,omitempty"`
	// AllowCIDRs are the addresses let in; empty means those of the VPC, and
	// everybody when that has none. A Unix socket has no addresses to look at.
	AllowCIDRs []string `yaml:"allow_cidrs,omitempty"`
	// ClientCA is a PEM file of authorities that certificates of clients must come
	// from, ClientAuth is off, request or require (the default with ClientCA).
	ClientCA   string `yaml:"client_ca,omitempty"`
	ClientAuth string `yaml:"client_auth,omitempty"`
	// ProxyProtocol is for endpoints behind a load balancer.
	ProxyProtocol ProxyProtocol `yaml:"proxy_protocol,omitempty"`
	// Certificate and Key are PEM files of the operator's own; empty means one
	// from the data directory's own authority.
	Certificate string `yaml:"certificate,omitempty"`
	Key         string `yaml:"key,omitempty"`
	// Connections are those open at once; 0 means limits.connections.
	Connections int `yaml:"connections,omitempty"`
	// PeerUIDs are the users that may connect to its Unix sockets; empty means
	// those that the file's mode 0600 lets in: the server's own, and root.
	PeerUIDs []uint32 `yaml:"peer_uids,omitempty"`
}

// ProxyProtocol says whether connections begin with a header of HAProxy's PROXY
// protocol, and who may send one.
type ProxyProtocol struct {
	// Mode is v2; empty means none.
	Mode string `yaml:"mode,omitempty"`
	// Trusted are the addresses of the load balancers. Nobody else may connect, and
	// from them the header must come.
	Trusted []string `yaml:"trusted,omitempty"`
	// EndpointFromTLV lets the header choose among the endpoints that share the
	// listener, by the type-length-value that AWS's load balancers send.
	EndpointFromTLV bool `yaml:"endpoint_from_tlv,omitempty"`
}

// Public is the listener for everybody else.
type Public struct {
	// Listen stands for the setting listen where there are several addresses.
	Listen []string `yaml:"listen,omitempty"`
	// Enabled may be false: then there is nothing but private endpoints.
	Enabled *bool `yaml:"enabled,omitempty"`
}

// The values of Endpoint.ClientAuth.
const (
	ClientAuthOff     = "off"
	ClientAuthRequest = "request"
	ClientAuthRequire = "require"
)

// unixPrefix marks a listener that is a socket in the file system.
const unixPrefix = "unix:"

// maxSocketPath is what fits into a socket's address on Linux.
const maxSocketPath = 107

// UnixPath returns the path of a listener that is a Unix socket.
func UnixPath(listen string) (path string, ok bool) { return strings.CutPrefix(listen, unixPrefix) }

// PublicListen are the addresses of the public listener, none when it is off.
func (c *Config) PublicListen() []string {
	switch {
	case c.Network.Public.Enabled != nil && !*c.Network.Public.Enabled:
		return nil
	case len(c.Network.Public.Listen) > 0:
		return c.Network.Public.Listen
	}
	return []string{c.Listen}
}

// URLAddress is the address that URL names: the first public one, or that of the
// first private endpoint when there is no public one.
func (c *Config) URLAddress() string {
	if public := c.PublicListen(); len(public) > 0 {
		return public[0]
	}
	for i := range c.Network.Endpoints {
		for _, l := range c.Network.Endpoints[i].Listen {
			if _, isUnix := UnixPath(l); !isUnix {
				return l
			}
		}
	}
	return c.Listen
}

// Path makes a path of the configuration begin in the data directory unless it is
// absolute.
func (c *Config) Path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.Data, p)
}

// ClientAuthMode is the mode in force.
func (e *Endpoint) ClientAuthMode() string { return clientAuthMode(e.ClientAuth, e.ClientCA) }

func clientAuthMode(mode, authorities string) string {
	switch {
	case mode != "":
		return mode
	case authorities != "":
		return ClientAuthRequire
	}
	return ClientAuthOff
}

// Prefixes reads address ranges. A range whose address has bits behind the mask
// is refused: it is mostly meant as something else.
func Prefixes(list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q is not an address range such as 10.20.0.0/16", s)
		case p.Addr().Is4In6():
			return nil, fmt.Errorf("%q is an IPv4 range in IPv6 form; write the IPv4 range", s)
		case p != p.Masked():
			return nil, fmt.Errorf("%s has bits behind its mask; the range is %s", s, p.Masked())
		}
		out = append(out, p)
	}
	return out, nil
}

var (
	vpcPattern      = regexp.MustCompile(`^vpc-([0-9a-f]{8}|[0-9a-f]{17})$`)
	endpointPattern = regexp.MustCompile(`^vpce-([0-9a-f]{8}|[0-9a-f]{17})$`)
	namePattern     = regexp.MustCompile(`^(\*\.)?([a-z0-9_]([-a-z0-9_]*[a-z0-9])?\.)*[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
)

// settlePublic makes one of the two places where a file may name the public
// address: flags and environment, applied later, override both.
func (c *Config) settlePublic() error {
	p := c.Network.Public.Listen
	if len(p) == 0 {
		return nil
	}
	if c.Listen != Default().Listen && c.Listen != p[0] {
		return &Mistake{Key: "network.public.listen", Text: "listen and network.public.listen both name the public address; keep one of them"}
	}
	c.Listen = p[0]
	return nil
}

// overridePublic lets an address from environment or flags stand for those of the
// file.
func (c *Config) overridePublic() {
	if p := c.Network.Public.Listen; len(p) > 0 && c.Listen != p[0] {
		c.Network.Public.Listen = nil
	}
}

// validateNetwork says what cannot be in the section network.
func (c *Config) validateNetwork() error {
	n := &c.Network
	for i, l := range n.Public.Listen {
		if _, _, err := net.SplitHostPort(l); err != nil {
			return mistake(at("public.listen", i), "listen %q is not host:port", l)
		}
		if c.InsecureHTTP && !loopback(l) {
			return mistake(at("public.listen", i), "insecure_http works on loopback only, not on %s: secrets and signatures would cross the network in the clear", l)
		}
	}
	for i := range n.VPCs {
		if err := n.validateVPC(i); err != nil {
			return err
		}
	}
	for i := range n.Endpoints {
		if err := n.validateEndpoint(i); err != nil {
			return err
		}
	}
	if len(n.Endpoints) == 0 && len(c.PublicListen()) == 0 {
		return mistake("network.public.enabled", "without public listener and without endpoints nobody could reach the API")
	}
	return c.validateListeners()
}

// at is the key of an element of a list in the section.
func at(list string, i int) string { return "network." + list + "." + strconv.Itoa(i) }

func (n *Network) validateVPC(i int) error {
	v, key := &n.VPCs[i], at("vpcs", i)
	if !vpcPattern.MatchString(v.ID) {
		return mistake(key+".id", "%q is not the id of a VPC; it is vpc- and 17 hexadecimal digits", v.ID)
	}
	if slices.ContainsFunc(n.VPCs[:i], func(o VPC) bool { return o.ID == v.ID }) {
		return mistake(key+".id", "there are two VPCs %s", v.ID)
	}
	if v.Account != "" && !aws.ValidAccountID(v.Account) {
		return mistake(key+".account", "account %q is not 12 digits", v.Account)
	}
	ranges, err := Prefixes(v.CIDRs)
	if err != nil {
		return mistake(key+".cidrs", "VPC %s: %v", v.ID, err)
	}
	// VPCs may overlap each other, as on AWS: the listener says which one it is.
	for j, p := range ranges {
		for _, o := range ranges[:j] {
			if p.Overlaps(o) {
				return mistake(key+".cidrs", "VPC %s: %s and %s overlap", v.ID, o, p)
			}
		}
	}
	return nil
}

func (n *Network) validateEndpoint(i int) error {
	e, key := &n.Endpoints[i], at("endpoints", i)
	wrong := func(field, format string, args ...any) error {
		return mistake(key+"."+field, "endpoint %s: "+format, append([]any{e.ID}, args...)...)
	}
	if !endpointPattern.MatchString(e.ID) {
		return mistake(key+".id", "%q is not the id of an endpoint; it is vpce- and 17 hexadecimal digits", e.ID)
	}
	if slices.ContainsFunc(n.Endpoints[:i], func(o Endpoint) bool { return o.ID == e.ID }) {
		return mistake(key+".id", "there are two endpoints %s", e.ID)
	}
	if !slices.ContainsFunc(n.VPCs, func(v VPC) bool { return v.ID == e.VPC }) {
		return wrong("vpc", "there is no VPC %q under network.vpcs", e.VPC)
	}
	if len(e.Listen) == 0 {
		return wrong("listen", "it listens nowhere")
	}
	if _, err := Prefixes(e.AllowCIDRs); err != nil {
		return wrong("allow_cidrs", "%v", err)
	}
	for _, name := range e.DNSNames {
		if !namePattern.MatchString(name) || len(name) > 253 {
			return wrong("dns_names", "%q is not a host name in lower case", name)
		}
	}
	if (e.Certificate == "") != (e.Key == "") {
		return wrong("certificate", "it needs both certificate and key, or neither")
	}
	if e.Connections < 0 {
		return wrong("connections", "%d connections are too few", e.Connections)
	}
	switch mode := e.ClientAuthMode(); {
	case mode != ClientAuthOff && mode != ClientAuthRequest && mode != ClientAuthRequire:
		return wrong("client_auth", "client_auth %q is none of off, request and require", mode)
	case mode != ClientAuthOff && e.ClientCA == "":
		return wrong("client_auth", "client_auth %s needs client_ca, to know whose certificates are good", mode)
	}
	if err := e.validateProxy(wrong); err != nil {
		return err
	}
	return e.validateListen(wrong)
}

func (e *Endpoint) validateProxy(wrong func(field, format string, args ...any) error) error {
	p := &e.ProxyProtocol
	if _, err := Prefixes(p.Trusted); err != nil {
		return wrong("proxy_protocol.trusted", "%v", err)
	}
	switch {
	case p.Mode == "" && (len(p.Trusted) > 0 || p.EndpointFromTLV):
		return wrong("proxy_protocol", "proxy_protocol needs mode: v2")
	case p.Mode != "" && p.Mode != "v2":
		return wrong("proxy_protocol.mode", "proxy_protocol %q is not v2, the only version that is understood", p.Mode)
	case p.Mode != "" && len(p.Trusted) == 0:
		return wrong("proxy_protocol", "proxy_protocol needs trusted: whoever may send a header may claim any address")
	}
	return nil
}

func (e *Endpoint) validateListen(wrong func(field, format string, args ...any) error) error {
	sockets := 0
	for i, l := range e.Listen {
		field := "listen." + strconv.Itoa(i)
		path, isUnix := UnixPath(l)
		if !isUnix {
			if _, _, err := net.SplitHostPort(l); err != nil {
				return wrong(field, "listen %q is neither host:port nor unix:/path", l)
			}
			continue
		}
		sockets++
		switch {
		case !filepath.IsAbs(path) || filepath.Clean(path) != path:
			return wrong(field, "the path of socket %q is not absolute", l)
		case len(path) > maxSocketPath:
			return wrong(field, "the path of socket %q is too long: %d bytes are possible", l, maxSocketPath)
		case e.ProxyProtocol.Mode != "":
			return wrong(field, "proxy_protocol works on TCP only: a socket has no address to trust")
		}
	}
	if sockets == 0 && len(e.PeerUIDs) > 0 {
		return wrong("peer_uids", "peer_uids needs a Unix socket to listen on")
	}
	return nil
}

// listener is one address and who it belongs to.
type listener struct {
	address, key, owner string
	proxy               *ProxyProtocol // of endpoints
}

// validateListeners refuses one address in two places, except where the PROXY
// header tells the endpoints apart.
func (c *Config) validateListeners() error {
	var all []listener
	for i, l := range c.PublicListen() {
		key := "listen"
		if len(c.Network.Public.Listen) > 0 {
			key = at("public.listen", i)
		}
		all = append(all, listener{address: l, key: key, owner: "the public listener"})
	}
	if c.Operations != "" {
		all = append(all, listener{address: c.Operations, key: "operations", owner: "operations"})
	}
	for i := range c.Network.Endpoints {
		e := &c.Network.Endpoints[i]
		for j, l := range e.Listen {
			all = append(all, listener{l, at("endpoints", i) + ".listen." + strconv.Itoa(j), "endpoint " + e.ID, &e.ProxyProtocol})
		}
	}
	for i, l := range all {
		for _, o := range all[:i] {
			if !clash(o.address, l.address) {
				continue
			}
			if l.proxy == nil || o.proxy == nil || !l.proxy.EndpointFromTLV || !o.proxy.EndpointFromTLV || o.owner == l.owner || o.address != l.address {
				return mistake(l.key, "%s listens on %s, which %s has already", l.owner, l.address, o.owner)
			}
			if !slices.Equal(l.proxy.Trusted, o.proxy.Trusted) {
				return mistake(l.key, "%s and %s share %s, so both must trust the same addresses", o.owner, l.owner, l.address)
			}
		}
	}
	return nil
}

// clash reports whether the kernel would give two listeners one address. Port 0
// is any free one.
func clash(a, b string) bool {
	_, aUnix := UnixPath(a)
	_, bUnix := UnixPath(b)
	if aUnix || bUnix {
		return a == b
	}
	aHost, aPort, _ := net.SplitHostPort(a)
	bHost, bPort, _ := net.SplitHostPort(b)
	if aPort != bPort || aPort == "0" {
		return false
	}
	return aHost == bHost || unspecified(aHost) || unspecified(bHost)
}

func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func mistake(key, format string, args ...any) error {
	return &Mistake{Key: key, Text: fmt.Sprintf(format, args...)}
}
