package iam_test

import (
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/strongroom/strongroom/internal/servertest"
)

// Denials say the same of a user that is there and of one that is not, its path
// included: a caller without rights learns nothing.
func TestDenials(t *testing.T) {
	b := start(t)
	b.createUser("present", "/hidden/path/")
	stranger := b.as(b.User(t, "stranger", ""))
	policy := str(servertest.Allow("*", "*"))
	for _, name := range []string{"present", "PRESENT", "absent"} {
		for op, call := range b.onUser(stranger, &name, policy, &b.Admin.AccessKeyID) {
			b.want(t, op, call(), 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:"+op+
				" on resource: user "+name+" because no identity-based policy allows the iam:"+op+" action")
		}
		_, err := stranger.CreateUser(t.Context(), &sdk.CreateUserInput{UserName: &name})
		b.want(t, "CreateUser", err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:CreateUser"+
			" on resource: arn:aws:iam::111122223333:user/"+name+" because no identity-based policy allows the iam:CreateUser action")
	}
	_, err := stranger.ListUsers(t.Context(), nil)
	b.want(t, "ListUsers", err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:ListUsers"+
		" on resource: arn:aws:iam::111122223333:user/ because no identity-based policy allows the iam:ListUsers action")
}

func TestExplicitDeny(t *testing.T) {
	b := start(t)
	key := b.User(t, "bob", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"iam:*","Resource":"arn:aws:iam::111122223333:user/vip/*"}]}`)
	b.createUser("star", "/vip/")
	client := b.as(key)
	must(client.GetUser(t.Context(), &sdk.GetUserInput{UserName: str("bob")}))(t)
	_, err := client.GetUser(t.Context(), &sdk.GetUserInput{UserName: str("star")})
	b.want(t, "GetUser", err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: iam:GetUser on resource: user star with an explicit deny in an identity-based policy")
}

func TestTagsDecide(t *testing.T) {
	b := start(t)
	key := b.User(t, "maker", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:CreateUser","iam:TagUser"],"Resource":"arn:aws:iam::*:user/*","Condition":{"StringEquals":{"aws:RequestTag/team":"blue","aws:ResourceTag/team":"blue"},"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}},
		{"Effect":"Allow","Action":"iam:GetUser","Resource":"*","Condition":{"StringEquals":{"iam:ResourceTag/team":"blue"}}},
		{"Effect":"Allow","Action":"iam:CreateUser","Resource":"arn:aws:iam::*:user/untagged"}]}`)
	client := b.as(key)
	create := func(name string, tags ...string) error {
		in := &sdk.CreateUserInput{UserName: &name}
		for i := 0; i < len(tags); i += 2 {
			in.Tags = append(in.Tags, types.Tag{Key: &tags[i], Value: &tags[i+1]})
		}
		_, err := client.CreateUser(t.Context(), in)
		return err
	}
	ok(t, create("a", "team", "blue"))
	ok(t, create("untagged"))
	for _, err := range []error{create("b"), create("b", "team", "red"), create("b", "team", "blue", "more", "x")} {
		if err == nil || !strings.Contains(err.Error(), "iam:CreateUser on resource: arn:aws:iam::111122223333:user/b because") {
			t.Errorf("%v", err)
		}
	}
	// Tags need a permission of their own.
	if err := create("untagged", "team", "red"); err == nil || !strings.Contains(err.Error(), "iam:TagUser on resource: arn:aws:iam::111122223333:user/untagged because") {
		t.Errorf("%v", err)
	}
	must(client.GetUser(t.Context(), &sdk.GetUserInput{UserName: str("a")}))(t)
	if _, err := client.GetUser(t.Context(), &sdk.GetUserInput{UserName: str("untagged")}); err == nil {
		t.Error("a user without the tag is shown")
	}
}

// Nothing crosses accounts: the same names, each its own.
func TestAccountsAreApart(t *testing.T) {
	b := start(t)
	otherAdmin := b.Account(t, "444455556666")
	other := b.as(otherAdmin)
	mine := b.User(t, "bob", servertest.Allow("*", "*"))
	must(other.CreateUser(t.Context(), &sdk.CreateUserInput{UserName: str("bob")}))(t)
	got := must(other.GetUser(t.Context(), &sdk.GetUserInput{UserName: str("bob")}))(t).User
	if *got.Arn != "arn:aws:iam::444455556666:user/bob" {
		t.Errorf("arn %s", *got.Arn)
	}
	if n := len(must(other.ListUsers(t.Context(), nil))(t).Users); n != 2 {
		t.Errorf("the other account lists %d users", n)
	}
	for _, name := range []*string{str("bob"), nil} {
		if n := len(must(other.ListAccessKeys(t.Context(), &sdk.ListAccessKeysInput{UserName: name}))(t).AccessKeyMetadata); n != map[bool]int{true: 1}[name == nil] {
			t.Errorf("it lists %d keys", n)
		}
	}
	for _, user := range []string{"bob", "admin"} {
		_, err := other.DeleteAccessKey(t.Context(), &sdk.DeleteAccessKeyInput{UserName: &user, AccessKeyId: &mine.AccessKeyID})
		b.want(t, "DeleteAccessKey", err, 404, "NoSuchEntity", "The Access Key with id "+mine.AccessKeyID+" cannot be found.")
		_, err = other.UpdateAccessKey(t.Context(), &sdk.UpdateAccessKeyInput{UserName: &user, AccessKeyId: &mine.AccessKeyID, Status: types.StatusTypeInactive})
		b.want(t, "UpdateAccessKey", err, 404, "NoSuchEntity", "The Access Key with id "+mine.AccessKeyID+" cannot be found.")
	}
	_, err := other.GetUserPolicy(t.Context(), &sdk.GetUserPolicyInput{UserName: str("bob"), PolicyName: str("test")})
	b.want(t, "GetUserPolicy", err, 404, "NoSuchEntity", "The user policy with name test cannot be found.")
	must(other.DeleteUser(t.Context(), &sdk.DeleteUserInput{UserName: str("bob")}))(t)
	must(b.as(mine).GetUser(t.Context(), nil))(t)
	// Not for root either.
	root := b.as(b.RootCredentials(t, "444455556666").Credentials)
	_, err = root.DeleteAccessKey(t.Context(), &sdk.DeleteAccessKeyInput{UserName: str("admin"), AccessKeyId: &mine.AccessKeyID})
	b.want(t, "DeleteAccessKey", err, 404, "NoSuchEntity", "The Access Key with id "+mine.AccessKeyID+" cannot be found.")
	if n := len(must(root.ListUsers(t.Context(), nil))(t).Users); n != 1 {
		t.Errorf("the other root lists %d users", n)
	}
}
