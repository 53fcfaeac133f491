package audit

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

func stranger(i int) *wire.Call {
	c := getCall()
	c.Principal = nil
	c.Source = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	return c
}

var badSignature = &aws.Error{Code: "InvalidSignatureException", Message: "The request signature we calculated does not match"}

// fillUnverified counts more sources than are kept, with the longest samples.
func fillUnverified(l *Log) {
	for i := range maxSources + 100 {
		c := stranger(i)
		c.Source = netip.AddrFrom16([16]byte{0xfd, 0x1c, 0x2d, 0x3e, 0x4f, 0x5a, byte(i >> 8), byte(i), 0xff, 0xff, 0xff, 0xff})
		c.UserAgent, c.Operation = strings.Repeat("\x01", 500), strings.Repeat("\x01", 500)
		c.Service = &wire.Service{EventSource: strings.Repeat("x", 500)}
		l.Unverified(c, &aws.Error{Code: strings.Repeat("E", 500)})
	}
}

func TestFloodOfStrangersIsOneRecord(t *testing.T) {
	b := newBench(t)
	l := b.open()
	before := l.Stats()
	const flood = 20000
	for i := range flood {
		l.Unverified(stranger(i%5000), badSignature)
	}
	for range 3 {
		l.Unverified(stranger(1), errors.New("broken"))
	}
	if s := l.Stats(); s.Seq != before.Seq || s.Unverified != flood+3 ||
		s.UnverifiedCodes["InvalidSignatureException"] != flood || s.UnverifiedCodes["InternalFailure"] != 3 {
		t.Fatalf("stats %+v", s)
	}
	if l.unverified.due(l.now()) || !l.unverified.due(l.now().Add(window)) {
		t.Fatal("the record is due at another time than a minute later")
	}
	b.close()
	b.mustVerify()
	got := b.records()
	if len(got) != 2 || got[1]["eventName"] != unverifiedEvent {
		t.Fatalf("%d records", len(got))
	}
	d := got[1]["serviceEventDetails"].(map[string]any)
	sources := d["sources"].([]any)
	sum := d["others"].(float64)
	for _, s := range sources {
		sum += s.(map[string]any)["requests"].(float64)
	}
	if d["requests"] != float64(flood+3) || sum != flood+3 || len(sources) != maxSamples {
		t.Fatalf("details %v, sum %v", d, sum)
	}
}

func TestUnverifiedKeepsTheFirstSample(t *testing.T) {
	l := &Log{cfg: Config{Account: testAccount}, now: time.Now}
	first, second := stranger(1), stranger(1)
	first.UserAgent, second.UserAgent = "first", "second"
	l.Unverified(first, badSignature)
	l.Unverified(second, badSignature)
	if got := string(l.unverified.details(time.Now())); !strings.Contains(got, `"userAgent":"first"`) ||
		!strings.Contains(got, `"requests":2`) || strings.Contains(got, "second") || !strings.Contains(got, `"sourceIPAddress":"10.0.0.1"`) {
		t.Fatal(got)
	}
}

func TestUnverifiedIsBounded(t *testing.T) {
	l := &Log{now: time.Now}
	fillUnverified(l)
	for i := range 100 {
		l.Unverified(stranger(i), &aws.Error{Code: fmt.Sprintf("Code%d", i)})
	}
	if n := len(l.unverified.sources); n > maxSources {
		t.Errorf("%d sources kept", n)
	}
	if n := len(l.unverified.reasons); n > maxReasons+1 {
		t.Errorf("%d reasons kept", n)
	}
}
