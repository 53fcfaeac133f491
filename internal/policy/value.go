package policy

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// decimal is a number as written, cut into its digits. Comparing digits keeps
// numbers exact that a float would round together, and allocates nothing.
type decimal struct {
	negative       bool
	whole, decimal string // without leading and trailing zeros respectively
}

// parseDecimal reads an optional sign, digits and an optional fraction.
func parseDecimal(s string) (decimal, bool) {
	var d decimal
	if s != "" && (s[0] == '-' || s[0] == '+') {
		d.negative = s[0] == '-'
		s = s[1:]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if whole == "" && fraction == "" || !allDigits(whole) || !allDigits(fraction) {
		return decimal{}, false
	}
	d.whole = strings.TrimLeft(whole, "0")
	d.decimal = strings.TrimRight(fraction, "0")
	if d.whole == "" && d.decimal == "" {
		d.negative = false // minus zero is zero
	}
	return d, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func (d decimal) compare(other decimal) int {
	if d.negative != other.negative {
		if d.negative {
			return -1
		}
		return 1
	}
	// Digits without padding: the longer whole number is the larger, and
	// equally long ones, like fractions, compare as text.
	order := cmp.Or(
		cmp.Compare(len(d.whole), len(other.whole)),
		strings.Compare(d.whole, other.whole),
		strings.Compare(d.decimal, other.decimal),
	)
	if d.negative {
		return -order
	}
	return order
}

// instant is a point in time that may lie far outside what time.Time formats:
// epoch seconds are any int64.
type instant struct {
	seconds int64
	nanos   int
}

func (t instant) compare(other instant) int {
	return cmp.Or(cmp.Compare(t.seconds, other.seconds), cmp.Compare(t.nanos, other.nanos))
}

// The years that IAM accepts, which are those of a 64-bit count of
// milliseconds (inputs of spec iam-policy-evaluation.md 1.1).
const (
	minYear = -292275054
	maxYear = 292278993
)

// parseInstant reads epoch seconds (digits only) or an ISO 8601 date. Dates
// are read as widely as IAM stores them: any part after the year may be
// missing, 't' and 'z' may be small, and a time without a zone is UTC.
func parseInstant(s string) (instant, bool) {
	if s == "" {
		return instant{}, false
	}
	if allDigits(s) {
		seconds, err := strconv.ParseInt(s, 10, 64)
		return instant{seconds: seconds}, err == nil
	}
	cut := strings.IndexAny(s, "tT")
	date, clock := s, ""
	if cut >= 0 {
		date, clock = s[:cut], s[cut+1:]
	}
	year, month, day, ok := parseDate(date)
	if !ok {
		return instant{}, false
	}
	clock, offset, ok := cutZone(clock)
	if !ok {
		return instant{}, false
	}
	seconds, nanos, ok := parseClock(clock)
	if !ok {
		return instant{}, false
	}
	midnight := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if midnight.Day() != day {
		return instant{}, false // 30 February
	}
	return instant{seconds: midnight.Unix() + int64(seconds-offset), nanos: nanos}, true
}

func parseDate(s string) (year, month, day int, ok bool) {
	digits, negative := strings.CutPrefix(s, "-")
	yearText, rest, hasMonth := strings.Cut(digits, "-")
	if year, ok = number(yearText, 1, 9, 0, maxYear); !ok {
		return 0, 0, 0, false
	}
	if negative {
		year = -year
	}
	if year < minYear {
		return 0, 0, 0, false
	}
	month, day = 1, 1
	if !hasMonth {
		return year, month, day, true
	}
	monthText, dayText, hasDay := strings.Cut(rest, "-")
	if month, ok = number(monthText, 1, 2, 1, 12); !ok || !hasDay {
		return year, month, day, ok
	}
	day, ok = number(dayText, 1, 2, 1, 31)
	return year, month, day, ok
}

// cutZone takes "Z", "+hh", "+hh:mm" or their negative off the end of a time.
func cutZone(s string) (clock string, offset int, ok bool) {
	if s == "" {
		return "", 0, true
	}
	if last := s[len(s)-1]; last == 'z' || last == 'Z' {
		return s[:len(s)-1], 0, len(s) > 1
	}
	sign := strings.IndexAny(s, "+-")
	switch sign {
	case -1:
		return s, 0, true
	case 0:
		return "", 0, false // a zone of no time
	}
	hourText, minuteText, hasMinutes := strings.Cut(s[sign+1:], ":")
	hours, ok := number(hourText, 2, 2, 0, 23)
	if !ok {
		return "", 0, false
	}
	minutes := 0
	if hasMinutes {
		if minutes, ok = number(minuteText, 2, 2, 0, 59); !ok {
			return "", 0, false
		}
	}
	offset = (hours*60 + minutes) * 60
	if s[sign] == '-' {
		offset = -offset
	}
	return s[:sign], offset, true
}

func parseClock(s string) (seconds, nanos int, ok bool) {
	if s == "" {
		return 0, 0, true
	}
	hourText, rest, hasMinutes := strings.Cut(s, ":")
	hours, ok := number(hourText, 1, 2, 0, 23)
	if !ok || !hasMinutes {
		return hours * 3600, 0, ok
	}
	minuteText, rest, hasSeconds := strings.Cut(rest, ":")
	minutes, ok := number(minuteText, 1, 2, 0, 59)
	if !ok || !hasSeconds {
		return hours*3600 + minutes*60, 0, ok
	}
	secondText, fraction, hasFraction := strings.Cut(rest, ".")
	secs, ok := number(secondText, 1, 2, 0, 59)
	if !ok {
		return 0, 0, false
	}
	if hasFraction {
		if nanos, ok = number(fraction, 1, 9, 0, 999999999); !ok {
			return 0, 0, false
		}
		for range 9 - len(fraction) {
			nanos *= 10
		}
	}
	return hours*3600 + minutes*60 + secs, nanos, true
}

// number reads between shortest and longest digits and checks the range.
func number(s string, shortest, longest, low, high int) (int, bool) {
	if len(s) < shortest || len(s) > longest || !allDigits(s) {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n, low <= n && n <= high
}

// parseBool reads a Boolean of a policy or of a request, in any case.
func parseBool(s string) (value, ok bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}

// parsePrefix reads a CIDR range; a bare address is a range of one.
func parsePrefix(s string) (netip.Prefix, bool) {
	if !strings.Contains(s, "/") {
		addr, ok := parseAddr(s)
		if !ok {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	// Requests arrive unmapped, so a range of mapped addresses is its IPv4
	// range. Shorter than /96 it is a range of IPv6 like any other.
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, true
}

// parseAddr reads an address. A dual-stack listener reports IPv4 callers as
// ::ffff:a.b.c.d; policies mean a.b.c.d.
func parseAddr(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}
