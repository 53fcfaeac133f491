package endpoint

import (
	"unicode/utf8"
)

// Info describes an endpoint in force, for the operator.
type Info struct {
	ID       string   `json:"id"`
	VPC      string   `json:"vpc"`
	VPCARN   string   `json:"vpcArn"`
	Account  string   `json:"account"`
	Services []string `json:"services"` // none means all
	// Listen is what the configuration says, Addresses what the kernel gave.
	Listen    []string `json:"listen"`
	Addresses []string `json:"addresses"`
	DNSNames  []string `json:"dnsNames"`
	// AllowCIDRs are in force; none means everybody.
	AllowCIDRs []string `json:"allowCidrs"`
	Policy     Policy   `json:"policy"`
	ClientAuth string   `json:"clientAuth"`
	Proxy      string   `json:"proxyProtocol"`
	Open       int64    `json:"openConnections"`
	Limit      int      `json:"maxConnections"`
}

// Policy says which policy an endpoint has.
type Policy struct {
	File       string `json:"file"` // "" for full access
	Version    string `json:"version"`
	Characters int    `json:"characters"`
}

// List describes the endpoints in force, in the configuration's order.
func (m *Manager) List() []Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.set.Load()
	out := make([]Info, 0, len(s.endpoints))
	for _, e := range s.endpoints {
		i := Info{
			ID: e.facts.ID, VPC: e.facts.VPC, VPCARN: e.facts.VPCARN, Account: e.facts.Account, Services: e.facts.Services,
			Listen: e.cfg.Listen, DNSNames: e.cfg.DNSNames, ClientAuth: e.cfg.ClientAuthMode(), Proxy: e.cfg.ProxyProtocol.Mode,
			Policy: Policy{e.cfg.PolicyFile, e.facts.Policy.Version, utf8.RuneCountInString(e.policyText)},
			Open:   e.meter.open.Load(), Limit: e.limit,
		}
		for _, p := range e.allow {
			i.AllowCIDRs = append(i.AllowCIDRs, p.String())
		}
		for _, r := range s.rules {
			if g := m.gates[r.key]; g != nil && r.find(i.ID) != nil {
				i.Addresses = append(i.Addresses, g.Addr().String())
			}
		}
		out = append(out, i)
	}
	return out
}
