package iam_test

import (
	"net/url"
	"slices"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/strongroom/strongroom/internal/servertest"
)

func TestGroupPolicyLife(t *testing.T) {
	t.Parallel()
	b := start(t)
	must(b.admin.CreateGroup(t.Context(), &sdk.CreateGroupInput{GroupName: str("Team")}))(t)
	put := func(name, text string) error {
		_, err := b.admin.PutGroupPolicy(t.Context(), &sdk.PutGroupPolicyInput{GroupName: str("team"), PolicyName: &name, PolicyDocument: &text})
		return err
	}
	b.want(t, "PutGroupPolicy", put("p", "{"), 400, "MalformedPolicyDocument", "Syntax errors in policy.")
	ok(t, put("p", policyOf(3000)))
	ok(t, put("q", policyOf(2120)))
	b.want(t, "PutGroupPolicy", put("r", policyOf(100)), 409, "LimitExceeded", "Maximum policy size of 5120 bytes exceeded for group Team")
	got := must(b.admin.GetGroupPolicy(t.Context(), &sdk.GetGroupPolicyInput{GroupName: str("team"), PolicyName: str("p")}))(t)
	if text, err := url.PathUnescape(*got.PolicyDocument); err != nil || text != policyOf(3000) || *got.GroupName != "Team" || *got.PolicyName != "p" {
		t.Errorf("%v %s %s", err, *got.GroupName, *got.PolicyName)
	}
	first := must(b.admin.ListGroupPolicies(t.Context(), &sdk.ListGroupPoliciesInput{GroupName: str("team"), MaxItems: new(int32(1))}))(t)
	rest := must(b.admin.ListGroupPolicies(t.Context(), &sdk.ListGroupPoliciesInput{GroupName: str("team"), Marker: first.Marker}))(t)
	if !slices.Equal(first.PolicyNames, []string{"p"}) || !slices.Equal(rest.PolicyNames, []string{"q"}) || rest.IsTruncated {
		t.Errorf("%v %v", first.PolicyNames, rest.PolicyNames)
	}
	p := b.createPolicy(t, "managed", servertest.Allow("*", "a:b"))
	must(b.admin.AttachGroupPolicy(t.Context(), &sdk.AttachGroupPolicyInput{GroupName: str("team"), PolicyArn: p.Arn}))(t)
	del := func() error {
		_, err := b.admin.DeleteGroup(t.Context(), &sdk.DeleteGroupInput{GroupName: str("team")})
		return err
	}
	b.want(t, "DeleteGroup", del(), 409, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
	must(b.admin.DetachGroupPolicy(t.Context(), &sdk.DetachGroupPolicyInput{GroupName: str("team"), PolicyArn: p.Arn}))(t)
	b.want(t, "DeleteGroup", del(), 409, "DeleteConflict", "Cannot delete entity, must delete policies first.")
	for _, name := range []string{"p", "q"} {
		must(b.admin.DeleteGroupPolicy(t.Context(), &sdk.DeleteGroupPolicyInput{GroupName: str("team"), PolicyName: &name}))(t)
	}
	_, err := b.admin.DeleteGroupPolicy(t.Context(), &sdk.DeleteGroupPolicyInput{GroupName: str("team"), PolicyName: str("p")})
	b.want(t, "DeleteGroupPolicy", err, 404, "NoSuchEntity", "The group policy with name p cannot be found.")
	_, err = b.admin.GetGroupPolicy(t.Context(), &sdk.GetGroupPolicyInput{GroupName: str("team"), PolicyName: str("p")})
	b.want(t, "GetGroupPolicy", err, 404, "NoSuchEntity", "The group policy with name p cannot be found.")
	ok(t, del())
}

func TestPoliciesOfNoGroup(t *testing.T) {
	t.Parallel()
	b := start(t)
	c, name, p := b.admin, str("nobody"), str("p")
	for op, call := range map[string]func() error{
		"PutGroupPolicy": func() error {
			_, err := c.PutGroupPolicy(t.Context(), &sdk.PutGroupPolicyInput{GroupName: name, PolicyName: p, PolicyDocument: str(servertest.Allow("*", "a:b"))})
			return err
		},
		"GetGroupPolicy": func() error {
			_, err := c.GetGroupPolicy(t.Context(), &sdk.GetGroupPolicyInput{GroupName: name, PolicyName: p})
			return err
		},
		"DeleteGroupPolicy": func() error {
			_, err := c.DeleteGroupPolicy(t.Context(), &sdk.DeleteGroupPolicyInput{GroupName: name, PolicyName: p})
			return err
		},
		"ListGroupPolicies": func() error {
			_, err := c.ListGroupPolicies(t.Context(), &sdk.ListGroupPoliciesInput{GroupName: name})
			return err
		},
		"AttachGroupPolicy": func() error {
			_, err := c.AttachGroupPolicy(t.Context(), &sdk.AttachGroupPolicyInput{GroupName: name, PolicyArn: str(administrator)})
			return err
		},
		"DetachGroupPolicy": func() error {
			_, err := c.DetachGroupPolicy(t.Context(), &sdk.DetachGroupPolicyInput{GroupName: name, PolicyArn: str(administrator)})
			return err
		},
		"ListAttachedGroupPolicies": func() error {
			_, err := c.ListAttachedGroupPolicies(t.Context(), &sdk.ListAttachedGroupPoliciesInput{GroupName: name})
			return err
		},
	} {
		b.want(t, op, call(), 404, "NoSuchEntity", "The group with name nobody cannot be found.")
	}
}

// TestGroupPoliciesDecide: members have what their groups have, inline and
// attached, from the next request on and no longer.
func TestGroupPoliciesDecide(t *testing.T) {
	t.Parallel()
	b := start(t)
	bob := b.as(b.User(t, "bob", ""))
	team := str("team")
	must(b.admin.CreateGroup(t.Context(), &sdk.CreateGroupInput{GroupName: team}))(t)
	must(b.admin.AddUserToGroup(t.Context(), &sdk.AddUserToGroupInput{GroupName: team, UserName: str("bob")}))(t)
	deny := b.createPolicy(t, "deny", servertest.Deny("*", "iam:ListRoles"))
	for range 2 {
		if _, err := bob.ListRoles(t.Context(), nil); err == nil {
			t.Error("allowed without a policy")
		}
		must(b.admin.PutGroupPolicy(t.Context(), &sdk.PutGroupPolicyInput{GroupName: team, PolicyName: str("in"), PolicyDocument: str(servertest.Allow("*", "iam:ListRoles"))}))(t)
		must(bob.ListRoles(t.Context(), nil))(t)
		must(b.admin.AttachGroupPolicy(t.Context(), &sdk.AttachGroupPolicyInput{GroupName: team, PolicyArn: deny.Arn}))(t)
		_, err := bob.ListRoles(t.Context(), nil)
		b.want(t, "ListRoles", err, 403, "AccessDenied",
			"User: arn:aws:iam::111122223333:user/bob is not authorized to perform: iam:ListRoles on resource: arn:aws:iam::111122223333:role/ with an explicit deny in an identity-based policy")
		must(b.admin.DetachGroupPolicy(t.Context(), &sdk.DetachGroupPolicyInput{GroupName: team, PolicyArn: deny.Arn}))(t)
		must(bob.ListRoles(t.Context(), nil))(t)
		must(b.admin.DeleteGroupPolicy(t.Context(), &sdk.DeleteGroupPolicyInput{GroupName: team, PolicyName: str("in")}))(t)
	}
}
