package policy

import (
	"errors"
	"strings"
	"testing"
)

// doc builds a policy from the members of its statements.
func policyText(version string, statements ...string) string {
	if version != "" {
		version = `"Version":"` + version + `",`
	}
	return `{` + version + `"Statement":[{` + strings.Join(statements, "},{") + `}]}`
}

const bucket = `"Resource":"arn:aws:s3:::example_bucket"`

// The inputs are those of public suites that spec iam-policy-evaluation.md 1.1
// takes its triggers from; each name says which check wins.
func TestIdentityPolicyMessages(t *testing.T) {
	v := Version2012
	partition := func(p, arn string) string {
		return `Partition "` + p + `" is not valid for resource "` + arn + `".`
	}
	resource := func(r string) string {
		return policyText(v, `"Effect":"Allow","Action":"s3:ListBucket","Resource":`+r)
	}
	action := func(a string) string { return policyText(v, `"Effect":"Allow","Action":"`+a+`",`+bucket) }
	for _, c := range []struct{ name, src, want string }{
		{"not JSON", "This is not a json document", msgSyntax},
		{"no version", policyText("", `"Effect":"Allow","Action":"s3:ListBucket",`+bucket), msgVersion},
		{"old version", policyText(Version2008, `"Effect":"Allow","Action":"s3:ListBucket",`+bucket), msgVersion},
		{"unknown version", policyText("2013-10-17", `"Effect":"Allow","Action":"s3:ListBucket",`+bucket), msgSyntax},
		{"grammar beats version", policyText("", `"Effect":"Allow","Extra":1`), msgSyntax},
		{"version beats legacy Effect", policyText("", `"Effect":"denY","Action":"s3:ListBucket",`+bucket), msgVersion},
		{"version beats legacy date", policyText("", `"Effect":"Allow","Action":"a:b",`+bucket+`,"Condition":{"DateGreaterThan":{"a":"sdfdsf"}}`), msgVersion},
		{"version beats duplicate Sid", policyText("", `"Sid":"a","Effect":"Allow"`, `"Sid":"a","Effect":"Allow"`), msgVersion},
		{"legacy Effect", policyText(v, `"Effect":"denY","Action":"s3:ListBucket",`+bucket), msgLegacy},
		{"legacy Effect beats duplicate Sid and missing Action", policyText(v, `"Sid":"a","Effect":"aLLow"`, `"Sid":"a","Effect":"Allow"`), msgLegacy},
		{"legacy Effect beats region", policyText(v, `"Effect":"allow","Resource":"arn:aws:s3:us-east-1::b"`), msgLegacy},
		{"legacy date beats missing Action", policyText(v, `"Effect":"Allow","Condition":{"DateGreaterThan":{"a":"sdfdsf"}}`), msgLegacy},
		{"legacy date beats bad partition", policyText(v, `"Effect":"Allow","Action":"a:b","Resource":"arn:error:s3:::b","Condition":{"DateGreaterThan":{"a":"sdfdsf"}}`), msgLegacy},
		{"five parts", resource(`"arn:aws:s3::example_bucket"`), msgLegacy},
		{"five parts under NotResource", policyText(v, `"Effect":"Allow","Action":"a:b","NotResource":"arn:aws:s3::b"`), msgLegacy},
		{"five parts beat missing Action", policyText(v, `"Effect":"Allow","Resource":"arn:aws:s3::b"`), msgLegacy},
		{"empty service", resource(`"arn:aws::::example_bucket"`), msgLegacy},
		{"empty service in four parts", resource(`"arn:aws::fdsasf"`), msgLegacy},
		{"principal", policyText(v, `"Effect":"Allow","Principal":"*","Action":"a:b","Resource":"*"`), msgPrincipal},
		{"NotPrincipal", policyText(v, `"Effect":"Deny","NotPrincipal":"*","Action":"a:b","Resource":"*"`), msgPrincipal},
		{"duplicate Sid beats missing Action", policyText(v, `"Sid":"sdf","Effect":"Allow","Action":"a:b","Resource":"*"`, `"Sid":"sdf","Effect":"Allow"`), msgSidUnique},
		{"Sid with blank", policyText(v, `"Sid":"a b","Effect":"Allow","Action":"a:b","Resource":"*"`), msgSidFormat},
		{"no Action", policyText(v, `"Effect":"Allow",`+bucket), msgNoAction},
		{"no Action and no Resource", policyText(v, `"Effect":"Allow"`), msgNoAction},
		{"no Action in one statement", policyText(v, `"Effect":"Deny"`, `"Effect":"Allow","Action":"a:b","Resource":"*"`), msgNoAction},
		{"empty Action", policyText(v, `"Effect":"Allow","Action":[],`+bucket), msgNoAction},
		{"missing Action beats bad resource", policyText(v, `"Effect":"Allow","Resource":"invalid"`), msgNoAction},
		{"no Resource", policyText(v, `"Effect":"Allow","Action":"s3:ListBucket"`), msgNoResource},
		{"empty Resource list", resource(`[]`), msgNoResource},
		{"missing Resource beats bad action", policyText(v, `"Effect":"Allow","Action":"invalid"`), msgNoResource},
		{"resource without colons", resource(`"invalid resource"`), `Resource invalid resource must be in ARN format or "*".`},
		{"empty resource", resource(`""`), `Resource  must be in ARN format or "*".`},
		{"bad resource beats bad action", policyText(v, `"Effect":"Allow","Action":"s:3:ListBucket","Resource":"sdfsadf"`), `Resource sdfsadf must be in ARN format or "*".`},
		{"two parts", resource(`"a:bsdfdsafsad"`), partition("bsdfdsafsad", "arn:bsdfdsafsad:*:*:*:*")},
		{"three parts", resource(`"a:b:cadfsdf"`), partition("b", "arn:b:cadfsdf:*:*:*")},
		{"eight parts", resource(`"a:b:c:d:e:f:g:h"`), partition("b", "arn:b:c:d:e:f:g:h")},
		{"arn forgotten", resource(`"aws:s3:::example_bucket"`), partition("s3", "arn:s3:::example_bucket:*")},
		{"first bad resource counts", resource(`["arn:error:s3:::b","arn:error:s3::b"]`), partition("error", "arn:error:s3:::b")},
		{"no service", resource(`"arn:aws"`), "Resource vendor must be fully qualified and cannot contain regexes."},
		{"wildcard service", resource(`"arn:aws:*:::b"`), "Resource vendor must be fully qualified and cannot contain regexes."},
		{"half wildcard service", resource(`"arn:aws:s?:::b"`), "Resource vendor must be fully qualified and cannot contain regexes."},
		{"IAM path", resource(`"arn:aws:iam:::example_bucket"`), `IAM resource path must either be "*", root, or start with user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/.`},
		{"IAM region", resource(`"arn:aws:iam:us-east-1::example_bucket"`), "IAM resource arn:aws:iam:us-east-1::example_bucket cannot contain region information."},
		{"S3 region", resource(`"arn:aws:s3:us-east-1::example_bucket"`), "Resource arn:aws:s3:us-east-1::example_bucket can not contain region information."},
		{"action without vendor", action("invalid"), msgVendor},
		{"empty NotAction", policyText(v, `"Effect":"Allow","NotAction":"",`+bucket), msgVendor},
		{"two colons", action("s3:List:Bucket"), msgColon},
		{"two colons, second statement", policyText(v, `"Effect":"Allow","Action":"s3s:ListBucket",`+bucket, `"Effect":"Allow","Action":"s:3s:ListBucket",`+bucket), msgColon},
		{"vendor with blank", action("a a:ListBucket"), "Vendor a a is not valid"},
		{"vendor with wildcard", action("s*:ListBucket"), "Vendor s* is not valid"},

		{"good: a list of resources", resource(`["arn:aws:s3:::b","*"]`), ""},
		{"good: unknown service", action("aaaaaadsfdsaf:ListBucket"), ""},
		{"good: blanks in a name", action("iam: asdf safdsf af "), ""},
		{"good: all actions", action("*"), ""},
		{"good: vendor characters", action("s3-s.t:ListBucket"), ""},
		{"good: three parts", resource(`"arn:aws:fdsasf"`), ""},
		{"good: region of another service", resource(`"arn:aws:cloudwatch:us-east-1::x"`), ""},
		{"good: S3 access point", resource(`"arn:aws:s3:us-east-1:111122223333:accesspoint/x"`), ""},
		{"good: IAM user", resource(`"arn:aws:iam:::user/x"`), ""},
		{"good: IAM root", resource(`"arn:aws:iam::111122223333:root"`), ""},
		{"good: IAM star", resource(`"arn:aws:iam::111122223333:*"`), ""},
		{"good: other partitions", resource(`["arn:aws-cn:s3:::b","arn:*:s3:::b"]`), ""},
		{"good: Id", `{"Version":"2012-10-17","Id":"x",` + policyText(v, `"Effect":"Allow","Action":"a:b","Resource":"*"`)[len(`{"Version":"2012-10-17",`):], ""},
		{"good: empty Condition", policyText(v, `"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{}`), ""},
		{"good: operator without keys", policyText(v, `"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"DateGreaterThan":{}}`), ""},
		{"good: key without values", policyText(v, `"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"DateGreaterThan":{"a":[]}}`), ""},
		{"good: two empty Sids", policyText(v, `"Sid":"","Effect":"Allow","Action":"a:b","Resource":"*"`, `"Sid":"","Effect":"Allow","Action":"a:b","Resource":"*"`), ""},
		{"good: everything negated", policyText(v, `"Effect":"Deny","NotAction":"a:b","NotResource":"*"`), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, kind := range []Kind{KindIdentity, KindBoundary, KindSCP} {
				wantInvalid(t, c.src, kind, c.want)
			}
		})
	}
}

func wantInvalid(t *testing.T, src string, kind Kind, want string) *InvalidError {
	t.Helper()
	_, err := ParseAs([]byte(src), kind)
	if want == "" {
		if err != nil {
			t.Errorf("kind %d: %v", kind, err)
		}
		return nil
	}
	invalid, ok := errors.AsType[*InvalidError](err)
	if !ok || invalid.Message != want {
		t.Errorf("kind %d: got %v, want %q", kind, err, want)
	}
	return invalid
}

func TestSessionPolicyNeedsNoVersion(t *testing.T) {
	wantInvalid(t, policyText("", `"Effect":"Allow","Action":"a:b","Resource":"*"`), KindSession, "")
	wantInvalid(t, policyText("", `"Effect":"Allow","Action":"a:b"`), KindSession, msgNoResource)
	wantInvalid(t, policyText("", `"Effect":"allow","Action":"a:b"`), KindSession, msgLegacy)
}

func TestTrustPolicyMessages(t *testing.T) {
	ok := `"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"`
	principal := func(p string) string {
		return policyText(Version2012, `"Effect":"Allow","Action":"sts:AssumeRole","Principal":`+p)
	}
	action := func(a string) string {
		return policyText(Version2012, `"Effect":"Allow","Principal":"*",`+a)
	}
	for _, c := range []struct{ name, src, want string }{
		{"not JSON", `{"Statement":[{"Effect":"Allow",}]}`, msgJSON},
		{"JSON, no policy", `{"Statement":[]}`, msgSyntax},
		{"legacy", policyText("", `"Effect":"allow"`), msgLegacy},
		{"old version", policyText(Version2008, ok), ""},
		{"no version", policyText("", ok), ""},
		{"blank in Sid", policyText("", `"Sid":"a b",`+ok), ""},
		{"duplicate Sid", policyText("", `"Sid":"a",`+ok, `"Sid":"a",`+ok), msgSidUnique},
		{"no action", policyText("", `"Effect":"Allow","Principal":"*"`), msgNoAction},
		{"resource", policyText("", ok+`,"Resource":"*"`), msgTrustResource},
		{"NotResource", policyText("", ok+`,"NotResource":"*"`), msgTrustResource},
		{"no principal", policyText("", `"Effect":"Allow","Action":"sts:AssumeRole"`), msgTrustNo},
		{"NotPrincipal", policyText("", `"Effect":"Deny","NotPrincipal":"*","Action":"sts:AssumeRole"`), msgTrustNot},
		{"other service", action(`"Action":"s3:GetObject"`), msgTrustAction},
		{"other action of STS", action(`"Action":["sts:AssumeRole","sts:GetCallerIdentity"]`), msgTrustAction},
		{"all actions", action(`"Action":"*"`), msgTrustAction},
		{"NotAction", action(`"NotAction":"sts:AssumeRole"`), msgTrustAction},
		{"web identity and tags", action(`"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession","STS:assumerole*","sts:SetSourceIdentity"]`), ""},
		{"user by wildcard", principal(`{"AWS":"arn:aws:iam::111122223333:user/*"}`), `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/*"`},
		{"service by wildcard", principal(`{"Service":"*"}`), `Invalid principal in policy: "SERVICE":"*"`},
		{"provider", principal(`{"Federated":"arn:aws:iam::111122223333:oidc-provider/oidc.example.com"}`), ""},
		{"everyone", principal(`"*"`), ""},
	} {
		t.Run(c.name, func(t *testing.T) { wantInvalid(t, c.src, KindTrust, c.want) })
	}
}

func TestResourcePolicyRules(t *testing.T) {
	ok := `"Effect":"Allow","Principal":"*","Action":"secretsmanager:*","Resource":"*"`
	for _, c := range []struct {
		name, src string
		kind      Kind
		rule      Rule
	}{
		{"good", policyText(Version2012, ok), KindResource, 0},
		{"old version", policyText(Version2008, ok), KindResource, 0},
		{"no version", policyText("", ok), KindResource, 0},
		{"one Sid twice, with blanks", policyText("", `"Sid":"a b",`+ok, `"Sid":"a b",`+ok), KindKey, 0},
		{"NotPrincipal with Deny", policyText("", `"Effect":"Deny","NotPrincipal":{"AWS":"111122223333"},"Action":"a:b","Resource":"*"`), KindResource, 0},
		{"key statement without Resource", policyText("", `"Effect":"Allow","Principal":"*","Action":"kms:*"`), KindKey, 0},
		{"not JSON", `{`, KindResource, RuleJSON},
		{"no policy", `{}`, KindResource, RuleGrammar},
		{"version unknown", policyText("2020-01-01", ok), KindResource, RuleVersion},
		{"legacy", policyText("", `"Effect":"ALLOW"`), KindResource, RuleLegacy},
		{"no principal", policyText("", `"Effect":"Allow","Action":"a:b","Resource":"*"`), KindResource, RulePrincipal},
		{"NotPrincipal with Allow", policyText("", `"Effect":"Allow","NotPrincipal":"*","Action":"a:b","Resource":"*"`), KindResource, RulePrincipal},
		{"no action", policyText("", `"Effect":"Allow","Principal":"*","Resource":"*"`), KindResource, RuleAction},
		{"bad action", policyText("", `"Effect":"Allow","Principal":"*","Action":"x","Resource":"*"`), KindResource, RuleAction},
		{"no resource", policyText("", `"Effect":"Allow","Principal":"*","Action":"a:b"`), KindResource, RuleResource},
		{"empty resource list of a key", policyText("", `"Effect":"Allow","Principal":"*","Action":"a:b","Resource":[]`), KindKey, RuleResource},
		{"bad resource", policyText("", `"Effect":"Allow","Principal":"*","Action":"a:b","Resource":"secret"`), KindEndpoint, RuleResource},
		{"partial wildcard", policyText("", `"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:role/*"},"Action":"a:b","Resource":"*"`), KindResource, RuleInvalidPrincipal},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseAs([]byte(c.src), c.kind)
			invalid, _ := errors.AsType[*InvalidError](err)
			switch {
			case c.rule == 0 && err != nil:
				t.Error(err)
			case c.rule != 0 && (invalid == nil || invalid.Rule != c.rule):
				t.Errorf("got %v, want rule %d", err, c.rule)
			case c.rule == RuleInvalidPrincipal && invalid.Principal.Value == "":
				t.Error("the principal is not named")
			case c.rule > 0 && c.rule <= RuleLegacy && errors.Unwrap(err) == nil:
				t.Error("the place in the text is lost")
			}
		})
	}
}
