package cli

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/endpoint"
)

func newEndpoint(env *Env) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "endpoint",
		Short: "List private endpoints, and print their names for DNS",
		Long: `List the private endpoints of a running server, and print the entries for DNS
that lead their clients to them. They are made in the section network of
strongroom.yaml.`,
	})
	c.AddCommand(newEndpointList(env), newEndpointDNS(env))
	return c
}

func newEndpointList(env *Env) *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the endpoints in force", Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			var list []endpoint.Info
			if err := operator(c.Context(), data, http.MethodGet, "/v1/endpoints", nil, &list); err != nil {
				return fmt.Errorf("cannot list endpoints: %w", err)
			}
			if asJSON {
				return printJSON(env.Stdout, map[string]any{"endpoints": list})
			}
			rows := make([][]string, 0, len(list))
			for _, e := range list {
				rows = append(rows, []string{
					e.ID, e.VPC, e.Account, orWord(e.Services, "all"), strings.Join(e.Addresses, ","), orWord(e.AllowCIDRs, "everybody"),
					policyCell(e.Policy), e.ClientAuth, strconv.FormatInt(e.Open, 10) + "/" + strconv.Itoa(e.Limit),
				})
			}
			return printTable(env.Stdout, []string{"ENDPOINT", "VPC", "ACCOUNT", "SERVICES", "LISTENS", "LETS IN", "POLICY", "CLIENT CERT", "OPEN"}, rows)
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	return c
}

func orWord(list []string, word string) string {
	if len(list) == 0 {
		return word
	}
	return strings.Join(list, ",")
}

func policyCell(p endpoint.Policy) string {
	if p.File == "" {
		return "full access"
	}
	return p.File + "@" + p.Version
}

func newEndpointDNS(env *Env) *cobra.Command {
	var data, format string
	var addresses []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "dns ENDPOINT",
		Short: "Print the entries that lead an endpoint's names to its addresses",
		Long: `Print the entries that lead the names of an endpoint (dns_names) to the addresses
it listens on: for /etc/hosts, CoreDNS or dnsmasq. They belong on the machines,
or into the resolver, of the endpoint's own network and nowhere else, for names
such as secretsmanager.us-east-1.amazonaws.com are Amazon's everywhere else.

An endpoint that listens on all addresses, or behind a load balancer, is reached
at addresses that only you know: give them with --address.`,
		Example: `  strongroom endpoint dns vpce-0123456789abcdef0 >>/etc/hosts
  strongroom endpoint dns vpce-0123456789abcdef0 --format coredns --address 10.20.0.2`,
		Args: arguments("ENDPOINT"),
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := config.Load(data, env.Getenv, nil)
			if err != nil {
				return usageError{err}
			}
			i := slices.IndexFunc(cfg.Network.Endpoints, func(e config.Endpoint) bool { return e.ID == args[0] })
			if i < 0 {
				return fmt.Errorf("there is no endpoint %s in the configuration", plain(args[0]))
			}
			e := &cfg.Network.Endpoints[i]
			if len(e.DNSNames) == 0 {
				return withHint(fmt.Errorf("endpoint %s has no names", e.ID), "give it dns_names in "+config.FileName)
			}
			at, err := endpointAddresses(e, addresses)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(env.Stdout, map[string]any{"id": e.ID, "vpc": e.VPC, "names": e.DNSNames, "addresses": at})
			}
			return printDNS(env.Stdout, format, e, at)
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&format, "format", "hosts", "`FORMAT`: hosts, coredns or dnsmasq")
	c.Flags().StringSliceVar(&addresses, "address", nil, "`ADDRESS` at which clients reach the endpoint; may be given several times")
	return c
}

// endpointAddresses are where clients reach an endpoint.
func endpointAddresses(e *config.Endpoint, given []string) ([]netip.Addr, error) {
	if len(given) == 0 && e.ProxyProtocol.Mode == "" {
		for _, l := range e.Listen {
			if _, isUnix := config.UnixPath(l); isUnix {
				continue
			}
			if host, _, err := net.SplitHostPort(l); err == nil {
				given = append(given, host)
			}
		}
	}
	var out []netip.Addr
	for _, s := range given {
		a, err := netip.ParseAddr(s)
		if err != nil || a.IsUnspecified() {
			return nil, usageError{withHint(fmt.Errorf("%q is not an address that clients can reach", plain(s)), "say it with --address")}
		}
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, usageError{withHint(fmt.Errorf("endpoint %s has no address that clients can reach", e.ID), "say it with --address")}
	}
	return out, nil
}

// printDNS writes the entries. A wildcard has no line in a hosts file.
func printDNS(w io.Writer, format string, e *config.Endpoint, at []netip.Addr) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# private endpoint %s of %s\n", e.ID, e.VPC)
	switch format {
	case "hosts":
		names := slices.DeleteFunc(slices.Clone(e.DNSNames), func(n string) bool { return strings.HasPrefix(n, "*.") })
		if len(names) == 0 {
			return errors.New("a hosts file has no wildcards; use another format")
		}
		for _, a := range at {
			fmt.Fprintf(&b, "%s %s\n", a, strings.Join(names, " "))
		}
	case "coredns":
		writeCoreDNS(&b, e.DNSNames, at)
	case "dnsmasq":
		for _, name := range e.DNSNames {
			// host-record is one name; address is a name and all below it.
			zone, wild := strings.CutPrefix(name, "*.")
			for _, a := range at {
				if wild {
					fmt.Fprintf(&b, "address=/%s/%s\n", zone, a)
				} else {
					fmt.Fprintf(&b, "host-record=%s,%s\n", zone, a)
				}
			}
		}
	default:
		return usageError{fmt.Errorf("--format %s is none of hosts, coredns and dnsmasq", plain(format))}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeCoreDNS writes a server block for each zone: CoreDNS takes no zone twice,
// which a name and the wildcard below it would be.
func writeCoreDNS(b *strings.Builder, names []string, at []netip.Addr) {
	var done []string
	for _, name := range names {
		zone := strings.TrimPrefix(name, "*.")
		if slices.Contains(done, zone) {
			continue
		}
		done = append(done, zone)
		label := `[^.]+[.]` // of the wildcard
		switch itself, wild := slices.Contains(names, zone), slices.Contains(names, "*."+zone); {
		case itself && wild:
			label = "(" + label + ")?"
		case itself:
			label = ""
		}
		fmt.Fprintf(b, "%s {\n", zone)
		for _, family := range []string{"A", "AAAA"} {
			fmt.Fprintf(b, "    template IN %s %s {\n        match \"^%s%s[.]$\"\n", family, zone, label, strings.ReplaceAll(zone, ".", "[.]"))
			for _, a := range at {
				if a.Is4() == (family == "A") {
					fmt.Fprintf(b, "        answer \"{{ .Name }} 60 IN %s %s\"\n", family, a)
				}
			}
			b.WriteString("        rcode NOERROR\n    }\n")
		}
		b.WriteString("}\n")
	}
}
