package crash

import (
	"encoding/base32"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/strongroom/strongroom/internal/servertest"
)

// seeds are those of the MFA devices, which the server shows once: by data
// directory and id.
var seeds sync.Map

func serial(id string) *string {
	return aws.String("arn:aws:iam::" + servertest.Account + ":mfa/" + id)
}

func (c *clients) newDevice(id string) {
	c.Helper()
	out, err := c.iam.CreateVirtualMFADevice(c.ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: &id})
	c.must(err)
	seed, err := base32.StdEncoding.DecodeString(string(out.VirtualMFADevice.Base32StringSeed))
	c.must(err)
	seeds.Store(c.server.Dir+id, seed)
}

// newUserAndDevice makes both, not yet for each other.
func (c *clients) newUserAndDevice(id string) {
	c.Helper()
	c.newUser(id)
	c.newDevice(id)
}

func (c *clients) newUserWithDevice(id string) {
	c.Helper()
	c.newUserAndDevice(id)
	_, err := c.enable(id)
	c.must(err)
}

func (c *clients) enable(id string) (*iam.EnableMFADeviceOutput, error) {
	seed, _ := seeds.Load(c.server.Dir + id)
	now := time.Now()
	return c.iam.EnableMFADevice(c.ctx, &iam.EnableMFADeviceInput{UserName: &id, SerialNumber: serial(id),
		AuthenticationCode1: aws.String(servertest.TOTP(seed.([]byte), now.Add(-30*time.Second))), AuthenticationCode2: aws.String(servertest.TOTP(seed.([]byte), now))})
}

// deviceState says whether there is a device of that name, and whose it is.
func (c *clients) deviceState(id string) string {
	c.Helper()
	out, err := c.iam.ListVirtualMFADevices(c.ctx, &iam.ListVirtualMFADevicesInput{})
	c.must(err)
	for _, d := range out.VirtualMFADevices {
		if *d.SerialNumber != *serial(id) {
			continue
		}
		if d.User == nil {
			return "nobody's"
		}
		return *d.User.UserName + "'s"
	}
	return "none"
}

func (c *clients) newGroup(id string) {
	c.Helper()
	_, err := c.iam.CreateGroup(c.ctx, &iam.CreateGroupInput{GroupName: &id})
	c.must(err)
}

// newUserAndGroup makes both, the one not in the other.
func (c *clients) newUserAndGroup(id string) {
	c.Helper()
	c.newUser(id)
	c.newGroup(id)
}

func (c *clients) newMember(id string) {
	c.Helper()
	c.newUserAndGroup(id)
	_, err := c.iam.AddUserToGroup(c.ctx, &iam.AddUserToGroupInput{GroupName: &id, UserName: &id})
	c.must(err)
}

func (c *clients) newTaggedUser(id string) {
	c.Helper()
	_, err := c.iam.CreateUser(c.ctx, &iam.CreateUserInput{UserName: &id, Tags: []iamtypes.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
	c.must(err)
}

// groupState says where a group is and who is in it.
func (c *clients) groupState(id string) string {
	c.Helper()
	out, err := c.iam.GetGroup(c.ctx, &iam.GetGroupInput{GroupName: &id})
	if code(err) == "NoSuchEntity" {
		return "none"
	}
	c.must(err)
	members := []string{*out.Group.Path}
	inline, err := c.iam.ListGroupPolicies(c.ctx, &iam.ListGroupPoliciesInput{GroupName: &id})
	c.must(err)
	attached, err := c.iam.ListAttachedGroupPolicies(c.ctx, &iam.ListAttachedGroupPoliciesInput{GroupName: &id})
	c.must(err)
	members = append(members, describe(map[string]any{"inline": inline.PolicyNames, "attached": attached.AttachedPolicies}))
	for _, u := range out.Users {
		members = append(members, *u.UserName)
	}
	return describe(members)
}

func groupChanges() []change {
	return []change{
		{"iam:CreateGroup", nil, simple(func(c *clients, id, target string) (*iam.CreateGroupOutput, error) {
			return c.iam.CreateGroup(c.ctx, &iam.CreateGroupInput{GroupName: &id})
		}), false},
		{"iam:UpdateGroup", (*clients).newGroup, simple(func(c *clients, id, target string) (*iam.UpdateGroupOutput, error) {
			return c.iam.UpdateGroup(c.ctx, &iam.UpdateGroupInput{GroupName: &id, NewPath: aws.String("/moved/")})
		}), true},
		{"iam:DeleteGroup", (*clients).newGroup, simple(func(c *clients, id, target string) (*iam.DeleteGroupOutput, error) {
			return c.iam.DeleteGroup(c.ctx, &iam.DeleteGroupInput{GroupName: &id})
		}), false},
		{"iam:AddUserToGroup", (*clients).newUserAndGroup, simple(func(c *clients, id, target string) (*iam.AddUserToGroupOutput, error) {
			return c.iam.AddUserToGroup(c.ctx, &iam.AddUserToGroupInput{GroupName: &id, UserName: &id})
		}), true},
		{"iam:RemoveUserFromGroup", (*clients).newMember, simple(func(c *clients, id, target string) (*iam.RemoveUserFromGroupOutput, error) {
			return c.iam.RemoveUserFromGroup(c.ctx, &iam.RemoveUserFromGroupInput{GroupName: &id, UserName: &id})
		}), true},
		{"iam:UpdateUser", (*clients).newUser, simple(func(c *clients, id, target string) (*iam.UpdateUserOutput, error) {
			return c.iam.UpdateUser(c.ctx, &iam.UpdateUserInput{UserName: &id, NewPath: aws.String("/moved/")})
		}), true},
		{"iam:TagUser", (*clients).newUser, simple(func(c *clients, id, target string) (*iam.TagUserOutput, error) {
			return c.iam.TagUser(c.ctx, &iam.TagUserInput{UserName: &id, Tags: []iamtypes.Tag{{Key: aws.String("new"), Value: aws.String("v")}}})
		}), true},
		{"iam:UntagUser", (*clients).newTaggedUser, simple(func(c *clients, id, target string) (*iam.UntagUserOutput, error) {
			return c.iam.UntagUser(c.ctx, &iam.UntagUserInput{UserName: &id, TagKeys: []string{"k"}})
		}), true},
	}
}

func (c *clients) newLogin(id string) {
	c.Helper()
	c.newUser(id)
	_, err := c.iam.CreateLoginProfile(c.ctx, &iam.CreateLoginProfileInput{UserName: &id, Password: aws.String("the first Password 1")})
	c.must(err)
}

// loginState says whether a user has a password.
func (c *clients) loginState(id string) string {
	c.Helper()
	out, err := c.iam.GetLoginProfile(c.ctx, &iam.GetLoginProfileInput{UserName: &id})
	if code(err) == "NoSuchEntity" {
		return "none"
	}
	c.must(err)
	return describe(out.LoginProfile.PasswordResetRequired)
}

func credentialChanges() []change {
	return []change{
		{"iam:CreateLoginProfile", (*clients).newUser, simple(func(c *clients, id, target string) (*iam.CreateLoginProfileOutput, error) {
			return c.iam.CreateLoginProfile(c.ctx, &iam.CreateLoginProfileInput{UserName: &id, Password: aws.String("the first Password 1")})
		}), false},
		{"iam:UpdateLoginProfile", (*clients).newLogin, simple(func(c *clients, id, target string) (*iam.UpdateLoginProfileOutput, error) {
			return c.iam.UpdateLoginProfile(c.ctx, &iam.UpdateLoginProfileInput{UserName: &id, Password: aws.String("the second Password 2"), PasswordResetRequired: aws.Bool(true)})
		}), true},
		{"iam:DeleteLoginProfile", (*clients).newLogin, simple(func(c *clients, id, target string) (*iam.DeleteLoginProfileOutput, error) {
			return c.iam.DeleteLoginProfile(c.ctx, &iam.DeleteLoginProfileInput{UserName: &id})
		}), false},
		{"iam:ChangePassword", (*clients).newSelf, simple(func(c *clients, id, target string) (*iam.ChangePasswordOutput, error) {
			return c.as(id).ChangePassword(c.ctx, &iam.ChangePasswordInput{OldPassword: aws.String("the first Password 1"), NewPassword: aws.String("the second Password 2")})
		}), false},
		{"iam:CreateVirtualMFADevice", nil, simple(func(c *clients, id, target string) (*iam.CreateVirtualMFADeviceOutput, error) {
			return c.iam.CreateVirtualMFADevice(c.ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: &id})
		}), false},
		{"iam:EnableMFADevice", (*clients).newUserAndDevice, simple(func(c *clients, id, target string) (*iam.EnableMFADeviceOutput, error) {
			return c.enable(id)
		}), false},
		{"iam:DeactivateMFADevice", (*clients).newUserWithDevice, simple(func(c *clients, id, target string) (*iam.DeactivateMFADeviceOutput, error) {
			return c.iam.DeactivateMFADevice(c.ctx, &iam.DeactivateMFADeviceInput{UserName: &id, SerialNumber: serial(id)})
		}), false},
		{"iam:DeleteVirtualMFADevice", (*clients).newDevice, simple(func(c *clients, id, target string) (*iam.DeleteVirtualMFADeviceOutput, error) {
			return c.iam.DeleteVirtualMFADevice(c.ctx, &iam.DeleteVirtualMFADeviceInput{SerialNumber: serial(id)})
		}), false},
	}
}
