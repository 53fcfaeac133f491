package reference

import (
	"bytes"
	"encoding/base64"
	"math/big"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	numberPattern = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?$`)
	epochPattern  = regexp.MustCompile(`^-?[0-9]+$`)

	// The W3C profile of ISO 8601: year and month, full date, or date and time
	// with a zone. Seconds and their fraction are optional.
	monthPattern  = regexp.MustCompile(`^\d{4}-\d{2}$`)
	dayPattern    = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	minutePattern = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
	secondPattern = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
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

// parseDate returns nanoseconds since the epoch, as a number of any size because
// time.Time overflows near the ends of int64 seconds, which are well-formed.
func parseDate(text string) (*big.Rat, bool) {
	if epochPattern.MatchString(text) {
		seconds, err := strconv.ParseInt(text, 10, 64)
		return nanoseconds(seconds, 0), err == nil
	}
	// The pattern is checked first because time.Parse also takes single-digit
	// hours and decimal commas.
	layouts := map[string]*regexp.Regexp{
		"2006-01":                monthPattern,
		"2006-01-02":             dayPattern,
		"2006-01-02T15:04Z07:00": minutePattern,
		time.RFC3339:             secondPattern,
	}
	for layout, shape := range layouts {
		if shape.MatchString(text) {
			t, err := time.Parse(layout, text)
			return nanoseconds(t.Unix(), t.Nanosecond()), err == nil
		}
	}
	return nil, false
}

func nanoseconds(seconds int64, nanos int) *big.Rat {
	total := new(big.Int).Mul(big.NewInt(seconds), big.NewInt(int64(time.Second)))
	return new(big.Rat).SetInt(total.Add(total, big.NewInt(int64(nanos))))
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
	// §5.1: a bare address is a prefix of full length.
	if single, err := netip.ParseAddr(w); err == nil {
		return single == address
	}
	prefix, err := netip.ParsePrefix(w)
	return err == nil && prefix.Contains(address) // false across families
}
