package reference_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/policy/reference"
)

const (
	home  = "111122223333"
	away  = "444455556666"
	aSec  = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf"
	xSec  = "arn:aws:secretsmanager:us-east-1:444455556666:secret:prod/db-AbCdEf"
	aKey  = "arn:aws:kms:us-east-1:111122223333:key/1234abcd"
	aRole = "arn:aws:iam::111122223333:role/target"

	getSecret = "secretsmanager:GetSecretValue"

	rootARN = "arn:aws:iam::111122223333:root"
	userARN = "arn:aws:iam::111122223333:user/ops/alice"
	roleARN = "arn:aws:iam::111122223333:role/ops/app"
	sessARN = "arn:aws:sts::111122223333:assumed-role/app/s1"
	fedARN  = "arn:aws:sts::111122223333:federated-user/fed1"
)

func user() reference.Principal {
	return reference.Principal{Type: reference.User, Account: home, ARN: userARN, UserID: "AIDAALICE", Username: "alice"}
}

func session() reference.Principal {
	return reference.Principal{Type: reference.AssumedRole, Account: home, ARN: sessARN, RoleARN: roleARN, UserID: "AROAAPP:s1"}
}

func federated() reference.Principal {
	return reference.Principal{Type: reference.FederatedUser, Account: home, ARN: fedARN, UserARN: userARN, UserID: home + ":fed1"}
}

func root() reference.Principal {
	return reference.Principal{Type: reference.Root, Account: home, ARN: rootARN, UserID: home}
}

func service() reference.Principal {
	return reference.Principal{Type: reference.Service, Service: "delivery.example.amazonaws.com"}
}

func anonymous() reference.Principal {
	return reference.Principal{Type: reference.Anonymous, UserID: "anonymous"}
}

// policies wraps statements into one 2012 policy each.
func policies(statements ...string) []json.RawMessage {
	var out []json.RawMessage
	for _, s := range statements {
		out = append(out, json.RawMessage(`{"Version":"2012-10-17","Statement":[`+s+`]}`))
	}
	return out
}

func onePolicy(statement string) json.RawMessage {
	if statement == "" {
		return nil
	}
	return policies(statement)[0]
}

const (
	allowAll  = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	denyAll   = `{"Effect":"Deny","Action":"*","Resource":"*"}`
	allowElse = `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`
)

// grantTo is an Allow statement of a resource policy, grantTrust of a trust
// policy. The principal is a JSON value, or an ARN to be put under AWS.
func grantTo(principal string) string {
	return `{"Effect":"Allow","Principal":` + principalJSON(principal) + `,"Action":"*","Resource":"*"}`
}

func grantTrust(principal string) string {
	return `{"Effect":"Allow","Principal":` + principalJSON(principal) + `,"Action":"sts:AssumeRole"}`
}

func denyTo(principal string) string {
	return `{"Effect":"Deny","Principal":` + principalJSON(principal) + `,"Action":"*","Resource":"*"}`
}

func denyAllBut(principal string) string {
	return `{"Effect":"Deny","NotPrincipal":` + principalJSON(principal) + `,"Action":"*","Resource":"*"}`
}

func principalJSON(principal string) string {
	if strings.HasPrefix(principal, "{") || strings.HasPrefix(principal, `"`) {
		return principal
	}
	return `{"AWS":"` + principal + `"}`
}

func mustDecide(t *testing.T, v reference.Vector, want string) {
	t.Helper()
	if got, err := reference.Decide(v); got != want || err != nil {
		text, _ := json.Marshal(v)
		t.Errorf("got %q, %v; want %q for\n%s", got, err, want, text)
	}
}

// TestMatching is §2.
func TestMatching(t *testing.T) {
	for _, c := range []struct {
		name, elements, action, resource string
		want                             bool
	}{
		{"action is case-insensitive both ways", `"Action":"SECRETSmanager:getsecretVALUE","Resource":"*"`, getSecret, aSec, true},
		{"star in the middle", `"Action":"secretsmanager:*Secret*","Resource":"*"`, getSecret, aSec, true},
		{"question mark needs a character", `"Action":"secretsmanager:GetSecretValue?","Resource":"*"`, getSecret, aSec, false},
		{"star matches the empty run", `"Action":"secretsmanager:GetSecretValue*","Resource":"*"`, getSecret, aSec, true},
		{"one of several actions", `"Action":["kms:*","secretsmanager:Get*"],"Resource":"*"`, getSecret, aSec, true},
		{"NotAction spares the listed", `"NotAction":["kms:*","secretsmanager:get*"],"Resource":"*"`, getSecret, aSec, false},
		{"NotAction matches others", `"NotAction":"kms:*","Resource":"*"`, getSecret, aSec, true},
		{"resource is case-sensitive", `"Action":"*","Resource":"arn:aws:secretsmanager:us-east-1:111122223333:secret:PROD/*"`, getSecret, aSec, false},
		{"star spans slash and colon in the sixth part", `"Action":"*","Resource":"arn:aws:secretsmanager:us-east-1:111122223333:s*f"`, getSecret, aSec, true},
		{"star does not cross an earlier colon", `"Action":"*","Resource":"arn:aws:secretsmanager:*:secret:prod/db-AbCdEf"`, getSecret, aSec, false},
		{"star as every part", `"Action":"*","Resource":"*:*:*:*:*:*"`, getSecret, aSec, true},
		{"question mark in the account", `"Action":"*","Resource":"arn:aws:secretsmanager:us-east-?:11112222333?:*"`, getSecret, aSec, true},
		{"missing parts match anything", `"Action":"*","Resource":"arn:aws:secretsmanager:us-east-1"`, getSecret, aSec, true},
		{"missing parts, those present count", `"Action":"*","Resource":"arn:aws:secretsmanager:eu-*"`, getSecret, aSec, false},
		{"missing parts do not match no resource", `"Action":"*","Resource":"arn:*"`, "secretsmanager:ListSecrets", "*", false},
		{"double star is no star", `"Action":"*","Resource":"**"`, "secretsmanager:ListSecrets", "*", false},
		{"letters beyond ASCII are not folded", `"Action":"\u212ams:*","Resource":"*"`, "kms:ListKeys", "*", false},
		{"six stars do not match no resource", `"Action":"*","Resource":"*:*:*:*:*:*"`, "secretsmanager:ListSecrets", "*", false},
		{"NotResource includes no resource", `"Action":"*","NotResource":"arn:aws:secretsmanager:*:*:*"`, "secretsmanager:ListSecrets", "*", true},
		{"NotResource star matches nothing", `"Action":"*","NotResource":"*"`, "secretsmanager:ListSecrets", "*", false},
		{"NotResource spares the listed", `"Action":"*","NotResource":["arn:aws:s3:::b","arn:aws:secretsmanager:*:*:secret:prod/*"]`, getSecret, aSec, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustMatch(t, `{"Effect":"Allow",`+c.elements+`}`, "2012-10-17", c.action, c.resource, nil, c.want)
		})
	}
}

// mustMatch checks whether an identity statement matches, for Allow by its
// grant and for the same statement as Deny by its refusal.
func mustMatch(t *testing.T, statement, version, action, resource string, context map[string]reference.Value, want bool) {
	t.Helper()
	v := reference.Vector{Request: reference.Request{Principal: user(), Action: action, Resource: resource, Context: context}}
	v.Request.Principal.Tags = map[string]string{"Team": "red"}
	document := func(s string) json.RawMessage {
		if version == "" {
			return json.RawMessage(`{"Statement":` + s + `}`)
		}
		return json.RawMessage(`{"Version":"` + version + `","Statement":` + s + `}`)
	}
	v.Identity = []json.RawMessage{document(statement)}
	mustDecide(t, v, map[bool]string{true: reference.Allow, false: reference.ImplicitDeny}[want])

	denying := strings.Replace(statement, `"Effect":"Allow"`, `"Effect":"Deny"`, 1)
	v.Identity = append(policies(allowAll), document(denying))
	mustDecide(t, v, map[bool]string{true: reference.ExplicitDeny, false: reference.Allow}[want])
}

// TestVariables is §3.
func TestVariables(t *testing.T) {
	const prefix = "arn:aws:secretsmanager:us-east-1:111122223333:secret:"
	single, multi := reference.Single, reference.Multi
	context := map[string]reference.Value{
		"aws:RequestTag/p": single("p*"), "aws:RequestTag/e": single(""),
		"aws:TagKeys": multi("prod"), "aws:SecureTransport": single("true"),
		"aws:SourceArn": single(roleARN),
	}
	for _, c := range []struct {
		name, version, element, resource string
		want                             bool
	}{
		{"user name", "2012-10-17", `"Resource":"` + prefix + `${aws:username}/*"`, prefix + "alice/x", true},
		{"key name in other case", "2012-10-17", `"Resource":"` + prefix + `${AWS:UserName}/*"`, prefix + "alice/x", true},
		{"tag name in other case", "2012-10-17", `"Resource":"` + prefix + `${aws:PrincipalTag/tEAM}/*"`, prefix + "red/x", true},
		{"two variables", "2012-10-17", `"Resource":"` + prefix + `${aws:username}-${aws:PrincipalTag/Team}"`, prefix + "alice-red", true},
		{"not in the region", "2012-10-17", `"Resource":"arn:aws:secretsmanager:${aws:RequestTag/e, 'us-east-1'}:111122223333:*"`, prefix + "x", false},
		{"literal in 2008", "2008-10-17", `"Resource":"` + prefix + `${aws:username}"`, prefix + "${aws:username}", true},
		{"literal without version", "", `"Resource":"` + prefix + `${aws:username}"`, prefix + "${aws:username}", true},
		{"wildcards live in a 2008 literal", "2008-10-17", `"Resource":"` + prefix + `${*}"`, prefix + "${abc}", true},
		{"default unused when present", "2012-10-17", `"Resource":"` + prefix + `${aws:username, 'x'}"`, prefix + "alice", true},
		{"default when missing", "2012-10-17", `"Resource":"` + prefix + `${aws:RequestTag/no, 'x'}"`, prefix + "x", true},
		{"default without the space", "2012-10-17", `"Resource":"` + prefix + `${aws:RequestTag/no,'x'}"`, prefix + "x", true},
		{"empty default", "2012-10-17", `"Resource":"` + prefix + `a${aws:RequestTag/no, ''}b"`, prefix + "ab", true},
		{"brace in a default", "2012-10-17", `"Resource":"` + prefix + `${aws:RequestTag/no, '{x}'}"`, prefix + "{x}", true},
		{"two spaces before a default", "2012-10-17", `"Resource":"` + prefix + `${aws:RequestTag/no,  'x'}"`, prefix + "x", false},
		{"quote in a default", "2012-10-17", `"Resource":"` + prefix + `${aws:RequestTag/no, 'it's'}"`, prefix + "it's", false},
		{"star in a default is literal", "2012-10-17", `"Resource":"` + prefix + `${aws:RequestTag/no, '*'}"`, prefix + "x", false},
		{"empty value is a value", "2012-10-17", `"Resource":"` + prefix + `a${aws:RequestTag/e, 'x'}b"`, prefix + "ab", true},
		{"star in a value is literal", "2012-10-17", `"Resource":"` + prefix + `${aws:RequestTag/p}"`, prefix + "prod", false},
		{"star in a value matches itself", "2012-10-17", `"Resource":"` + prefix + `${aws:RequestTag/p}"`, prefix + "p*", true},
		{"escaped star", "2012-10-17", `"Resource":"` + prefix + `a${*}b"`, prefix + "a*b", true},
		{"escaped star is no wildcard", "2012-10-17", `"Resource":"` + prefix + `a${*}b"`, prefix + "axb", false},
		{"escaped question mark", "2012-10-17", `"Resource":"` + prefix + `a${?}b"`, prefix + "a?b", true},
		{"escaped question mark is no wildcard", "2012-10-17", `"Resource":"` + prefix + `a${?}b"`, prefix + "axb", false},
		{"escaped dollar", "2012-10-17", `"Resource":"` + prefix + `${$}{x}"`, prefix + "${x}", true},
		{"multivalued key cannot be used", "2012-10-17", `"Resource":"` + prefix + `${aws:TagKeys}"`, prefix + "prod", false},
		{"missing matches nothing", "2012-10-17", `"Resource":"` + prefix + `${aws:RequestTag/no}*"`, prefix + "x", false},
		{"missing leaves other resources", "2012-10-17", `"Resource":["` + prefix + `${aws:RequestTag/no}","` + prefix + `x"]`, prefix + "x", true},
		{"missing in NotResource matches nothing", "2012-10-17", `"NotResource":"` + prefix + `${aws:RequestTag/no}"`, prefix + "x", false},
		{"NotResource with a value", "2012-10-17", `"NotResource":"` + prefix + `${aws:username}"`, prefix + "x", true},

		{"StringEquals", "2012-10-17", `"Resource":"*","Condition":{"StringEquals":{"aws:username":"${aws:PrincipalTag/no, 'alice'}"}}`, aSec, true},
		{"StringEquals literal star", "2012-10-17", `"Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/p":"p${*}"}}`, aSec, true},
		{"StringLike escaped star", "2012-10-17", `"Resource":"*","Condition":{"StringLike":{"aws:username":"al${*}"}}`, aSec, false},
		{"StringLike star in a value is literal", "2012-10-17", `"Resource":"*","Condition":{"StringLike":{"aws:username":"${aws:RequestTag/p}"}}`, aSec, false},
		{"ArnLike with an account variable", "2012-10-17", `"Resource":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${aws:PrincipalAccount}:user/*"}}`, aSec, true},
		{"ArnEquals with a whole ARN", "2012-10-17", `"Resource":"*","Condition":{"ArnEquals":{"aws:SourceArn":"${aws:SourceArn}"}}`, aSec, true},
		{"Bool", "2012-10-17", `"Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"${aws:SecureTransport}"}}`, aSec, true},
		{"not in Numeric", "2012-10-17", `"Resource":"*","Condition":{"NumericEquals":{"aws:PrincipalAccount":"${aws:PrincipalAccount}"}}`, aSec, false},
		{"not in Null", "2012-10-17", `"Resource":"*","Condition":{"Null":{"aws:username":"${aws:RequestTag/no, 'false'}"}}`, aSec, false},
		{"missing in a positive operator", "2012-10-17", `"Resource":"*","Condition":{"StringLike":{"aws:username":"*${aws:RequestTag/no}"}}`, aSec, false},
		{"missing in StringNotEquals", "2012-10-17", `"Resource":"*","Condition":{"StringNotEquals":{"aws:username":"${aws:RequestTag/no}"}}`, aSec, true},
		{"missing in StringNotLike", "2012-10-17", `"Resource":"*","Condition":{"StringNotLike":{"aws:username":"*${aws:RequestTag/no}"}}`, aSec, true},
		{"missing in ArnNotLike", "2012-10-17", `"Resource":"*","Condition":{"ArnNotLike":{"aws:SourceArn":"*:*:*:*:*:${aws:RequestTag/no}"}}`, aSec, true},
		{"missing beside a value that equals", "2012-10-17", `"Resource":"*","Condition":{"StringNotEquals":{"aws:username":["${aws:RequestTag/no}","alice"]}}`, aSec, false},
		{"not in condition keys", "2012-10-17", `"Resource":"*","Condition":{"StringEquals":{"${aws:username}":"alice"}}`, aSec, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustMatch(t, `{"Effect":"Allow","Action":"*",`+c.element+`}`, c.version, getSecret, c.resource, context, c.want)
		})
	}
}

// TestNotPrincipal is §4: spared only when every level is listed.
func TestNotPrincipal(t *testing.T) {
	for _, c := range []struct {
		name   string
		caller reference.Principal
		listed []string
		want   string
	}{
		{"user and account", user(), []string{userARN, home}, reference.Allow},
		{"user without account", user(), []string{userARN}, reference.ExplicitDeny},
		{"user by unique id", user(), []string{"AIDAALICE", home}, reference.Allow},
		{"role by unique id", session(), []string{sessARN, "AROAAPP", home}, reference.Allow},
		{"account without user", user(), []string{rootARN}, reference.ExplicitDeny},
		{"other user", user(), []string{rootARN, "arn:aws:iam::111122223333:user/alice"}, reference.ExplicitDeny},
		{"session, role and account", session(), []string{sessARN, roleARN, rootARN}, reference.Allow},
		{"session without role", session(), []string{sessARN, rootARN}, reference.ExplicitDeny},
		{"role without session", session(), []string{roleARN, rootARN}, reference.ExplicitDeny},
		{"session and role without account", session(), []string{sessARN, roleARN}, reference.ExplicitDeny},
		{"federated, user and account", federated(), []string{fedARN, userARN, home}, reference.Allow},
		{"federated without user", federated(), []string{fedARN, home}, reference.ExplicitDeny},
		{"root", root(), []string{home}, reference.Allow},
		{"star", user(), []string{"*"}, reference.Allow},
	} {
		t.Run(c.name, func(t *testing.T) {
			listed, _ := json.Marshal(c.listed)
			mustDecide(t, reference.Vector{
				Identity: policies(allowAll), Session: policies(allowAll),
				Resource: onePolicy(denyAllBut(`{"AWS":` + string(listed) + `}`)),
				Request:  reference.Request{Principal: c.caller, Action: getSecret, Resource: aSec},
			}, c.want)
		})
	}
	t.Run("service listed", func(t *testing.T) {
		v := reference.Vector{Request: reference.Request{Principal: service(), Action: getSecret, Resource: aSec}}
		v.Resource = onePolicy(grantTo(`"*"`) + "," + denyAllBut(`{"Service":"delivery.example.amazonaws.com"}`))
		mustDecide(t, v, reference.Allow)
		v.Resource = onePolicy(grantTo(`"*"`) + "," + denyAllBut(`{"Service":"other.amazonaws.com"}`))
		mustDecide(t, v, reference.ExplicitDeny)
	})
	t.Run("anonymous cannot be listed", func(t *testing.T) {
		mustDecide(t, reference.Vector{
			Resource: onePolicy(grantTo(`"*"`) + "," + denyAllBut(rootARN)),
			Request:  reference.Request{Principal: anonymous(), Action: getSecret, Resource: aSec},
		}, reference.ExplicitDeny)
	})
}

// TestDenyPrincipals is §4: which names a Deny reaches.
func TestDenyPrincipals(t *testing.T) {
	for _, c := range []struct {
		name, principal string
		caller          reference.Principal
		hit             bool
	}{
		{"account reaches the user", home, user(), true},
		{"account reaches the session", rootARN, session(), true},
		{"account reaches the federated user", rootARN, federated(), true},
		{"account reaches root", rootARN, root(), true},
		{"other account", away, user(), false},
		{"user ARN", userARN, user(), true},
		{"user ARN in other case", strings.ToUpper(userARN), user(), false},
		{"user ARN without its path", "arn:aws:iam::111122223333:user/alice", user(), false},
		{"role ARN", roleARN, session(), true},
		{"session ARN", sessARN, session(), true},
		{"other session", "arn:aws:sts::111122223333:assumed-role/app/s2", session(), false},
		{"user ARN reaches its federated users", userARN, federated(), true},
		{"unique id of the user", "AIDAALICE", user(), true},
		{"unique id of the role", "AROAAPP", session(), true},
		{"unique id of another", "AIDABOB", user(), false},
		{"session id is no unique id", "AROAAPP:s1", session(), false},
		{"service name is no user", `{"Service":"delivery.example.amazonaws.com"}`, user(), false},
		{"Federated matches nobody", `{"Federated":"graph.facebook.com"}`, federated(), false},
		{"star string", `"*"`, root(), true},
		{"star under AWS", `{"AWS":["x","*"]}`, session(), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustDecide(t, reference.Vector{
				Identity: policies(allowAll), Session: policies(allowAll),
				Resource: onePolicy(denyTo(c.principal)),
				Request:  reference.Request{Principal: c.caller, Action: getSecret, Resource: aSec},
			}, map[bool]string{true: reference.ExplicitDeny, false: reference.Allow}[c.hit])
		})
	}
}

// TestMalformed is §1: each case differs in one point from a policy that Decide
// accepts in the same place.
func TestMalformed(t *testing.T) {
	type place string
	const (
		identity place = "identity"
		resource place = "resource"
		trust    place = "trust"
	)
	decide := func(where place, text string) error {
		v := reference.Vector{Request: reference.Request{Principal: user(), Action: getSecret, Resource: aSec}}
		switch where {
		case identity:
			v.Identity = []json.RawMessage{json.RawMessage(text)}
		case trust:
			v.Request.Action, v.Request.Resource = "sts:AssumeRole", aRole
			v.Resource = json.RawMessage(text)
		default:
			v.Resource = json.RawMessage(text)
		}
		_, err := reference.Decide(v)
		return err
	}
	const rest = `"Action":"*","Resource":"*"`
	good := map[place][]string{
		identity: {
			`{"Statement":{"Effect":"Allow",` + rest + `}}`,
			`{"Version":"2008-10-17","Id":"x","Statement":[{"Sid":"a1","Effect":"Deny",` + rest + `},{"Sid":"","Effect":"Deny",` + rest + `},{"Effect":"Deny",` + rest + `}]}`,
			`{"Statement":{"Effect":"Allow",` + rest + `,"Condition":{}}}`,
			`{"Statement":{"Effect":"Allow",` + rest + `,"Condition":{"StringEquals":{},"Bool":{"a":[true,"x",1]},"ForAnyValue:StringLikeIfExists":{"a":[]}}}}`,
		},
		resource: {
			`{"Statement":{"Sid":"with space","Effect":"Allow","Principal":"*",` + rest + `}}`,
			`{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"` + home + `","Service":["a"],"Federated":"b","CanonicalUser":"c"},` + rest + `}}`,
		},
		trust: {`{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`},
	}
	for where, texts := range good {
		for i, text := range texts {
			if err := decide(where, text); err != nil {
				t.Errorf("good %s %d: %v", where, i, err)
			}
		}
	}
	for _, c := range []struct {
		name  string
		where place
		text  string
	}{
		{"not JSON", identity, `{"Statement":`},
		{"two values", identity, `{"Statement":{"Effect":"Allow",` + rest + `}} {}`},
		{"an array", identity, `[]`},
		{"duplicate member", identity, `{"Version":"2012-10-17","Version":"2012-10-17","Statement":{"Effect":"Allow",` + rest + `}}`},
		{"duplicate deep inside", identity, `{"Statement":{"Effect":"Allow",` + rest + `,"Condition":{"Bool":{"a":true,"a":false}}}}`},
		{"unknown version", identity, `{"Version":"2013-10-17","Statement":{"Effect":"Allow",` + rest + `}}`},
		{"version is a number", identity, `{"Version":2012,"Statement":{"Effect":"Allow",` + rest + `}}`},
		{"unknown top element", identity, `{"version":"2012-10-17","Statement":{"Effect":"Allow",` + rest + `}}`},
		{"Id is a number", identity, `{"Id":1,"Statement":{"Effect":"Allow",` + rest + `}}`},
		{"no Statement", identity, `{"Version":"2012-10-17"}`},
		{"empty Statement", identity, `{"Statement":[]}`},
		{"Statement is text", identity, `{"Statement":["x"]}`},
		{"unknown element", identity, `{"Statement":{"effect":"Allow","Effect":"Allow",` + rest + `}}`},
		{"Effect in lower case", identity, `{"Statement":{"Effect":"allow",` + rest + `}}`},
		{"no Effect", identity, `{"Statement":{` + rest + `}}`},
		{"no Action", identity, `{"Statement":{"Effect":"Allow","Resource":"*"}}`},
		{"empty Action", identity, `{"Statement":{"Effect":"Allow","Action":[],"Resource":"*"}}`},
		{"Action and NotAction", identity, `{"Statement":{"Effect":"Allow","NotAction":"*",` + rest + `}}`},
		{"Resource and NotResource", identity, `{"Statement":{"Effect":"Allow","NotResource":"*",` + rest + `}}`},
		{"nested list", identity, `{"Statement":{"Effect":"Allow","Action":[["*"]],"Resource":"*"}}`},
		{"Resource is a number", identity, `{"Statement":{"Effect":"Allow","Action":"*","Resource":1}}`},
		{"no Resource", identity, `{"Statement":{"Effect":"Allow","Action":"*"}}`},
		{"Principal in an identity policy", identity, `{"Statement":{"Effect":"Allow","Principal":"*",` + rest + `}}`},
		{"Sid with a space", identity, `{"Statement":{"Sid":"a b","Effect":"Allow",` + rest + `}}`},
		{"Sid twice", identity, `{"Statement":[{"Sid":"a","Effect":"Allow",` + rest + `},{"Sid":"a","Effect":"Allow",` + rest + `}]}`},
		{"Condition is a list", identity, `{"Statement":{"Effect":"Allow",` + rest + `,"Condition":[]}}`},
		{"unknown operator", identity, `{"Statement":{"Effect":"Allow",` + rest + `,"Condition":{"StringMatches":{"a":"b"}}}}`},
		{"negated Bool", identity, `{"Statement":{"Effect":"Allow",` + rest + `,"Condition":{"NotBool":{"a":"b"}}}}`},
		{"NullIfExists", identity, `{"Statement":{"Effect":"Allow",` + rest + `,"Condition":{"NullIfExists":{"a":"true"}}}}`},
		{"doubled colon", identity, `{"Statement":{"Effect":"Allow",` + rest + `,"Condition":{"ForAnyValue::StringEquals":{"a":"b"}}}}`},
		{"operator value is text", identity, `{"Statement":{"Effect":"Allow",` + rest + `,"Condition":{"Bool":"true"}}}`},
		{"condition value is null", identity, `{"Statement":{"Effect":"Allow",` + rest + `,"Condition":{"Bool":{"a":null}}}}`},
		{"condition value is an object", identity, `{"Statement":{"Effect":"Allow",` + rest + `,"Condition":{"Bool":{"a":[{}]}}}}`},
		{"no Principal", resource, `{"Statement":{"Effect":"Allow",` + rest + `}}`},
		{"Principal and NotPrincipal", resource, `{"Statement":{"Effect":"Deny","Principal":"*","NotPrincipal":"*",` + rest + `}}`},
		{"Principal is other text", resource, `{"Statement":{"Effect":"Allow","Principal":"` + home + `",` + rest + `}}`},
		{"empty Principal", resource, `{"Statement":{"Effect":"Allow","Principal":{},` + rest + `}}`},
		{"unknown principal type", resource, `{"Statement":{"Effect":"Allow","Principal":{"aws":"*"},` + rest + `}}`},
		{"wildcard user", resource, `{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/*"},` + rest + `}}`},
		{"wildcard session", resource, `{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:sts::111122223333:assumed-role/app/*"},` + rest + `}}`},
		{"Allow with NotPrincipal", resource, `{"Statement":{"Effect":"Allow","NotPrincipal":{"AWS":"` + home + `"},` + rest + `}}`},
		{"date that is none", identity, `{"Statement":{"Effect":"Allow",` + rest + `,"Condition":{"DateEquals":{"a:b":"2026-02-30"}}}}`},
		{"date beyond int64", identity, `{"Statement":{"Effect":"Allow",` + rest + `,"Condition":{"ForAnyValue:DateLessThanIfExists":{"a:b":["0",9223372036854775808]}}}}`},
		{"date with a wildcard", identity, `{"Statement":{"Effect":"Allow",` + rest + `,"Condition":{"DateNotEquals":{"a:b":"2026-03-01T*"}}}}`},
		{"resource policy without Resource", resource, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"*"}}`},
		{"trust policy with Resource", trust, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}}`},
		{"trust policy with NotPrincipal", trust, `{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"` + home + `"},"Action":"sts:AssumeRole"}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if decide(c.where, c.text) == nil {
				t.Errorf("accepted %s", c.text)
			}
		})
	}
}

// TestImpossibleRequests checks the errors that are about the request.
func TestImpossibleRequests(t *testing.T) {
	twoTags := user()
	twoTags.Tags = map[string]string{"Team": "red", "team": "blue"}
	for name, request := range map[string]reference.Request{
		"unknown principal type": {Principal: reference.Principal{Type: "Group"}, Action: getSecret, Resource: aSec},
		"context key twice": {Principal: user(), Action: getSecret, Resource: aSec,
			Context: map[string]reference.Value{"aws:TagKeys": reference.Multi(), "aws:tagkeys": reference.Multi()}},
		"context key without value": {Principal: user(), Action: getSecret, Resource: aSec,
			Context: map[string]reference.Value{"aws:TagKeys": {}}},
		"tag twice": {Principal: twoTags, Action: getSecret, Resource: aSec},
	} {
		if got, err := reference.Decide(reference.Vector{Request: request}); err == nil {
			t.Errorf("%s: decided %q", name, got)
		}
	}
	for _, text := range []string{`1`, `null`, `[1]`, `{}`, `[["a"]]`} {
		var v reference.Value
		if err := json.Unmarshal([]byte(text), &v); err == nil {
			t.Errorf("context value %s was read as %v", text, v)
		}
	}
	if _, err := json.Marshal(reference.Value{}); err == nil {
		t.Error("a single value without a string was written")
	}
}
