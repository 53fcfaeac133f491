package workload

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// identities are a user, a group, a role, a managed policy and a second factor,
// all of one name, that are attached to each other. Their facts:
//
//	user            its path; user.tag.KEY, user.inline.NAME, user.key.ID (its
//	                status), user.attached, user.boundary, user.login (whether a
//	                new password is asked for), user.group, user.device
//	group           its path; group.inline.NAME, group.attached
//	role            its description; role.session, role.trust, role.tag.KEY,
//	                role.inline.NAME, role.attached, role.boundary
//	policy          its default version; policy.version.ID, policy.next,
//	                policy.tag.KEY
//	device
var identities = kind{
	name: "identity", weight: 4, read: readIdentity,
	ops: slices.Concat(userOps, credentialOps, groupOps, roleOps, policyOps),
	hidden: func(f facts) {
		delete(f, "policy.next") // Nobody is told it.
	},
}

// asks makes a do from a call of IAM whose answer does not matter.
func asks[Out any](call func(ctx context.Context, c *iam.Client, u *unit, s *step) (Out, error)) func(context.Context, *clients, *unit, *step) (string, error) {
	return func(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
		_, err := call(ctx, c.iam, u, s)
		return "", err
	}
}

// where is a can: all of names are there.
func where(names ...string) func(facts) bool {
	return func(f facts) bool { return !slices.ContainsFunc(names, func(n string) bool { return !f.has(n) }) }
}

// but adds to a can that none of names is there.
func but(can func(facts) bool, names ...string) func(facts) bool {
	return func(f facts) bool { return can(f) && f.lacks(names...) }
}

// set makes an apply that sets one fact, unset one that removes those below.
func set(name, value string) func(facts, *step) { return func(f facts, _ *step) { f[name] = value } }

func unset(name string) func(facts, *step) {
	return func(f facts, _ *step) {
		delete(f, name)
		f.drop(name + ".")
	}
}

func path(n int) string { return fmt.Sprintf("/p%d/", n%5) }

func inlineName(n int) string { return fmt.Sprintf("inline%d", n%3) }

// document is a policy: each may change its own password, so that every user
// with an inline policy can.
func document(n int) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"p%d","Effect":"Allow","Action":"iam:ChangePassword","Resource":"*"}]}`, n)
}

func trust(n int) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"t%d","Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`, n)
}

func iamTags(n int) []types.Tag {
	return []types.Tag{{Key: aws.String(tagKey(n)), Value: aws.String(fmt.Sprint("value ", n))}}
}

func tagged(whose string) func(facts, *step) {
	return func(f facts, s *step) { f[whose+".tag."+tagKey(s.n)] = fmt.Sprint("value ", s.n) }
}

func untagged(whose string) func(facts, *step) {
	return func(f facts, s *step) { delete(f, whose+".tag."+tagKey(s.n)) }
}

func inlined(whose string) func(facts, *step) {
	return func(f facts, s *step) { f[whose+".inline."+inlineName(s.n)] = document(s.n) }
}

// firstInline is the inline policy that the Delete operations take.
func firstInline(u *unit, whose string) *string {
	return aws.String(u.state.below(whose + ".inline.")[0])
}

func uninlined(whose string) func(facts, *step) {
	return func(f facts, _ *step) { delete(f, whose+".inline."+f.below(whose + ".inline.")[0]) }
}

func policyARN(u *unit) *string {
	return aws.String("arn:aws:iam::" + servertest.Account + ":policy/" + u.name)
}

var userOps = []op{
	{name: "iam:CreateUser", can: func(f facts) bool { return !f.has("user") },
		apply: func(f facts, s *step) { f["user"] = path(s.n); tagged("user")(f, s) },
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.CreateUserOutput, error) {
			return c.CreateUser(ctx, &iam.CreateUserInput{UserName: &u.name, Path: aws.String(path(s.n)), Tags: iamTags(s.n)})
		})},
	{name: "iam:UpdateUser", can: where("user"), apply: func(f facts, s *step) { f["user"] = path(s.n) },
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.UpdateUserOutput, error) {
			return c.UpdateUser(ctx, &iam.UpdateUserInput{UserName: &u.name, NewPath: aws.String(path(s.n))})
		})},
	{name: "iam:DeleteUser", can: but(where("user"), "user.key.", "user.inline.", "user.attached", "user.login", "user.device", "user.group"), apply: unset("user"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeleteUserOutput, error) {
			return c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: &u.name})
		})},
	{name: "iam:TagUser", can: where("user"), apply: tagged("user"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.TagUserOutput, error) {
			return c.TagUser(ctx, &iam.TagUserInput{UserName: &u.name, Tags: iamTags(s.n)})
		})},
	{name: "iam:UntagUser", can: where("user.tag."), apply: untagged("user"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.UntagUserOutput, error) {
			return c.UntagUser(ctx, &iam.UntagUserInput{UserName: &u.name, TagKeys: []string{tagKey(s.n)}})
		})},
	{name: "iam:PutUserPolicy", can: where("user"), apply: inlined("user"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.PutUserPolicyOutput, error) {
			return c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &u.name, PolicyName: aws.String(inlineName(s.n)), PolicyDocument: aws.String(document(s.n))})
		})},
	{name: "iam:DeleteUserPolicy", can: where("user.inline."), apply: uninlined("user"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeleteUserPolicyOutput, error) {
			return c.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: &u.name, PolicyName: firstInline(u, "user")})
		})},
	{name: "iam:AttachUserPolicy", can: where("user", "policy"), apply: set("user.attached", ""),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.AttachUserPolicyOutput, error) {
			return c.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: &u.name, PolicyArn: policyARN(u)})
		})},
	{name: "iam:DetachUserPolicy", can: where("user.attached"), apply: unset("user.attached"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DetachUserPolicyOutput, error) {
			return c.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: &u.name, PolicyArn: policyARN(u)})
		})},
	{name: "iam:PutUserPermissionsBoundary", can: where("user", "policy"), apply: set("user.boundary", ""),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.PutUserPermissionsBoundaryOutput, error) {
			return c.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: &u.name, PermissionsBoundary: policyARN(u)})
		})},
	{name: "iam:DeleteUserPermissionsBoundary", can: where("user.boundary"), apply: unset("user.boundary"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeleteUserPermissionsBoundaryOutput, error) {
			return c.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: &u.name})
		})},
}

// password is good enough for any password policy of this load.
func password(u *unit, s *step) string {
	return fmt.Sprintf("Password %s %d, long enough!", u.name, s.n)
}

func changePassword(ctx context.Context, c *clients, u *unit, key server.Credentials, s *step) (*iam.ChangePasswordOutput, error) {
	return c.iamAs(key).ChangePassword(ctx, &iam.ChangePasswordInput{OldPassword: &u.password, NewPassword: aws.String(password(u, s))})
}

// ownKey is an active access key of the user whose secret is known.
func ownKey(u *unit) (server.Credentials, bool) {
	for _, id := range u.state.below("user.key.") {
		if secret := u.keys[id]; secret != "" && u.state["user.key."+id] == "Active" {
			return server.Credentials{AccessKeyID: id, SecretAccessKey: secret}, true
		}
	}
	return server.Credentials{}, false
}

// mayChangePassword says whether the user can: all policies of this load let it,
// boundaries as well.
func mayChangePassword(f facts) bool {
	return f.has("user.login") && f.has("user.key.") && (f.has("user.inline.") || f.has("user.attached") || f.has("user.group") && (f.has("group.inline.") || f.has("group.attached")))
}

var credentialOps = []op{
	{name: "iam:CreateAccessKey", can: func(f facts) bool { return f.has("user") && len(f.below("user.key.")) < 2 },
		apply: set("user.key."+unnamed, "Active"),
		do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
			out, err := c.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &u.name})
			if err != nil {
				return "", err
			}
			u.keys[*out.AccessKey.AccessKeyId] = *out.AccessKey.SecretAccessKey
			return *out.AccessKey.AccessKeyId, nil
		}},
	{name: "iam:UpdateAccessKey", can: where("user.key."),
		apply: func(f facts, s *step) { f["user.key."+f.below("user.key.")[0]] = status(s.n) },
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.UpdateAccessKeyOutput, error) {
			return c.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: &u.name, AccessKeyId: aws.String(u.state.below("user.key.")[0]), Status: types.StatusType(status(s.n))})
		})},
	{name: "iam:DeleteAccessKey", can: where("user.key."),
		apply: func(f facts, _ *step) { delete(f, "user.key."+f.below("user.key.")[0]) },
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeleteAccessKeyOutput, error) {
			return c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &u.name, AccessKeyId: aws.String(u.state.below("user.key.")[0])})
		})},
	{name: "iam:CreateLoginProfile", can: but(where("user"), "user.login"), apply: func(f facts, s *step) { f["user.login"] = strconv.FormatBool(s.n%2 == 0) },
		do: knowsPassword(func(ctx context.Context, c *clients, u *unit, s *step) (*iam.CreateLoginProfileOutput, error) {
			return c.iam.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: &u.name, Password: aws.String(password(u, s)), PasswordResetRequired: s.n%2 == 0})
		})},
	{name: "iam:UpdateLoginProfile", can: where("user.login"), apply: func(f facts, s *step) { f["user.login"] = strconv.FormatBool(s.n%2 == 0) },
		do: knowsPassword(func(ctx context.Context, c *clients, u *unit, s *step) (*iam.UpdateLoginProfileOutput, error) {
			return c.iam.UpdateLoginProfile(ctx, &iam.UpdateLoginProfileInput{UserName: &u.name, Password: aws.String(password(u, s)), PasswordResetRequired: aws.Bool(s.n%2 == 0)})
		})},
	{name: "iam:DeleteLoginProfile", can: where("user.login"), apply: unset("user.login"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeleteLoginProfileOutput, error) {
			return c.DeleteLoginProfile(ctx, &iam.DeleteLoginProfileInput{UserName: &u.name})
		})},
	{name: "iam:ChangePassword", can: mayChangePassword,
		ready: func(_ context.Context, _ *clients, u *unit) (bool, error) {
			_, ok := ownKey(u)
			return ok && u.password != "", nil
		},
		apply: set("user.login", "false"),
		do: func(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
			key, _ := ownKey(u)
			if u.password == password(u, s) {
				s.n++ // The old one would not do as the new one.
			}
			_, err := changePassword(ctx, c, u, key, s)
			u.password = ""
			if err == nil {
				u.password = password(u, s)
			}
			return "", err
		}},
	{name: "iam:CreateVirtualMFADevice", can: func(f facts) bool { return !f.has("device") }, apply: set("device", ""),
		do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
			u.seed = nil
			out, err := c.iam.CreateVirtualMFADevice(ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: &u.name})
			if err != nil {
				return "", err
			}
			u.seed, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(out.VirtualMFADevice.Base32StringSeed))
			return "", err
		}},
	{name: "iam:EnableMFADevice", can: but(where("user", "device"), "user.device"),
		ready: func(_ context.Context, _ *clients, u *unit) (bool, error) { return u.seed != nil, nil },
		apply: set("user.device", ""),
		do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
			now := time.Now()
			_, err := c.iam.EnableMFADevice(ctx, &iam.EnableMFADeviceInput{UserName: &u.name, SerialNumber: serial(u),
				AuthenticationCode1: aws.String(servertest.TOTP(u.seed, now.Add(-30*time.Second))), AuthenticationCode2: aws.String(servertest.TOTP(u.seed, now))})
			u.seed = nil // Its codes are used up for a while.
			return "", err
		}},
	{name: "iam:DeactivateMFADevice", can: where("user.device"), apply: unset("user.device"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeactivateMFADeviceOutput, error) {
			return c.DeactivateMFADevice(ctx, &iam.DeactivateMFADeviceInput{UserName: &u.name, SerialNumber: serial(u)})
		})},
	{name: "iam:DeleteVirtualMFADevice", can: but(where("device"), "user.device"), apply: unset("device"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeleteVirtualMFADeviceOutput, error) {
			return c.DeleteVirtualMFADevice(ctx, &iam.DeleteVirtualMFADeviceInput{SerialNumber: serial(u)})
		})},
}

// knowsPassword makes a do from a call that sets the password, which is known
// only if it was answered.
func knowsPassword[Out any](call func(context.Context, *clients, *unit, *step) (Out, error)) func(context.Context, *clients, *unit, *step) (string, error) {
	return func(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
		u.password = ""
		_, err := call(ctx, c, u, s)
		if err == nil {
			u.password = password(u, s)
		}
		return "", err
	}
}

func status(n int) string { return []string{"Active", "Inactive"}[n%2] }

func serial(u *unit) *string {
	return aws.String("arn:aws:iam::" + servertest.Account + ":mfa/" + u.name)
}

var groupOps = []op{
	{name: "iam:CreateGroup", can: func(f facts) bool { return !f.has("group") }, apply: func(f facts, s *step) { f["group"] = path(s.n) },
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.CreateGroupOutput, error) {
			return c.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: &u.name, Path: aws.String(path(s.n))})
		})},
	{name: "iam:UpdateGroup", can: where("group"), apply: func(f facts, s *step) { f["group"] = path(s.n) },
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.UpdateGroupOutput, error) {
			return c.UpdateGroup(ctx, &iam.UpdateGroupInput{GroupName: &u.name, NewPath: aws.String(path(s.n))})
		})},
	{name: "iam:DeleteGroup", can: but(where("group"), "user.group", "group.inline.", "group.attached"), apply: unset("group"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeleteGroupOutput, error) {
			return c.DeleteGroup(ctx, &iam.DeleteGroupInput{GroupName: &u.name})
		})},
	{name: "iam:AddUserToGroup", can: where("user", "group"), apply: set("user.group", ""),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.AddUserToGroupOutput, error) {
			return c.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: &u.name, UserName: &u.name})
		})},
	{name: "iam:RemoveUserFromGroup", can: where("user.group"), apply: unset("user.group"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.RemoveUserFromGroupOutput, error) {
			return c.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{GroupName: &u.name, UserName: &u.name})
		})},
	{name: "iam:PutGroupPolicy", can: where("group"), apply: inlined("group"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.PutGroupPolicyOutput, error) {
			return c.PutGroupPolicy(ctx, &iam.PutGroupPolicyInput{GroupName: &u.name, PolicyName: aws.String(inlineName(s.n)), PolicyDocument: aws.String(document(s.n))})
		})},
	{name: "iam:DeleteGroupPolicy", can: where("group.inline."), apply: uninlined("group"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeleteGroupPolicyOutput, error) {
			return c.DeleteGroupPolicy(ctx, &iam.DeleteGroupPolicyInput{GroupName: &u.name, PolicyName: firstInline(u, "group")})
		})},
	{name: "iam:AttachGroupPolicy", can: where("group", "policy"), apply: set("group.attached", ""),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.AttachGroupPolicyOutput, error) {
			return c.AttachGroupPolicy(ctx, &iam.AttachGroupPolicyInput{GroupName: &u.name, PolicyArn: policyARN(u)})
		})},
	{name: "iam:DetachGroupPolicy", can: where("group.attached"), apply: unset("group.attached"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DetachGroupPolicyOutput, error) {
			return c.DetachGroupPolicy(ctx, &iam.DetachGroupPolicyInput{GroupName: &u.name, PolicyArn: policyARN(u)})
		})},
}

var roleOps = []op{
	{name: "iam:CreateRole", can: func(f facts) bool { return !f.has("role") },
		apply: func(f facts, s *step) {
			f["role"], f["role.session"], f["role.trust"] = fmt.Sprint("made ", s.n), "3600", trust(s.n)
			tagged("role")(f, s)
		},
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.CreateRoleOutput, error) {
			return c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &u.name, AssumeRolePolicyDocument: aws.String(trust(s.n)), Description: aws.String(fmt.Sprint("made ", s.n)), Tags: iamTags(s.n)})
		})},
	{name: "iam:UpdateRole", can: where("role"),
		apply: func(f facts, s *step) {
			f["role"], f["role.session"] = fmt.Sprint("updated ", s.n), fmt.Sprint(3600+s.n)
		},
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.UpdateRoleOutput, error) {
			return c.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: &u.name, Description: aws.String(fmt.Sprint("updated ", s.n)), MaxSessionDuration: aws.Int32(int32(3600 + s.n))})
		})},
	{name: "iam:UpdateRoleDescription", can: where("role"), apply: func(f facts, s *step) { f["role"] = fmt.Sprint("described ", s.n) },
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.UpdateRoleDescriptionOutput, error) {
			return c.UpdateRoleDescription(ctx, &iam.UpdateRoleDescriptionInput{RoleName: &u.name, Description: aws.String(fmt.Sprint("described ", s.n))})
		})},
	{name: "iam:UpdateAssumeRolePolicy", can: where("role"), apply: func(f facts, s *step) { f["role.trust"] = trust(s.n) },
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.UpdateAssumeRolePolicyOutput, error) {
			return c.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &u.name, PolicyDocument: aws.String(trust(s.n))})
		})},
	{name: "iam:DeleteRole", can: but(where("role"), "role.inline.", "role.attached"), apply: unset("role"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeleteRoleOutput, error) {
			u.session = server.Credentials{}
			return c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &u.name})
		})},
	{name: "iam:TagRole", can: where("role"), apply: tagged("role"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.TagRoleOutput, error) {
			return c.TagRole(ctx, &iam.TagRoleInput{RoleName: &u.name, Tags: iamTags(s.n)})
		})},
	{name: "iam:UntagRole", can: where("role.tag."), apply: untagged("role"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.UntagRoleOutput, error) {
			return c.UntagRole(ctx, &iam.UntagRoleInput{RoleName: &u.name, TagKeys: []string{tagKey(s.n)}})
		})},
	{name: "iam:PutRolePolicy", can: where("role"), apply: inlined("role"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.PutRolePolicyOutput, error) {
			return c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &u.name, PolicyName: aws.String(inlineName(s.n)), PolicyDocument: aws.String(document(s.n))})
		})},
	{name: "iam:DeleteRolePolicy", can: where("role.inline."), apply: uninlined("role"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeleteRolePolicyOutput, error) {
			return c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &u.name, PolicyName: firstInline(u, "role")})
		})},
	{name: "iam:AttachRolePolicy", can: where("role", "policy"), apply: set("role.attached", ""),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.AttachRolePolicyOutput, error) {
			return c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &u.name, PolicyArn: policyARN(u)})
		})},
	{name: "iam:DetachRolePolicy", can: where("role.attached"), apply: unset("role.attached"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DetachRolePolicyOutput, error) {
			return c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: &u.name, PolicyArn: policyARN(u)})
		})},
	{name: "iam:PutRolePermissionsBoundary", can: where("role", "policy"), apply: set("role.boundary", ""),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.PutRolePermissionsBoundaryOutput, error) {
			return c.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: &u.name, PermissionsBoundary: policyARN(u)})
		})},
	{name: "iam:DeleteRolePermissionsBoundary", can: where("role.boundary"), apply: unset("role.boundary"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeleteRolePermissionsBoundaryOutput, error) {
			return c.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: &u.name})
		})},
	{name: "sts:AssumeRole", quiet: true, can: where("role"), apply: func(facts, *step) {},
		do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
			out, err := c.sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + servertest.Account + ":role/" + u.name), RoleSessionName: &u.name})
			if err == nil {
				u.session = servertest.Session(out.Credentials)
			}
			return "", err
		}},
}

var policyOps = []op{
	{name: "iam:CreatePolicy", can: func(f facts) bool { return !f.has("policy") },
		apply: func(f facts, s *step) {
			f["policy"], f["policy.version.v1"], f["policy.next"] = "v1", document(s.n), "2"
			tagged("policy")(f, s)
		},
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.CreatePolicyOutput, error) {
			return c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: &u.name, PolicyDocument: aws.String(document(s.n)), Tags: iamTags(s.n)})
		})},
	{name: "iam:DeletePolicy", can: func(f facts) bool {
		return f.has("policy") && len(f.below("policy.version.")) == 1 && f.lacks("user.attached", "group.attached", "role.attached", "user.boundary", "role.boundary")
	}, apply: unset("policy"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeletePolicyOutput, error) {
			return c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: policyARN(u)})
		})},
	{name: "iam:CreatePolicyVersion", can: func(f facts) bool { return f.has("policy") && len(f.below("policy.version.")) < 5 },
		apply: func(f facts, s *step) {
			n, _ := strconv.Atoi(f["policy.next"])
			f[fmt.Sprintf("policy.version.v%d", n)], f["policy.next"] = document(s.n), strconv.Itoa(n+1)
			if s.n%2 == 0 {
				f["policy"] = fmt.Sprintf("v%d", n)
			}
		},
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.CreatePolicyVersionOutput, error) {
			return c.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: policyARN(u), PolicyDocument: aws.String(document(s.n)), SetAsDefault: s.n%2 == 0})
		})},
	{name: "iam:SetDefaultPolicyVersion", can: where("policy"), apply: func(f facts, s *step) { f["policy"] = chooseVersion(f, s.n) },
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.SetDefaultPolicyVersionOutput, error) {
			return c.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: policyARN(u), VersionId: aws.String(chooseVersion(u.state, s.n))})
		})},
	{name: "iam:DeletePolicyVersion", can: func(f facts) bool { return spareVersion(f) != "" }, apply: func(f facts, _ *step) { delete(f, "policy.version."+spareVersion(f)) },
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeletePolicyVersionOutput, error) {
			return c.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: policyARN(u), VersionId: aws.String(spareVersion(u.state))})
		})},
	{name: "iam:TagPolicy", can: where("policy"), apply: tagged("policy"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.TagPolicyOutput, error) {
			return c.TagPolicy(ctx, &iam.TagPolicyInput{PolicyArn: policyARN(u), Tags: iamTags(s.n)})
		})},
	{name: "iam:UntagPolicy", can: where("policy.tag."), apply: untagged("policy"),
		do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.UntagPolicyOutput, error) {
			return c.UntagPolicy(ctx, &iam.UntagPolicyInput{PolicyArn: policyARN(u), TagKeys: []string{tagKey(s.n)}})
		})},
}

func chooseVersion(f facts, n int) string {
	all := f.below("policy.version.")
	return all[n%len(all)]
}

// spareVersion is one that is not the default, "" for none.
func spareVersion(f facts) string {
	for _, v := range f.below("policy.version.") {
		if v != f["policy"] {
			return v
		}
	}
	return ""
}

// details are what GetAccountAuthorizationDetails says, by name.
type details struct {
	users    map[string]types.UserDetail
	groups   map[string]types.GroupDetail
	roles    map[string]types.RoleDetail
	policies map[string]types.ManagedPolicyDetail
	devices  map[string]string // user by the name of the device, "" for none
}

func readDetails(ctx context.Context, c *iam.Client) (*details, error) {
	d := &details{map[string]types.UserDetail{}, map[string]types.GroupDetail{}, map[string]types.RoleDetail{}, map[string]types.ManagedPolicyDetail{}, map[string]string{}}
	pages := iam.NewGetAccountAuthorizationDetailsPaginator(c, &iam.GetAccountAuthorizationDetailsInput{MaxItems: aws.Int32(1000),
		Filter: []types.EntityType{types.EntityTypeUser, types.EntityTypeGroup, types.EntityTypeRole, types.EntityTypeLocalManagedPolicy}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, x := range page.UserDetailList {
			d.users[*x.UserName] = x
		}
		for _, x := range page.GroupDetailList {
			d.groups[*x.GroupName] = x
		}
		for _, x := range page.RoleDetailList {
			d.roles[*x.RoleName] = x
		}
		for _, x := range page.Policies {
			d.policies[*x.PolicyName] = x
		}
	}
	devices := iam.NewListVirtualMFADevicesPaginator(c, &iam.ListVirtualMFADevicesInput{MaxItems: aws.Int32(1000)})
	for devices.HasMorePages() {
		page, err := devices.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, x := range page.VirtualMFADevices {
			user := ""
			if x.User != nil {
				user = *x.User.UserName
			}
			d.devices[(*x.SerialNumber)[len("arn:aws:iam::123456789012:mfa/"):]] = user
		}
	}
	return d, nil
}

func plain(document *string) string {
	s, err := url.QueryUnescape(aws.ToString(document))
	if err != nil {
		return err.Error()
	}
	return s
}

func (f facts) readHangers(whose string, tags []types.Tag, inline []types.PolicyDetail, attached []types.AttachedPolicy) {
	for _, t := range tags {
		f[whose+".tag."+*t.Key] = *t.Value
	}
	for _, p := range inline {
		f[whose+".inline."+*p.PolicyName] = plain(p.PolicyDocument)
	}
	for range attached {
		f[whose+".attached"] = ""
	}
}

func readIdentity(ctx context.Context, r *reading, u *unit) (facts, error) {
	f := facts{}
	if err := readUser(ctx, r, u, f); err != nil {
		return nil, err
	}
	if g, ok := r.details.groups[u.name]; ok {
		f["group"] = *g.Path
		f.readHangers("group", nil, g.GroupPolicyList, g.AttachedManagedPolicies)
	}
	if err := readRole(ctx, r, u, f); err != nil {
		return nil, err
	}
	if p, ok := r.details.policies[u.name]; ok {
		f["policy"] = *p.DefaultVersionId
		for _, v := range p.PolicyVersionList {
			f["policy.version."+*v.VersionId] = plain(v.Document)
		}
		tags, err := r.iam.ListPolicyTags(ctx, &iam.ListPolicyTagsInput{PolicyArn: policyARN(u)})
		if err != nil {
			return nil, err
		}
		f.readHangers("policy", tags.Tags, nil, nil)
		uses := 0
		for _, where := range []string{"user", "group", "role"} {
			if f.has(where + ".attached") {
				uses++
			}
		}
		if int(aws.ToInt32(p.AttachmentCount)) != uses {
			f["policy.attachments"] = fmt.Sprintf("%d, counted %d", uses, *p.AttachmentCount)
		}
	}
	if owner, ok := r.details.devices[u.name]; ok {
		f["device"] = ""
		if owner == u.name {
			f["user.device"] = ""
		} else if owner != "" {
			f["user.device"] = "of " + owner
		}
	}
	return f, nil
}

func readUser(ctx context.Context, r *reading, u *unit, f facts) error {
	d, ok := r.details.users[u.name]
	if !ok {
		return nil
	}
	f["user"] = *d.Path
	f.readHangers("user", d.Tags, d.UserPolicyList, d.AttachedManagedPolicies)
	if d.PermissionsBoundary != nil {
		f["user.boundary"] = ""
	}
	for range d.GroupList {
		f["user.group"] = ""
	}
	keys, err := r.iam.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: &u.name})
	if err != nil {
		return err
	}
	for _, k := range keys.AccessKeyMetadata {
		f["user.key."+*k.AccessKeyId] = string(k.Status)
		secret := u.keys[*k.AccessKeyId]
		if secret == "" {
			continue
		}
		// A key does what its status says.
		_, err := r.stsAs(server.Credentials{AccessKeyID: *k.AccessKeyId, SecretAccessKey: secret}).GetCallerIdentity(ctx, nil)
		if (err == nil) != (k.Status == types.StatusTypeActive) {
			if err != nil && outcomeOf(err) != refused {
				return err
			}
			f["user.key."+*k.AccessKeyId] += fmt.Sprintf(", but its use: %v", err)
		}
	}
	login, err := r.iam.GetLoginProfile(ctx, &iam.GetLoginProfileInput{UserName: &u.name})
	if code(err) == "NoSuchEntity" {
		return nil
	}
	if err == nil {
		f["user.login"] = strconv.FormatBool(login.LoginProfile.PasswordResetRequired)
	}
	return err
}

func readRole(ctx context.Context, r *reading, u *unit, f facts) error {
	d, ok := r.details.roles[u.name]
	if !ok {
		return nil
	}
	f.readHangers("role", d.Tags, d.RolePolicyList, d.AttachedManagedPolicies)
	f["role.trust"] = plain(d.AssumeRolePolicyDocument)
	if d.PermissionsBoundary != nil {
		f["role.boundary"] = ""
	}
	g, err := r.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &u.name})
	if err != nil {
		return err
	}
	f["role"], f["role.session"] = aws.ToString(g.Role.Description), fmt.Sprint(*g.Role.MaxSessionDuration)
	if u.session == (server.Credentials{}) {
		return nil
	}
	// A session that was given holds as long as its role.
	if _, err := r.stsAs(u.session).GetCallerIdentity(ctx, nil); err != nil {
		if outcomeOf(err) != refused {
			return err
		}
		f["role.use"] = fmt.Sprintf("its session is refused: %v", err)
	}
	return nil
}

var errWrong = errors.New("wrong answer")
