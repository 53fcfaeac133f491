package wire

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/strongroom/strongroom/internal/aws"
)

// FuzzXML: whatever is answered is well-formed, and reads as what was meant, but for
// characters that XML cannot hold; and so is an error about it.
func FuzzXML(f *testing.F) {
	for _, s := range []string{"a", "<&>\"']]>", "a\r\nb\t", "\x00\x1f\x7f\u0085\u2028", "\ufffe\uffff\ufffd", "\xff\xc0\x80", "\U0010ffff", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := &Call{Operation: "Toy", RequestID: "r", Service: &Service{XMLNamespace: "urn:x", Protocol: Query}}
		var b bytes.Buffer
		encodeXML(&b, c, &toyInput{Id: &text, Names: []string{text, ""}, Context: map[string]string{text: text}})
		var out struct {
			Id    string   `xml:"ToyResult>Id"`
			Names []string `xml:"ToyResult>Names>member"`
			Value string   `xml:"ToyResult>Context>entry>value"`
		}
		if err := xml.Unmarshal(b.Bytes(), &out); err != nil {
			t.Fatalf("%v: %q", err, b.Bytes())
		}
		want := strings.Map(func(r rune) rune {
			if r == utf8.RuneError || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
				return utf8.RuneError
			}
			return r
		}, text)
		if out.Id != want || len(out.Names) != 2 || out.Names[0] != want || out.Value != want {
			t.Fatalf("%q reads as %q, want %q", text, out, want)
		}
		d := xml.NewDecoder(bytes.NewReader(appendErrorXML(nil, c, &aws.Error{Code: text, Message: text})))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if s, err := url.PathUnescape(PercentEncode(text)); err != nil || s != text {
			t.Fatalf("%q is escaped as %q", text, PercentEncode(text))
		}
	})
}
