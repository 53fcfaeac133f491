package hostile

import (
	"math/rand/v2"
	"strings"
)

// rude are strings that somebody may have forgotten to think of.
var rude = []string{
	"", " ", "\x00", "\u0000null", "a\nb\r\n\tc", "\u202egnitirw", "e\u0301\u0301\u0301", "\ufeff", "\U0010ffff", "😀😀😀", "ﷺ",
	"../../etc/passwd", "%00%0a%2e", "'; DROP TABLE secrets; --", "$(reboot)", "{{.}}", "<script>", "]]>", "&amp;&#0;", "${aws:username}",
	"arn:aws:secretsmanager:us-east-1:111122223333:secret:s0-AbCdEf", "arn:::::", "arn:aws:iam::*:user/*", "*", "?", "-1", "NaN", "null", "true",
	"Infinity", "0x10", "1e9", "AWSCURRENT", "AWSPREVIOUS", strings.Repeat("*a", 3000), strings.Repeat("a", 70000), strings.Repeat("é", 5000),
	strings.Repeat("(", 2000), strings.Repeat("[", 5000), strings.Repeat("{\"a\":", 3000), "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z",
}

// raws are JSON texts that are no value, or one of another type.
var raws = []string{
	"null", "true", "[]", "{}", "[[]]", `""`, "0", "-0", "-1", "1.5", "1e400", "-1e400", "1e-400", "9223372036854775807", "9223372036854775808",
	"18446744073709551616", "123456789012345678901234567890", "01", "+1", ".5", "1.", "NaN", "Infinity", "undefined", "'a'", `"\ud800"`, `"\udc00\ud800"`,
	`"\u0000"`, `"\x"`, "\"\x01\"", "\"\xff\xfe\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", `"a`, `{"a":1,"a":2}`, `{"a"}`, "[1,]", "{,}", "//", "/**/1", "\x00",
	strings.Repeat("[", 70), strings.Repeat("[", 70) + strings.Repeat("]", 70), strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65),
	"[" + strings.Repeat("1,", 20_000) + "1]", `"` + strings.Repeat("A", 200_000) + `"`, `"` + strings.Repeat(`\u0041`, 30_000) + `"`,
}

// shatter changes a value in a few places.
func shatter(r *rand.Rand, n *node) {
	for range 1 + r.IntN(3) {
		all := n.all()
		v := all[r.IntN(len(all))]
		switch r.IntN(9) {
		case 0, 1:
			*v = *scalar(pick(r, raws), pick(r, rude))
		case 2, 3:
			*v = *quoted(pick(r, rude))
		case 4: // another member, or one twice
			name := pick(r, rude)
			if len(v.members) > 0 && r.IntN(2) == 0 {
				name = pick(r, v.members).name
			}
			v.members = append(v.members, member{name, quoted(pick(r, rude))})
			v.object, v.list = true, false
		case 5: // one less
			if len(v.members) > 0 {
				v.members = v.members[1:]
			}
		case 6: // another case
			if len(v.members) > 0 {
				m := &v.members[r.IntN(len(v.members))]
				m.name = strings.ToLower(m.name)
			}
		case 7: // many
			if len(v.items) > 0 {
				for range 1200 {
					v.items = append(v.items, v.items[0])
				}
			}
		case 8: // one level more
			inner := *v
			*v = node{list: true, items: []*node{&inner}}
		}
	}
}

// bytes breaks a text without regard to what it means.
func bruise(r *rand.Rand, s string) string {
	b := []byte(s)
	for range 1 + r.IntN(4) {
		if len(b) == 0 {
			break
		}
		at := r.IntN(len(b))
		switch r.IntN(4) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b = b[:at]
		case 2:
			b = append(b[:at:at], append([]byte{byte(r.IntN(256))}, b[at:]...)...)
		case 3:
			b = append(b[:at], b[at+1:]...)
		}
	}
	return string(b)
}

// warp changes parameters of a Query request.
func warp(r *rand.Rand, all []pair) []pair {
	for range 1 + r.IntN(3) {
		if len(all) == 0 {
			return []pair{{pick(r, rude), pick(r, rude)}}
		}
		p := &all[r.IntN(len(all))]
		switch r.IntN(8) {
		case 0, 1:
			p.value = pick(r, rude)
		case 2:
			all = append(all, *p)
		case 3:
			p.name += pick(r, []string{".member.1", ".member.0", ".member.-1", ".member.999999999", ".entry.1.key", ".", "..", ".member", "[0]", ".1"})
		case 4:
			p.name = pick(r, rude)
		case 5:
			for range 1100 {
				all = append(all, pair{p.name + ".member.1", "x"})
			}
		case 6:
			p.name = strings.ToLower(p.name)
		case 7:
			all = append(all, pair{"Action", pick(r, []string{"", "GetUser", "Nothing", "DeleteUser"})}, pair{"Version", "2010-05-08"})
		}
	}
	return all
}
