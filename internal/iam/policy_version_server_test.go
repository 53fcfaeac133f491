package iam_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/strongroom/strongroom/internal/servertest"
)

const administrator = "arn:aws:iam::aws:policy/AdministratorAccess"

func (b *bench) createVersion(t *testing.T, arn *string, text string, inForce bool) (*types.PolicyVersion, error) {
	t.Helper()
	out, err := b.admin.CreatePolicyVersion(t.Context(), &sdk.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: &text, SetAsDefault: inForce})
	if err != nil {
		return nil, err
	}
	return out.PolicyVersion, nil
}

func (b *bench) deleteVersion(t *testing.T, arn *string, id string) error {
	_, err := b.admin.DeletePolicyVersion(t.Context(), &sdk.DeletePolicyVersionInput{PolicyArn: arn, VersionId: &id})
	return err
}

func TestPolicyVersions(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		text := func(i int) string { return servertest.Allow("*", fmt.Sprint("a:b", i)) + strings.Repeat("\n", i) }
		p := b.createPolicy(t, "p", text(1))
		list := func(size int32) (ids []string) {
			for pages := sdk.NewListPolicyVersionsPaginator(b.admin, &sdk.ListPolicyVersionsInput{PolicyArn: p.Arn, MaxItems: &size}); pages.HasMorePages(); {
				for _, v := range must(pages.NextPage(t.Context()))(t).Versions {
					if v.Document != nil || v.CreateDate == nil {
						t.Errorf("listed as %+v", v)
					}
					if v.IsDefaultVersion {
						*v.VersionId += "*"
					}
					ids = append(ids, *v.VersionId)
				}
			}
			return ids
		}
		for i := 2; i <= 5; i++ {
			v := must(b.createVersion(t, p.Arn, text(i), i == 4))(t)
			if *v.VersionId != fmt.Sprint("v", i) || v.IsDefaultVersion != (i == 4) || v.Document != nil {
				t.Errorf("%+v", v)
			}
		}
		for _, size := range []int32{1, 2, 5, 100} {
			if got, want := list(size), []string{"v5", "v4*", "v3", "v2", "v1"}; !slices.Equal(got, want) {
				t.Errorf("by %d: %v", size, got)
			}
		}
		_, err := b.createVersion(t, p.Arn, text(6), true)
		b.want(t, "CreatePolicyVersion", err, 409, "LimitExceeded", "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")
		ok(t, b.deleteVersion(t, p.Arn, "v5"))
		ok(t, b.deleteVersion(t, p.Arn, "v3"))
		if v := must(b.createVersion(t, p.Arn, text(6), false))(t); *v.VersionId != "v6" { // numbers are never used again
			t.Errorf("the next is %s", *v.VersionId)
		}
		for i, inForce := range map[int]bool{1: false, 4: true, 6: false} {
			v := must(b.admin.GetPolicyVersion(t.Context(), &sdk.GetPolicyVersionInput{PolicyArn: p.Arn, VersionId: str(fmt.Sprint("v", i))}))(t).PolicyVersion
			if got, err := url.PathUnescape(*v.Document); err != nil || got != text(i) || v.IsDefaultVersion != inForce {
				t.Errorf("v%d is %q, in force %v", i, got, v.IsDefaultVersion)
			}
		}
		_, err = b.admin.DeletePolicy(t.Context(), &sdk.DeletePolicyInput{PolicyArn: p.Arn})
		b.want(t, "DeletePolicy", err, 409, "DeleteConflict",
			"This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		b.want(t, "DeletePolicyVersion", b.deleteVersion(t, p.Arn, "v4"), 409, "DeleteConflict", "Cannot delete the default version of a policy.")
		must(b.admin.SetDefaultPolicyVersion(t.Context(), &sdk.SetDefaultPolicyVersionInput{PolicyArn: p.Arn, VersionId: str("v1")}))(t)
		if got := b.getPolicy(t, p.Arn); *got.DefaultVersionId != "v1" || got.UpdateDate.Before(*got.CreateDate) {
			t.Errorf("%+v", got)
		}
		for _, id := range []string{"v2", "v4", "v6"} {
			ok(t, b.deleteVersion(t, p.Arn, id))
		}
		must(b.admin.DeletePolicy(t.Context(), &sdk.DeletePolicyInput{PolicyArn: p.Arn}))(t)
	})
}

func TestPolicyVersionErrors(t *testing.T) {
	t.Parallel()
	b := start(t)
	p := b.createPolicy(t, "p", servertest.Allow("*", "a:b"))
	none := str("arn:aws:iam::111122223333:policy/none")
	_, err := b.createVersion(t, p.Arn, "{", false)
	b.want(t, "CreatePolicyVersion", err, 400, "MalformedPolicyDocument", "Syntax errors in policy.")
	_, err = b.createVersion(t, p.Arn, policyOf(6145), false)
	b.want(t, "CreatePolicyVersion", err, 409, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
	_, err = b.createVersion(t, none, servertest.Allow("*", "a:b"), false)
	b.want(t, "CreatePolicyVersion", err, 404, "NoSuchEntity", "Policy "+*none+" does not exist or is not attachable.")
	_, err = b.admin.ListPolicyVersions(t.Context(), &sdk.ListPolicyVersionsInput{PolicyArn: none})
	b.want(t, "ListPolicyVersions", err, 404, "NoSuchEntity", "Policy "+*none+" does not exist or is not attachable.")
	_, err = b.admin.ListPolicyVersions(t.Context(), &sdk.ListPolicyVersionsInput{PolicyArn: p.Arn, Marker: str("AA")})
	b.want(t, "ListPolicyVersions", err, 400, "ValidationError", "Invalid Marker.")
	versioned := func(arn *string, id string) map[string]error {
		_, get := b.admin.GetPolicyVersion(t.Context(), &sdk.GetPolicyVersionInput{PolicyArn: arn, VersionId: &id})
		_, set := b.admin.SetDefaultPolicyVersion(t.Context(), &sdk.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: &id})
		return map[string]error{"GetPolicyVersion": get, "SetDefaultPolicyVersion": set, "DeletePolicyVersion": b.deleteVersion(t, arn, id)}
	}
	for _, id := range []string{"v2", "v99999999999999999999", "v1.x"} {
		for op, err := range versioned(p.Arn, id) {
			b.want(t, op, err, 404, "NoSuchEntity", "Policy "+*p.Arn+" version "+id+" does not exist or is not attachable.")
		}
	}
	for op, err := range versioned(none, "v1") {
		b.want(t, op, err, 404, "NoSuchEntity", "Policy "+*none+" version v1 does not exist or is not attachable.")
	}
	for op, err := range versioned(p.Arn, "1") {
		b.want(t, op, err, 400, "ValidationError",
			`1 validation error detected: Value at 'versionId' failed to satisfy constraint: Member must satisfy regular expression pattern: v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`)
	}
	for op, err := range versioned(str("twenty characters of no ARN"), "v1") {
		b.want(t, op, err, 400, "ValidationError", "ARN twenty characters of no ARN is not valid.")
	}
	stranger := b.as(b.User(t, "stranger", ""))
	_, err = stranger.GetPolicyVersion(t.Context(), &sdk.GetPolicyVersionInput{PolicyArn: p.Arn, VersionId: str("v1")})
	b.want(t, "GetPolicyVersion", err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:GetPolicyVersion on resource: policy "+
		*p.Arn+" version v1 because no identity-based policy allows the iam:GetPolicyVersion action")
}

// TestVersionInForceDecides: the next request is decided by the version that was
// put in force.
func TestVersionInForceDecides(t *testing.T) {
	t.Parallel()
	b := start(t)
	bob := b.as(b.User(t, "bob", ""))
	p := b.createPolicy(t, "p", servertest.Allow("*", "iam:ListRoles"))
	must(b.admin.AttachUserPolicy(t.Context(), &sdk.AttachUserPolicyInput{UserName: str("bob"), PolicyArn: p.Arn}))(t)
	must(b.createVersion(t, p.Arn, servertest.Deny("*", "iam:ListRoles"), false))(t)
	for range 3 {
		_, err := bob.ListRoles(t.Context(), nil)
		ok(t, err)
		must(b.admin.SetDefaultPolicyVersion(t.Context(), &sdk.SetDefaultPolicyVersionInput{PolicyArn: p.Arn, VersionId: str("v2")}))(t)
		_, err = bob.ListRoles(t.Context(), nil)
		b.want(t, "ListRoles", err, 403, "AccessDenied",
			"User: arn:aws:iam::111122223333:user/bob is not authorized to perform: iam:ListRoles on resource: arn:aws:iam::111122223333:role/ with an explicit deny in an identity-based policy")
		must(b.admin.SetDefaultPolicyVersion(t.Context(), &sdk.SetDefaultPolicyVersionInput{PolicyArn: p.Arn, VersionId: str("v1")}))(t)
	}
}

// TestPoliciesOfAWS: they can be read, attached and bounded by, and not changed.
func TestPoliciesOfAWS(t *testing.T) {
	t.Parallel()
	b := start(t)
	arn := str(administrator)
	p := b.getPolicy(t, arn)
	if *p.PolicyName != "AdministratorAccess" || *p.Path != "/" || *p.DefaultVersionId != "v1" || !p.IsAttachable || p.Tags == nil {
		t.Errorf("%+v", p)
	}
	v := must(b.admin.GetPolicyVersion(t.Context(), &sdk.GetPolicyVersionInput{PolicyArn: arn, VersionId: p.DefaultVersionId}))(t).PolicyVersion
	if text, err := url.PathUnescape(*v.Document); err != nil || !strings.Contains(text, `"Action": "*"`) || !v.IsDefaultVersion {
		t.Errorf("%v %s", err, text)
	}
	if versions := must(b.admin.ListPolicyVersions(t.Context(), &sdk.ListPolicyVersionsInput{PolicyArn: arn}))(t).Versions; len(versions) != 1 || *versions[0].VersionId != "v1" {
		t.Errorf("%+v", versions)
	}
	bob := b.as(b.User(t, "bob", ""))
	must(b.admin.AttachUserPolicy(t.Context(), &sdk.AttachUserPolicyInput{UserName: str("bob"), PolicyArn: arn}))(t)
	must(bob.ListRoles(t.Context(), nil))(t)
	if n := *b.getPolicy(t, arn).AttachmentCount; n != 1 {
		t.Errorf("attached to %d", n)
	}
	_, err := b.admin.DeletePolicy(t.Context(), &sdk.DeletePolicyInput{PolicyArn: arn})
	b.want(t, "DeletePolicy", err, 403, "AccessDenied", "Cannot delete policies outside your own account.")
	b.want(t, "DeletePolicyVersion", b.deleteVersion(t, arn, "v1"), 403, "AccessDenied", "Cannot delete policy versions for policies outside your own account.")
	_, err = b.admin.SetDefaultPolicyVersion(t.Context(), &sdk.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: str("v1")})
	b.want(t, "SetDefaultPolicyVersion", err, 403, "AccessDenied", "Cannot update policies outside your own account.")
	_, err = b.createVersion(t, arn, servertest.Allow("*", "a:b"), true)
	b.want(t, "CreatePolicyVersion", err, 403, "AccessDenied", "Cannot update policies outside your own account.")
	_, err = b.admin.TagPolicy(t.Context(), &sdk.TagPolicyInput{PolicyArn: arn, Tags: []types.Tag{{Key: str("k"), Value: str("v")}}})
	b.want(t, "TagPolicy", err, 403, "AccessDenied", "Cannot update policies outside your own account.")
	_, err = b.admin.UntagPolicy(t.Context(), &sdk.UntagPolicyInput{PolicyArn: arn, TagKeys: []string{"k"}})
	b.want(t, "UntagPolicy", err, 403, "AccessDenied", "Cannot update policies outside your own account.")
	if tags := must(b.admin.ListPolicyTags(t.Context(), &sdk.ListPolicyTagsInput{PolicyArn: arn}))(t).Tags; len(tags) != 0 {
		t.Errorf("%+v", tags)
	}
	none := str("arn:aws:iam::aws:policy/NoSuchPolicy")
	_, err = b.admin.GetPolicy(t.Context(), &sdk.GetPolicyInput{PolicyArn: none})
	b.want(t, "GetPolicy", err, 404, "NoSuchEntity", "Policy "+*none+" was not found.")
}

func TestPolicyTags(t *testing.T) {
	t.Parallel()
	b := start(t)
	p := b.createPolicy(t, "p", servertest.Allow("*", "a:b"))
	tag := func(arn *string, pairs ...string) error {
		in := &sdk.TagPolicyInput{PolicyArn: arn}
		for i := 0; i < len(pairs); i += 2 {
			in.Tags = append(in.Tags, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
		}
		_, err := b.admin.TagPolicy(t.Context(), in)
		return err
	}
	ok(t, tag(p.Arn, "a", "1", "A", "2"))
	ok(t, tag(p.Arn, "a", "3", "b", ""))
	tags := func(size int32) (out []string) {
		for pages := sdk.NewListPolicyTagsPaginator(b.admin, &sdk.ListPolicyTagsInput{PolicyArn: p.Arn, MaxItems: &size}); pages.HasMorePages(); {
			for _, t := range must(pages.NextPage(t.Context()))(t).Tags {
				out = append(out, *t.Key+"="+*t.Value)
			}
		}
		return out
	}
	for _, size := range []int32{1, 3} {
		if got, want := tags(size), []string{"A=2", "a=3", "b="}; !slices.Equal(got, want) {
			t.Errorf("by %d: %v", size, got)
		}
	}
	must(b.admin.UntagPolicy(t.Context(), &sdk.UntagPolicyInput{PolicyArn: p.Arn, TagKeys: []string{"A", "none"}}))(t)
	if got, want := tags(100), []string{"a=3", "b="}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	b.want(t, "TagPolicy", tag(p.Arn, "x", "", "x", ""), 400, "InvalidInput", "Duplicate tag keys found.")
	var many []string
	for i := range 49 {
		many = append(many, fmt.Sprint("k", i), "")
	}
	b.want(t, "TagPolicy", tag(p.Arn, many...), 409, "LimitExceeded", "The number of tags has reached the maximum limit.")
	none := str("arn:aws:iam::111122223333:policy/none")
	b.want(t, "TagPolicy", tag(none, "k", ""), 404, "NoSuchEntity", "Policy "+*none+" was not found.")
	_, err := b.admin.UntagPolicy(t.Context(), &sdk.UntagPolicyInput{PolicyArn: none, TagKeys: []string{"k"}})
	b.want(t, "UntagPolicy", err, 404, "NoSuchEntity", "Policy "+*none+" was not found.")
	_, err = b.admin.ListPolicyTags(t.Context(), &sdk.ListPolicyTagsInput{PolicyArn: none})
	b.want(t, "ListPolicyTags", err, 404, "NoSuchEntity", "Policy "+*none+" was not found.")
	// The tags decide, by their own case.
	reader := b.as(b.User(t, "reader", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:GetPolicy","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/a":"3"}}}]}`))
	must(reader.GetPolicy(t.Context(), &sdk.GetPolicyInput{PolicyArn: p.Arn}))(t)
	ok(t, tag(p.Arn, "a", "4"))
	if _, err := reader.GetPolicy(t.Context(), &sdk.GetPolicyInput{PolicyArn: p.Arn}); err == nil {
		t.Error("read without the tag")
	}
}
