package policy

import (
	"strings"
	"testing"
	"time"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "", false}, {"*", "", true}, {"**", "", true}, {"?", "", false},
		{"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXbYbZ", false}, {"*a", "aaab", false}, {"*ab", "aaab", true},
		{"?*", "é", true}, {"*?", "é", true}, {"??", "é", false}, {"*??", "€", false}, {"é*", "éa", true}, {"?", "\xff", true},
		{"a*", "b", false}, {"*a*", "bab", true}, {"a?c", "abc", true}, {"a?c", "a\nc", true},
	} {
		for _, p := range []pattern{compile(c.pattern, true, false), {text: encode(c.pattern, true), shape: shapeGlob}} {
			if got := p.matches(c.text); got != c.want {
				t.Errorf("%q on %q: %v (shape %d)", c.pattern, c.text, got, p.shape)
			}
		}
	}
}

func TestGlobIsNotExponential(t *testing.T) {
	start := time.Now()
	p := compile(strings.Repeat("*a", 500)+"b", true, false)
	if p.matches(strings.Repeat("a", 5000)) {
		t.Error("matched")
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

// naive is the definition, by recursion.
func naive(pattern, text []rune) bool {
	if len(pattern) == 0 {
		return len(text) == 0
	}
	if pattern[0] == '*' {
		return naive(pattern[1:], text) || len(text) > 0 && naive(pattern, text[1:])
	}
	return len(text) > 0 && (pattern[0] == '?' || pattern[0] == text[0]) && naive(pattern[1:], text[1:])
}

func FuzzGlob(f *testing.F) {
	for _, seed := range []string{"", "*", "a*b?c|aXbYc", "?é*|aéé", "**a**|bab", "a|A", "*??|€"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, both string) {
		pattern, text, _ := strings.Cut(strings.ToValidUTF8(both, ""), "|")
		if len(pattern) > 8 || len(text) > 16 {
			t.Skip() // the definition is exponential
		}
		p := compile(pattern, true, false)
		want := naive([]rune(pattern), []rune(text))
		if got := p.matches(text); got != want {
			t.Errorf("%q on %q: %v, want %v", pattern, text, got, want)
		}
		action := compileAction(pattern)
		lower := lowerASCII(text)
		if got, want := action.matches([]byte(lower)), naive([]rune(lowerASCII(pattern)), []rune(lower)); got != want {
			t.Errorf("action %q on %q: %v, want %v", pattern, text, got, want)
		}
	})
}

func TestResourcePatterns(t *testing.T) {
	const key = "arn:aws:kms:us-east-1:111122223333:key/1"
	for _, c := range []struct {
		name, patterns, resource string
		matches, notMatches      bool
	}{
		{"star", `"*"`, ownSecret, true, false},
		{"star without resource", `"*"`, "*", true, false},
		{"ARN without resource", `"arn:aws:secretsmanager:*:*:secret:*"`, "*", false, true},
		{"all stars without resource", `"*:*:*:*:*:*"`, "*", false, true},
		{"exact", `"` + ownSecret + `"`, ownSecret, true, false},
		{"case", `"arn:aws:secretsmanager:us-east-1:111122223333:secret:PROD/*"`, ownSecret, false, true},
		{"rest with colons", `"arn:aws:secretsmanager:us-east-1:111122223333:*AbCdEf"`, ownSecret, true, false},
		{"wildcards in early parts", `"arn:*:secrets*:??-east-1:*:secret:prod/*"`, ownSecret, true, false},
		{"no crossing of parts", `"arn:aws:*:111122223333:secret:prod/db-AbCdEf"`, ownSecret, false, true},
		{"no crossing by a star at the end of a part", `"arn:aws:secretsmanager:us*:secret:prod/db-AbCdEf:x"`, ownSecret, false, true},
		{"short pattern is filled up", `"arn:aws:secretsmanager:*"`, ownSecret, true, false},
		{"short pattern of another service", `"arn:aws:kms:*"`, ownSecret, false, true},
		{"empty parts", `"arn:aws:secretsmanager:::*"`, ownSecret, false, true},
		{"one of two", `["arn:aws:s3:::b","` + key + `"]`, key, true, false},
		{"resource that is no ARN", `"arn:aws:secretsmanager:*:*:secret:*"`, "prod/db", false, true},
		{"resource that is no ARN against star", `"*"`, "prod/db", true, false},
		{"variable", `"arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/stage}/*"`, ownSecret, true, false},
		{"variable before the sixth part is text", `"arn:aws:secretsmanager:us-east-1:${aws:PrincipalAccount}:secret:*"`, ownSecret, false, true},
		{"variable without value", `"arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/none}*"`, ownSecret, false, false},
		{"variable without value beside another pattern", `["*","arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/none}"]`, ownSecret, true, false},
		{"variable without value beside a stranger", `["arn:aws:s3:::b","arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/none}"]`, ownSecret, false, false},
		{"variable with star is literal", `"arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/star}"`, ownSecret, false, true},
		{"empty list", `[]`, ownSecret, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := alice()
			p.Tags = []Tag{{"Stage", "prod"}, {"star", "*"}}
			for element, want := range map[string]bool{"Resource": c.matches, "NotResource": c.notMatches} {
				d := statements(t, `{"Effect":"Allow","Action":"*","`+element+`":`+c.patterns+`}`)
				outcome := ImplicitDeny
				if want {
					outcome = Allow
				}
				check(t, &Request{Principal: p, Action: getValue, Resource: c.resource}, &Set{Identity: []Source{{Doc: d}}}, outcome)
			}
		})
	}
}

func TestActionPatterns(t *testing.T) {
	for _, c := range []struct {
		patterns, action    string
		matches, notMatches bool
	}{
		{`"*"`, getValue, true, false},
		{`"secretsmanager:GetSecretValue"`, "SecretsManager:getsecretvalue", true, false},
		{`"SECRETSMANAGER:GET*"`, getValue, true, false},
		{`"secretsmanager:?et*Value"`, getValue, true, false},
		{`"secretsmanager:Get"`, getValue, false, true},
		{`"secrets*"`, getValue, true, false},
		{`"*:GetSecretValue"`, getValue, true, false},
		{`"*Value"`, getValue, true, false},
		{`["kms:*","ssm:*"]`, getValue, false, true},
		{`["kms:*","secretsmanager:*"]`, getValue, true, false},
		{`"Kms:*"`, "kms:Decrypt", false, true}, // KELVIN SIGN
		{`"${aws:username}:*"`, getValue, false, true},
		{`[]`, getValue, false, true},
		{`"a:*"`, "a:" + strings.Repeat("LongName", 20), true, false},
	} {
		for element, want := range map[string]bool{"Action": c.matches, "NotAction": c.notMatches} {
			d := statements(t, `{"Effect":"Allow","`+element+`":`+c.patterns+`,"Resource":"*"}`)
			outcome := ImplicitDeny
			if want {
				outcome = Allow
			}
			check(t, &Request{Principal: alice(), Action: c.action, Resource: ownSecret}, &Set{Identity: []Source{{Doc: d}}}, outcome)
		}
	}
}
