package iam_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
)

func TestUserPolicyLife(t *testing.T) {
	b := start(t)
	b.createUser("Bob", "")
	// The text comes back as it was put, white space, escapes and all.
	text := "{ \"Version\" : \"2012-10-17\",\r\n\t\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"iam:*\",\"Resource\":\"*\",\"Sid\":\"a%20b+c&d<é>\"}}"
	text = strings.Replace(text, "a%20b+c&d<é>", "A1", 1)
	for i := range 5 {
		ok(t, b.put("bob", fmt.Sprintf("p%d", i), text))
	}
	got := must(b.admin.GetUserPolicy(t.Context(), &sdk.GetUserPolicyInput{UserName: str("BOB"), PolicyName: str("p0")}))(t)
	decoded, err := url.PathUnescape(*got.PolicyDocument)
	if err != nil || decoded != text || *got.UserName != "Bob" || *got.PolicyName != "p0" {
		t.Errorf("%v %q %s %s", err, decoded, *got.UserName, *got.PolicyName)
	}
	if strings.ContainsAny(*got.PolicyDocument, " +{}\"\n") {
		t.Errorf("not percent-encoded: %s", *got.PolicyDocument)
	}
	for _, size := range []int32{1, 2, 5, 1000} {
		var names []string
		for p := sdk.NewListUserPoliciesPaginator(b.admin, &sdk.ListUserPoliciesInput{UserName: str("bob"), MaxItems: &size}); p.HasMorePages(); {
			page, err := p.NextPage(t.Context())
			ok(t, err)
			names = append(names, page.PolicyNames...)
		}
		if want := []string{"p0", "p1", "p2", "p3", "p4"}; !slices.Equal(names, want) {
			t.Errorf("by %d: %v", size, names)
		}
	}
	_, err = b.admin.ListUserPolicies(t.Context(), &sdk.ListUserPoliciesInput{UserName: str("bob"), Marker: str("AA")})
	b.want(t, "ListUserPolicies", err, 400, "ValidationError", "Invalid Marker.")
	must(b.admin.DeleteUserPolicy(t.Context(), &sdk.DeleteUserPolicyInput{UserName: str("bob"), PolicyName: str("p0")}))(t)
	_, err = b.admin.GetUserPolicy(t.Context(), &sdk.GetUserPolicyInput{UserName: str("bob"), PolicyName: str("p0")})
	b.want(t, "GetUserPolicy", err, 404, "NoSuchEntity", "The user policy with name p0 cannot be found.")
	_, err = b.admin.DeleteUserPolicy(t.Context(), &sdk.DeleteUserPolicyInput{UserName: str("bob"), PolicyName: str("p0")})
	b.want(t, "DeleteUserPolicy", err, 404, "NoSuchEntity", "The user policy with name p0 cannot be found.")
}

func TestPolicySize(t *testing.T) {
	b := start(t)
	b.createUser("bob", "")
	full := "Maximum policy size of 2048 bytes exceeded for user bob"
	ok(t, b.put("bob", "a", policyOf(1000)))
	b.want(t, "PutUserPolicy", b.put("bob", "b", policyOf(1049)), 409, "LimitExceeded", full)
	ok(t, b.put("bob", "b", policyOf(1048)))
	// White space is free, and a policy makes room for what replaces it.
	ok(t, b.put("bob", "b", strings.Replace(policyOf(1048), ":", ": \n\t", 1)))
	b.want(t, "PutUserPolicy", b.put("bob", "c", policyOf(100)), 409, "LimitExceeded", full)
	if n := len(must(b.admin.ListUserPolicies(t.Context(), &sdk.ListUserPoliciesInput{UserName: str("bob")}))(t).PolicyNames); n != 2 {
		t.Errorf("%d policies", n)
	}
}

func TestMalformedPolicies(t *testing.T) {
	b := start(t)
	b.createUser("bob", "")
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[{` + s + `}]}` }
	const allow = `"Effect":"Allow",`
	for text, message := range map[string]string{
		`{`:                "Syntax errors in policy.",
		`[]`:               "Syntax errors in policy.",
		`"\u0000"`:         "Syntax errors in policy.",
		statement(`"x":1`): "Syntax errors in policy.",
		statement(`"Effect":"Allow","Effect":"Deny","Action":"a:b","Resource":"*"`):                                         "Syntax errors in policy.",
		`{"Version":"2013-10-17","Statement":[]}`:                                                                           "Syntax errors in policy.",
		`{"Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*"}]}`:                                                  "Policy document must be version 2012-10-17 or greater.",
		statement(allow + `"Resource":"*"`):                                                                                 "Policy statement must contain actions.",
		statement(allow + `"Action":"a:b"`):                                                                                 "Policy statement must contain resources.",
		statement(allow + `"Principal":"*","Action":"a:b","Resource":"*"`):                                                  "Policy document should not specify a principal.",
		statement(`"Effect":"allow","Action":"a:b","Resource":"*"`):                                                         "The policy failed legacy parsing",
		statement(allow + `"Action":"b","Resource":"*"`):                                                                    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
		statement(allow + `"Action":"a:b:c","Resource":"*"`):                                                                "Actions/Condition can contain only one colon.",
		statement(allow + `"Action":"a b:c","Resource":"*"`):                                                                "Vendor a b is not valid",
		statement(allow + `"Sid":"s","Action":"a:b","Resource":"*"},{` + allow + `"Sid":"s","Action":"a:b","Resource":"*"`): "Statement IDs (SID) in a single policy must be unique.",
		statement(allow + `"Action":"a:b","Resource":"x"`):                                                                  `Resource x must be in ARN format or "*".`,
		statement(allow + `"Action":"a:b","Resource":"arn:aws:*:::x"`):                                                      "Resource vendor must be fully qualified and cannot contain regexes.",
		statement(allow + `"Action":"a:b","Resource":"arn:moon:s3:::x"`):                                                    `Partition "moon" is not valid for resource "arn:moon:s3:::x".`,
		statement(allow + `"Action":"a:b","Resource":"arn:aws:iam:us-east-1::user/x"`):                                      "IAM resource arn:aws:iam:us-east-1::user/x cannot contain region information.",
		statement(allow + `"Action":"a:b","Resource":"arn:aws:iam::111122223333:thing/x"`): "IAM resource path must either be \"*\", root, or start with user/, federated-user/, role/, group/, " +
			"instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/.",
	} {
		b.want(t, "PutUserPolicy", b.put("bob", "p", text), 400, "MalformedPolicyDocument", message)
	}
	// A caller that may not put one does not learn what is wrong with it.
	stranger := b.as(b.User(t, "stranger", ""))
	_, err := stranger.PutUserPolicy(t.Context(), &sdk.PutUserPolicyInput{UserName: str("bob"), PolicyName: str("p"), PolicyDocument: str("{")})
	b.want(t, "PutUserPolicy", err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:PutUserPolicy on resource: user bob because no identity-based policy allows the iam:PutUserPolicy action")
	// Deep nesting ends in a sentence, not in a crash.
	deep := `{"Version":"2012-10-17","Statement":` + strings.Repeat("[", 60000) + strings.Repeat("]", 60000) + `}`
	b.want(t, "PutUserPolicy", b.put("bob", "p", deep), 400, "MalformedPolicyDocument", "Syntax errors in policy.")
	if long := policyOf(131073); b.put("bob", "p", long) == nil || !strings.Contains(b.put("bob", "p", long).Error(), "131072") {
		t.Error("a policy longer than the model allows is taken")
	}
}
