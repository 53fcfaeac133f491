package policylint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/iam/awsmanaged"
	"github.com/strongroom/strongroom/internal/policy"
)

const secrets = "arn:aws:secretsmanager:*:*:secret:app/*"

// one wraps a statement, without braces, into a policy.
func one(statement string) string {
	return `{"Version":"2012-10-17","Statement":{` + statement + `}}`
}

// TestFindings lists, for each policy, the codes that are found and no others.
func TestFindings(t *testing.T) {
	allow := func(rest string) string { return one(`"Effect":"Allow",` + rest) }
	get := func(condition string) string {
		return allow(`"Action":"secretsmanager:GetSecretValue","Resource":"` + secrets + `","Condition":{` + condition + `}`)
	}
	tests := []struct {
		name, text string
		want       []string
	}{
		{"good", get(`"StringEquals":{"aws:ResourceTag/team":"a"}`), nil},
		{"another service", allow(`"Action":"s3:GetObjct","Resource":"arn:aws:s3:::b/*","Condition":{"StringEquals":{"s3:x":"a"}}`), nil},
		{"everything", allow(`"Action":"*","Resource":"*"`), nil},

		{"no such action", allow(`"Action":"secretsmanager:GetSecretValues","Resource":"*"`), []string{CodeInvalidAction}},
		{"a pattern of no action", allow(`"Action":"kms:Decrpt*","Resource":"*"`), []string{CodeInvalidAction}},
		{"an action to be spared", one(`"Effect":"Deny","NotAction":["iam:GetUzer","sts:*"],"Resource":"*"`), []string{CodeInvalidAction}},
		{"a slip in the service", allow(`"Action":"secretmanager:GetSecretValue","Resource":"*"`), []string{CodeUnknownService}},
		{"a short service that exists", allow(`"Action":"sqs:SendMessage","Resource":"*"`), nil},

		{"a resource of another service", allow(`"Action":"secretsmanager:GetSecretValue","Resource":"arn:aws:kms:*:*:key/*"`), []string{CodeResourceMismatch}},
		{"no resource at all", allow(`"Action":"secretsmanager:ListSecrets","Resource":"` + secrets + `"`), []string{CodeResourceMismatch}},
		{"a list that works on it beside one", allow(`"Action":["secretsmanager:ListSecrets","secretsmanager:GetSecretValue"],"Resource":"` + secrets + `"`), []string{CodeResourceMismatch}},
		{"a pattern of which some work", allow(`"Action":"secretsmanager:*","Resource":"` + secrets + `"`), nil},
		{"one resource too many", allow(`"Action":"secretsmanager:GetSecretValue","Resource":["` + secrets + `","arn:aws:kms:*:*:key/1"]`), []string{CodeResourceMismatch}},
		{"one resource for actions nobody knows", allow(`"Action":["secretsmanager:GetSecretValue","ec2:RunInstances"],"Resource":["` + secrets + `","arn:aws:ec2:*:*:instance/1"]`), nil},
		{"a variable", allow(`"Action":"iam:GetUser","Resource":"arn:aws:iam::*:user/${aws:username}"`), nil},
		{"a role is no user", allow(`"Action":"iam:GetUser","Resource":"arn:aws:iam::*:role/${aws:username}"`), []string{CodeResourceMismatch}},

		{"no such key", get(`"StringEquals":{"secretsmanager:SecretTag/a":"a"}`), []string{CodeInvalidConditionKey}},
		{"no such global key", get(`"StringEquals":{"aws:SourceIP4":"a"}`), []string{CodeInvalidConditionKey}},
		{"the key of another service", get(`"StringEquals":{"kms:ViaService":"a"}`), []string{CodeInapplicableKey}},
		{"the key of an unknown service", get(`"StringEquals":{"s3:prefix":"a"}`), []string{CodeInapplicableKey}},
		{"the key of one action of two", allow(`"Action":["secretsmanager:GetSecretValue","secretsmanager:ListSecrets"],"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/a":"b"}}`), []string{CodeInapplicableKey}},
		{"the same if it exists", allow(`"Action":["secretsmanager:GetSecretValue","secretsmanager:ListSecrets"],"Resource":"*","Condition":{"StringEqualsIfExists":{"aws:ResourceTag/a":"b"}}`), nil},
		{"request tags where none are set", get(`"StringEquals":{"aws:RequestTag/team":"a"}`), []string{CodeInapplicableKey}},
		{"encryption context", allow(`"Action":"kms:Decrypt","Resource":"*","Condition":{"StringLike":{"kms:EncryptionContext:SecretARN":"arn:*"},"StringEquals":{"kms:ViaService":"x"}}`), nil},

		{"text for a Boolean", get(`"StringEquals":{"aws:SecureTransport":"true"}`), []string{CodeTypeMismatch}},
		{"text for an address", get(`"StringLike":{"aws:SourceIp":"10.*"}`), []string{CodeTypeMismatch}},
		{"an address", get(`"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8"]}`), nil},
		{"seconds since 1970", get(`"NumericLessThan":{"aws:EpochTime":"1"}`), nil},
		{"a number for a date", get(`"NumericLessThan":{"aws:CurrentTime":"1"}`), []string{CodeTypeMismatch}},
		{"text for an ARN", get(`"StringLike":{"aws:PrincipalArn":"arn:*"}`), nil},
		{"a number for text", get(`"NumericEquals":{"aws:username":"1"}`), []string{CodeTypeMismatch}},
		{"a key is there or not", get(`"Null":{"aws:TokenIssueTime":"true"}`), nil},

		{"a value that is none", get(`"Bool":{"aws:SecureTransport":"yes"}`), []string{CodeInvalidValue}},
		{"a range that is none", get(`"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}`), []string{CodeInvalidValue}},
		{"no values", get(`"StringEquals":{"aws:username":[]}`), []string{CodeInvalidValue}},
		{"a wildcard that is none", get(`"StringEquals":{"aws:username":"app-*"}`), []string{CodeWildcardWithoutLike}},
		{"a wildcard by intent", get(`"StringEquals":{"aws:username":"app-${*}"}`), nil},

		{"all of none", allow(`"Action":"secretsmanager:TagResource","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`), []string{CodeForAllValues}},
		{"all of some", allow(`"Action":"secretsmanager:TagResource","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]},"Null":{"aws:TagKeys":"false"}}`), nil},
		{"all of none in a Deny", one(`"Effect":"Deny","Action":"secretsmanager:TagResource","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`), nil},
		{"all of one", get(`"ForAllValues:StringEquals":{"aws:username":["a"]}`), []string{CodeForAllValuesSingle}},
		{"several without a word", allow(`"Action":"secretsmanager:TagResource","Resource":"*","Condition":{"StringEquals":{"aws:TagKeys":["a"]}}`), []string{CodeMissingSetOperator}},

		{"all but", allow(`"NotAction":"iam:*","Resource":"*"`), []string{CodeAllowWithNotAction}},
		{"everywhere but", allow(`"Action":"kms:Decrypt","NotResource":"arn:aws:kms:*:*:key/1"`), []string{CodeAllowWithNotResource}},
		{"denied all but", one(`"Effect":"Deny","NotAction":"iam:*","Resource":"*"`), nil},
		{"every role", allow(`"Action":"iam:Pass*","Resource":"*"`), []string{CodePassRoleWithStar}},
		{"every role to one service", allow(`"Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}`), nil},

		{"an action twice", allow(`"Action":["secretsmanager:get*","secretsmanager:GetSecretValue"],"Resource":"*"`), []string{CodeRedundantAction}},
		{"the same action twice", allow(`"Action":["kms:Decrypt","kms:Decrypt"],"Resource":"*"`), []string{CodeRedundantAction}},
		{"a resource twice", allow(`"Action":"secretsmanager:GetSecretValue","Resource":["` + secrets + `","arn:aws:secretsmanager:*:*:secret:app/db-??????"]`), []string{CodeRedundantResource}},
		{"a statement twice", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"},
			{"Effect":"Allow","Action":"kms:Decrypt","Resource":"arn:aws:kms:*:*:key/1","Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}`, []string{CodeRedundantStatement}},
		{"two statements", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}},
			{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"},{"Effect":"Deny","Action":"kms:Decrypt","Resource":"*"}]}`, nil},

		{"no JSON", `{`, []string{CodeInvalidPolicy}},
		{"an old version", `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, []string{CodeInvalidPolicy}},
	}
	for _, tt := range tests {
		findings := Check([]byte(tt.text), policy.KindIdentity)
		var got []string
		for _, f := range findings {
			got = append(got, f.Code)
			if f.Line < 1 || f.Message == "" || f.Severity == 0 || f.Statement < 1 && f.Code != CodeInvalidPolicy {
				t.Errorf("%s: %+v", tt.name, f)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v\n%+v", tt.name, got, tt.want, findings)
		}
	}
}

func TestResourcePolicies(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		kind policy.Kind
		want []string
	}{
		"public":       {one(`"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"`), policy.KindResource, []string{CodePublic}},
		"one account":  {one(`"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"secretsmanager:GetSecretValue","Resource":"*"`), policy.KindResource, nil},
		"no version":   {`{"Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"secretsmanager:GetSecretValue","Resource":"arn:aws:secretsmanager:*:*:secret:${aws:username}"}}`, policy.KindResource, []string{CodeMissingVersion}},
		"trust":        {one(`"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"sts:ExternalId":"x"}}`), policy.KindTrust, nil},
		"duration":     {one(`"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole","Condition":{"NumericLessThanEquals":{"sts:DurationSeconds":"3600"}}`), policy.KindTrust, nil},
		"web identity": {one(`"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/id.example.com"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"id.example.com:sub":"x"}}`), policy.KindTrust, nil},
		"other principals": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"},
			{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"kms:Decrypt","Resource":"*"}]}`, policy.KindKey, nil},
	} {
		var got []string
		for _, f := range Check([]byte(tt.text), tt.kind) {
			got = append(got, f.Code)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
		if guess := Guess([]byte(tt.text)); guess != tt.kind && tt.kind != policy.KindKey {
			t.Errorf("%s: taken for kind %v", name, guess)
		}
	}
	if Guess([]byte("{")) != policy.KindIdentity || Guess([]byte(one(`"Effect":"Allow","Action":"*","Resource":"*"`))) != policy.KindIdentity {
		t.Error("an identity policy is taken for another")
	}
}

func TestPlaces(t *testing.T) {
	findings := Check([]byte(`{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "fine", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"},
    {
      "Sid": "odd",
      "Effect": "Allow",
      "Action": [
        "secretsmanager:GetSecretValue",
        "secretsmanager:DescribSecret"
      ],
      "Resource": "*",
      "Condition": {"StringEquals": {
        "aws:SecureTransport": "true"
      }}
    }
  ]
}`), policy.KindIdentity)
	got := ""
	for _, f := range findings {
		got += fmt.Sprintf("%d %s %d %s: %s\n", f.Line, f.Severity, f.Statement, f.Sid, f.Message)
	}
	const want = `10 error 2 odd: there is no action secretsmanager:DescribSecret; did you mean secretsmanager:DescribeSecret?
13 warning 2 odd: aws:SecureTransport is of type Bool, for which StringEquals is not the operator: use one of Bool
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestCoversIsSound: what covers says of two patterns holds for every short text.
func TestCoversIsSound(t *testing.T) {
	var texts []string
	for _, a := range []string{"", "a", "b"} {
		for _, b := range []string{"", "a", "b"} {
			for _, c := range []string{"", "a", "b"} {
				texts = append(texts, a+b+c)
			}
		}
	}
	patterns := []string{"", "a", "b", "*", "?", "a*", "*a", "a*b", "?b", "??", "*?", "?*", "b*a*", "a?*", "**", "ab", "*ab*", "*?*"}
	said := 0
	for _, wide := range patterns {
		for _, narrow := range patterns {
			if !covers(wide, narrow) {
				continue
			}
			said++
			for _, s := range texts {
				if matches(narrow, s) && !matches(wide, s) {
					t.Errorf("%q is said to cover %q but does not match %q", wide, narrow, s)
				}
			}
		}
	}
	if said < 60 {
		t.Errorf("covers said yes only %d times", said)
	}
}

// matches is the plainest wildcard match there is.
func matches(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return matches(pattern[1:], s) || s != "" && matches(pattern, s[1:])
	case s == "":
		return false
	}
	return (pattern[0] == '?' || pattern[0] == s[0]) && matches(pattern[1:], s[1:])
}

// TestAWSManagedPolicies: AWS's own policies have no mistakes, but for one action that
// its reference says works on no resource.
func TestAWSManagedPolicies(t *testing.T) {
	for _, p := range awsmanaged.List() {
		for _, f := range Check([]byte(p.Text), policy.KindIdentity) {
			if f.Severity >= Warning && f.Code != CodePassRoleWithStar && !strings.HasPrefix(f.Message, "logs:StopLiveTail works on no resource") {
				t.Errorf("%s, line %d: %s %s", p.Name, f.Line, f.Code, f.Message)
			}
		}
	}
}

// TestHugePolicies: what is checked with everything else is bounded.
func TestHugePolicies(t *testing.T) {
	var list []string
	for i := range 4000 {
		list = append(list, fmt.Sprintf(`{"Effect":"Allow","Action":["kms:Decrypt","kms:*"],"Resource":"arn:aws:kms:*:*:key/%d"}`, i))
	}
	findings := Check([]byte(`{"Version":"2012-10-17","Statement":[`+strings.Join(list, ",")+`]}`), policy.KindIdentity)
	if len(findings) != 4000 {
		t.Errorf("%d findings", len(findings))
	}
}
