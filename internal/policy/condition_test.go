package policy

import (
	"encoding/json"
	"strings"
	"testing"
)

// conditionHolds evaluates one Condition block of a current or old document.
func conditionHolds(t *testing.T, version, block string, p *Principal, c *Context) bool {
	t.Helper()
	d := mustParse(t, policyText(version, `"Effect":"Allow","Action":"*","Resource":"*","Condition":`+block))
	q := &Request{Principal: p, Action: getValue, Resource: ownSecret, Context: c}
	return check(t, q, &Set{Identity: []Source{{Doc: d}}}, Evaluate(q, &Set{Identity: []Source{{Doc: d}}}).Outcome).Allowed()
}

func TestOperators(t *testing.T) {
	const missing = "\x00"
	for _, c := range []struct {
		op, want, got string // want is JSON
		holds         bool
	}{
		{"StringEquals", `"a"`, "a", true},
		{"StringEquals", `"a"`, "A", false},
		{"StringEquals", `"a*"`, "ab", false},
		{"StringEquals", `"a*"`, "a*", true},
		{"StringEquals", `["x","a"]`, "a", true},
		{"StringEquals", `[]`, "a", false},
		{"StringEquals", `""`, "", true},
		{"StringEquals", `5`, "5", true},
		{"StringEquals", `true`, "true", true},
		{"StringEquals", `"a"`, missing, false},
		{"StringNotEquals", `"a"`, "b", true},
		{"StringNotEquals", `["a","b"]`, "b", false},
		{"StringNotEquals", `[]`, "b", true},
		{"StringNotEquals", `"a"`, missing, true},
		{"StringEqualsIgnoreCase", `"PROD"`, "prod", true},
		{"StringEqualsIgnoreCase", `"É"`, "é", true},
		{"StringEqualsIgnoreCase", `"a"`, missing, false},
		{"StringNotEqualsIgnoreCase", `"PROD"`, "prod", false},
		{"StringNotEqualsIgnoreCase", `"PROD"`, missing, true},
		{"StringLike", `"a*c?"`, "abbcd", true},
		{"StringLike", `"a*c?"`, "abbc", false},
		{"StringLike", `"A*"`, "abc", false},
		{"StringLike", `"*"`, "", true},
		{"StringLike", `"?"`, "é", true},
		{"StringLike", `"*"`, missing, false},
		{"StringNotLike", `"a*"`, "abc", false},
		{"StringNotLike", `"a*"`, "bc", true},
		{"StringNotLike", `"*"`, missing, true},

		{"NumericEquals", `"10"`, "10.0", true},
		{"NumericEquals", `10`, "+010.00", true},
		{"NumericEquals", `"0"`, "-0", true},
		{"NumericEquals", `"9007199254740993"`, "9007199254740992", false},
		{"NumericEquals", `"x"`, "x", false},
		{"NumericEquals", `"1e3"`, "1000", false},
		{"NumericEquals", `"1"`, missing, false},
		{"NumericNotEquals", `"1"`, "2", true},
		{"NumericNotEquals", `"1"`, "1.0", false},
		{"NumericNotEquals", `"1"`, "one", true},
		{"NumericNotEquals", `"1"`, missing, true},
		{"NumericLessThan", `"30"`, "9", true},
		{"NumericLessThan", `"30"`, "30", false},
		{"NumericLessThan", `"-2"`, "-10", true},
		{"NumericLessThan", `"0.5"`, "0.25", true},
		{"NumericLessThan", `"30"`, missing, false},
		{"NumericLessThanEquals", `"30"`, "30", true},
		{"NumericLessThanEquals", `"30"`, "31", false},
		{"NumericGreaterThan", `"30"`, "30.01", true},
		{"NumericGreaterThan", `["50","30"]`, "40", true},
		{"NumericGreaterThan", `"1"`, "-5", false},
		{"NumericGreaterThanEquals", `"30"`, "30", true},
		{"NumericGreaterThanEquals", `"30"`, "", false},

		{"DateEquals", `"2026-03-01T12:00:00Z"`, "1772366400", true},
		{"DateEquals", `"2026-03-01T12:00:00Z"`, "2026-03-01T13:00:00+01:00", true},
		{"DateEquals", `"2026-03-01T12:00:00Z"`, "2026-03-01T07:00:00.000-05:00", true},
		{"DateEquals", `"2026-03-01"`, "2026-03-01T00:00:00Z", true},
		{"DateEquals", `"2026-03-01T12:00:00Z"`, "soon", false},
		{"DateEquals", `"2026-03-01T12:00:00Z"`, "2026-02-30T12:00:00Z", false},
		{"DateEquals", `"2026-03-01T12:00:00Z"`, missing, false},
		{"DateNotEquals", `"2026-03-01T12:00:00Z"`, "1772366401", true},
		{"DateNotEquals", `"2026-03-01T12:00:00Z"`, missing, true},
		{"DateLessThan", `"1900000000"`, "2026-03-01T12:00:00Z", true},
		{"DateLessThan", `1772366400`, "2026-03-01T12:00:00Z", false},
		{"DateLessThanEquals", `1772366400`, "2026-03-01T12:00:00Z", true},
		{"DateLessThanEquals", `1772366400`, "2026-03-01T12:00:00.001Z", false},
		{"DateGreaterThan", `"2025-01-01T00:00:00Z"`, "2026-03-01T12:00:00Z", true},
		{"DateGreaterThan", `"2025-01-01T00:00:00Z"`, missing, false},
		{"DateGreaterThanEquals", `"2025-01-01T00:00:00Z"`, "2025-01-01T00:00:00Z", true},

		{"Bool", `"true"`, "true", true},
		{"Bool", `true`, "TRUE", true},
		{"Bool", `"False"`, "false", true},
		{"Bool", `"true"`, "false", false},
		{"Bool", `"yes"`, "true", false},
		{"Bool", `"false"`, "no", false},
		{"Bool", `"false"`, missing, false},

		{"BinaryEquals", `"QmluYXJ5"`, "QmluYXJ5", true},
		{"BinaryEquals", `"QmluYXJ5"`, "QmluYXJ6", false},
		{"BinaryEquals", `"QQ=="`, "QR==", true},
		{"BinaryEquals", `"QR=="`, "QQ==", true},
		{"BinaryEquals", `"QQ"`, "QQ==", false},
		{"BinaryEquals", `"not base64!"`, "not base64!", false},
		{"BinaryEquals", `"QmluYXJ5"`, missing, false},

		{"IpAddress", `"203.0.113.0/24"`, "203.0.113.77", true},
		{"IpAddress", `"203.0.113.99/24"`, "203.0.113.77", true},
		{"IpAddress", `"203.0.113.77"`, "203.0.113.77", true},
		{"IpAddress", `"203.0.113.77"`, "203.0.113.78", false},
		{"IpAddress", `"203.0.113.0/24"`, "::ffff:203.0.113.77", true},
		{"IpAddress", `"::ffff:203.0.113.0/120"`, "203.0.113.77", true},
		{"IpAddress", `["10.0.0.0/8","2001:db8::/32"]`, "2001:DB8:1::5", true},
		{"IpAddress", `"::/0"`, "203.0.113.77", false},
		{"IpAddress", `"0.0.0.0/0"`, "2001:db8::1", false},
		{"IpAddress", `"rubbish"`, "203.0.113.77", false},
		{"IpAddress", `"0.0.0.0/0"`, "rubbish", false},
		{"IpAddress", `"0.0.0.0/0"`, missing, false},
		{"NotIpAddress", `"203.0.113.0/24"`, "203.0.114.1", true},
		{"NotIpAddress", `["203.0.113.0/24","10.0.0.0/8"]`, "10.1.2.3", false},
		{"NotIpAddress", `"203.0.113.0/24"`, "2001:db8::1", true},
		{"NotIpAddress", `"203.0.113.0/24"`, missing, true},

		{"ArnEquals", `"arn:aws:iam::111122223333:role/*"`, "arn:aws:iam::111122223333:role/a/b", true},
		{"ArnLike", `"arn:aws:iam::*:role/x"`, "arn:aws:iam::111122223333:role/x", true},
		{"ArnLike", `"arn:aws:svc:*:111122223333:topic/*"`, "arn:aws:svc:r:999999999999:store/abc:111122223333:topic/x", false},
		{"ArnLike", `"arn:aws:svc:::a:b*"`, "arn:aws:svc:::a:bc:d", true},
		{"ArnLike", `"*"`, "arn:aws:svc:::x", true},
		{"ArnLike", `"arn:aws:svc:*"`, "arn:aws:svc:r:a:x", true},
		{"ArnLike", `"arn:aws:svc:::X"`, "arn:aws:svc:::x", false},
		{"ArnLike", `"*"`, "no arn", false},
		{"ArnLike", `"*"`, missing, false},
		{"ArnNotEquals", `"arn:aws:svc:::x"`, "arn:aws:svc:::x", false},
		{"ArnNotLike", `"arn:aws:svc:::*"`, "arn:aws:svc:::x", false},
		{"ArnNotLike", `"arn:aws:svc:::*"`, "no arn", true},
		{"ArnNotLike", `"arn:aws:svc:::*"`, missing, true},

		{"Null", `"true"`, missing, true},
		{"Null", `true`, "", false},
		{"Null", `"false"`, "x", true},
		{"Null", `false`, missing, false},
		{"Null", `"maybe"`, missing, false},
		{"Null", `["true","false"]`, "x", true},

		{"StringEqualsIfExists", `"a"`, missing, true},
		{"StringEqualsIfExists", `"a"`, "b", false},
		{"StringNotEqualsIfExists", `"a"`, missing, true},
		{"StringNotEqualsIfExists", `"a"`, "a", false},
		{"BoolIfExists", `"false"`, missing, true},
		{"IpAddressIfExists", `"10.0.0.0/8"`, missing, true},
		{"NumericLessThanIfExists", `"1"`, missing, true},
		{"DateLessThanIfExists", `"1"`, missing, true},
		{"ArnLikeIfExists", `"*"`, missing, true},
		{"BinaryEqualsIfExists", `"QQ=="`, missing, true},

		{"ForAllValues:StringEquals", `"a"`, "a", true},
		{"ForAllValues:StringEquals", `"a"`, "b", false},
		{"ForAllValues:StringEquals", `"a"`, "", true},
		{"ForAllValues:StringEquals", `"a"`, missing, true},
		{"ForAllValues:StringNotEquals", `"a"`, missing, true},
		{"ForAnyValue:StringEquals", `"a"`, "a", true},
		{"ForAnyValue:StringEquals", `"a"`, missing, false},
		{"ForAnyValue:StringNotEquals", `"a"`, missing, false},
		{"ForAnyValue:StringEqualsIfExists", `"a"`, missing, true},
		{"ForAllValues:StringEqualsIfExists", `"a"`, "b", false},
	} {
		context := new(Context)
		if c.got != missing {
			context.Set("svc:Key", c.got)
		}
		if got := conditionHolds(t, Version2012, `{"`+c.op+`":{"SVC:key":`+c.want+`}}`, alice(), context); got != c.holds {
			t.Errorf("%s %s with %q: %v", c.op, c.want, c.got, got)
		}
	}
}

func TestMultivaluedKeys(t *testing.T) {
	for _, c := range []struct {
		op, want, got string // got is a list cut at blanks; "" is empty, "_" an empty string
		holds         bool
	}{
		{"ForAllValues:StringEquals", `["env","team"]`, "env team", true},
		{"ForAllValues:StringEquals", `["env","team"]`, "env cost", false},
		{"ForAllValues:StringEquals", `"env"`, "", true},
		{"ForAllValues:StringEquals", `"env"`, "_", true},
		{"ForAllValues:StringEquals", `"env"`, "_ env", true},
		{"ForAllValues:StringEquals", `"env"`, "_ cost", false},
		{"ForAllValues:StringNotEquals", `"env"`, "cost team", true},
		{"ForAllValues:StringNotEquals", `"env"`, "cost env", false},
		{"ForAllValues:StringLike", `"e*"`, "env east", true},
		{"ForAnyValue:StringEquals", `["env","team"]`, "x team", true},
		{"ForAnyValue:StringEquals", `["env","team"]`, "x y", false},
		{"ForAnyValue:StringEquals", `"env"`, "", false},
		{"ForAnyValue:StringEquals", `""`, "_", true},
		{"ForAnyValue:StringNotEquals", `"env"`, "env cost", true},
		{"ForAnyValue:StringNotEquals", `"env"`, "env env", false},
		{"ForAnyValue:StringNotEquals", `"env"`, "", false},
		{"ForAnyValue:StringEqualsIfExists", `"env"`, "", true},
		{"ForAnyValue:NumericLessThan", `"5"`, "9 4", true},
		{"ForAllValues:NumericLessThan", `"5"`, "9 4", false},
		{"StringEquals", `"env"`, "x env", true},
		{"StringEquals", `"env"`, "", false},
		{"StringNotEquals", `"env"`, "x env", false},
		{"StringNotEquals", `"env"`, "x y", true},
		{"StringNotEquals", `"env"`, "", true},
		{"StringNotEquals", `""`, "_ x", true},
		{"StringEquals", `""`, "_", true},
		{"Null", `"true"`, "", true},
		{"Null", `"false"`, "x", true},
	} {
		values := strings.Fields(c.got)
		for i := range values {
			values[i] = strings.Trim(values[i], "_")
		}
		context := new(Context)
		context.SetMany("aws:TagKeys", values)
		if got := conditionHolds(t, Version2012, `{"`+c.op+`":{"aws:TagKeys":`+c.want+`}}`, alice(), context); got != c.holds {
			t.Errorf("%s %s with [%s]: %v", c.op, c.want, c.got, got)
		}
	}
}

func TestVariablesInConditions(t *testing.T) {
	p := session()
	p.Tags = []Tag{{"Team", "red"}, {"star", "*"}, {"truth", "TRUE"}, {"empty", ""}}
	for _, c := range []struct {
		name, version, op, want, got string
		holds                        bool
	}{
		{"tag", Version2012, "StringEquals", "${aws:PrincipalTag/team}", "red", true},
		{"key in any case", Version2012, "StringEquals", "${AWS:principaltag/TEAM}", "red", true},
		{"with text", Version2012, "StringEquals", "a-${aws:PrincipalTag/Team}-${aws:PrincipalAccount}", "a-red-111122223333", true},
		{"ignoring case", Version2012, "StringEqualsIgnoreCase", "${aws:PrincipalTag/Team}", "RED", true},
		{"wildcards around", Version2012, "StringLike", "*${aws:PrincipalTag/Team}?", "xxred1", true},
		{"value with star is literal", Version2012, "StringLike", "${aws:PrincipalTag/star}", "anything", false},
		{"value with star equals star", Version2012, "StringLike", "${aws:PrincipalTag/star}", "*", true},
		{"escaped star", Version2012, "StringLike", "a${*}", "ab", false},
		{"escaped star is a star", Version2012, "StringLike", "a${*}", "a*", true},
		{"escaped mark and dollar", Version2012, "StringEquals", "${?}${$}{x}", "?${x}", true},
		{"old version", Version2008, "StringEquals", "${aws:PrincipalTag/Team}", "red", false},
		{"old version is literal", Version2008, "StringEquals", "${aws:PrincipalTag/Team}", "${aws:PrincipalTag/Team}", true},
		{"old version keeps wildcards", Version2008, "StringLike", "${*}", "${abc}", true},
		{"no value", Version2012, "StringEquals", "${aws:PrincipalTag/none}", "", false},
		{"no value, negated", Version2012, "StringNotEquals", "${aws:PrincipalTag/none}", "red", true},
		{"no value, like", Version2012, "StringNotLike", "${aws:PrincipalTag/none}*", "red", true},
		{"empty value", Version2012, "StringEquals", "${aws:PrincipalTag/empty}", "", true},
		{"default", Version2012, "StringEquals", "${aws:PrincipalTag/none, 'a b'}", "a b", true},
		{"default without blank", Version2012, "StringEquals", "${aws:PrincipalTag/none,'ab'}", "ab", true},
		{"default with brace", Version2012, "StringEquals", "${aws:PrincipalTag/none, '}'}!", "}!", true},
		{"default with star is literal", Version2012, "StringLike", "${aws:PrincipalTag/none, '*'}", "ab", false},
		{"default not needed", Version2012, "StringEquals", "${aws:PrincipalTag/Team, 'x'}", "red", true},
		{"multivalued key", Version2012, "StringEquals", "${svc:Many}", "one", false},
		{"multivalued key with default", Version2012, "StringEquals", "${svc:Many, 'one'}", "one", true},
		{"never closed", Version2012, "StringEquals", "${aws:PrincipalTag/Team", "${aws:PrincipalTag/Team", true},
		{"empty name", Version2012, "StringEquals", "${}", "${}", false},
		{"default after two blanks", Version2012, "StringEquals", "${aws:PrincipalTag/none,  'x'}", "x", false},
		{"default with a quote", Version2012, "StringEquals", "${aws:PrincipalTag/none, 'it's'}", "it's", false},
		{"default without quotes", Version2012, "StringEquals", "${aws:PrincipalTag/none, x}", "x", false},
		{"ARN whole", Version2012, "ArnEquals", "${aws:PrincipalArn}", "arn:aws:iam::111122223333:role/team/app", true},
		{"ARN part", Version2012, "ArnLike", "arn:aws:iam::${aws:PrincipalAccount}:role/*", "arn:aws:iam::111122223333:role/x", true},
		{"ARN part does not reach over", Version2012, "ArnLike", "arn:aws:iam::${aws:PrincipalTag/star}:role/x", "arn:aws:iam::111122223333:role/x", false},
		{"ARN no value", Version2012, "ArnNotLike", "${aws:PrincipalTag/none}", "arn:aws:iam::1:x", true},
		{"ARN escaped star", Version2012, "ArnLike", "arn:aws:s3:::a${*}", "arn:aws:s3:::ab", false},
		{"Bool", Version2012, "Bool", "${aws:PrincipalTag/truth}", "true", true},
		{"Bool no value", Version2012, "Bool", "${aws:PrincipalTag/none}", "true", false},
		{"not in numbers", Version2012, "NumericEquals", "${aws:PrincipalAccount}", "111122223333", false},
		{"not in addresses", Version2012, "IpAddress", "${svc:Key}", "10.0.0.1", false},
		{"not in Null", Version2012, "Null", "${aws:PrincipalTag/truth}", "x", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			context := new(Context)
			context.Set("svc:Key", c.got)
			context.SetMany("svc:Many", []string{"one"})
			want, err := json.Marshal(c.want)
			if err != nil {
				t.Fatal(err)
			}
			if got := conditionHolds(t, c.version, `{"`+c.op+`":{"svc:Key":`+string(want)+`}}`, p, context); got != c.holds {
				t.Errorf("%s %q with %q: %v", c.op, c.want, c.got, got)
			}
		})
	}
}

// A byte that means "any run" inside a compiled pattern must not come in with
// a value, such as a header that is not UTF-8.
func TestVariableValueCannotSmuggleWildcards(t *testing.T) {
	context := new(Context)
	context.Set("aws:UserAgent", "\xff")
	context.Set("svc:Key", "anything")
	if conditionHolds(t, Version2012, `{"StringLike":{"svc:Key":"${aws:UserAgent}"}}`, alice(), context) {
		t.Error("a raw byte acted as a wildcard")
	}
}

func TestOperatorsAndKeysAreAnded(t *testing.T) {
	context := new(Context)
	context.Set("a:b", "1")
	context.Set("c:d", "2")
	for block, want := range map[string]bool{
		`{"StringEquals":{"a:b":"1","c:d":"2"}}`:                 true,
		`{"StringEquals":{"a:b":"1","c:d":"x"}}`:                 false,
		`{"StringEquals":{"a:b":"1"},"NumericEquals":{"c:d":2}}`: true,
		`{"StringEquals":{"a:b":"1"},"NumericEquals":{"c:d":3}}`: false,
		`{"StringEquals":{"a:b":"1"},"NumericEquals":{}}`:        true,
		`{}`:                                     true,
		`{"StringEquals":{"a:b":"1","A:B":"2"}}`: false,
		`{"StringEquals":{"a:b":"1"},"StringNotLike":{"c:d":""}}`: true,
	} {
		if got := conditionHolds(t, Version2012, block, alice(), context); got != want {
			t.Errorf("%s: %v", block, got)
		}
	}
}

func TestDatesAsIAMStoresThem(t *testing.T) {
	for _, good := range []string{
		"0", "9223372036854775807", "2013", "01T", "2019-07", "2019-7-1", "2019-07-01T13", "2019-07-01T13:20Z",
		"2019-07-01T13:20:15Z", "2016-12-13T21:20:37.593194+00:00", "2016-12-13t2:00:00.593194+23", "-292275054",
		"292278993-12-31",
	} {
		if _, ok := parseInstant(good); !ok {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{
		"", "x", "-", "2019-", "2019-13", "234-13", "2019-02-29", "2019-01-32", "2019-01-01-01", "9223372036854775808",
		"2016-12-13t2:00:00.593194+1", "2016-12-13t2:00:00.1999999999+10:59", "2019-07-01T24:00:00Z", "2019-07-01T13:60:00Z",
		"2019-07-01T13:20:60Z", "2019-07-01T13:20:15ZZ", "2019-07-01T13:20:15+24:00", "2019-07-01 13:20:15Z", " 0", "1.5", "1e3",
		"-292275055", "292278994-01", "2019-07-01TZ", "2019-07-01T+01:00", "2019-07-01T:20:15Z", "2019-07-01T13:20:15.Z",
	} {
		if _, ok := parseInstant(bad); ok {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestNumbers(t *testing.T) {
	rising := []string{"-100000000000000000000", "-10.5", "-10.49", "-1", "-.5", "0", "0.01", "0.1", "1", "1.05", "1.5", "2", "10", "9007199254740993"}
	for i, a := range rising {
		for j, b := range rising {
			x, ok1 := parseDecimal(a)
			y, ok2 := parseDecimal(b)
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := x.compare(y); !ok1 || !ok2 || got != want {
				t.Errorf("%s and %s compare %d", a, b, got)
			}
		}
	}
	for _, bad := range []string{"", ".", "-", "+", "1.2.3", "1,5", "0x10", "1e3", "NaN", "Inf", " 1", "--1"} {
		if _, ok := parseDecimal(bad); ok {
			t.Errorf("%q is a number", bad)
		}
	}
}

type counting struct{ asked []string }

func (c *counting) ContextValue(key string) (Value, bool) {
	c.asked = append(c.asked, key)
	return Value{One: "lazy"}, key == "svc:lazy"
}

func TestContext(t *testing.T) {
	provider := new(counting)
	c := &Context{Provider: provider}
	c.Set("SVC:Twice", "first")
	c.Set("svc:twice", "last")
	c.SetTags("aws:ResourceTag/", []Tag{{"Team", "red"}, {"TEAM", "blue"}})
	c.SetTags("kms:EncryptionContext:", []Tag{{"SecretARN", "arn"}})
	for key, want := range map[string]string{
		"svc:twice": "last", "aws:resourcetag/team": "red", "kms:encryptioncontext:secretarn": "arn", "svc:lazy": "lazy",
	} {
		if v, ok := c.Lookup(key); !ok || v.One != want {
			t.Errorf("%s is %q", key, v.One)
		}
	}
	if len(provider.asked) != 1 {
		t.Errorf("the provider was asked for %v", provider.asked)
	}
	n := 0
	for key, v := range c.All() {
		n++
		if key == "svc:twice" && v.One != "last" {
			t.Errorf("%s is %q", key, v.One)
		}
	}
	if n != 3 {
		t.Errorf("All yields %d keys", n)
	}
	c.Reset()
	if _, ok := c.Lookup("svc:twice"); ok || c.Provider != nil {
		t.Error("Reset left something")
	}
}

func TestDerivedKeys(t *testing.T) {
	given := new(Context)
	given.Set("aws:PrincipalArn", "given")
	for _, c := range []struct {
		name, key string
		p         *Principal
		c         *Context
		want      string // "" is missing
	}{
		{"user", "aws:PrincipalArn", alice(), nil, "arn:aws:iam::111122223333:user/alice"},
		{"session has its role's ARN", "aws:PrincipalArn", session(), nil, "arn:aws:iam::111122223333:role/team/app"},
		{"federated", "aws:PrincipalArn", federated(), nil, "arn:aws:sts::111122223333:federated-user/fed1"},
		{"given in the context", "aws:PrincipalArn", alice(), given, "given"},
		{"anonymous", "aws:PrincipalArn", &Principal{Type: Anonymous}, nil, ""},
		{"account", "aws:PrincipalAccount", session(), nil, ownAccount},
		{"type of root", "aws:PrincipalType", rootUser(), nil, "Account"},
		{"type of session", "aws:PrincipalType", session(), nil, "AssumedRole"},
		{"type of anonymous", "aws:PrincipalType", &Principal{Type: Anonymous}, nil, "Anonymous"},
		{"type of service", "aws:PrincipalType", &Principal{Type: Service, Service: "x.amazonaws.com"}, nil, ""},
		{"userid", "aws:userid", session(), nil, "AROA00000000000000001:s1"},
		{"username", "aws:username", alice(), nil, "alice"},
		{"username of a session", "aws:username", session(), nil, ""},
		{"resource account", "aws:ResourceAccount", alice(), nil, ownAccount},
	} {
		t.Run(c.name, func(t *testing.T) {
			block := `{"StringEquals":{"` + c.key + `":"` + c.want + `"}}`
			if c.want == "" {
				block = `{"Null":{"` + c.key + `":"true"}}`
			}
			d := statements(t, `{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":`+block+`}`)
			check(t, &Request{Principal: c.p, Action: getValue, Resource: ownSecret, Context: c.c}, &Set{Resource: &Source{Doc: d}}, Allow)
		})
	}
}
