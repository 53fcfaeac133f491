package crash

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/strongroom/strongroom/internal/servertest"
)

const trustPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + servertest.Account + `:user/admin"},"Action":"sts:AssumeRole"}]}`

func policyARN(id string) *string {
	return aws.String("arn:aws:iam::" + servertest.Account + ":policy/" + id)
}

func (c *clients) newRole(id string) {
	c.Helper()
	_, err := c.iam.CreateRole(c.ctx, &iam.CreateRoleInput{RoleName: &id, AssumeRolePolicyDocument: aws.String(trustPolicy),
		Tags: []iamtypes.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
	c.must(err)
}

func (c *clients) newRolePolicy(id string) {
	c.Helper()
	c.newRole(id)
	_, err := c.iam.PutRolePolicy(c.ctx, &iam.PutRolePolicyInput{RoleName: &id, PolicyName: aws.String("p"), PolicyDocument: aws.String(userPolicy)})
	c.must(err)
}

func (c *clients) newPolicy(id string) {
	c.Helper()
	_, err := c.iam.CreatePolicy(c.ctx, &iam.CreatePolicyInput{PolicyName: &id, PolicyDocument: aws.String(userPolicy),
		Tags: []iamtypes.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
	c.must(err)
}

func (c *clients) newGroupPolicy(id string) {
	c.Helper()
	c.newGroup(id)
	_, err := c.iam.PutGroupPolicy(c.ctx, &iam.PutGroupPolicyInput{GroupName: &id, PolicyName: aws.String("p"), PolicyDocument: aws.String(userPolicy)})
	c.must(err)
}

// newUnattached makes a user, a group, a role and a policy, all named id.
func (c *clients) newUnattached(id string) {
	c.Helper()
	c.newUser(id)
	c.newGroup(id)
	c.newRole(id)
	c.newPolicy(id)
}

func (c *clients) newAttached(id string) {
	c.Helper()
	c.newUnattached(id)
	_, err := c.iam.AttachUserPolicy(c.ctx, &iam.AttachUserPolicyInput{UserName: &id, PolicyArn: policyARN(id)})
	c.must(err)
	_, err = c.iam.AttachGroupPolicy(c.ctx, &iam.AttachGroupPolicyInput{GroupName: &id, PolicyArn: policyARN(id)})
	c.must(err)
	_, err = c.iam.AttachRolePolicy(c.ctx, &iam.AttachRolePolicyInput{RoleName: &id, PolicyArn: policyARN(id)})
	c.must(err)
}

func (c *clients) newVersion(id string) {
	c.Helper()
	c.newPolicy(id)
	_, err := c.iam.CreatePolicyVersion(c.ctx, &iam.CreatePolicyVersionInput{PolicyArn: policyARN(id), PolicyDocument: aws.String(userPolicy)})
	c.must(err)
}

func (c *clients) newBounded(id string) {
	c.Helper()
	c.newUnattached(id)
	_, err := c.iam.PutUserPermissionsBoundary(c.ctx, &iam.PutUserPermissionsBoundaryInput{UserName: &id, PermissionsBoundary: policyARN(id)})
	c.must(err)
	_, err = c.iam.PutRolePermissionsBoundary(c.ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: &id, PermissionsBoundary: policyARN(id)})
	c.must(err)
}

func (c *clients) roleState(id string) string {
	c.Helper()
	r, err := c.iam.GetRole(c.ctx, &iam.GetRoleInput{RoleName: &id})
	if code(err) == "NoSuchEntity" {
		return "none"
	}
	c.must(err)
	inline, err := c.iam.ListRolePolicies(c.ctx, &iam.ListRolePoliciesInput{RoleName: &id})
	c.must(err)
	attached, err := c.iam.ListAttachedRolePolicies(c.ctx, &iam.ListAttachedRolePoliciesInput{RoleName: &id})
	c.must(err)
	return describe(map[string]any{
		"trust": r.Role.AssumeRolePolicyDocument, "description": r.Role.Description, "session": r.Role.MaxSessionDuration, "tags": r.Role.Tags,
		"boundary": r.Role.PermissionsBoundary, "inline": inline.PolicyNames, "attached": attached.AttachedPolicies,
	})
}

func (c *clients) policyState(id string) string {
	c.Helper()
	p, err := c.iam.GetPolicy(c.ctx, &iam.GetPolicyInput{PolicyArn: policyARN(id)})
	if code(err) == "NoSuchEntity" {
		return "none"
	}
	c.must(err)
	versions, err := c.iam.ListPolicyVersions(c.ctx, &iam.ListPolicyVersionsInput{PolicyArn: policyARN(id)})
	c.must(err)
	var ids []string
	for _, v := range versions.Versions {
		ids = append(ids, *v.VersionId)
	}
	return describe(map[string]any{"version": p.Policy.DefaultVersionId, "versions": ids, "attached": p.Policy.AttachmentCount, "tags": p.Policy.Tags})
}

func roleChanges() []change {
	return []change{
		{"iam:CreateRole", nil, simple(func(c *clients, id, target string) (*iam.CreateRoleOutput, error) {
			return c.iam.CreateRole(c.ctx, &iam.CreateRoleInput{RoleName: &id, AssumeRolePolicyDocument: aws.String(trustPolicy)})
		}), false},
		{"iam:DeleteRole", (*clients).newRole, simple(func(c *clients, id, target string) (*iam.DeleteRoleOutput, error) {
			return c.iam.DeleteRole(c.ctx, &iam.DeleteRoleInput{RoleName: &id})
		}), false},
		{"iam:UpdateRole", (*clients).newRole, simple(func(c *clients, id, target string) (*iam.UpdateRoleOutput, error) {
			return c.iam.UpdateRole(c.ctx, &iam.UpdateRoleInput{RoleName: &id, MaxSessionDuration: aws.Int32(7200)})
		}), true},
		{"iam:UpdateRoleDescription", (*clients).newRole, simple(func(c *clients, id, target string) (*iam.UpdateRoleDescriptionOutput, error) {
			return c.iam.UpdateRoleDescription(c.ctx, &iam.UpdateRoleDescriptionInput{RoleName: &id, Description: aws.String("d")})
		}), true},
		{"iam:UpdateAssumeRolePolicy", (*clients).newRole, simple(func(c *clients, id, target string) (*iam.UpdateAssumeRolePolicyOutput, error) {
			return c.iam.UpdateAssumeRolePolicy(c.ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &id, PolicyDocument: aws.String(trustPolicy + " ")})
		}), true},
		{"iam:TagRole", (*clients).newRole, simple(func(c *clients, id, target string) (*iam.TagRoleOutput, error) {
			return c.iam.TagRole(c.ctx, &iam.TagRoleInput{RoleName: &id, Tags: []iamtypes.Tag{{Key: aws.String("new"), Value: aws.String("v")}}})
		}), true},
		{"iam:UntagRole", (*clients).newRole, simple(func(c *clients, id, target string) (*iam.UntagRoleOutput, error) {
			return c.iam.UntagRole(c.ctx, &iam.UntagRoleInput{RoleName: &id, TagKeys: []string{"k"}})
		}), true},
		{"iam:PutRolePolicy", (*clients).newRole, simple(func(c *clients, id, target string) (*iam.PutRolePolicyOutput, error) {
			return c.iam.PutRolePolicy(c.ctx, &iam.PutRolePolicyInput{RoleName: &id, PolicyName: aws.String("p"), PolicyDocument: aws.String(userPolicy)})
		}), true},
		{"iam:DeleteRolePolicy", (*clients).newRolePolicy, simple(func(c *clients, id, target string) (*iam.DeleteRolePolicyOutput, error) {
			return c.iam.DeleteRolePolicy(c.ctx, &iam.DeleteRolePolicyInput{RoleName: &id, PolicyName: aws.String("p")})
		}), false},
	}
}

func policyChanges() []change {
	return []change{
		{"iam:CreatePolicy", nil, simple(func(c *clients, id, target string) (*iam.CreatePolicyOutput, error) {
			return c.iam.CreatePolicy(c.ctx, &iam.CreatePolicyInput{PolicyName: &id, PolicyDocument: aws.String(userPolicy)})
		}), false},
		{"iam:DeletePolicy", (*clients).newPolicy, simple(func(c *clients, id, target string) (*iam.DeletePolicyOutput, error) {
			return c.iam.DeletePolicy(c.ctx, &iam.DeletePolicyInput{PolicyArn: policyARN(id)})
		}), false},
		{"iam:AttachUserPolicy", (*clients).newUnattached, simple(func(c *clients, id, target string) (*iam.AttachUserPolicyOutput, error) {
			return c.iam.AttachUserPolicy(c.ctx, &iam.AttachUserPolicyInput{UserName: &id, PolicyArn: policyARN(id)})
		}), true},
		{"iam:DetachUserPolicy", (*clients).newAttached, simple(func(c *clients, id, target string) (*iam.DetachUserPolicyOutput, error) {
			return c.iam.DetachUserPolicy(c.ctx, &iam.DetachUserPolicyInput{UserName: &id, PolicyArn: policyARN(id)})
		}), false},
		{"iam:PutGroupPolicy", (*clients).newGroup, simple(func(c *clients, id, target string) (*iam.PutGroupPolicyOutput, error) {
			return c.iam.PutGroupPolicy(c.ctx, &iam.PutGroupPolicyInput{GroupName: &id, PolicyName: aws.String("p"), PolicyDocument: aws.String(userPolicy)})
		}), true},
		{"iam:DeleteGroupPolicy", (*clients).newGroupPolicy, simple(func(c *clients, id, target string) (*iam.DeleteGroupPolicyOutput, error) {
			return c.iam.DeleteGroupPolicy(c.ctx, &iam.DeleteGroupPolicyInput{GroupName: &id, PolicyName: aws.String("p")})
		}), false},
		{"iam:AttachGroupPolicy", (*clients).newUnattached, simple(func(c *clients, id, target string) (*iam.AttachGroupPolicyOutput, error) {
			return c.iam.AttachGroupPolicy(c.ctx, &iam.AttachGroupPolicyInput{GroupName: &id, PolicyArn: policyARN(id)})
		}), true},
		{"iam:DetachGroupPolicy", (*clients).newAttached, simple(func(c *clients, id, target string) (*iam.DetachGroupPolicyOutput, error) {
			return c.iam.DetachGroupPolicy(c.ctx, &iam.DetachGroupPolicyInput{GroupName: &id, PolicyArn: policyARN(id)})
		}), false},
		{"iam:AttachRolePolicy", (*clients).newUnattached, simple(func(c *clients, id, target string) (*iam.AttachRolePolicyOutput, error) {
			return c.iam.AttachRolePolicy(c.ctx, &iam.AttachRolePolicyInput{RoleName: &id, PolicyArn: policyARN(id)})
		}), true},
		{"iam:DetachRolePolicy", (*clients).newAttached, simple(func(c *clients, id, target string) (*iam.DetachRolePolicyOutput, error) {
			return c.iam.DetachRolePolicy(c.ctx, &iam.DetachRolePolicyInput{RoleName: &id, PolicyArn: policyARN(id)})
		}), false},
		{"iam:CreatePolicyVersion", (*clients).newPolicy, simple(func(c *clients, id, target string) (*iam.CreatePolicyVersionOutput, error) {
			return c.iam.CreatePolicyVersion(c.ctx, &iam.CreatePolicyVersionInput{PolicyArn: policyARN(id), PolicyDocument: aws.String(userPolicy)})
		}), false},
		{"iam:SetDefaultPolicyVersion", (*clients).newVersion, simple(func(c *clients, id, target string) (*iam.SetDefaultPolicyVersionOutput, error) {
			return c.iam.SetDefaultPolicyVersion(c.ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: policyARN(id), VersionId: aws.String("v2")})
		}), true},
		{"iam:DeletePolicyVersion", (*clients).newVersion, simple(func(c *clients, id, target string) (*iam.DeletePolicyVersionOutput, error) {
			return c.iam.DeletePolicyVersion(c.ctx, &iam.DeletePolicyVersionInput{PolicyArn: policyARN(id), VersionId: aws.String("v2")})
		}), false},
		{"iam:TagPolicy", (*clients).newPolicy, simple(func(c *clients, id, target string) (*iam.TagPolicyOutput, error) {
			return c.iam.TagPolicy(c.ctx, &iam.TagPolicyInput{PolicyArn: policyARN(id), Tags: []iamtypes.Tag{{Key: aws.String("new"), Value: aws.String("v")}}})
		}), true},
		{"iam:UntagPolicy", (*clients).newPolicy, simple(func(c *clients, id, target string) (*iam.UntagPolicyOutput, error) {
			return c.iam.UntagPolicy(c.ctx, &iam.UntagPolicyInput{PolicyArn: policyARN(id), TagKeys: []string{"k"}})
		}), true},
		{"iam:PutUserPermissionsBoundary", (*clients).newUnattached, simple(func(c *clients, id, target string) (*iam.PutUserPermissionsBoundaryOutput, error) {
			return c.iam.PutUserPermissionsBoundary(c.ctx, &iam.PutUserPermissionsBoundaryInput{UserName: &id, PermissionsBoundary: policyARN(id)})
		}), true},
		{"iam:DeleteUserPermissionsBoundary", (*clients).newBounded, simple(func(c *clients, id, target string) (*iam.DeleteUserPermissionsBoundaryOutput, error) {
			return c.iam.DeleteUserPermissionsBoundary(c.ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: &id})
		}), true},
		{"iam:PutRolePermissionsBoundary", (*clients).newUnattached, simple(func(c *clients, id, target string) (*iam.PutRolePermissionsBoundaryOutput, error) {
			return c.iam.PutRolePermissionsBoundary(c.ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: &id, PermissionsBoundary: policyARN(id)})
		}), true},
		{"iam:DeleteRolePermissionsBoundary", (*clients).newBounded, simple(func(c *clients, id, target string) (*iam.DeleteRolePermissionsBoundaryOutput, error) {
			return c.iam.DeleteRolePermissionsBoundary(c.ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: &id})
		}), true},
	}
}
