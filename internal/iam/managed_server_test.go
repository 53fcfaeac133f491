package iam_test

import (
	"regexp"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

func (b *bench) createPolicy(t *testing.T, name, text string) *types.Policy {
	t.Helper()
	return must(b.admin.CreatePolicy(t.Context(), &sdk.CreatePolicyInput{PolicyName: &name, PolicyDocument: &text}))(t).Policy
}

func (b *bench) getPolicy(t *testing.T, arn *string) *types.Policy {
	t.Helper()
	return must(b.admin.GetPolicy(t.Context(), &sdk.GetPolicyInput{PolicyArn: arn}))(t).Policy
}

func TestPolicyLife(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		made := must(b.admin.CreatePolicy(t.Context(), &sdk.CreatePolicyInput{
			PolicyName: str("Read"), Path: str("/apps/"), PolicyDocument: str(servertest.Allow("*", "secretsmanager:GetSecretValue")), Description: str("reads"),
			Tags: []types.Tag{{Key: str("a"), Value: str("1")}, {Key: str("A"), Value: str("2")}},
		}))(t).Policy
		if !regexp.MustCompile(`^ANPA[A-Z0-9]{17}$`).MatchString(*made.PolicyId) || *made.Arn != "arn:aws:iam::111122223333:policy/apps/Read" || *made.Path != "/apps/" {
			t.Errorf("%+v", made)
		}
		if *made.AttachmentCount != 0 || *made.PermissionsBoundaryUsageCount != 0 || !made.IsAttachable || *made.DefaultVersionId != "v1" ||
			made.Description != nil || len(made.Tags) != 2 || !made.CreateDate.Equal(*made.UpdateDate) {
			t.Errorf("%+v", made)
		}
		got := b.getPolicy(t, made.Arn)
		if *got.PolicyId != *made.PolicyId || *got.Description != "reads" || len(got.Tags) != 2 || *got.PolicyName != "Read" {
			t.Errorf("%+v", got)
		}
		plain := b.createPolicy(t, "plain", servertest.Allow("*", "a:b"))
		if plain.Tags != nil {
			t.Errorf("%+v", plain)
		}
		if got := b.getPolicy(t, plain.Arn); got.Tags == nil || len(got.Tags) != 0 || got.Description != nil {
			t.Errorf("%+v", got)
		}
		must(b.admin.DeletePolicy(t.Context(), &sdk.DeletePolicyInput{PolicyArn: made.Arn}))(t)
		_, err := b.admin.GetPolicy(t.Context(), &sdk.GetPolicyInput{PolicyArn: made.Arn})
		b.want(t, "GetPolicy", err, 404, "NoSuchEntity", "Policy "+*made.Arn+" was not found.")
		_, err = b.admin.DeletePolicy(t.Context(), &sdk.DeletePolicyInput{PolicyArn: made.Arn})
		b.want(t, "DeletePolicy", err, 404, "NoSuchEntity", "Policy "+*made.Arn+" was not found.")
	})
}

func TestCreatePolicyErrors(t *testing.T) {
	t.Parallel()
	b := start(t, servertest.Config(func(c *config.Config) { c.Quotas.Policies = 2 }))
	b.createPolicy(t, "one", servertest.Allow("*", "a:b"))
	create := func(name, text string, tags ...types.Tag) error {
		_, err := b.admin.CreatePolicy(t.Context(), &sdk.CreatePolicyInput{PolicyName: &name, PolicyDocument: &text, Tags: tags})
		return err
	}
	const op = "CreatePolicy"
	good := servertest.Allow("*", "a:b")
	b.want(t, op, create("ONE", good), 409, "EntityAlreadyExists", "A policy called ONE already exists. Duplicate names are not allowed.")
	b.want(t, op, create("two", "{"), 400, "MalformedPolicyDocument", "Syntax errors in policy.")
	b.want(t, op, create("two", strings.Replace(good, "2012", "2008", 1)), 400, "MalformedPolicyDocument", "Policy document must be version 2012-10-17 or greater.")
	b.want(t, op, create("two", policyOf(6145)), 409, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
	b.want(t, op, create("two", good, types.Tag{Key: str("k"), Value: str("")}, types.Tag{Key: str("k"), Value: str("")}), 400, "InvalidInput", "Duplicate tag keys found.")
	ok(t, create("two", policyOf(6144)+strings.Repeat("\n", 100)))
	b.want(t, op, create("three", good), 409, "LimitExceeded", "Cannot exceed quota for PoliciesPerAccount: 2")
	stranger := b.as(b.User(t, "stranger", servertest.Allow("*", "iam:CreatePolicy")))
	_, err := stranger.CreatePolicy(t.Context(), &sdk.CreatePolicyInput{PolicyName: str("four"), PolicyDocument: &good, Tags: []types.Tag{{Key: str("k"), Value: str("")}}})
	b.want(t, op, err, 403, "AccessDenied",
		"User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:TagPolicy on resource: policy four because no identity-based policy allows the iam:TagPolicy action")
}

func TestPoliciesOfOthers(t *testing.T) {
	t.Parallel()
	b := start(t)
	other := b.Account(t, "444455556666")
	p := must(b.as(other).CreatePolicy(t.Context(), &sdk.CreatePolicyInput{PolicyName: str("p"), PolicyDocument: str(servertest.Allow("*", "a:b"))}))(t).Policy
	_, err := b.admin.GetPolicy(t.Context(), &sdk.GetPolicyInput{PolicyArn: p.Arn})
	b.want(t, "GetPolicy", err, 404, "NoSuchEntity", "Policy "+*p.Arn+" was not found.")
	_, err = b.admin.DeletePolicy(t.Context(), &sdk.DeletePolicyInput{PolicyArn: p.Arn})
	b.want(t, "DeletePolicy", err, 403, "AccessDenied", "Cannot delete policies outside your own account.")
	_, err = b.admin.AttachUserPolicy(t.Context(), &sdk.AttachUserPolicyInput{UserName: str("admin"), PolicyArn: p.Arn})
	b.want(t, "AttachUserPolicy", err, 404, "NoSuchEntity", "Policy "+*p.Arn+" does not exist or is not attachable.")
	stranger := b.as(b.User(t, "stranger", ""))
	_, err = stranger.GetPolicy(t.Context(), &sdk.GetPolicyInput{PolicyArn: p.Arn})
	b.want(t, "GetPolicy", err, 403, "AccessDenied",
		"User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:GetPolicy on resource: policy "+*p.Arn+" because no identity-based policy allows the iam:GetPolicy action")
	for _, arn := range []string{"arn:aws:iam::111122223333:user/bob", "twenty characters of no ARN"} {
		_, err = b.admin.GetPolicy(t.Context(), &sdk.GetPolicyInput{PolicyArn: &arn})
		b.want(t, "GetPolicy", err, 400, "ValidationError", "ARN "+arn+" is not valid.")
	}
}
