package wire

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"
)

// TestDateHeader: each second has its own, also when the clock goes back.
func TestDateHeader(t *testing.T) {
	t.Parallel()
	var d dateHeader
	start := time.Unix(1_800_000_000, 999_999_999)
	for _, after := range []time.Duration{0, time.Nanosecond, time.Second, -time.Hour, 0} {
		at := start.Add(after)
		if got := d.at(at); len(got) != 1 || got[0] != at.UTC().Format(http.TimeFormat) {
			t.Errorf("%s: %q", at, got)
		}
	}
}

// TestCipherName: the names are the standard library's.
func TestCipherName(t *testing.T) {
	t.Parallel()
	for _, c := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if got := cipherName(c.ID); got != c.Name {
			t.Errorf("%s is called %s", c.Name, got)
		}
	}
}
