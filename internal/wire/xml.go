package wire

import (
	"bytes"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/strongroom/strongroom/internal/aws"
)

// faultNamespace is what AWS's front end answers under while the service is not
// known yet.
const faultNamespace = "http://webservices.amazon.com/AWSFault/2005-15-09"

// encodeXML appends the answer of a Query operation (spec iam-sts.md 1). out is
// nil for an operation without output, which has no Result element.
func encodeXML(b *bytes.Buffer, c *Call, out any) {
	p := b.AvailableBuffer()
	p = append(p, '<')
	p = append(p, c.Operation...)
	p = append(p, `Response xmlns="`...)
	p = append(p, c.Service.XMLNamespace...)
	p = append(p, `">`...)
	if out != nil {
		result := c.Operation + "Result"
		p = append(p, '<')
		p = append(p, result...)
		p = append(p, '>')
		p = appendMembers(p, reflect.ValueOf(out).Elem())
		p = appendClose(p, result)
	}
	p = append(p, "<ResponseMetadata>"...)
	p = appendElement(p, "RequestId", c.RequestID)
	p = append(p, "</ResponseMetadata>"...)
	p = appendClose(p, c.Operation+"Response")
	b.Write(p)
}

// appendErrorXML renders an error body.
func appendErrorXML(b []byte, c *Call, e *aws.Error) []byte {
	namespace, kind := faultNamespace, "Sender"
	if c.Service != nil {
		namespace = c.Service.XMLNamespace
	}
	if e.HTTPStatus() >= http.StatusInternalServerError {
		kind = "Receiver"
	}
	b = append(b, `<ErrorResponse xmlns="`...)
	b = append(b, namespace...)
	b = append(b, `"><Error>`...)
	b = appendElement(b, "Type", kind)
	b = appendElement(b, "Code", e.Code)
	if !e.Bare {
		b = appendElement(b, "Message", e.Message)
	}
	b = append(b, "</Error>"...)
	b = appendElement(b, "RequestId", c.RequestID)
	return append(b, "</ErrorResponse>"...)
}

func appendMembers(b []byte, v reflect.Value) []byte {
	for _, m := range shapeOf(v.Type()).members {
		b = appendValue(b, m.name, v.Field(m.index))
	}
	return b
}

// appendValue appends <name>…</name>, or nothing for an absent value. An empty
// list is present and so an empty element.
func appendValue(b []byte, name string, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if v.IsNil() {
			return b
		}
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	open := len(b)
	b = append(b, '<')
	b = append(b, name...)
	b = append(b, '>')
	start := len(b)
	if text, ok := appendScalar(b, v); ok {
		if safeXML(text[start:]) {
			b = text
		} else {
			b = appendText(b, string(text[start:]))
		}
		return appendClose(b, name)
	}
	switch v.Kind() {
	case reflect.Struct:
		b = appendMembers(b, v)
	case reflect.Slice:
		for i := range v.Len() {
			b = appendValue(b, "member", v.Index(i))
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
		for _, k := range keys {
			b = append(b, "<entry>"...)
			b = appendValue(b, "key", k)
			b = appendValue(b, "value", v.MapIndex(k))
			b = append(b, "</entry>"...)
		}
	}
	if len(b) == start {
		b = append(b[:open], '<')
		b = append(b, name...)
		return append(b, "/>"...)
	}
	return appendClose(b, name)
}

func appendElement(b []byte, name, text string) []byte {
	b = append(b, '<')
	b = append(b, name...)
	b = append(b, '>')
	b = appendText(b, text)
	return appendClose(b, name)
}

func appendClose(b []byte, name string) []byte {
	b = append(b, "</"...)
	b = append(b, name...)
	return append(b, '>')
}

// safeXML says whether text needs no escaping.
func safeXML(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c >= 0x7f || c == '&' || c == '<' || c == '>' {
			return false
		}
	}
	return true
}

// appendText escapes s for element content. Characters that XML 1.0 cannot hold
// become U+FFFD; a carriage return is written as a reference, since a parser
// would otherwise read it as a line feed.
func appendText(b []byte, s string) []byte {
	for i, r := range s {
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '\r':
			b = append(b, "&#xD;"...)
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"),
			r < ' ' && r != '\t' && r != '\n',
			r == 0xFFFE || r == 0xFFFF:
			b = append(b, "\uFFFD"...)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// PercentEncode escapes s as IAM does for policy documents in its answers: all but
// RFC 3986's unreserved characters become %XX (spec iam-sts.md 1).
func PercentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+len(s)/2)
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z',
			c == '-', c == '.', c == '_', c == '~':
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}
