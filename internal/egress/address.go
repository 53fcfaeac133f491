package egress

import (
	"net/netip"
	"slices"
)

// kind is what an address is to us.
type kind int

const (
	public    kind = iota
	private        // by policy
	loopback       // by policy
	forbidden      // never
)

// block is a range and what it is for, in the words of an error.
type block struct {
	prefix netip.Prefix
	kind   kind
	what   string
}

func blocks(k kind, what string, prefixes ...string) []block {
	var out []block
	for _, p := range prefixes {
		out = append(out, block{netip.MustParsePrefix(p), k, what})
	}
	return out
}

// classify says what an address is. The registries of special-purpose addresses
// (RFC 6890 and what IANA added since) are the source, with the metadata services
// of the clouds, some of which lie among public or private addresses.
// Documentation, benchmark and reserved ranges are refused because nothing of
// use is there; in IPv6 only 2000::/3 has been given out, so all else is refused.
func classify(a netip.Addr) (kind, string) {
	for _, b := range table {
		if b.prefix.Contains(a) {
			return b.kind, b.what
		}
	}
	return public, ""
}

// table is read from the top, the first range that fits decides.
var table = slices.Concat(
	blocks(forbidden, "a metadata service",
		"169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "fd00:ec2::/32", // AWS, and those that copied it
		"168.63.129.16/32",                // Azure, a public address
		"100.100.100.200/32",              // Alibaba, in the shared range
		"192.0.0.192/32",                  // Oracle
		"fd20:ce::/32",                    // Google
		"fd00:42::/64", "fd00:a9fe::/32"), // Scaleway, Akamai
	blocks(forbidden, "unspecified", "0.0.0.0/8", "::/128"),
	blocks(loopback, "loopback", "127.0.0.0/8", "::1/128"),
	blocks(forbidden, "link-local", "169.254.0.0/16", "fe80::/10"),
	blocks(forbidden, "multicast", "224.0.0.0/4", "ff00::/8"),
	blocks(forbidden, "reserved", "240.0.0.0/4", "192.0.0.0/24", "192.88.99.0/24", "fec0::/10", "2001::/23"),
	blocks(forbidden, "for documentation", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
	blocks(private, "private", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
	blocks(private, "shared by a provider", "100.64.0.0/10"),
	blocks(private, "for benchmarks", "198.18.0.0/15"),
	blocks(public, "", "0.0.0.0/0", "2000::/3"),
	blocks(forbidden, "reserved", "::/0"),
)

// carriers are IPv6 ranges whose addresses stand for an IPv4 address, and where
// in them it begins. A translator or tunnel on the way would deliver to that one,
// so that one is judged.
var carriers = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("::ffff:0:0/96"), 12},   // IPv4-mapped, RFC 4291
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated, RFC 2765
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible, RFC 4291
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4, RFC 3056
}

// meant returns the address that packets to a would reach in the end. The
// loopback and the unspecified address of IPv6 lie in the IPv4-compatible range
// and mean themselves.
func meant(a netip.Addr) netip.Addr {
	if a.Is4() || a.Zone() != "" || a == netip.IPv6Loopback() || a == netip.IPv6Unspecified() {
		return a
	}
	b := a.As16()
	for _, c := range carriers {
		// Prefix.Contains says no to every IPv4-mapped address.
		if c.prefix.Masked().Addr() == masked(a, c.prefix.Bits()) {
			return netip.AddrFrom4([4]byte(b[c.at : c.at+4]))
		}
	}
	return a
}

func masked(a netip.Addr, bits int) netip.Addr {
	b := a.As16()
	clear(b[bits/8:]) // all carriers end at a byte
	return netip.AddrFrom16(b)
}
