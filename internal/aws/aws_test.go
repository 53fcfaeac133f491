package aws

import (
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestParseARN(t *testing.T) {
	for _, s := range []string{
		"arn:aws:secretsmanager:us-east-1:111122223333:secret:a/b:c-AbCdEf",
		"arn:aws:iam::111122223333:user/path/bob",
	} {
		a, err := ParseARN(s)
		if err != nil || a.String() != s {
			t.Errorf("ParseARN(%q) = %+v, %v", s, a, err)
		}
	}
	for _, s := range []string{"", "arn", "arn:aws:iam::1", "urn:aws:iam::1:user/x", "arn::iam::1:x", "arn:aws::r:1:x", "arn:aws:iam::1:"} {
		if _, err := ParseARN(s); err == nil {
			t.Errorf("ParseARN(%q) passed", s)
		}
	}
}

func TestAccessKeyCarriesAccount(t *testing.T) {
	for _, account := range []string{"000000000001", "111122223333", "999999999999"} {
		id, err := NewAccessKeyID(LongTermKeyPrefix, account)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := AccessKeyAccount(id)
		if !ok || got != account || len(id) != 20 {
			t.Errorf("%s -> %s -> %s, %v", account, id, got, ok)
		}
	}
	for _, bad := range []string{"", "AKIA", "AKIA0000000000000000", "AKIA777777777777777"} {
		if got, ok := AccessKeyAccount(bad); ok {
			t.Errorf("AccessKeyAccount(%q) = %q", bad, got)
		}
	}
}

// The account in a key id is where the specification says: in the first six of
// the ten bytes that its 16 letters stand for.
func TestAccessKeyAccountAgainstBase32(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	for range 20_000 {
		id := LongTermKeyPrefix + RandomString(alphabet, 16)
		raw, err := base32.StdEncoding.DecodeString(id[4:])
		if err != nil {
			t.Fatal(err)
		}
		n := binary.BigEndian.Uint64(append([]byte{0, 0}, raw[:6]...)) & 0x7fffffffff80 >> 7
		account, ok := AccessKeyAccount(id)
		if want := fmt.Sprintf("%012d", n); ok != (len(want) == 12) || ok && account != want {
			t.Fatalf("%s: %q, %v, want %s", id, account, ok, want)
		}
	}
	good := LongTermKeyPrefix + "IOSFODNN7EXAMPLE"
	for _, bad := range []string{"AKIX" + good[4:], "akia" + good[4:], good[:19], good + "A", good[:19] + "1", good[:19] + "=", good[:19] + "\n", good[:19] + "a", good[:18] + "é"} {
		if account, ok := AccessKeyAccount(bad); ok {
			t.Errorf("%q belongs to %s", bad, account)
		}
	}
	if _, ok := AccessKeyAccount(TemporaryKeyPrefix + good[4:]); !ok {
		t.Error("a temporary key belongs to nobody")
	}
}

func TestSensitiveNeverShows(t *testing.T) {
	const value = "hunter2-canary"
	v := struct {
		S  SensitiveString
		P  *SensitiveString
		B  SensitiveBytes
		PB *SensitiveBytes
	}{S: value, B: []byte(value)}
	v.P, v.PB = &v.S, &v.B
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+"\n", v.S)
		fmt.Fprintf(&out, verb+"\n", v.B)
		fmt.Fprintf(&out, verb+"\n", *v.P)
		fmt.Fprintf(&out, verb+"\n", v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", v.S, "b", v.B, "v", v)
	for _, form := range []string{value, "aHVudGVyMi1jYW5hcnk", fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), "104 117 110"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("output shows the value as %q:\n%s", form, out.String())
		}
	}
}

func TestTimeForms(t *testing.T) {
	for _, c := range []struct {
		us   int64
		want string
	}{
		{1712813867123000, "1712813867.123"},
		{1712813867120000, "1712813867.12"},
		{1712793600000000, "1712793600"},
		{-1500000, "-1.5"},
	} {
		got := string(Time{time.UnixMicro(c.us)}.AppendEpoch(nil))
		if got != c.want {
			t.Errorf("%d: got %s, want %s", c.us, got, c.want)
		}
		var back Time
		if err := back.UnmarshalJSON([]byte(got)); err != nil || back.UnixMilli() != c.us/1000 {
			t.Errorf("%s read back as %v, %v", got, back, err)
		}
	}
	var x Time
	for _, bad := range []string{`"2024"`, "1e300", "-1e300", "NaN", "true"} {
		if err := x.UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s read as %v", bad, x)
		}
	}
}

func TestSameTagKey(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"", "", true}, {"team", "TEAM", true}, {"tier", "t\u0130er", true}, {"k", "\u212a", true}, {"\u00e9", "\u00c9", true},
		{"team", "teams", false}, {"stage", "\u017ftage", false}, {"a", "", false},
	} {
		if SameTagKey(c.a, c.b) != c.want || SameTagKey(c.b, c.a) != c.want {
			t.Errorf("%q and %q: want %v", c.a, c.b, c.want)
		}
	}
}

func TestRandomStringIsUniform(t *testing.T) {
	const n = 36 * 2000
	counts := map[rune]int{}
	for _, c := range RandomString(idAlphabet, n) {
		counts[c]++
	}
	// Chi-squared with 35 degrees of freedom: above 90 is one in a million.
	var chi float64
	for _, c := range idAlphabet {
		d := float64(counts[c] - 2000)
		chi += d * d / 2000
	}
	if chi > 90 {
		t.Errorf("chi-squared %.1f", chi)
	}
}
