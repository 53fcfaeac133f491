package iam_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

func TestUserLife(t *testing.T) {
	b := start(t)
	made := must(b.admin.CreateUser(t.Context(), &sdk.CreateUserInput{
		UserName: str("Bob"), Path: str("/teams/blue/"), Tags: []types.Tag{{Key: str("Team"), Value: str("blue")}, {Key: str("empty"), Value: str("")}},
	}))(t).User
	if !regexp.MustCompile(`^AIDA[A-Z0-9]{17}$`).MatchString(*made.UserId) {
		t.Errorf("id %s", *made.UserId)
	}
	if *made.UserName != "Bob" || *made.Path != "/teams/blue/" || *made.Arn != "arn:aws:iam::111122223333:user/teams/blue/Bob" {
		t.Errorf("name %s, path %s, arn %s", *made.UserName, *made.Path, *made.Arn)
	}
	if d := time.Since(*made.CreateDate); d < -time.Second || d > time.Minute {
		t.Errorf("made %v ago", d)
	}
	if len(made.Tags) != 2 || *made.Tags[0].Key != "Team" || *made.Tags[1].Value != "" || made.PasswordLastUsed != nil || made.PermissionsBoundary != nil {
		t.Errorf("%+v", made)
	}
	// Names are found in any case and shown as they were given.
	for _, name := range []string{"Bob", "bob", "BOB"} {
		got := must(b.admin.GetUser(t.Context(), &sdk.GetUserInput{UserName: &name}))(t).User
		if *got.UserName != "Bob" || *got.UserId != *made.UserId || *got.Arn != *made.Arn || !got.CreateDate.Equal(*made.CreateDate) || len(got.Tags) != 2 {
			t.Errorf("%s is %+v", name, got)
		}
	}
	b.createUser("plain", "")
	plain := must(b.admin.GetUser(t.Context(), &sdk.GetUserInput{UserName: str("plain")}))(t).User
	if *plain.Path != "/" || *plain.Arn != "arn:aws:iam::111122223333:user/plain" || plain.Tags != nil {
		t.Errorf("%+v", plain)
	}
	// A user made again under an old name inherits nothing.
	ok(t, b.put("bob", "p", servertest.Allow("*", "*")))
	must(b.admin.DeleteUserPolicy(t.Context(), &sdk.DeleteUserPolicyInput{UserName: str("Bob"), PolicyName: str("p")}))(t)
	must(b.admin.DeleteUser(t.Context(), &sdk.DeleteUserInput{UserName: str("bOB")}))(t)
	b.createUser("bob", "")
	again := must(b.admin.GetUser(t.Context(), &sdk.GetUserInput{UserName: str("Bob")}))(t).User
	if *again.UserId == *made.UserId || *again.UserName != "bob" || len(again.Tags) != 0 {
		t.Errorf("%+v", again)
	}
}

func (b *bench) put(user, name, policy string) error {
	_, err := b.admin.PutUserPolicy(b.Context(), &sdk.PutUserPolicyInput{UserName: &user, PolicyName: &name, PolicyDocument: &policy})
	return err
}

func TestCreateUserErrors(t *testing.T) {
	b := start(t, servertest.Config(func(c *config.Config) { c.Quotas.Users = 3 }))
	b.createUser("one", "")
	create := func(in sdk.CreateUserInput) error {
		_, err := b.admin.CreateUser(t.Context(), &in)
		return err
	}
	tags := func(keys ...string) (out []types.Tag) {
		for _, k := range keys {
			out = append(out, types.Tag{Key: str(k), Value: str("v")})
		}
		return out
	}
	many := make([]string, 51)
	for i := range many {
		many[i] = fmt.Sprint("k", i)
	}
	const op = "CreateUser"
	b.want(t, op, create(sdk.CreateUserInput{UserName: str("ONE")}), 409, "EntityAlreadyExists", "User with name ONE already exists.")
	b.want(t, op, create(sdk.CreateUserInput{UserName: str("two"), Tags: tags("A", "a")}), 400, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	b.want(t, op, create(sdk.CreateUserInput{UserName: str("two"), Tags: tags(many...)}), 400, "ValidationError", "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50")
	b.want(t, op, create(sdk.CreateUserInput{UserName: str("two"), PermissionsBoundary: str("arn:aws:iam::111122223333:policy/p")}), 404, "NoSuchEntity", "Scope ARN: arn:aws:iam::111122223333:policy/p does not exist or is not attachable.")
	b.want(t, op, create(sdk.CreateUserInput{UserName: str("two"), PermissionsBoundary: str("arn:aws:iam::aws:role/somebody")}), 400, "InvalidInput", "ARN arn:aws:iam::aws:role/somebody is not valid.")
	b.want(t, op, create(sdk.CreateUserInput{UserName: str("a b"), Path: str("no-slash")}), 400, "ValidationError",
		"2 validation errors detected: Value at 'path' failed to satisfy constraint: Member must satisfy regular expression pattern: (\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F); Value at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]+")
	for _, name := range []string{strings.Repeat("n", 65), "a/b", "ü", "a\x00", "", " "} {
		if err := create(sdk.CreateUserInput{UserName: &name}); err == nil || !strings.Contains(err.Error(), "ValidationError") {
			t.Errorf("name %q: %v", name, err)
		}
	}
	// A raw client may leave out what the SDK insists on.
	a := b.Send(t, b.query(nil, "CreateUser"))
	code, message := a.Error()
	if a.Status != 400 || code != "ValidationError" || message != "1 validation error detected: Value at 'userName' failed to satisfy constraint: Member must not be null" {
		t.Errorf("%d %s: %s", a.Status, code, message)
	}
	errs.Note(t, op, code, message)
	// Nothing of all this was made: there is room for one more, and no more.
	ok(t, create(sdk.CreateUserInput{UserName: str(strings.Repeat("n", 64)), Tags: tags(many[:50]...)}))
	b.want(t, op, create(sdk.CreateUserInput{UserName: str("three")}), 409, "LimitExceeded", "Cannot exceed quota for UsersPerAccount: 3")
}

func TestListUsers(t *testing.T) {
	b := start(t)
	for _, u := range [][2]string{{"zoe", "/test/"}, {"Anna", ""}, {"bert", "/test-x/"}, {"Carl", "/tes/"}, {"dora", "/test/deep/"}} {
		b.createUser(u[0], u[1])
	}
	_, err := b.admin.CreateUser(t.Context(), &sdk.CreateUserInput{UserName: str("tagged"), Tags: []types.Tag{{Key: str("k"), Value: str("v")}}})
	ok(t, err)
	list := func(prefix string, size int32) (names []string) {
		in := &sdk.ListUsersInput{MaxItems: &size}
		if prefix != "" {
			in.PathPrefix = &prefix
		}
		for p := sdk.NewListUsersPaginator(b.admin, in); p.HasMorePages(); {
			page, err := p.NextPage(t.Context())
			ok(t, err)
			if len(page.Users) > int(size) || page.IsTruncated != (page.Marker != nil) {
				t.Errorf("%d users, truncated %v, marker %v", len(page.Users), page.IsTruncated, page.Marker)
			}
			for _, u := range page.Users {
				names = append(names, *u.UserName)
				if u.Tags != nil || u.PermissionsBoundary != nil {
					t.Errorf("%s is listed with tags or boundary", *u.UserName)
				}
			}
		}
		return names
	}
	all := []string{"admin", "Anna", "bert", "Carl", "dora", "tagged", "zoe"}
	for _, size := range []int32{1, 2, 3, 7, 1000} {
		if got := list("", size); !slices.Equal(got, all) {
			t.Errorf("by %d: %v", size, got)
		}
	}
	for prefix, want := range map[string][]string{"/": all, "/test": {"bert", "dora", "zoe"}, "/test/": {"dora", "zoe"}, "/none/": nil, "/%": nil, "/_est/": nil} {
		if got := list(prefix, 2); !slices.Equal(got, want) {
			t.Errorf("under %s: %v, want %v", prefix, got, want)
		}
	}
	// A user that was deleted between two pages does not stop the walk.
	first := must(b.admin.ListUsers(t.Context(), &sdk.ListUsersInput{MaxItems: new(int32(3))}))(t)
	must(b.admin.DeleteUser(t.Context(), &sdk.DeleteUserInput{UserName: str("bert")}))(t)
	rest := must(b.admin.ListUsers(t.Context(), &sdk.ListUsersInput{Marker: first.Marker}))(t)
	if len(rest.Users) != 4 || *rest.Users[0].UserName != "Carl" || rest.IsTruncated {
		t.Errorf("behind the deleted one: %d users", len(rest.Users))
	}
	for _, marker := range []string{"x", "!", "AA", "AAAA", "/w", strings.Repeat("YWFh", 80)} {
		_, err := b.admin.ListUsers(t.Context(), &sdk.ListUsersInput{Marker: &marker})
		b.want(t, "ListUsers", err, 400, "ValidationError", "Invalid Marker.")
	}
	for _, size := range []int32{0, -1, 1001} {
		if _, err := b.admin.ListUsers(t.Context(), &sdk.ListUsersInput{MaxItems: &size}); err == nil || !strings.Contains(err.Error(), "'maxItems'") {
			t.Errorf("%d items: %v", size, err)
		}
	}
}

func TestGetUserOfTheCaller(t *testing.T) {
	b := start(t)
	if u := must(b.admin.GetUser(t.Context(), nil))(t).User; *u.UserName != "admin" {
		t.Errorf("the caller is %s", *u.UserName)
	}
	root := b.as(b.RootCredentials(t, servertest.Account).Credentials)
	u := must(root.GetUser(t.Context(), nil))(t).User
	if u.UserName != nil || *u.Arn != "arn:aws:iam::111122223333:root" || *u.UserId != servertest.Account || u.CreateDate == nil {
		t.Errorf("root is %+v", u)
	}
	// Root may do all, but has no user for these to mean.
	const message = "Must specify userName when calling with non-User credentials"
	_, err := root.CreateAccessKey(t.Context(), nil)
	b.want(t, "CreateAccessKey", err, 400, "ValidationError", message)
	_, err = root.ListAccessKeys(t.Context(), nil)
	b.want(t, "ListAccessKeys", err, 400, "ValidationError", message)
	_, err = root.UpdateAccessKey(t.Context(), &sdk.UpdateAccessKeyInput{AccessKeyId: &b.Admin.AccessKeyID, Status: types.StatusTypeInactive})
	b.want(t, "UpdateAccessKey", err, 400, "ValidationError", message)
	_, err = root.DeleteAccessKey(t.Context(), &sdk.DeleteAccessKeyInput{AccessKeyId: &b.Admin.AccessKeyID})
	b.want(t, "DeleteAccessKey", err, 400, "ValidationError", message)
	must(root.CreateUser(t.Context(), &sdk.CreateUserInput{UserName: str("made-by-root")}))(t)
	if keys := must(root.ListAccessKeys(t.Context(), &sdk.ListAccessKeysInput{UserName: str("admin")}))(t).AccessKeyMetadata; len(keys) != 1 {
		t.Errorf("admin has %d keys", len(keys))
	}
}

func TestDeleteUser(t *testing.T) {
	b := start(t)
	key := b.User(t, "bob", servertest.Allow("*", "iam:GetUser"))
	del := func() error {
		_, err := b.admin.DeleteUser(t.Context(), &sdk.DeleteUserInput{UserName: str("bob")})
		return err
	}
	b.want(t, "DeleteUser", del(), 409, "DeleteConflict", "Cannot delete entity, must delete policies first.")
	must(b.admin.DeleteUserPolicy(t.Context(), &sdk.DeleteUserPolicyInput{UserName: str("bob"), PolicyName: str("test")}))(t)
	b.want(t, "DeleteUser", del(), 409, "DeleteConflict", "Cannot delete entity, must delete access keys first.")
	must(b.admin.DeleteAccessKey(t.Context(), &sdk.DeleteAccessKeyInput{UserName: str("bob"), AccessKeyId: &key.AccessKeyID}))(t)
	ok(t, del())
	b.want(t, "DeleteUser", del(), 404, "NoSuchEntity", "The user with name bob cannot be found.")
}

func TestNoSuchUser(t *testing.T) {
	b := start(t)
	name, policy := str("nobody"), str(servertest.Allow("*", "*"))
	key := &b.Admin.AccessKeyID
	for op, call := range b.onUser(b.admin, name, policy, key) {
		b.want(t, op, call(), 404, "NoSuchEntity", "The user with name nobody cannot be found.")
	}
	// A key of another user is none of this one's.
	b.createUser("bob", "")
	_, err := b.admin.UpdateAccessKey(t.Context(), &sdk.UpdateAccessKeyInput{UserName: str("bob"), AccessKeyId: key, Status: types.StatusTypeInactive})
	b.want(t, "UpdateAccessKey", err, 404, "NoSuchEntity", "The Access Key with id "+*key+" cannot be found.")
	_, err = b.admin.DeleteAccessKey(t.Context(), &sdk.DeleteAccessKeyInput{UserName: str("bob"), AccessKeyId: key})
	b.want(t, "DeleteAccessKey", err, 404, "NoSuchEntity", "The Access Key with id "+*key+" cannot be found.")
}

// onUser are all operations that name a user who must be there.
func (b *bench) onUser(c *sdk.Client, name, policy, key *string) map[string]func() error {
	ctx, p := b.Context(), str("p")
	return map[string]func() error{
		"GetUser":    func() error { _, err := c.GetUser(ctx, &sdk.GetUserInput{UserName: name}); return err },
		"DeleteUser": func() error { _, err := c.DeleteUser(ctx, &sdk.DeleteUserInput{UserName: name}); return err },
		"UpdateUser": func() error {
			_, err := c.UpdateUser(ctx, &sdk.UpdateUserInput{UserName: name})
			return err
		},
		"TagUser": func() error {
			_, err := c.TagUser(ctx, &sdk.TagUserInput{UserName: name, Tags: []types.Tag{{Key: p, Value: p}}})
			return err
		},
		"UntagUser": func() error {
			_, err := c.UntagUser(ctx, &sdk.UntagUserInput{UserName: name, TagKeys: []string{"p"}})
			return err
		},
		"ListUserTags": func() error {
			_, err := c.ListUserTags(ctx, &sdk.ListUserTagsInput{UserName: name})
			return err
		},
		"CreateAccessKey": func() error {
			_, err := c.CreateAccessKey(ctx, &sdk.CreateAccessKeyInput{UserName: name})
			return err
		},
		"UpdateAccessKey": func() error {
			_, err := c.UpdateAccessKey(ctx, &sdk.UpdateAccessKeyInput{UserName: name, AccessKeyId: key, Status: types.StatusTypeInactive})
			return err
		},
		"DeleteAccessKey": func() error {
			_, err := c.DeleteAccessKey(ctx, &sdk.DeleteAccessKeyInput{UserName: name, AccessKeyId: key})
			return err
		},
		"ListAccessKeys": func() error {
			_, err := c.ListAccessKeys(ctx, &sdk.ListAccessKeysInput{UserName: name})
			return err
		},
		"PutUserPolicy": func() error {
			_, err := c.PutUserPolicy(ctx, &sdk.PutUserPolicyInput{UserName: name, PolicyName: p, PolicyDocument: policy})
			return err
		},
		"GetUserPolicy": func() error {
			_, err := c.GetUserPolicy(ctx, &sdk.GetUserPolicyInput{UserName: name, PolicyName: p})
			return err
		},
		"DeleteUserPolicy": func() error {
			_, err := c.DeleteUserPolicy(ctx, &sdk.DeleteUserPolicyInput{UserName: name, PolicyName: p})
			return err
		},
		"ListUserPolicies": func() error {
			_, err := c.ListUserPolicies(ctx, &sdk.ListUserPoliciesInput{UserName: name})
			return err
		},
	}
}
