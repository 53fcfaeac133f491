package policy

import "testing"

func TestPublic(t *testing.T) {
	everyone := func(condition string) string {
		return `{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{` + condition + `}}`
	}
	naming := func(principal string) string {
		return `{"Effect":"Allow","Principal":` + principal + `,"Action":"secretsmanager:*","Resource":"*"}`
	}
	for _, c := range []struct {
		name, statements string
		public           bool
	}{
		{"everyone", naming(`"*"`), true},
		{"everyone under AWS", naming(`{"AWS":"*"}`), true},
		{"everyone among others", naming(`{"AWS":["111122223333","*"]}`), true},
		{"organisation", everyone(`"StringEquals":{"aws:PrincipalOrgID":"o-x"}`), false},
		{"key in any case", everyone(`"StringEquals":{"AWS:principalorgid":"o-x"}`), false},
		{"VPC by wildcard", everyone(`"StringLike":{"aws:SourceVpc":"vpc-*"}`), true},
		{"VPC", everyone(`"StringEquals":{"aws:SourceVpc":"vpc-1"}`), false},
		{"VPC, like without wildcard", everyone(`"StringLike":{"aws:SourceVpc":"vpc-1"}`), false},
		{"one of two VPCs by wildcard", everyone(`"StringLike":{"aws:SourceVpc":["vpc-1","vpc-*"]}`), true},
		{"no values", everyone(`"StringEquals":{"aws:SourceVpc":[]}`), true},
		{"variable", everyone(`"StringEquals":{"aws:SourceAccount":"${aws:PrincipalAccount}"}`), true},
		{"half the internet", everyone(`"IpAddress":{"aws:SourceIp":"0.0.0.0/1"}`), true},
		{"a /8", everyone(`"IpAddress":{"aws:SourceIp":"203.0.0.0/8"}`), false},
		{"a /7", everyone(`"IpAddress":{"aws:SourceIp":"202.0.0.0/7"}`), true},
		{"private range", everyone(`"IpAddress":{"aws:VpcSourceIp":"10.0.0.0/8"}`), false},
		{"IPv6 /32", everyone(`"IpAddress":{"aws:SourceIp":"2001:db8::/32"}`), false},
		{"IPv6 /31", everyone(`"IpAddress":{"aws:SourceIp":"2001:db8::/31"}`), true},
		{"narrow and wide range", everyone(`"IpAddress":{"aws:SourceIp":["203.0.113.0/24","0.0.0.0/0"]}`), true},
		{"address as string", everyone(`"StringEquals":{"aws:SourceIp":"203.0.113.1"}`), false},
		{"no address", everyone(`"IpAddress":{"aws:SourceIp":"x"}`), true},
		{"range of another key", everyone(`"IpAddress":{"aws:SourceVpc":"203.0.113.0/24"}`), true},
		{"IfExists", everyone(`"StringEqualsIfExists":{"aws:SourceVpce":"vpce-1"}`), true},
		{"ForAllValues", everyone(`"ForAllValues:StringEquals":{"aws:PrincipalOrgPaths":"o-x/r-y/"}`), true},
		{"ForAnyValue", everyone(`"ForAnyValue:StringEquals":{"aws:PrincipalOrgPaths":"o-x/r-y/"}`), false},
		{"negated", everyone(`"StringNotEquals":{"aws:PrincipalAccount":"111122223333"}`), true},
		{"negated address", everyone(`"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}`), true},
		{"principal ARN", everyone(`"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/app"}`), false},
		{"principal ARN by wildcard in one account", everyone(`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/*"}`), false},
		{"principal ARN by wildcard, string operator", everyone(`"StringLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/*"}`), true},
		{"principal ARN of any account", everyone(`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/app"}`), true},
		{"variable that shifts the account", everyone(`"ArnLike":{"aws:PrincipalArn":"arn:${a:b}:c:111122223333:*"}`), true},
		{"principal ARN without its last parts", everyone(`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam"}`), true},
		{"principal ARN with all but one part", everyone(`"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333"}`), true},
		{"operator of ARNs on another key", everyone(`"ArnEquals":{"aws:SourceVpc":"vpc-1"}`), true},
		{"source bucket, without account", everyone(`"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::b"}`), false},
		{"source bucket by wildcard", everyone(`"ArnLike":{"aws:SourceArn":"arn:aws:s3:::*"}`), true},
		{"user id", everyone(`"StringEquals":{"aws:userid":"AIDA00000000000000001"}`), false},
		{"user id by wildcard", everyone(`"StringLike":{"aws:userid":"AROA00000000000000001:*"}`), true},
		{"caller account of KMS", everyone(`"StringEquals":{"kms:CallerAccount":"111122223333"}`), false},
		{"key that pins nothing", everyone(`"StringEquals":{"aws:UserAgent":"x"}`), true},
		{"secure transport", everyone(`"Bool":{"aws:SecureTransport":"true"}`), true},
		{"Null", everyone(`"Null":{"aws:SourceVpc":"false"}`), true},
		{"one condition of two pins", everyone(`"Bool":{"aws:SecureTransport":"true"},"StringEquals":{"aws:SourceVpc":"vpc-1"}`), false},
		{"account", naming(`{"AWS":"444455556666"}`), false},
		{"user, role, session, service", naming(`{"AWS":["arn:aws:iam::111122223333:user/a","arn:aws:iam::111122223333:role/a","arn:aws:sts::111122223333:assumed-role/a/b","AIDA00000000000000001"],"Service":"x.amazonaws.com"}`), false},
		{"web identity host", naming(`{"Federated":"graph.facebook.com"}`), true},
		{"partial wildcard", naming(`{"AWS":"arn:aws:iam::*:root"}`), true},
		{"deny everyone", `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}`, false},
		{"allow all but", `{"Effect":"Allow","NotPrincipal":{"AWS":"111122223333"},"Action":"*","Resource":"*"}`, true},
		{"second statement", naming(`{"AWS":"444455556666"}`) + "," + naming(`"*"`), true},
		{"deny does not narrow", naming(`"*"`) + `,{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			public, reason := statements(t, c.statements).Public()
			if public != c.public || public == (reason == "") {
				t.Errorf("public %v, reason %q", public, reason)
			}
		})
	}
}
