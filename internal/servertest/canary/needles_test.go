package canary

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func hits(t *testing.T, n *Needles, r io.Reader) []Hit {
	t.Helper()
	var out []Hit
	if err := n.Scan(r, func(h Hit) { out = append(out, h) }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSpellingsAreFound writes a value as programs do, by other code than the
// search has, and expects it to be found.
func TestSpellingsAreFound(t *testing.T) {
	const text = `kT4/"x+Q<9&vZ'7 r2=Bw\dE8?pLm3Yc`
	random := make([]byte, 32)
	mathrand.NewChaCha8([32]byte{1}).Read(random)
	for what, v := range map[string][]byte{"text": []byte(text), "bytes": random} {
		t.Run(what, func(t *testing.T) {
			n := New()
			if err := n.Add("it", v); err != nil {
				t.Fatal(err)
			}
			object, _ := json.Marshal(map[string]any{"a": string(v), "b": v})
			inside, _ := json.Marshal(string(object))
			sum := sha256.Sum256(v)
			for name, s := range map[string]string{
				"itself":         string(v),
				"a half":         string(v[9:26]),
				"go verbs":       fmt.Sprintf("%v %+v", v, struct{ B []byte }{v}),
				"go syntax":      fmt.Sprintf("%#v", v),
				"quoted":         fmt.Sprintf("%q", v),
				"plus quoted":    fmt.Sprintf("%+q", v),
				"hex":            fmt.Sprintf("%x", v),
				"spaced hex":     fmt.Sprintf("% x", v),
				"upper hex":      fmt.Sprintf("%X", v),
				"dump":           hex.Dump(v),
				"JSON":           string(object),
				"JSON in JSON":   string(inside),
				"base64 of JSON": base64.StdEncoding.EncodeToString(object),
				"url":            "/?q=" + url.QueryEscape(string(v)),
				"base64 in url":  "/?q=" + url.QueryEscape(base64.StdEncoding.EncodeToString(v)),
				"base64 wrapped": wrap(base64.StdEncoding.EncodeToString(v), 20),
				"digest":         fmt.Sprintf("sha256:%x", sum),
				"error":          fmt.Errorf("bad value %q: %w", string(v[:20]), io.EOF).Error(),
			} {
				if len(hits(t, n, strings.NewReader("before "+s+" after"))) == 0 {
					t.Errorf("%s: nothing found in %q", name, s)
				}
			}
			for shift := range 8 {
				for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
					s := e.EncodeToString(append(bytes.Repeat([]byte{'-'}, shift), v...))
					if len(hits(t, n, strings.NewReader(s))) == 0 {
						t.Errorf("base64 behind %d bytes: nothing found", shift)
					}
				}
			}
		})
	}
}

func wrap(s string, width int) string {
	var b strings.Builder
	for i := 0; i < len(s); i += width {
		b.WriteString(s[i:min(len(s), i+width)] + "\n")
	}
	return b.String()
}

// TestEveryPieceIsFound cuts all pieces of the least length out of all spellings
// and places them across the edges of the reader's buffer.
func TestEveryPieceIsFound(t *testing.T) {
	v := []byte("q8Wn2LxR5tYc7VbM0pKd3HsJ6gFz9AeU")
	n := New()
	if err := n.Add("it", v); err != nil {
		t.Fatal(err)
	}
	filler := bytes.Repeat([]byte{'.'}, 2*(chunk+maxPiece)+100)
	for _, f := range n.forms {
		for at := 0; at+f.least <= len(f.text); at++ {
			var ok bool
			n.ScanBytes(append([]byte("...."), f.text[at:at+f.least]...), func(h Hit) { ok = ok || h.Spelling == f.spelling })
			if !ok {
				t.Fatalf("%s: the piece at %d is not found", f.spelling, at)
			}
		}
	}
	for at := chunk - 60; at < chunk+maxPiece+20; at += 7 {
		b := bytes.Clone(filler)
		copy(b[at:], v)
		got := hits(t, n, iotest.HalfReader(bytes.NewReader(b)))
		if len(got) != 1 || got[0].Offset != int64(at) {
			t.Errorf("at %d: %v", at, got)
		}
	}
}

func TestChanceIsNoHit(t *testing.T) {
	n := New()
	for i := range 50 {
		v := make([]byte, 32)
		rand.Read(v)
		if err := n.Add(fmt.Sprint(i), v); err != nil {
			t.Fatal(err)
		}
	}
	// Numbers and digits are what spellings share with innocent text.
	var b bytes.Buffer
	r := mathrand.New(mathrand.NewChaCha8([32]byte{2}))
	for b.Len() < 4<<20 {
		fmt.Fprintf(&b, "%d, %d %02x %02X \\u%04x %d,%d", r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256))
	}
	start := time.Now()
	if got := hits(t, n, &b); got != nil {
		t.Errorf("found %v", got)
	}
	t.Logf("searched in %v", time.Since(start))
}

// A value that has a run of one byte, as pictures do, is found by what surrounds it,
// and a page full of that byte is no hit.
func TestRunsOfOneByteAreNoHit(t *testing.T) {
	random := make([]byte, 64)
	mathrand.NewChaCha8([32]byte{2}).Read(random)
	value := bytes.Join([][]byte{random[:32], bytes.Repeat([]byte{0xff}, 100), random[32:]}, nil)
	n := New()
	if err := n.Add("it", value); err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"\xff", "255 ", "255, ", `\xff`, "ff", "%FF", "0xff, "} {
		text := strings.Repeat(page, 8192)
		if found := hits(t, n, strings.NewReader("17 1, "+text)); len(found) != 0 {
			t.Errorf("found %v in a page of %q", found, page)
		}
	}
	for _, part := range [][]byte{value, value[:32], value[len(value)-32:]} {
		if len(hits(t, n, bytes.NewReader(part))) == 0 {
			t.Errorf("%d bytes of the value are not found", len(part))
		}
	}
}

func TestShortValuesAreRefused(t *testing.T) {
	if New().Add("short", make([]byte, MinValue-1)) == nil {
		t.Error("accepted")
	}
}
