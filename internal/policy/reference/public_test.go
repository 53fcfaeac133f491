package reference_test

import (
	"encoding/json"
	"testing"

	"github.com/strongroom/strongroom/internal/policy/reference"
)

// TestPublic is the table of §11, and what stands around it.
func TestPublic(t *testing.T) {
	star := func(condition string) string {
		return `{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{` + condition + `}}`
	}
	for _, c := range []struct {
		name, statements string
		want             bool
	}{
		{"no condition", star(""), true},
		{"organisation", star(`"StringEquals":{"aws:PrincipalOrgID":"o-x"}`), false},
		{"VPC by wildcard", star(`"StringLike":{"aws:SourceVpc":"vpc-*"}`), true},
		{"VPC", star(`"StringEquals":{"aws:SourceVpc":"vpc-1"}`), false},
		{"half of all addresses", star(`"IpAddress":{"aws:SourceIp":"0.0.0.0/1"}`), true},
		{"IfExists", star(`"StringEqualsIfExists":{"aws:SourceVpce":"vpce-1"}`), true},
		{"account", grantTo(away), false},
		{"deny", denyTo(`"*"`), false},
		{"deny does not narrow", grantTo(`"*"`) + "," + denyTo(`"*"`), true},
		{"second statement", grantTo(away) + "," + grantTo(`"*"`), true},
		{"ForAllValues", star(`"ForAllValues:StringEquals":{"aws:PrincipalOrgPaths":"o-x/"}`), true},
		{"ForAnyValue", star(`"ForAnyValue:StringEquals":{"aws:PrincipalOrgPaths":"o-x/"}`), false},
		{"negated", star(`"StringNotEquals":{"aws:SourceVpc":"vpc-1"}`), true},
		{"no values", star(`"StringEquals":{"aws:SourceVpc":[]}`), true},
		{"one open value", star(`"StringLike":{"aws:SourceVpc":["vpc-1","vpc-?"]}`), true},
		{"variable", star(`"StringEquals":{"aws:SourceAccount":"${aws:PrincipalAccount}"}`), true},
		{"fixed account of an ARN", star(`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:*"}`), false},
		{"any account of an ARN", star(`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/x"}`), true},
		{"ARN without account", star(`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam"}`), true},
		{"user id by wildcard", star(`"StringLike":{"aws:userid":"AROAID:*"}`), true},
		{"narrow IPv6", star(`"IpAddress":{"aws:VpcSourceIp":"2001:db8::/32"}`), false},
		{"wide IPv6", star(`"IpAddress":{"aws:VpcSourceIp":"2001:db8::/31"}`), true},
		{"all IPv4 as IPv6", star(`"IpAddress":{"aws:SourceIp":"::ffff:0.0.0.0/96"}`), true},
		{"key that pins nothing", star(`"StringEquals":{"aws:UserAgent":"x"}`), true},
		{"service", grantTo(`{"Service":"x.amazonaws.com"}`), false},
		{"web identity", grantTo(`{"Federated":"graph.facebook.com"}`), true},
		{"user, role and session", grantTo(`{"AWS":["` + userARN + `","` + roleARN + `","` + sessARN + `","` + fedARN + `"]}`), false},
		{"no form at all", grantTo("arn:aws:iam::111122223333:group/x"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := reference.Public(onePolicy(c.statements))
			if got != c.want || err != nil {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
	if _, err := reference.Public(json.RawMessage(`{"Statement":` + allowAll + `}`)); err == nil {
		t.Error("no error for a policy without Principal")
	}
}
