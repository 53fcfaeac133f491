package sigv4

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// parameter is one pair of the query, percent-encoded the canonical way.
type parameter struct{ name, value string }

// parseQuery decodes a raw query and encodes it canonically. Decoding is
// net/url's, plus sign as space included, so that what is signed is what the
// protocol decoder will read.
func parseQuery(raw string) ([]parameter, error) {
	if strings.Count(raw, "&") >= maxParameters {
		return nil, incomplete("The query string has more than " + strconv.Itoa(maxParameters) + " parameters.")
	}
	var out []parameter
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return nil, ErrSignature
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return nil, ErrSignature
		}
		out = append(out, parameter{string(appendEncoded(nil, name)), string(appendEncoded(nil, value))})
	}
	return out, nil
}

// appendCanonical writes the canonical request (spec iam-sts.md 5). ok is false
// when a signed header is not there, when one holds a line break, which net/http
// lets nobody send and which could pass for another header, or when the whole is
// too long.
func (s *Signature) appendCanonical(dst []byte, payloadHash []byte) (_ []byte, ok bool) {
	dst = append(dst, s.r.Method...)
	dst = append(dst, '\n')
	dst = appendPath(dst, s.r.URL.EscapedPath())
	dst = append(dst, '\n')
	dst = s.appendQuery(dst)
	dst = append(dst, '\n')
	for _, name := range s.SignedHeaders {
		dst = append(dst, name...)
		dst = append(dst, ':')
		value := len(dst)
		dst, ok = s.appendHeader(dst, name)
		if !ok || len(dst) > maxCanonical || bytes.IndexByte(dst[value:], '\n') >= 0 {
			return dst, false
		}
		dst = append(dst, '\n')
	}
	dst = append(dst, '\n')
	dst = append(dst, s.signed...)
	dst = append(dst, '\n')
	return append(dst, payloadHash...), true
}

// appendPath writes the path without dot segments and repeated slashes and with
// each segment encoded once more, as all services but S3 sign it. The steps are
// botocore's: "/a/." is "/a", not RFC 3986's "/a/".
func appendPath(dst []byte, path string) []byte {
	if path == "" || path == "/" {
		return append(dst, '/')
	}
	start := len(dst)
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			// Encoded segments hold no slash, so the last one begins the last of them.
			dst = dst[:start+max(0, bytes.LastIndexByte(dst[start:], '/'))]
		default:
			dst = append(dst, '/')
			dst = appendEncoded(dst, segment)
		}
	}
	if len(dst) == start || path[len(path)-1] == '/' {
		dst = append(dst, '/')
	}
	return dst
}

// appendQuery writes all parameters but the signature, sorted by encoded name,
// then by encoded value.
func (s *Signature) appendQuery(dst []byte) []byte {
	if len(s.query) == 0 {
		return dst
	}
	// A copy: Verify may run again, and in parallel.
	sorted := slices.Clone(s.query)
	slices.SortFunc(sorted, func(a, b parameter) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	first := true
	for _, p := range sorted {
		if p.name == "X-Amz-Signature" {
			continue
		}
		if !first {
			dst = append(dst, '&')
		}
		first = false
		dst = append(dst, p.name...)
		dst = append(dst, '=')
		dst = append(dst, p.value...)
	}
	return dst
}

// appendHeader writes the value of a header as it is signed: its values trimmed,
// inner runs of spaces collapsed, joined with commas.
func (s *Signature) appendHeader(dst []byte, name string) (_ []byte, ok bool) {
	if name == "host" || name == ":authority" {
		// As received, port included: what the client dialled is what it signed.
		return appendCollapsed(dst, s.r.Host), s.r.Host != ""
	}
	values, ok := s.header(name)
	if !ok {
		// net/http gives the length a field of its own and, for requests that did
		// not come over the wire, no header.
		if name == "content-length" && s.r.ContentLength > 0 {
			return strconv.AppendInt(dst, s.r.ContentLength, 10), true
		}
		return dst, false
	}
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendCollapsed(dst, v)
	}
	return dst, true
}

// header looks a header up by its lower-case name without making a string of the
// canonical one.
func (s *Signature) header(name string) ([]string, bool) {
	var room [maxHeaderName]byte
	key := append(room[:0], name...)
	upper := true
	for i, c := range key {
		if upper && 'a' <= c && c <= 'z' {
			key[i] = c - 'a' + 'A'
		}
		upper = c == '-'
	}
	values, ok := s.r.Header[string(key)]
	return values, ok && len(values) > 0
}

func appendCollapsed(dst []byte, v string) []byte {
	v = strings.Trim(v, " \t")
	if !strings.Contains(v, "  ") {
		return append(dst, v...)
	}
	for i := range len(v) {
		if v[i] == ' ' && v[i-1] == ' ' {
			continue // i > 0: the value is trimmed
		}
		dst = append(dst, v[i])
	}
	return dst
}

// appendEncoded percent-encodes all but RFC 3986's unreserved characters.
func appendEncoded(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
			dst = append(dst, c)
			continue
		}
		const digits = "0123456789ABCDEF"
		dst = append(dst, '%', digits[c>>4], digits[c&15])
	}
	return dst
}

// appendHex writes a digest in lower-case hexadecimal.
func appendHex(dst []byte, sum *[32]byte) []byte { return hex.AppendEncode(dst, sum[:]) }
