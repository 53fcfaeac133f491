package reference_test

import (
	"testing"

	"github.com/strongroom/strongroom/internal/policy/reference"
)

// absentKey marks a context without the key.
const absentKey = "\x00"

// mustHold checks one condition through whole decisions, once in an Allow and
// once in a Deny.
func mustHold(t *testing.T, operator, values string, context map[string]reference.Value, want bool) {
	t.Helper()
	mustMatch(t, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"`+operator+`":{"Svc:Key":`+values+`}}}`,
		"2012-10-17", getSecret, aSec, context, want)
}

// TestOperators is §5.1, single-valued keys: a row is an operator, policy
// values, the request's value and the result.
func TestOperators(t *testing.T) {
	for _, c := range []struct {
		operator, values, request string
		want                      bool
	}{
		{"StringEquals", `"red"`, "red", true},
		{"StringEquals", `"red"`, "Red", false},
		{"StringEquals", `"r*"`, "red", false},
		{"StringEquals", `"r*"`, "r*", true},
		{"StringEquals", `["blue","red"]`, "red", true},
		{"StringEquals", `[]`, "red", false},
		{"StringEquals", `""`, "", true},
		{"StringEquals", `30`, "30", true},
		{"StringEquals", `true`, "true", true},
		{"StringNotEquals", `"red"`, "red", false},
		{"StringNotEquals", `"red"`, "Red", true},
		{"StringNotEquals", `["blue","red"]`, "red", false},
		{"StringNotEquals", `["blue","green"]`, "red", true},
		{"StringNotEquals", `[]`, "red", true},
		{"StringEqualsIgnoreCase", `"RED"`, "reD", true},
		{"StringEqualsIgnoreCase", `"RE*"`, "red", false},
		{"StringNotEqualsIgnoreCase", `"RED"`, "reD", false},
		{"StringNotEqualsIgnoreCase", `"RED"`, "reds", true},
		{"StringLike", `"r*"`, "red", true},
		{"StringLike", `"r?d"`, "red", true},
		{"StringLike", `"r?d"`, "rd", false},
		{"StringLike", `"R*"`, "red", false},
		{"StringLike", `"*"`, "", true},
		{"StringLike", `"?"`, "é", true},
		{"StringLike", `"*a*b*"`, "xxbyya", false},
		{"StringNotLike", `"r*"`, "red", false},
		{"StringNotLike", `["b*","g*"]`, "red", true},

		{"NumericEquals", `"30"`, "30.0", true},
		{"NumericEquals", `30`, "030", true},
		{"NumericEquals", `"30"`, "thirty", false},
		{"NumericEquals", `"x"`, "x", false},
		{"NumericEquals", `"1e3"`, "1000", false},
		{"NumericEquals", `1e3`, "1000", false},
		{"NumericEquals", `".50"`, "+0.5", true},
		{"NumericEquals", `"5."`, "5", true},
		{"NumericEquals", `"."`, "0", false},
		{"NumericEquals", `"9007199254740993"`, "9007199254740992", false},
		{"NumericNotEquals", `30`, "31", true},
		{"NumericNotEquals", `30`, "30.00", false},
		{"NumericLessThan", `30`, "29.999", true},
		{"NumericLessThan", `30`, "30", false},
		{"NumericLessThan", `"-1"`, "-1.5", true},
		{"NumericLessThan", `30`, "", false},
		{"NumericLessThanEquals", `30`, "30", true},
		{"NumericLessThanEquals", `30`, "30.0000000000000000001", false},
		{"NumericGreaterThan", `30`, "30", false},
		{"NumericGreaterThan", `30`, "30.5", true},
		{"NumericGreaterThan", `["40","20"]`, "30", true},
		{"NumericGreaterThanEquals", `30`, "30", true},
		{"NumericGreaterThanEquals", `30`, "29", false},

		{"DateEquals", `"2026-03-01T12:00:00Z"`, "2026-03-01T13:00:00+01:00", true},
		{"DateEquals", `"2026-03-01T12:00:00Z"`, "1772366400", true},
		{"DateEquals", `1772366400`, "2026-03-01T12:00Z", true},
		{"DateEquals", `"2026-03-01"`, "2026-03-01T00:00:00Z", true},
		{"DateEquals", `"2026-03"`, "2026-03-01", true},
		{"DateEquals", `"2026-03-01T12:00:00"`, "2026-03-01T12:00:00Z", true},
		{"DateEquals", `"2026-03-01"`, "2026-02-30", false},
		{"DateEquals", `"2026-3-1t12z"`, "1772366400", true},
		{"DateEquals", `"2024-02-29T23:59:59.500-05:30"`, "2024-03-01T05:29:59.5Z", true},
		{"DateEquals", `2026`, "1970-01-01T00:33:46Z", true},
		{"DateEquals", `"1600-02-29"`, "1600-03-01T00:00:00+24:00", false},
		{"DateEquals", `"1600-03-01"`, "-11670998400", false},
		{"DateEquals", `"1600-02-29T23:00:00-01:00"`, "1600-03-01", true},
		{"DateEquals", `"1900-03-01T00:00Z"`, "1900-02-28T24:00Z", false},
		{"DateLessThan", `"1970-01-01"`, "-1", true},
		{"DateLessThan", `"-0001-12-31"`, "-1", true},
		{"DateGreaterThan", `"-292275054"`, "0", true},
		{"DateNotEquals", `"2026-03-01T12:00:00Z"`, "2026-03-01T12:00:01Z", true},
		{"DateNotEquals", `"2026-03-01T12:00:00Z"`, "1772366400", false},
		{"DateLessThan", `"2026-03-01T12:00:00Z"`, "2026-03-01T11:59:59.999Z", true},
		{"DateLessThan", `"2026-03-01T12:00:00Z"`, "2026-03-01T12:00:00Z", false},
		{"DateLessThan", `"9223372036854775807"`, "2026-03-01T12:00:00Z", true},
		{"DateLessThan", `"9223372036854775807"`, "9223372036854775808", false},
		{"DateLessThanEquals", `"2026-03-01T12:00:00Z"`, "1772366400", true},
		{"DateLessThanEquals", `"2026-03-01T12:00:00Z"`, "1772366401", false},
		{"DateGreaterThan", `"2026-03-01T12:00:00Z"`, "1772366401", true},
		{"DateGreaterThan", `"2026-03-01T12:00:00Z"`, "1772366400", false},
		{"DateGreaterThanEquals", `"2026-03-01T12:00:00Z"`, "1772366400", true},
		{"DateGreaterThanEquals", `"2026-03-01T12:00:00Z"`, "yesterday", false},

		{"Bool", `"true"`, "true", true},
		{"Bool", `true`, "TRUE", true},
		{"Bool", `"False"`, "false", true},
		{"Bool", `false`, "true", false},
		{"Bool", `"yes"`, "yes", false},
		{"Bool", `["true","false"]`, "false", true},

		{"BinaryEquals", `"QUI="`, "QUI=", true},
		{"BinaryEquals", `"QUI="`, "QUM=", false},
		{"BinaryEquals", `"!!"`, "!!", false},
		{"BinaryEquals", `""`, "", true},
		{"BinaryEquals", `"QR=="`, "QQ==", true},
		{"BinaryEquals", `"QQ"`, "QQ==", false},

		{"IpAddress", `"203.0.113.0/24"`, "203.0.113.255", true},
		{"IpAddress", `"203.0.113.0/24"`, "203.0.114.0", false},
		{"IpAddress", `"203.0.113.77/24"`, "203.0.113.1", true},
		{"IpAddress", `"203.0.113.7"`, "203.0.113.7", true},
		{"IpAddress", `"203.0.113.7"`, "203.0.113.8", false},
		{"IpAddress", `"0.0.0.0/0"`, "203.0.113.8", true},
		{"IpAddress", `"0.0.0.0/0"`, "2001:db8::1", false},
		{"IpAddress", `"::/0"`, "203.0.113.8", false},
		{"IpAddress", `"203.0.113.0/24"`, "::ffff:203.0.113.9", true},
		{"IpAddress", `"::ffff:203.0.113.0/120"`, "203.0.113.9", true},
		{"IpAddress", `"::ffff:203.0.113.9"`, "203.0.113.9", true},
		{"IpAddress", `"::/0"`, "::ffff:203.0.113.9", false},
		{"IpAddress", `"::ffff:0.0.0.0/95"`, "203.0.113.9", false},
		{"IpAddress", `"2001:db8::1"`, "2001:0db8:0:0::0001", true},
		{"IpAddress", `"2001:db8::/33"`, "2001:db8:8000::", false},
		{"IpAddress", `"203.0.113.0/33"`, "203.0.113.0", false},
		{"IpAddress", `"203.0.113.0/24"`, "somewhere", false},
		{"NotIpAddress", `"203.0.113.0/24"`, "203.0.113.0", false},
		{"NotIpAddress", `"203.0.113.0/24"`, "203.0.112.255", true},
		{"NotIpAddress", `["10.0.0.0/8","203.0.113.0/24"]`, "203.0.113.9", false},
		{"NotIpAddress", `"203.0.113.0/24"`, "2001:db8::1", true},

		{"ArnEquals", `"` + roleARN + `"`, roleARN, true},
		{"ArnEquals", `"arn:aws:iam::111122223333:role/*"`, roleARN, true},
		{"ArnEquals", `"arn:aws:iam::111122223333:ROLE/*"`, roleARN, false},
		{"ArnLike", `"arn:aws:*:*:11112222????:role/ops/a?p"`, roleARN, true},
		{"ArnLike", `"arn:aws:*:role/ops/app"`, roleARN, false},
		{"ArnLike", `"arn:aws:iam:*"`, roleARN, true},
		{"ArnLike", `"arn:aws:s3:*"`, roleARN, false},
		{"ArnLike", `"*"`, roleARN, true},
		{"ArnLike", `"*"`, "not-an-arn", false},
		{"ArnLike", `"*:*:*:*:*:*"`, "not-an-arn", false},
		{"ArnLike", `"arn:aws:secretsmanager:*:*:secret*AbCdEf"`, aSec, true},
		{"ArnNotEquals", `"` + roleARN + `"`, roleARN, false},
		{"ArnNotEquals", `"` + roleARN + `"`, userARN, true},
		{"ArnNotLike", `"arn:aws:iam::*:role/*"`, roleARN, false},
		{"ArnNotLike", `["arn:aws:iam::*:user/*","arn:aws:iam::*:group/*"]`, roleARN, true},

		{"Null", `"false"`, "", true},
		{"Null", `true`, "red", false},
		{"Null", `["true","false"]`, "red", true},
		{"Null", `"maybe"`, "red", false},
		{"Null", `"TRUE"`, absentKey, true},
		{"Null", `false`, absentKey, false},
	} {
		t.Run(c.operator+"/"+c.values+"/"+c.request, func(t *testing.T) {
			context := map[string]reference.Value{"svc:KEY": reference.Single(c.request)}
			if c.request == absentKey {
				context = nil
			}
			mustHold(t, c.operator, c.values, context, c.want)
			if c.operator != "Null" && c.request != absentKey {
				mustHold(t, c.operator+"IfExists", c.values, context, c.want)
			}
		})
	}
}

// TestMissingKeys is the last column of §5.1 and of §5.2, for every operator.
func TestMissingKeys(t *testing.T) {
	positive := []string{
		"StringEquals", "StringEqualsIgnoreCase", "StringLike",
		"NumericEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals",
		"DateEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals",
		"Bool", "BinaryEquals", "IpAddress", "ArnEquals", "ArnLike",
	}
	negated := []string{
		"StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "NumericNotEquals", "DateNotEquals",
		"NotIpAddress", "ArnNotEquals", "ArnNotLike",
	}
	empty := map[string]reference.Value{"svc:key": reference.Multi()}
	for _, context := range []map[string]reference.Value{nil, empty} {
		for _, op := range positive {
			mustHold(t, op, `"1"`, context, false)
		}
		for _, op := range negated {
			mustHold(t, op, `"1"`, context, true)
		}
		for _, op := range append(append([]string{}, positive...), negated...) {
			mustHold(t, op+"IfExists", `"1"`, context, true)
			mustHold(t, "ForAllValues:"+op, `"1"`, context, true)
			mustHold(t, "ForAllValues:"+op+"IfExists", `"1"`, context, true)
			mustHold(t, "ForAnyValue:"+op, `"1"`, context, false)
			mustHold(t, "ForAnyValue:"+op+"IfExists", `"1"`, context, true)
		}
		mustHold(t, "Null", `"true"`, context, true)
		mustHold(t, "Null", `"false"`, context, false)
	}
}

// TestMultivaluedKeys is §5.2 for keys that are present.
func TestMultivaluedKeys(t *testing.T) {
	multi := reference.Multi
	for _, c := range []struct {
		name, operator, values string
		request                reference.Value
		want                   bool
	}{
		{"all within", "ForAllValues:StringEquals", `["a","b"]`, multi("a", "b", "a"), true},
		{"one outside", "ForAllValues:StringEquals", `["a","b"]`, multi("a", "c"), false},
		{"all like", "ForAllValues:StringLike", `"a*"`, multi("a", "ab"), true},
		{"all differ", "ForAllValues:StringNotEquals", `["a","b"]`, multi("c", "d"), true},
		{"one does not differ", "ForAllValues:StringNotEquals", `["a","b"]`, multi("c", "b"), false},
		{"empty string counts as null", "ForAllValues:StringEquals", `"a"`, multi(""), true},
		{"empty string beside another", "ForAllValues:StringEquals", `"a"`, multi("", "b"), false},
		{"empty single value counts as null", "ForAllValues:StringEquals", `"a"`, reference.Single(""), true},
		{"all on one value", "ForAllValues:StringEquals", `"a"`, reference.Single("b"), false},
		{"no value allowed", "ForAllValues:StringEquals", `[]`, multi("a"), false},
		{"some within", "ForAnyValue:StringEquals", `["a","b"]`, multi("x", "b"), true},
		{"none within", "ForAnyValue:StringEquals", `["a","b"]`, multi("x", "y"), false},
		{"some differs", "ForAnyValue:StringNotEquals", `["a","b"]`, multi("a", "x"), true},
		{"none differs", "ForAnyValue:StringNotEquals", `["a","b"]`, multi("a", "b"), false},
		{"any on one value", "ForAnyValue:StringEquals", `"a"`, reference.Single("a"), true},
		{"any with an empty string", "ForAnyValue:StringEquals", `""`, multi("a", ""), true},
		{"any IfExists is evaluated", "ForAnyValue:StringEqualsIfExists", `"a"`, multi("x"), false},
		{"any numeric", "ForAnyValue:NumericGreaterThan", `5`, multi("3", "7"), true},
		{"all addresses", "ForAllValues:NotIpAddress", `"10.0.0.0/8"`, multi("192.0.2.1", "10.1.1.1"), false},
		{"unqualified positive is any", "StringEquals", `"a"`, multi("x", "a"), true},
		{"unqualified negated is all", "StringNotEquals", `"a"`, multi("x", "a"), false},
		{"unqualified negated, all differ", "StringNotEquals", `"a"`, multi("x", "y"), true},
		{"unqualified negated, empty string counts as null", "StringNotEquals", `""`, multi("", "x"), true},
		{"unqualified negated, empty single value is a value", "StringNotEquals", `""`, reference.Single(""), false},
		{"unqualified positive, empty string is a value", "StringEquals", `""`, multi(""), true},
		{"present set is not null", "Null", `"false"`, multi("a"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustHold(t, c.operator, c.values, map[string]reference.Value{"svc:key": c.request}, c.want)
		})
	}
}

// TestConditionBlock is §5 rules 1 and 3.
func TestConditionBlock(t *testing.T) {
	context := map[string]reference.Value{
		"aws:ResourceTag/Env": reference.Single("prod"), "aws:SecureTransport": reference.Single("true"),
	}
	for _, c := range []struct {
		name, condition string
		want            bool
	}{
		{"operators are ANDed", `{"StringEquals":{"aws:resourcetag/env":"prod"},"Bool":{"aws:SecureTransport":"true"}}`, true},
		{"one operator fails", `{"StringEquals":{"aws:resourcetag/env":"dev"},"Bool":{"aws:SecureTransport":"true"}}`, false},
		{"keys are ANDed", `{"StringEquals":{"aws:ResourceTag/env":"prod","aws:username":"bob"}}`, false},
		{"tag name in other case", `{"StringEquals":{"AWS:RESOURCETAG/ENV":"prod"}}`, true},
		{"no conditions", `{}`, true},
		{"operator without keys", `{"StringEquals":{}}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustMatch(t, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":`+c.condition+`}`,
				"2012-10-17", getSecret, aSec, context, c.want)
		})
	}
}

// TestDerivedKeys is §6 and §12: what follows from the principal.
func TestDerivedKeys(t *testing.T) {
	type keys map[string]string
	for name, c := range map[string]struct {
		caller reference.Principal
		has    keys
		lacks  []string
	}{
		"user": {user(), keys{"aws:PrincipalArn": userARN, "aws:PrincipalType": "User", "aws:username": "alice",
			"aws:userid": "AIDAALICE", "aws:PrincipalAccount": home, "aws:ResourceAccount": home}, nil},
		"role session": {session(), keys{"aws:PrincipalArn": roleARN, "aws:PrincipalType": "AssumedRole",
			"aws:userid": "AROAAPP:s1"}, []string{"aws:username"}},
		"federated": {federated(), keys{"aws:PrincipalArn": fedARN, "aws:PrincipalType": "FederatedUser"}, []string{"aws:username"}},
		"root":      {root(), keys{"aws:PrincipalArn": rootARN, "aws:PrincipalType": "Account"}, []string{"aws:username"}},
		"anonymous": {anonymous(), keys{"aws:PrincipalType": "Anonymous", "aws:userid": "anonymous"},
			[]string{"aws:PrincipalArn", "aws:PrincipalAccount"}},
		"service": {service(), keys{"aws:ResourceAccount": home}, []string{"aws:PrincipalArn", "aws:PrincipalType"}},
	} {
		t.Run(name, func(t *testing.T) {
			// A resource policy grants to "*" under the condition, so that every
			// type of caller is judged by the condition alone; root is judged on a
			// key, where it has no right of its own.
			check := func(condition string) {
				t.Helper()
				mustDecide(t, reference.Vector{
					Resource: onePolicy(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":` + condition + `}`),
					Request:  reference.Request{Principal: c.caller, Action: "kms:Decrypt", Resource: aKey},
				}, reference.Allow)
			}
			for key, value := range c.has {
				check(`{"StringEquals":{"` + key + `":"` + value + `"}}`)
			}
			for _, key := range c.lacks {
				check(`{"Null":{"` + key + `":"true"}}`)
			}
		})
	}
	given := reference.Request{Principal: user(), Action: getSecret, Resource: aSec,
		Context: map[string]reference.Value{"AWS:USERNAME": reference.Single("bob")}}
	mustDecide(t, reference.Vector{Request: given,
		Identity: policies(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:username":"bob"}}}`)}, reference.Allow)
}
