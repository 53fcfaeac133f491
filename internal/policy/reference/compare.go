package reference

import (
	"bytes"
	"encoding/base64"
	"math/big"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

var (
	numberPattern = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$`)
	epochPattern  = regexp.MustCompile(`^[0-9]+$`)

	// ISO 8601 as widely as IAM stores it (§1.1): a year, then as much of month,
	// day, hour, minute, second and fraction as the author cared for.
	isoPattern = regexp.MustCompile(`^(-?\d{1,9})(?:-(\d\d?)(?:-(\d\d?))?)?` +
		`(?:[Tt](?:(\d\d?)(?::(\d\d?)(?::(\d\d?)(\.\d{1,9})?)?)?([Zz]|[+-]\d\d(?::\d\d)?)?)?)?$`)
)

// compare holds request value r against policy value w under a positive
// operator (§5.1). What cannot be parsed does not match.
func compare(q request, p policy, base, r, w string) bool {
	switch base {
	case "StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "Bool":
		// §3, Where: only these operators' values may hold variables. A value
		// that stays unresolved equals nothing, which makes positive operators
		// false and negated ones true.
		chars, resolved := expand(q, p, w)
		return resolved && compareText(base, r, chars)
	case "BinaryEquals":
		return compareBinary(r, w)
	case "IpAddress":
		return compareIP(r, w)
	}
	if order, isNumeric := strings.CutPrefix(base, "Numeric"); isNumeric {
		a, aOK := parseNumber(r)
		b, bOK := parseNumber(w)
		return aOK && bOK && ordered(order, a.Cmp(b))
	}
	order := strings.TrimPrefix(base, "Date")
	a, aOK := parseDate(r)
	b, bOK := parseDate(w)
	return aOK && bOK && ordered(order, a.Cmp(b))
}

func compareText(base, r string, w []char) bool {
	switch base {
	case "StringEquals": // no wildcards
		return r == textOf(w)
	case "StringEqualsIgnoreCase":
		return strings.EqualFold(r, textOf(w))
	case "StringLike":
		return glob(w, r)
	case "Bool":
		for _, truth := range []string{"true", "false"} {
			if strings.EqualFold(r, truth) && strings.EqualFold(textOf(w), truth) {
				return true
			}
		}
		return false
	}
	return globARN(w, r) // ArnEquals is the same as ArnLike
}

// ordered applies the end of a Numeric or Date operator's name to the sign of
// request value minus policy value.
func ordered(order string, sign int) bool {
	switch order {
	case "Equals":
		return sign == 0
	case "LessThan":
		return sign < 0
	case "LessThanEquals":
		return sign <= 0
	case "GreaterThan":
		return sign > 0
	}
	return sign >= 0 // GreaterThanEquals
}

func parseNumber(text string) (*big.Rat, bool) {
	if !numberPattern.MatchString(text) {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// parseDate returns seconds since the epoch, exact and of any size.
func parseDate(text string) (*big.Rat, bool) {
	if epochPattern.MatchString(text) {
		seconds, err := strconv.ParseInt(text, 10, 64)
		return new(big.Rat).SetInt64(seconds), err == nil
	}
	parts := isoPattern.FindStringSubmatch(text)
	if parts == nil {
		return nil, false
	}
	part := func(i, missing int) int {
		if parts[i] == "" {
			return missing
		}
		n, _ := strconv.Atoi(parts[i]) // digits, by the pattern
		return n
	}
	year, month, day := part(1, 0), part(2, 1), part(3, 1)
	hour, minute, second := part(4, 0), part(5, 0), part(6, 0)
	offset, zoneOK := zone(parts[8])
	switch {
	case year < -292275054 || year > 292278993: // the years of §1.1's test suites
		return nil, false
	case month < 1 || month > 12 || day < 1 || day > daysIn(year, month):
		return nil, false
	case hour > 23 || minute > 59 || second > 59 || !zoneOK:
		return nil, false
	}
	days := daysBefore(year) + day - 1
	for m := 1; m < month; m++ {
		days += daysIn(year, m)
	}
	total := new(big.Rat).SetInt64(int64(days*86400 + hour*3600 + minute*60 + second - offset))
	if parts[7] != "" {
		fraction, _ := new(big.Rat).SetString("0" + parts[7])
		total.Add(total, fraction)
	}
	return total, true
}

func daysIn(year, month int) int {
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 29
	}
	return [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
}

// daysBefore counts the days from 1970 to the first of January of a year, in
// the Gregorian calendar extended both ways. 400 years have 146097 days.
func daysBefore(year int) int {
	cycles := (year - 1970) / 400
	days := cycles * 146097
	from := 1970 + cycles*400
	for ; from < year; from++ {
		days += 337 + daysIn(from, 2)
	}
	for ; from > year; from-- {
		days -= 337 + daysIn(from-1, 2)
	}
	return days
}

// zone is the offset from UTC in seconds.
func zone(text string) (int, bool) {
	if text == "" || text == "Z" || text == "z" {
		return 0, true
	}
	hours, _ := strconv.Atoi(text[1:3]) // digits, by the pattern
	minutes := 0
	if len(text) > 3 {
		minutes, _ = strconv.Atoi(text[4:])
	}
	offset := hours*3600 + minutes*60
	if text[0] == '-' {
		offset = -offset
	}
	return offset, hours <= 23 && minutes <= 59
}

func compareBinary(r, w string) bool {
	a, err := base64.StdEncoding.DecodeString(r)
	if err != nil {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(w)
	return err == nil && bytes.Equal(a, b)
}

func compareIP(r, w string) bool {
	address, err := netip.ParseAddr(r)
	if err != nil || address.Zone() != "" {
		return false
	}
	prefix, err := netip.ParsePrefix(w)
	// §5.1: a bare address is a prefix of full length.
	if single, singleErr := netip.ParseAddr(w); singleErr == nil && single.Zone() == "" {
		prefix, err = netip.PrefixFrom(single, single.BitLen()), nil
	}
	if err != nil {
		return false
	}
	// An IPv4 address is the same in the clothes of IPv6, on either side.
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Contains(address.Unmap()) // false across families
}
