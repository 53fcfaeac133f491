package egress

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// The words of the errors, for the tables.
const (
	metadata  = "a metadata service"
	linkLocal = "link-local"
)

// TestRanges: what each address is judged as, in every form that it can take.
func TestRanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		addr string
		kind kind
		what string
	}{
		{"1.1.1.1", public, ""},
		{"8.8.8.8", public, ""},
		{"172.15.255.255", public, ""},
		{"172.32.0.0", public, ""},
		{"100.63.255.255", public, ""},
		{"100.128.0.0", public, ""},
		{"169.253.255.255", public, ""},
		{"169.255.0.0", public, ""},
		{"198.17.255.255", public, ""},
		{"223.255.255.255", public, ""},
		{"2606:4700::1111", public, ""},
		{"2a00:1450:4001::200e", public, ""},

		{"127.0.0.1", loopback, "loopback"},
		{"127.255.255.254", loopback, "loopback"},
		{"::1", loopback, "loopback"},
		{"::ffff:127.0.0.1", loopback, "loopback"},
		{"::127.0.0.1", loopback, "loopback"},
		{"64:ff9b::7f00:1", loopback, "loopback"},
		{"2002:7f00:1::", loopback, "loopback"},
		{"2002:7f00:1:1234:5678:9abc:def0:1", loopback, "loopback"},
		{"::ffff:0:127.0.0.1", loopback, "loopback"},

		{"10.0.0.1", private, "private"},
		{"172.16.0.1", private, "private"},
		{"172.31.255.255", private, "private"},
		{"192.168.1.1", private, "private"},
		{"fc00::1", private, "private"},
		{"fd12:3456:789a::1", private, "private"},
		{"100.64.0.1", private, "shared by a provider"},
		{"198.18.0.1", private, "for benchmarks"},
		{"::ffff:10.0.0.1", private, "private"},
		{"::10.0.0.1", private, "private"},
		{"64:ff9b::10.0.0.1", private, "private"},
		{"2002:a00:1::1", private, "private"},
		{"::ffff:0:10.0.0.1", private, "private"},
		{"64:ff9b::8.8.8.8", public, ""},
		{"2002:808:808::1", public, ""},

		{"169.254.169.254", forbidden, metadata},
		{"169.254.170.2", forbidden, metadata},
		{"169.254.170.23", forbidden, metadata},
		{"::ffff:169.254.169.254", forbidden, metadata},
		{"::169.254.169.254", forbidden, metadata},
		{"64:ff9b::169.254.169.254", forbidden, metadata},
		{"64:ff9b::a9fe:a9fe", forbidden, metadata},
		{"2002:a9fe:a9fe::", forbidden, metadata},
		{"::ffff:0:169.254.169.254", forbidden, metadata},
		{"fd00:ec2::254", forbidden, metadata},
		{"fd00:ec2::23", forbidden, metadata},
		{"fd20:ce::254", forbidden, metadata},
		{"168.63.129.16", forbidden, metadata},
		{"100.100.100.200", forbidden, metadata},
		{"192.0.0.192", forbidden, metadata},

		{"169.254.0.1", forbidden, linkLocal},
		{"169.254.255.255", forbidden, linkLocal},
		{"fe80::1", forbidden, linkLocal},
		{"febf::1", forbidden, linkLocal},
		{"0.0.0.0", forbidden, "unspecified"},
		{"0.1.2.3", forbidden, "unspecified"},
		{"::", forbidden, "unspecified"},
		{"::ffff:0.0.0.0", forbidden, "unspecified"},
		{"64:ff9b::", forbidden, "unspecified"},
		{"::2", forbidden, "unspecified"},
		{"224.0.0.1", forbidden, "multicast"},
		{"239.255.255.255", forbidden, "multicast"},
		{"ff02::1", forbidden, "multicast"},
		{"255.255.255.255", forbidden, "reserved"},
		{"240.0.0.1", forbidden, "reserved"},
		{"192.0.0.1", forbidden, "reserved"},
		{"192.88.99.1", forbidden, "reserved"},
		{"fec0::1", forbidden, "reserved"},
		{"100::1", forbidden, "reserved"},
		{"64:ff9b:1::a00:1", forbidden, "reserved"},            // NAT64 with a layout that is local knowledge
		{"2001:0:a9fe:a9fe::f5ff:fffe", forbidden, "reserved"}, // Teredo
		{"4000::1", forbidden, "reserved"},
		{"192.0.2.1", forbidden, "for documentation"},
		{"198.51.100.1", forbidden, "for documentation"},
		{"203.0.113.1", forbidden, "for documentation"},
		{"2001:db8::1", forbidden, "for documentation"},
	} {
		// As the Dialer does: IPv4-mapped first becomes IPv4.
		for _, a := range []netip.Addr{netip.MustParseAddr(c.addr), netip.MustParseAddr(c.addr).Unmap()} {
			if k, what := classify(meant(a)); k != c.kind || what != c.what {
				t.Errorf("%s is judged %d %q, want %d %q", a, k, what, c.kind, c.what)
			}
		}
	}
}

// TestForbiddenWhateverThePolicy: neither a policy nor a range of the operator's
// opens what is never dialled, and the refusal comes before any packet.
func TestForbiddenWhateverThePolicy(t *testing.T) {
	t.Parallel()
	d := New(Config{Private: Always, Loopback: Always, Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}})
	for _, host := range []string{"169.254.169.254", "[fe80::1]", "[fe80::1%lo]", "[fd00:ec2::254]", "224.0.0.1", "0.0.0.0", "[::]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]",
		"[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "255.255.255.255", "[::169.254.169.254]", "[10::1%25lo]"} {
		_, err := d.DialContext(t.Context(), "tcp", host+":80")
		if ClassOf(err) != Refused {
			t.Errorf("%s: %v", host, err)
		}
		if _, err := d.Get(t.Context(), "https://"+strings.ReplaceAll(host, "%lo", "%25lo")+"/latest/meta-data/", Options{}); ClassOf(err) != Refused {
			t.Errorf("get %s: %v", host, err)
		}
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	local := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:4766"), netip.MustParseAddrPort("[::1]:4767")}
	open := append(local, netip.MustParseAddrPort("10.0.0.5:4766"))
	everywhere := []netip.AddrPort{netip.MustParseAddrPort("[::]:4766")}
	here := func() ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("8.8.4.4")}, nil
	}
	prefix := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("127.0.0.2/32")}
	for _, c := range []struct {
		name, addr string
		port       uint16
		config     Config
		own        []netip.AddrPort
		want       string
	}{
		{"public, by default", "8.8.8.8", 443, Config{}, nil, ""},
		{"private, no listener known", "10.0.0.1", 443, Config{}, nil, "private"},
		{"loopback, no listener known", "127.0.0.1", 443, Config{}, nil, "loopback"},
		{"private while local", "10.0.0.1", 443, Config{}, local, ""},
		{"loopback while local", "127.0.0.1", 443, Config{}, local, ""},
		{"private with one open listener", "10.0.0.1", 443, Config{}, open, "private"},
		{"loopback with one open listener", "::1", 443, Config{}, open, "loopback"},
		{"loopback while listening everywhere", "::1", 443, Config{}, everywhere, "loopback"},
		{"private forbidden while local", "10.0.0.1", 443, Config{Private: Never}, local, "private"},
		{"loopback forbidden while local", "127.0.0.1", 443, Config{Loopback: Never}, local, "loopback"},
		{"private always", "10.0.0.1", 443, Config{Private: Always}, open, ""},
		{"private always leaves loopback", "127.0.0.1", 443, Config{Private: Always}, open, "loopback"},
		{"loopback always leaves private", "192.168.0.1", 443, Config{Loopback: Always}, open, "private"},
		{"a range of the operator's", "10.1.2.3", 443, Config{Allow: prefix}, open, ""},
		{"beside that range", "10.2.2.3", 443, Config{Allow: prefix}, open, "private"},
		{"a loopback address of the operator's", "127.0.0.2", 443, Config{Allow: prefix, Loopback: Never}, open, ""},
		{"that range behind NAT64", "64:ff9b::10.1.2.3", 443, Config{Allow: prefix}, open, ""},
		{"our own port", "127.0.0.1", 4766, Config{}, local, "it is this server"},
		{"our own port, other address", "127.0.0.2", 4766, Config{}, local, ""},
		{"our own port in another form", "::7f00:1", 4766, Config{}, local, "it is this server"},
		{"our own port behind 6to4", "2002:7f00:1::1", 4766, Config{}, local, "it is this server"},
		{"our second port", "::1", 4767, Config{}, local, "it is this server"},
		{"our own address, allowed range", "10.0.0.5", 4766, Config{Private: Always}, open, "it is this server"},
		{"listening everywhere, loopback", "127.9.9.9", 4766, Config{Loopback: Always}, everywhere, "it is this server"},
		{"listening everywhere, an interface", "10.0.0.9", 4766, Config{Private: Always, Local: here}, everywhere, "it is this server"},
		{"listening everywhere, a public interface", "8.8.4.4", 4766, Config{Local: here}, everywhere, "it is this server"},
		{"listening everywhere, a neighbour", "10.0.0.8", 4766, Config{Private: Always, Local: here}, everywhere, ""},
		{"listening everywhere, another port", "10.0.0.9", 443, Config{Private: Always, Local: here}, everywhere, ""},
		{"listening everywhere, interfaces not told", "8.8.8.8", 4766, Config{Local: func() ([]netip.Addr, error) { return nil, errors.New("no") }}, everywhere, "it is this server"},
	} {
		c.config.Own = func() []netip.AddrPort { return c.own }
		got := New(c.config).forbids(netip.MustParseAddr(c.addr), c.port, false)
		if got != c.want && got != "its address is "+c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestPolicyFollowsTheListeners: a listener that is opened later counts at once.
func TestPolicyFollowsTheListeners(t *testing.T) {
	t.Parallel()
	own := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}
	d := New(Config{Own: func() []netip.AddrPort { return own }})
	a := netip.MustParseAddr("127.0.0.1")
	if why := d.forbids(a, 2, false); why != "" {
		t.Error(why)
	}
	own = append(own, netip.MustParseAddrPort("0.0.0.0:3"))
	if why := d.forbids(a, 2, false); why == "" {
		t.Error("allowed while listening everywhere")
	}
}

// FuzzNeverForbidden: no spelling of a host leads to a forbidden address. The
// law is stated apart from the table: by what the standard library says of the
// address that would be dialled and of the IPv4 address in it.
func FuzzNeverForbidden(f *testing.F) {
	for _, s := range []string{"8.8.8.8", "::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "fe80::1%1", "0", "127.1", "0x7f.1", "::ffff:0:0:1"} {
		f.Add(s)
	}
	d := New(Config{Private: Always, Loopback: Always, Resolve: func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("none") }})
	f.Fuzz(func(t *testing.T, host string) {
		addrs, err := d.resolve(t.Context(), "tcp", host)
		if err != nil {
			return
		}
		for _, a := range addrs {
			if d.forbids(a, 443, false) != "" {
				continue
			}
			if a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || a.Is4In6() || a.Zone() != "" {
				t.Fatalf("%s would be dialled", a)
			}
			b := a.As16()
			for _, at := range []int{2, 12} {
				in := netip.AddrFrom4([4]byte(b[at : at+4]))
				carried := a.Is6() && (at == 2 && b[0] == 0x20 && b[1] == 2 || at == 12 && b[0] == 0 && a != netip.IPv6Loopback())
				if carried && (in.IsLinkLocalUnicast() || in.IsMulticast() || in.IsUnspecified()) {
					t.Fatalf("%s would be dialled and means %s", a, in)
				}
			}
		}
	})
}
