package policy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// What people send who mean harm: policies that are too large or too deep, patterns
// that are built to be slow, conditions by the thousand. They are refused with AWS's
// sentence, or cost no more than their size; that is measured in steps and
// allocations, for a clock says nothing on a busy machine. The benchmarks below show
// times.

// TestHostileTextsAreRefused: by bounds on size and depth, before they cost anything.
func TestHostileTextsAreRefused(t *testing.T) {
	const one = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	many := func(n int) string {
		return `{"Version":"2012-10-17","Statement":[` + strings.Repeat(one+",", n-1) + one + `]}`
	}
	nested := func(open, shut string, n int) string { return strings.Repeat(open, n) + strings.Repeat(shut, n) }
	const huge = 10 << 20
	for name, tt := range map[string]struct {
		text, want string
		rule       Rule
	}{
		"10 MB of blanks":             {strings.Repeat(" ", huge), msgSyntax, RuleJSON},
		"10 MB of statements":         {many(huge / len(one)), msgSyntax, RuleJSON},
		"10 MB in one action":         {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"` + strings.Repeat("a", huge) + `","Resource":"*"}}`, msgSyntax, RuleJSON},
		"5,000 statements":            {many(5000), msgSyntax, RuleGrammar},
		"arrays in arrays":            {nested("[", "]", 1<<17), msgSyntax, RuleJSON},
		"objects in objects":          {nested(`{"a":`, "}", 1<<16), msgSyntax, RuleJSON},
		"a million open brackets":     {strings.Repeat("[", 1<<20), msgSyntax, RuleJSON},
		"arrays in a condition":       {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"a:b":` + nested("[", "]", 20) + `}}}}`, msgSyntax, RuleGrammar},
		"an object of 60,000 names":   {`{` + numbered(60_000, `"x%d":1`) + `}`, msgSyntax, RuleGrammar},
		"one name 60,000 times":       {`{` + strings.TrimSuffix(strings.Repeat(`"Id":"x",`, 60_000), ",") + `}`, msgSyntax, RuleGrammar},
		"60,000 unknown operators":    {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{` + numbered(60_000, `"x%d":{}`) + `}}}`, msgSyntax, RuleGrammar},
		"a number of a megabyte":      {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":` + strings.Repeat("1", 1<<19) + `}}`, msgSyntax, RuleGrammar},
		"a date of half a megabyte":   {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateEquals":{"a:b":"` + strings.Repeat("1", 1<<19) + `"}}}}`, msgLegacy, RuleLegacy},
		"a Sid of half a megabyte":    {`{"Version":"2012-10-17","Statement":{"Sid":"` + strings.Repeat("-", 1<<19) + `","Effect":"Allow","Action":"*","Resource":"*"}}`, msgSidFormat, RuleSid},
		"a vendor of half a megabyte": {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"` + strings.Repeat("a", 1<<19) + `","Resource":"*"}}`, msgVendor, RuleAction},
	} {
		_, err := ParseAs([]byte(tt.text), KindIdentity)
		invalid, ok := errors.AsType[*InvalidError](err)
		if !ok || invalid.Message != tt.want || invalid.Rule != tt.rule {
			t.Errorf("%s: %.200v", name, err)
			continue
		}
		if cause := fmt.Sprint(invalid.Cause); len(cause) > 200 {
			t.Errorf("%s: the cause repeats what was sent: %d bytes", name, len(cause))
		}
	}
}

func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// slowPatterns are patterns and texts of about n bytes that make globs go back.
func slowPatterns(n int) map[string][2]string {
	half := n / 2
	return map[string][2]string{
		"a*a*a*…b":               {strings.Repeat("a*", half) + "b", strings.Repeat("a", n)},
		"*a*a*a…":                {strings.Repeat("*a", half) + "*b", strings.Repeat("a", n)},
		"*aaa…b":                 {"*" + strings.Repeat("a", half) + "b", strings.Repeat("a", n)},
		"*?a?a…b":                {"*" + strings.Repeat("?a", half/2) + "b", strings.Repeat("a", n)},
		"*aaa…b*":                {"*" + strings.Repeat("a", half) + "b*", strings.Repeat("a", n)},
		"**…b":                   {strings.Repeat("*", half) + "b", strings.Repeat("a", n)},
		"*?*?…b":                 {strings.Repeat("*?", half) + "b", strings.Repeat("a", n)},
		"*aba…aab*":              {"*" + strings.Repeat("ab", half/2) + "aab*", strings.Repeat("ab", half)},
		"as many letters as can": {"*" + letters(half) + "a", letters(half) + letters(half)},
		"characters of 3 bytes":  {"*" + strings.Repeat("界", half/3) + "b", strings.Repeat("界", n/3)},
		"a match at the end":     {"*" + strings.Repeat("a", half) + "b", strings.Repeat("a", n) + "b"},
	}
}

// letters are n characters of which none comes twice.
func letters(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune(rune(0x4E00 + i%20000))
	}
	return b.String()
}

// globWork counts the steps of a comparison as glob does it: steps of the two
// pointers, then words and places of the bits.
func globWork(pattern, text string) int {
	p := encode(pattern, true)
	patience := globPatience * (len(p) + len(text))
	for steps := 1; steps < patience; steps *= 2 {
		if _, decided := globSteps(p, text, steps); decided {
			return steps
		}
	}
	if _, decided := globSteps(p, text, patience); decided {
		return patience
	}
	g, most := newBitPattern(p), 0
	for _, list := range g.lists {
		most = max(most, len(list))
	}
	return patience + len(p) + utf8.RuneCountInString(text)*(g.length/64+1+most)
}

// TestSlowPatterns: no pattern costs more than a few steps a byte, and one for every
// 64 pairs of characters.
func TestSlowPatterns(t *testing.T) {
	for _, n := range []int{512, 1024, 2048, 4096, 8192} {
		for name, c := range slowPatterns(n) {
			bound := globPatience*2*(len(c[0])+len(c[1])) + (len(c[0])/64+1)*2*len(c[1])
			if work := globWork(c[0], c[1]); work > bound {
				t.Errorf("%s of %d: %d steps, bound %d", name, n, work, bound)
			}
			want := strings.HasSuffix(c[1], "b") && name == "a match at the end"
			if got := glob(encode(c[0], true), c[1]); got != want {
				t.Errorf("%s of %d: %v", name, n, got)
			}
		}
	}
	// What people write is decided by the pointers, and allocates nothing.
	for _, c := range [][2]string{{"*prod*db*", strings.Repeat("prod/", 200) + "db"}, {"a*b*c", strings.Repeat("abc", 300)}, {"????????-*", "abcdefgh-ijk"}} {
		p := encode(c[0], true)
		if _, decided := globSteps(p, c[1], 2*len(c[1])); !decided {
			t.Errorf("%s takes more than two steps a byte", c[0])
		}
		if n := testing.AllocsPerRun(10, func() { glob(p, c[1]) }); n != 0 {
			t.Errorf("%s: %v allocations", c[0], n)
		}
	}
}

// TestGlobBitsAgrees compares the two ways to match on random patterns and texts,
// with letters of several bytes and bytes that are none.
func TestGlobBitsAgrees(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "b", "*", "?", "é", "界", "a", "*"}
	texts := []string{"a", "b", "é", "界", "\xe7", "\x95", "\xff", "a"}
	draw := func(from []string, most int) string {
		var b strings.Builder
		for range r.IntN(most) {
			b.WriteString(from[r.IntN(len(from))])
		}
		return b.String()
	}
	matched := 0
	for range 20_000 {
		most := []int{6, 20, 300}[r.IntN(3)]
		p := draw(pieces, most)
		s := draw(texts, most)
		if r.IntN(2) == 0 {
			// A text made from the pattern matches more often.
			s = strings.NewReplacer("*", draw(texts, 5), "?", "界").Replace(p)
		}
		encoded := encode(p, true)
		want, _ := globSteps(encoded, s, 1<<30)
		if got := globBits(encoded, s); got != want {
			t.Fatalf("%q on %q: bits %v, pointers %v", p, s, got, want)
		}
		if want {
			matched++
		}
	}
	if matched < 2000 {
		t.Errorf("only %d matches", matched)
	}
}

// conditionBomb is a policy of n conditions, or of n values of one.
func conditionBomb(t testing.TB, shape string, n int) *Document {
	t.Helper()
	var condition string
	switch shape {
	case "keys":
		condition = `"StringLike":{` + numbered(n, `"aws:PrincipalTag/t%d":"*x*"`) + `}`
	case "values":
		condition = `"StringLike":{"aws:PrincipalTag/t":[` + numbered(n, `"*x%d*"`) + `]}`
	case "exact values":
		condition = `"StringNotEquals":{"aws:PrincipalTag/t":[` + numbered(n, `"x%d"`) + `]}`
	case "ARNs":
		condition = `"ArnNotLike":{"aws:PrincipalArn":[` + numbered(n, `"arn:aws:iam::*:user/*x%d*"`) + `]}`
	case "multivalued":
		condition = `"ForAnyValue:StringEquals":{"aws:TagKeys":[` + numbered(n, `"x%d"`) + `]}`
	case "variables":
		condition = `"StringLike":{"aws:PrincipalTag/t":[` + numbered(n, `"${aws:PrincipalTag/t}%d"`) + `]}`
	}
	return mustParse(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+condition+`}}}`)
}

func bombRequest() *Request {
	p := alice()
	p.Tags = []Tag{{"t", "value"}}
	c := new(Context)
	c.SetMany("aws:tagkeys", strings.Fields(strings.Repeat("key ", 50)))
	return &Request{Principal: p, Action: getValue, Resource: ownSecret, Context: c}
}

var bombShapes = []string{"keys", "values", "exact values", "ARNs", "multivalued", "variables"}

// TestConditionBombs: conditions by the thousand cost nothing but the walk over them,
// and explaining them costs memory in proportion.
func TestConditionBombs(t *testing.T) {
	for _, shape := range bombShapes {
		q := bombRequest()
		size := func(n int) (evaluate, explain float64) {
			s := &Set{Identity: []Source{{ID: "b", Doc: conditionBomb(t, shape, n)}}}
			Evaluate(q, s)
			return testing.AllocsPerRun(2, func() { Evaluate(q, s) }), testing.AllocsPerRun(2, func() { Explain(q, s) })
		}
		n, small := size(1000)
		_, large := size(4000)
		if n != 0 {
			t.Errorf("%s: evaluating takes %v allocations", shape, n)
		}
		if large > 5*small+1000 {
			t.Errorf("%s: explaining four times as much takes %v allocations after %v", shape, large, small)
		}
	}
}

// TestParsingIsLinear: each value and key takes a handful of allocations, however many
// there are. (How many exactly depends on which texts are shared with what was parsed
// before.)
func TestParsingIsLinear(t *testing.T) {
	for _, shape := range bombShapes {
		for _, n := range []int{1000, 4000} {
			src := conditionBomb(t, shape, n).Source()
			if got := testing.AllocsPerRun(2, func() {
				if _, err := ParseAs(src, KindIdentity); err != nil {
					t.Error(err)
				}
			}); got > float64(24*n) {
				t.Errorf("%s: %v allocations for %d", shape, got, n)
			}
		}
	}
}

// TestVariablesDoNotMultiply: a short pattern of many variables with long values does
// not become a text of megabytes.
func TestVariablesDoNotMultiply(t *testing.T) {
	p := alice()
	p.Tags = []Tag{{"t", strings.Repeat("v", 2048)}}
	q := &Request{Principal: p, Action: getValue, Resource: ownSecret}
	text := strings.Repeat("${aws:PrincipalTag/t}", 5_000)
	for name, rest := range map[string]string{
		"a resource":  `"Resource":"arn:aws:secretsmanager:*:*:secret:` + text + `*"`,
		"no resource": `"NotResource":"arn:aws:secretsmanager:*:*:secret:` + text + `"`,
		"a condition": `"Resource":"*","Condition":{"StringLike":{"aws:username":"*` + text + `"},"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:` + text +
			`"},"StringEqualsIgnoreCase":{"aws:username":"` + text + `"},"Bool":{"aws:username":"` + text + `"}}`,
	} {
		s := &Set{Identity: []Source{{ID: "b", Doc: statements(t, `{"Effect":"Allow","Action":"*",`+rest+`}`)}}}
		if n := testing.AllocsPerRun(5, func() { Evaluate(q, s) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		want := ImplicitDeny
		if name == "no resource" {
			want = Allow
		}
		if got := Evaluate(q, s).Outcome; got != want {
			t.Errorf("%s: %s", name, got)
		}
		if x := Explain(q, s).String(); len(x) > 8*len(text) {
			t.Errorf("%s: %d bytes of explanation", name, len(x))
		}
	}
}

// BenchmarkHostile shows the times behind the tests above, at the largest sizes that
// reach the engine in a request: 2 KB for a value, 6 KB for a managed policy, 32 KB
// for a key policy.
func BenchmarkHostile(b *testing.B) {
	for name, c := range slowPatterns(4096) {
		p := encode(c[0], true)
		b.Run("pattern "+name, func(b *testing.B) {
			for b.Loop() {
				glob(p, c[1])
			}
		})
	}
	for _, shape := range bombShapes {
		q := bombRequest()
		s := &Set{Identity: []Source{{ID: "b", Doc: conditionBomb(b, shape, 1000)}}}
		b.Run("1,000 "+shape, func(b *testing.B) {
			for b.Loop() {
				Evaluate(q, s)
			}
		})
	}
	big := []byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":[` + numbered(60_000, `"s:a%d"`) + `],"Resource":"*"}}`)
	b.Run("parse a megabyte", func(b *testing.B) {
		b.SetBytes(int64(len(big)))
		for b.Loop() {
			if _, err := Parse(big); err != nil {
				b.Fatal(err)
			}
		}
	})
	deep := []byte(strings.Repeat("[", 10<<20))
	b.Run("refuse 10 MB", func(b *testing.B) {
		for b.Loop() {
			if _, err := Parse(deep); err == nil {
				b.Fatal("accepted")
			}
		}
	})
}
