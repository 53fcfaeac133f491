package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseErrors(t *testing.T) {
	stmt := func(members string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"` + members + `}]}`
	}
	for _, c := range []struct {
		name, src string
		kind      ErrorKind
		at        string // text at the error, "" for the end
		msg       string
	}{
		{"empty", ``, InvalidJSON, "", "unexpected end"},
		{"white space only", " \n\t", InvalidJSON, "", "unexpected end"},
		{"byte order mark", "\ufeff{}", InvalidJSON, "\ufeff", "expected a value"},
		{"single quotes", `{'Version':1}`, InvalidJSON, "'Version", "member name"},
		{"trailing comma in object", `{"Statement":[],}`, InvalidJSON, "}", "member name"},
		{"trailing comma in array", `{"Statement":[1,]}`, InvalidJSON, "]}", "expected a value"},
		{"text after", `{"Statement":[]} x`, InvalidJSON, "x", "after the end"},
		{"no colon", `{"Statement" []}`, InvalidJSON, "[]", "expected ':'"},
		{"never closed", `{"Statement":[{}`, InvalidJSON, "", "unexpected end"},
		{"leading zero", `{"Statement":01}`, InvalidJSON, "01", "malformed number"},
		{"bare minus", `{"Statement":-}`, InvalidJSON, "-}", "malformed number"},
		{"no fraction", `{"Statement":1.}`, InvalidJSON, "1.", "malformed number"},
		{"no exponent", `{"Statement":1e}`, InvalidJSON, "1e", "malformed number"},
		{"control character", "{\"Statement\":\"a\x01\"}", InvalidJSON, "\x01", "control character"},
		{"unknown escape", `{"Statement":"\x"}`, InvalidJSON, `\x`, "escape"},
		{"short escape", `{"Statement":"\u12"}`, InvalidJSON, `\u12`, "escape"},
		{"lone surrogate", `{"Statement":"\ud800"}`, InvalidJSON, `\ud800`, "surrogate"},
		{"high then plain", `{"Statement":"\ud800A"}`, InvalidJSON, `\ud800`, "surrogate"},
		{"low first", `{"Statement":"\udc00"}`, InvalidJSON, `\udc00`, "surrogate"},
		{"not UTF-8", "{\"Statement\":\"\xff\"}", InvalidJSON, "\xff", "UTF-8"},
		{"string open", `{"Statement`, InvalidJSON, `"Statement`, "without an end"},
		{"deep", strings.Repeat("[", 40), InvalidJSON, strings.Repeat("[", 7), "nested deeper"},
		{"an array", `[]`, InvalidGrammar, "[]", "object"},
		{"null", `null`, InvalidGrammar, "null", "object"},
		{"no statement", `{"Version":"2012-10-17"}`, InvalidGrammar, `{"Version`, "Statement is missing"},
		{"empty statements", `{"Statement":[]}`, InvalidGrammar, "[]", "empty"},
		{"statement a string", `{"Statement":["afd"]}`, InvalidGrammar, `"afd"`, "object"},
		{"statement null", `{"Statement":null}`, InvalidGrammar, `null`, "object"},
		{"unknown top element", `{"Statement":{"Effect":"Allow"},"Extra":1}`, InvalidGrammar, `"Extra"`, "unknown element"},
		{"top element in wrong case", `{"statement":[]}`, InvalidGrammar, `"statement"`, "unknown element"},
		{"unknown statement element", stmt(`,"Extra":1`), InvalidGrammar, `"Extra"`, "unknown element"},
		{"element in wrong case", stmt(`,"condition":{}`), InvalidGrammar, `"condition"`, "unknown element"},
		{"Id a list", `{"Id":["x"],"Statement":{}}`, InvalidGrammar, `["x"]`, "Id is a string"},
		{"Version a number", `{"Version":2012,"Statement":{}}`, InvalidGrammar, `2012`, "Version is a string"},
		{"Version unknown", `{"Version":"2013-10-17","Statement":{"Effect":"Allow"}}`, InvalidVersion, `"2013`, "Version"},
		{"grammar before version", `{"Version":"2013-10-17","Statement":[]}`, InvalidGrammar, `[]`, "empty"},
		{"Sid an object", stmt(`,"Sid":{}`), InvalidGrammar, `{}}]}`, "Sid is a string"},
		{"duplicate top element", `{"Version":"2012-10-17","Version":"2012-10-17","Statement":{"Effect":"Allow"}}`, InvalidGrammar, `"Version":"2012-10-17","Statement"`, "twice"},
		{"duplicate spelled by escape", stmt(`,"\u0041ction":"*"`), InvalidGrammar, `"\u0041ction"`, "twice"},
		{"duplicate condition key", stmt(`,"Condition":{"Bool":{"a":"true","a":"false"}}`), InvalidGrammar, `"a":"false"`, "twice"},
		{"not JSON beats duplicate", `{"Id":"a","Id":"b",`, InvalidJSON, "", "member name"},
		{"Effect missing", `{"Statement":{"Action":"*","Resource":"*"}}`, InvalidGrammar, `{"Action"`, "Effect is missing"},
		{"Effect unknown", `{"Statement":{"Effect":"Maybe"}}`, InvalidGrammar, `"Maybe"`, "Allow or Deny"},
		{"Effect a list", `{"Statement":{"Effect":["Allow"]}}`, InvalidGrammar, `["Allow"]`, "string"},
		{"Effect in small letters", `{"Statement":{"Effect":"allow"}}`, LegacyParsing, `"allow"`, "case"},
		{"Effect in mixed case", `{"Statement":{"Effect":"denY"}}`, LegacyParsing, `"denY"`, "case"},
		{"grammar beats legacy", `{"Statement":[{"Effect":"allow"},7]}`, InvalidGrammar, `7`, "object"},
		{"Action and NotAction", stmt(`,"NotAction":[]`), InvalidGrammar, `"NotAction"`, "both"},
		{"Resource and NotResource", stmt(`,"NotResource":"*"`), InvalidGrammar, `"NotResource"`, "both"},
		{"Principal and NotPrincipal", stmt(`,"Principal":"*","NotPrincipal":"*"`), InvalidGrammar, `"NotPrincipal"`, "both"},
		{"Action an object", `{"Statement":{"Effect":"Allow","Action":{}}}`, InvalidGrammar, `{}`, "list of strings"},
		{"Action nested", `{"Statement":{"Effect":"Allow","Action":[[]]}}`, InvalidGrammar, `[]]`, "holds strings"},
		{"Resource a number", `{"Statement":{"Effect":"Allow","Resource":1}}`, InvalidGrammar, `1`, "list of strings"},
		{"Principal an ARN", stmt(`,"Principal":"arn:aws:iam::111122223333:root"`), InvalidGrammar, `"arn:`, `"*" or an object`},
		{"Principal empty", stmt(`,"Principal":{}`), InvalidGrammar, `{}`, `"*" or an object`},
		{"Principal of unknown type", stmt(`,"Principal":{"Aws":"*"}`), InvalidGrammar, `"Aws"`, "unknown type"},
		{"Principal list empty", stmt(`,"Principal":{"AWS":[]}`), InvalidGrammar, `[]`, "empty"},
		{"Condition a list", stmt(`,"Condition":[]`), InvalidGrammar, `[]}]}`, "object"},
		{"operator unknown", stmt(`,"Condition":{"x":{"a":"1"}}`), InvalidGrammar, `"x"`, "unknown operator"},
		{"operator in small letters", stmt(`,"Condition":{"stringEquals":{"a":"1"}}`), InvalidGrammar, `"stringEquals"`, "unknown operator"},
		{"doubled colon", stmt(`,"Condition":{"ForAnyValue::StringEquals":{"a":"1"}}`), InvalidGrammar, `"ForAnyValue::`, "unknown operator"},
		{"NullIfExists", stmt(`,"Condition":{"NullIfExists":{"a":"true"}}`), InvalidGrammar, `"NullIf`, "unknown operator"},
		{"ForAnyValue:Null", stmt(`,"Condition":{"ForAnyValue:Null":{"a":"true"}}`), InvalidGrammar, `"ForAny`, "unknown operator"},
		{"operator value a string", stmt(`,"Condition":{"Bool":"b"}`), InvalidGrammar, `"b"`, "object"},
		{"condition value an object", stmt(`,"Condition":{"Bool":{"a":{}}}`), InvalidGrammar, `{}}`, "condition value"},
		{"condition value null", stmt(`,"Condition":{"Bool":{"a":null}}`), InvalidGrammar, `null`, "condition value"},
		{"list of objects", stmt(`,"Condition":{"Bool":{"a":["x",{}]}}`), InvalidGrammar, `{}]`, "condition value"},
		{"date no date", stmt(`,"Condition":{"DateEquals":{"a":"sdfdsf"}}`), LegacyParsing, `"sdfdsf"`, "no date"},
		{"date beyond int64", stmt(`,"Condition":{"DateLessThanIfExists":{"a":["0","9223372036854775808"]}}`), LegacyParsing, `"9223`, "no date"},
		{"date a variable", stmt(`,"Condition":{"DateLessThan":{"a":"${aws:CurrentTime}"}}`), LegacyParsing, `"${`, "no date"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.src))
			var parse *ParseError
			if !errors.As(err, &parse) {
				t.Fatalf("error %v", err)
			}
			if parse.Kind != c.kind || !strings.Contains(parse.Msg, c.msg) {
				t.Errorf("kind %d %q, want kind %d %q", parse.Kind, parse.Msg, c.kind, c.msg)
			}
			if rest := c.src[parse.Offset:]; !strings.HasPrefix(rest, c.at) || c.at == "" && rest != "" {
				t.Errorf("error at %q, want %q", rest, c.at)
			}
		})
	}
}

func TestParseErrorPosition(t *testing.T) {
	src := "{\n  \"Version\": \"2012-10-17\",\n  \"Id\": \"héllo 😀\", \"Oops\": 1\n}"
	_, err := Parse([]byte(src))
	parse, ok := errors.AsType[*ParseError](err)
	if !ok || parse.Line != 3 || parse.Column != 20 {
		t.Fatalf("got %v, want line 3, column 20", err)
	}
	if got := err.Error(); got != `line 3, column 20: unknown element "Oops"` {
		t.Error(got)
	}
}

func TestParseBounds(t *testing.T) {
	one := `{"Effect":"Allow","Action":"*","Resource":"*"}`
	many := func(n int) string { return `{"Statement":[` + strings.Repeat(one+",", n-1) + one + `]}` }
	if _, err := Parse([]byte(many(4096))); err != nil {
		t.Errorf("4096 statements: %v", err)
	}
	if _, err := Parse([]byte(many(4097))); err == nil {
		t.Error("4097 statements were read")
	}
	if _, err := Parse(make([]byte, 1<<20+1)); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("more than a mebibyte: %v", err)
	}
	long := fmt.Sprintf(`{"%s":1}`, strings.Repeat("é", 10000))
	if _, err := Parse([]byte(long)); err == nil || len(err.Error()) > 200 {
		t.Errorf("a long name is repeated whole: %v", err)
	}
}

func TestDocumentAccessors(t *testing.T) {
	src := `{ "Id":"doc", "Statement":
  {"Sid":"a b","Effect":"Deny","NotPrincipal":{"AWS":["111122223333","*"],"Service":"x.amazonaws.com"},
   "NotAction":["s3:Get*","KMS:*"],"NotResource":"*","Condition":{"Bool":{"aws:SecureTransport":false}}} }`
	d := mustParse(t, src)
	if string(d.Source()) != src || d.ID() != "doc" || d.Version() != "" || d.Len() != 1 {
		t.Errorf("document %q %q %d", d.ID(), d.Version(), d.Len())
	}
	st := d.Statement(0)
	if st.Sid() != "a b" || st.Effect() != EffectDeny || st.Start() != (Position{2, 3}) || st.End() != (Position{3, 105}) {
		t.Errorf("statement %q %s %v %v", st.Sid(), st.Effect(), st.Start(), st.End())
	}
	if got, not := st.Actions(); fmt.Sprint(got, not) != "[s3:Get* KMS:*] true" {
		t.Error(got, not)
	}
	if got, not := st.Resources(); fmt.Sprint(got, not) != "[*] true" {
		t.Error(got, not)
	}
	if refs, not := st.Principals(); len(refs) != 3 || !not || refs[0].Account != ownAccount || refs[2].Kind != ServicePrincipal {
		t.Error(refs, not)
	}
	if got := fmt.Sprint(st.Keys()); got != "[aws:SecureTransport]" {
		t.Error(got)
	}
	for i, each := range d.Statements() {
		if each != d.Statement(i) {
			t.Error(i)
		}
	}
	n := 0
	for range d.Principals() {
		n++
	}
	if n != 3 {
		t.Errorf("%d principals", n)
	}
	source := d.Source()
	clear(source)
	if string(d.Source()) != src {
		t.Error("the source can be changed from outside")
	}
}

func TestSizeLeavesOutWhiteSpaceBetweenTokens(t *testing.T) {
	src := "{ \"Id\" : \"a \\\" b\",\n\t\"Statement\":{\"Effect\":\"Allow\"}}"
	if got, want := mustParse(t, src).Size(), len(src)-5; got != want {
		t.Errorf("size %d, want %d", got, want)
	}
}

func TestPrincipalForms(t *testing.T) {
	for _, c := range []struct {
		kind, value string
		want        PrincipalKind
		account     string
	}{
		{"AWS", "*", Everyone, ""},
		{"AWS", "111122223333", AccountPrincipal, ownAccount},
		{"AWS", "arn:aws:iam::111122223333:root", AccountPrincipal, ownAccount},
		{"AWS", "arn:aws-cn:iam::111122223333:root", InvalidPrincipal, ""},
		{"AWS", "arn:aws:iam::111122223333:user/a/b/alice", UserPrincipal, ownAccount},
		{"AWS", "arn:aws:iam::111122223333:role/app", RolePrincipal, ownAccount},
		{"AWS", "arn:aws:sts::111122223333:assumed-role/app/s1", SessionPrincipal, ownAccount},
		{"AWS", "arn:aws:sts::111122223333:federated-user/fed", FederatedSession, ownAccount},
		{"AWS", "AIDA00000000000000001", EntityID, ""},
		{"AWS", "AROAEXAMPLEROLEID00001", EntityID, ""},
		{"AWS", "11112222333", InvalidPrincipal, ""},
		{"AWS", "11112222333a", InvalidPrincipal, ""},
		{"AWS", "arn:aws:iam::111122223333:user/*", InvalidPrincipal, ""},
		{"AWS", "arn:aws:iam::111122223333:*", InvalidPrincipal, ""},
		{"AWS", "arn:aws:iam::*:root", InvalidPrincipal, ""},
		{"AWS", "arn:aws:sts::111122223333:assumed-role/app/*", InvalidPrincipal, ""},
		{"AWS", "arn:aws:sts::111122223333:assumed-role/app", InvalidPrincipal, ""},
		{"AWS", "arn:aws:sts::111122223333:assumed-role/p/app/s1", InvalidPrincipal, ""},
		{"AWS", "arn:aws:iam::111122223333:group/g", InvalidPrincipal, ""},
		{"AWS", "arn:aws:iam::111122223333:user/", InvalidPrincipal, ""},
		{"AWS", "arn:aws:iam:us-east-1:111122223333:user/a", InvalidPrincipal, ""},
		{"AWS", "aida00000000000000001", InvalidPrincipal, ""},
		{"AWS", "", InvalidPrincipal, ""},
		{"Service", "lambda.amazonaws.com", ServicePrincipal, ""},
		{"Service", "*", InvalidPrincipal, ""},
		{"Service", "*.amazonaws.com", InvalidPrincipal, ""},
		{"Service", "lambda", InvalidPrincipal, ""},
		{"Federated", "accounts.google.com", ProviderPrincipal, ""},
		{"Federated", "arn:aws:iam::111122223333:oidc-provider/oidc.example.com/id/1", ProviderPrincipal, ownAccount},
		{"Federated", "*", InvalidPrincipal, ""},
		{"CanonicalUser", "79a59df900b949e5", CanonicalUser, ""},
	} {
		if got := parsePrincipal(c.kind, c.value); got.Kind != c.want || got.Account != c.account {
			t.Errorf("%s %q: kind %d of account %q, want %d of %q", c.kind, c.value, got.Kind, got.Account, c.want, c.account)
		}
	}
}
