package canary

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// spelling is a way to write a value.
type spelling struct {
	name string
	text []byte
	// whole: a part of it proves nothing less than all of it.
	whole bool
}

// spellings returns the ways in which programs write v: raw, and in each
// encoding that logs, databases, protocols and debuggers have for bytes. Those of
// its base64 text are among them, since that is what v is inside a request or an
// answer. Digests count too: without a key they let a guess be checked.
func spellings(v []byte) []spelling {
	var out []spelling
	seen := make(map[string]bool)
	add := func(name string, text []byte) {
		if !seen[string(text)] {
			seen[string(text)] = true
			out = append(out, spelling{name: name, text: text})
		}
	}
	encodings("", v, add)
	encodings(" of base64", []byte(base64.StdEncoding.EncodeToString(v)), add)
	for name, sum := range digests(v) {
		for _, s := range []spelling{
			{name: name, text: sum},
			{name: name + " in hex", text: []byte(hex.EncodeToString(sum))},
			{name: name + " in upper hex", text: bytes.ToUpper([]byte(hex.EncodeToString(sum)))},
			{name: name + " in base64", text: []byte(base64.RawStdEncoding.EncodeToString(sum))},
			{name: name + " in base64url", text: []byte(base64.RawURLEncoding.EncodeToString(sum))},
		} {
			s.whole = true
			out = append(out, s)
		}
	}
	return out
}

func digests(v []byte) map[string][]byte {
	m, s1, s256, s512 := md5.Sum(v), sha1.Sum(v), sha256.Sum256(v), sha512.Sum512(v)
	return map[string][]byte{"MD5": m[:], "SHA-1": s1[:], "SHA-256": s256[:], "SHA-512": s512[:]}
}

// encodings passes each encoding of v to add.
func encodings(of string, v []byte, add func(name string, text []byte)) {
	name := func(s string) string { return s + of }
	add(name("raw text"), v)
	if utf8.Valid(v) {
		add(name("lower case"), bytes.ToLower(v))
		add(name("upper case"), bytes.ToUpper(v))
		quoted(name, string(v), add)
	}
	for shift := range 3 {
		add(name("base64"), shifted(base64.StdEncoding.EncodeToString, v, shift, 3, 4))
		add(name("base64url"), shifted(base64.URLEncoding.EncodeToString, v, shift, 3, 4))
	}
	for shift := range 5 {
		add(name("base32"), shifted(base32.StdEncoding.EncodeToString, v, shift, 5, 8))
	}
	add(name("hex"), []byte(hex.EncodeToString(v)))
	add(name("upper hex"), bytes.ToUpper([]byte(hex.EncodeToString(v))))
	each(v, name("spaced hex"), "%02x ", add)
	each(v, name("spaced upper hex"), "%02X ", add)
	each(v, name(`\x escapes`), `\x%02x`, add)
	each(v, name("hex literals"), "0x%x, ", add)
	each(v, name("octal escapes"), `\%03o`, add)
	each(v, name("decimal numbers"), "%d ", add)
	each(v, name("decimal list"), "%d,", add)
	each(v, name("spaced decimal list"), "%d, ", add)
	each(v, name("percent escapes"), "%%%02X", add)
	each(v, name("lower percent escapes"), "%%%02x", add)
	each(v, name(`\u escapes`), `\u%04x`, add)
	each(v, name(`upper \u escapes`), `\u%04X`, add)
	add(name("query escapes"), []byte(url.QueryEscape(string(v))))
	add(name("path escapes"), []byte(url.PathEscape(string(v))))
	add(name("strict escapes"), []byte(strings.ReplaceAll(url.QueryEscape(string(v)), "+", "%20")))
	little, big := make([]byte, 0, 2*len(v)), make([]byte, 0, 2*len(v))
	for _, c := range v {
		little = binary.LittleEndian.AppendUint16(little, uint16(c))
		big = binary.BigEndian.AppendUint16(big, uint16(c))
	}
	add(name("UTF-16LE"), little)
	add(name("UTF-16BE"), big)
	// Binary data as text: what is not printable is escaped, the rest is not.
	add(name("Go %q"), unquote(strconv.Quote(string(v))))
	add(name("Go %+q"), unquote(strconv.QuoteToASCII(string(v))))
	add(name("text for Unicode"), []byte(strings.ToValidUTF8(string(v), "\uFFFD")))
	add(name("Latin-1 as UTF-8"), latin1(v))
}

// quoted passes the encodings that only text has.
func quoted(name func(string) string, s string, add func(string, []byte)) {
	b, _ := json.Marshal(s) // Text is always encoded.
	add(name("JSON for HTML"), unquote(string(b)))
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)
	text := unquote(strings.TrimSuffix(plain.String(), "\n"))
	add(name("JSON"), text)
	add(name("JSON with escaped slashes"), bytes.ReplaceAll(text, []byte("/"), []byte(`\/`)))
	// A JSON document inside a JSON string.
	twice, _ := json.Marshal(string(text))
	add(name("JSON in JSON"), unquote(string(twice)))
	var x bytes.Buffer
	_ = xml.EscapeText(&x, []byte(s)) // A buffer takes everything.
	add(name("XML"), x.Bytes())
	add(name("HTML"), []byte(html.EscapeString(s)))
	add(name("SQL"), []byte(strings.ReplaceAll(s, "'", "''")))
}

func unquote(s string) []byte { return []byte(s[1 : len(s)-1]) }

func latin1(v []byte) []byte {
	var out []byte
	for _, c := range v {
		out = utf8.AppendRune(out, rune(c))
	}
	return out
}

func each(v []byte, name, format string, add func(string, []byte)) {
	var out []byte
	for _, c := range v {
		out = fmt.Appendf(out, format, c)
	}
	add(name, out)
}

// shifted encodes v as it looks behind shift other bytes, and leaves out the
// digits that depend on its neighbours. An encoding turns in bytes into out
// digits.
func shifted(encode func([]byte) string, v []byte, shift, in, out int) []byte {
	text := encode(append(make([]byte, shift), v...))
	from := (shift*out + in - 1) / in
	to := (shift + len(v)) * out / in
	return []byte(text[from:to])
}
