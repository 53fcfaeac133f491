package audit

import (
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

const hexDigits = "0123456789abcdef"

// appendText appends s as a JSON string of at most limit bytes between the
// quotes; a longer one is cut and ends with "...". Bytes that are not UTF-8
// become U+FFFD. No line feed survives, so a record stays one line.
func appendText(b []byte, s string, limit int) []byte {
	b = append(b, '"')
	start := len(b)
	// safe is the last place at which a cut leaves room for the dots and splits
	// neither a character nor an escape sequence.
	safe, from := start, 0
	for i := plain(s); i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if i-from > limit {
			break // Too long already: what follows the run does not matter.
		}
		b, safe = appendRun(b, s[from:i], start, limit, safe)
		size := 1
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
		}
		if len(b)-start <= limit-3 {
			safe = len(b)
		}
		if len(b)-start > limit {
			break
		}
		i += size
		from = i
	}
	b, safe = appendRun(b, s[from:min(len(s), from+limit+1)], start, limit, safe)
	if len(b)-start > limit {
		b = append(b[:safe], "..."...)
	}
	return append(b, '"')
}

// plain returns how many bytes at the beginning of s stand for themselves,
// rounded down to a multiple of eight: it looks at eight at a time, which for
// names and ARNs is all there is to do.
func plain(s string) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		x := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		quote, slash := x^('"'*ones), x^('\\'*ones)
		// A borrow may mark a byte too many, never one too few.
		if (x|(x-' '*ones)|(quote-ones)&^quote|(slash-ones)&^slash)&high != 0 {
			break
		}
	}
	return i
}

// appendRun appends characters that stand for themselves and moves safe along.
func appendRun(b []byte, run string, start, limit, safe int) ([]byte, int) {
	if end := start + limit - 3; len(b) <= end {
		safe = min(len(b)+len(run), end)
	}
	return append(b, run...), safe
}

// appendMember appends ,"name":"value".
func appendMember(b []byte, name, value string, limit int) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return appendText(b, value, limit)
}

// recordTime is the form of times in records.
const recordTime = "2006-01-02T15:04:05Z"

// appendTime appends t in that form, between quotes. It is done by hand because
// interpreting the layout would take a tenth of a record's time.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 1000 || year > 9999 {
		b = append(b, '"')
		return append(t.AppendFormat(b, recordTime), '"')
	}
	hour, minute, second := t.Clock()
	b = append(b, '"')
	b = append2(append2(b, year/100), year%100)
	b = append2(append(b, '-'), int(month))
	b = append2(append(b, '-'), day)
	b = append2(append(b, 'T'), hour)
	b = append2(append(b, ':'), minute)
	b = append2(append(b, ':'), second)
	return append(b, 'Z', '"')
}

func append2(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// maxDepth bounds the nesting of values that slices hand over.
const maxDepth = 16

// appendObject appends a map with its keys in order. Values of sensitive types
// are left out, name and all, and so are blobs, as wire leaves them out of
// requestParameters.
func appendObject(b []byte, m map[string]any, depth int) []byte {
	keys := make([]string, 0, len(m))
	for k, v := range m {
		if !sensitive(v) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, k, maxMember)
		b = append(b, ':')
		b = appendValue(b, m[k], depth)
	}
	return append(b, '}')
}

func sensitive(v any) bool {
	switch v.(type) {
	case aws.SensitiveString, *aws.SensitiveString, aws.SensitiveBytes, *aws.SensitiveBytes, []byte:
		return true
	}
	return false
}

// appendValue appends a value of responseElements or additionalEventData.
func appendValue(b []byte, v any, depth int) []byte {
	if depth > maxDepth || len(b) > 4*maxEvent {
		return append(b, omitted...) // The whole member is thrown away later.
	}
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return appendText(b, v, maxMember)
	case bool:
		return strconv.AppendBool(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int32:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case time.Time:
		return appendTime(b, v)
	case aws.Time:
		return appendTime(b, v.Time)
	case *string:
		return appendPointer(b, v, depth)
	case *bool:
		return appendPointer(b, v, depth)
	case *int32:
		return appendPointer(b, v, depth)
	case *int64:
		return appendPointer(b, v, depth)
	case *aws.Time:
		return appendPointer(b, v, depth)
	case []string:
		return appendList(b, v, depth)
	case []any:
		return appendList(b, v, depth)
	case []map[string]any:
		return appendList(b, v, depth)
	case map[string]any:
		return appendObject(b, v, depth+1)
	case map[string]string:
		m := make(map[string]any, len(v))
		for k, s := range v {
			m[k] = s
		}
		return appendObject(b, m, depth+1)
	}
	if sensitive(v) {
		return append(b, omitted...)
	}
	// Generated structures go through wire, which knows their sensitive
	// members; anything else renders as null.
	c := wire.Call{Input: v}
	return c.AppendRequestParameters(b)
}

func appendPointer[T any](b []byte, p *T, depth int) []byte {
	if p == nil {
		return append(b, "null"...)
	}
	return appendValue(b, *p, depth)
}

func appendList[T any](b []byte, list []T, depth int) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendValue(b, v, depth+1)
	}
	return append(b, ']')
}
