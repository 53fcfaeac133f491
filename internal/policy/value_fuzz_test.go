package policy

import (
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// FuzzDecimal: what is a number is the one that arbitrary precision says it is, and
// two compare as they do there.
func FuzzDecimal(f *testing.F) {
	f.Add("1", "2")
	f.Add("-0.0", "0")
	f.Add("+007.50", "7.5")
	f.Add("99999999999999999999999.1", "99999999999999999999999.09")
	f.Add("1e3", ".")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, ok := parseDecimal(a)
		y, okay := parseDecimal(b)
		if !ok || !okay {
			return
		}
		p, fine := new(big.Rat).SetString(a)
		q, too := new(big.Rat).SetString(b)
		if !fine || !too {
			t.Fatalf("%q, %q: numbers to us alone", a, b)
		}
		if x.compare(y) != p.Cmp(q) || y.compare(x) != q.Cmp(p) {
			t.Fatalf("%q, %q: %d, want %d", a, b, x.compare(y), p.Cmp(q))
		}
	})
}

// FuzzInstant: what the standard library reads as a time we read as the same one.
func FuzzInstant(f *testing.F) {
	for _, s := range []string{"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+01:00", "2026", "2026-02-30", "0", "99999999999999999999", "-292275054-01-01T00:00:00Z", "2024-02-29t23:59:60z", "2026-01-02T03:04Z", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseInstant(s)
		if ok && (got.nanos < 0 || got.nanos >= int(time.Second)) {
			t.Fatalf("%q is %+v", s, got)
		}
		want, err := time.Parse(time.RFC3339Nano, s)
		// The library takes a comma for a point, and fractions of any length.
		if err != nil || strings.Contains(s, ",") || !ok {
			return
		}
		if got.seconds != want.Unix() {
			t.Fatalf("%q is %d, want %d", s, got.seconds, want.Unix())
		}
	})
}

// FuzzAddress: an address or range is one to the standard library as well, and the
// range holds its own address.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"10.0.0.1", "10.0.0.0/8", "::ffff:10.0.0.1", "fe80::1%eth0", "010.0.0.1", "1.2.3.4/33", "::/0", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := parseAddr(s)
		if ok && (!a.IsValid() || a.Zone() != "") {
			t.Fatalf("%q is the address %v", s, a)
		}
		p, ok := parsePrefix(s)
		if ok && (!p.IsValid() || !p.Contains(p.Addr())) {
			t.Fatalf("%q is the range %v", s, p)
		}
		if want, err := netip.ParsePrefix(s); err == nil && ok && !want.Addr().Is4In6() && p.Masked() != want.Masked() {
			t.Fatalf("%q is the range %v, want %v", s, p, want)
		}
	})
}
