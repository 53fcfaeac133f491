package iam_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

func (b *bench) createGroup(t *testing.T, name, path string) *types.Group {
	t.Helper()
	in := &sdk.CreateGroupInput{GroupName: &name}
	if path != "" {
		in.Path = &path
	}
	return must(b.admin.CreateGroup(t.Context(), in))(t).Group
}

func (b *bench) join(group, user string) error {
	_, err := b.admin.AddUserToGroup(b.Context(), &sdk.AddUserToGroupInput{GroupName: &group, UserName: &user})
	return err
}

func (b *bench) leave(group, user string) error {
	_, err := b.admin.RemoveUserFromGroup(b.Context(), &sdk.RemoveUserFromGroupInput{GroupName: &group, UserName: &user})
	return err
}

func TestGroupLife(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		made := b.createGroup(t, "Readers", "/teams/")
		if !regexp.MustCompile(`^AGPA[A-Z0-9]{17}$`).MatchString(*made.GroupId) || *made.GroupName != "Readers" || *made.Path != "/teams/" ||
			*made.Arn != "arn:aws:iam::111122223333:group/teams/Readers" || made.CreateDate == nil {
			t.Errorf("%+v", made)
		}
		for _, name := range []string{"Carl", "anna", "Bob", "dora"} {
			b.createUser(name, "/p/")
			ok(t, b.join("readers", strings.ToUpper(name)))
			ok(t, b.join("READERS", name)) // again
		}
		members := func(size int32) (names []string) {
			for p := sdk.NewGetGroupPaginator(b.admin, &sdk.GetGroupInput{GroupName: str("readers"), MaxItems: &size}); p.HasMorePages(); {
				page := must(p.NextPage(t.Context()))(t)
				if *page.Group.GroupId != *made.GroupId || page.IsTruncated != (page.Marker != nil) {
					t.Errorf("group %s, truncated %v", *page.Group.GroupId, page.IsTruncated)
				}
				for _, u := range page.Users {
					names = append(names, *u.UserName)
				}
			}
			return names
		}
		for _, size := range []int32{1, 3, 4, 1000} {
			if got := members(size); !slices.Equal(got, []string{"anna", "Bob", "Carl", "dora"}) {
				t.Errorf("by %d: %v", size, got)
			}
		}
		ok(t, b.leave("readers", "carl"))
		ok(t, b.leave("readers", "carl")) // no member any more
		if got := members(10); !slices.Equal(got, []string{"anna", "Bob", "dora"}) {
			t.Errorf("members %v", got)
		}
		for _, g := range []string{"alpha", "Omega"} {
			b.createGroup(t, g, "")
			ok(t, b.join(g, "bob"))
		}
		var names []string
		for p := sdk.NewListGroupsForUserPaginator(b.admin, &sdk.ListGroupsForUserInput{UserName: str("bob"), MaxItems: new(int32(2))}); p.HasMorePages(); {
			for _, g := range must(p.NextPage(t.Context()))(t).Groups {
				names = append(names, *g.Arn)
			}
		}
		if want := []string{"arn:aws:iam::111122223333:group/alpha", "arn:aws:iam::111122223333:group/Omega", "arn:aws:iam::111122223333:group/teams/Readers"}; !slices.Equal(names, want) {
			t.Errorf("bob's groups: %v", names)
		}
		// Under another name it is the same group.
		must(b.admin.UpdateGroup(t.Context(), &sdk.UpdateGroupInput{GroupName: str("readers"), NewGroupName: str("READERS")}))(t)
		must(b.admin.UpdateGroup(t.Context(), &sdk.UpdateGroupInput{GroupName: str("readers"), NewGroupName: str("writers"), NewPath: str("/new/")}))(t)
		got := must(b.admin.GetGroup(t.Context(), &sdk.GetGroupInput{GroupName: str("writers")}))(t)
		if *got.Group.GroupId != *made.GroupId || *got.Group.Arn != "arn:aws:iam::111122223333:group/new/writers" || len(got.Users) != 3 || !got.Group.CreateDate.Equal(*made.CreateDate) {
			t.Errorf("%+v with %d users", got.Group, len(got.Users))
		}
		must(b.admin.UpdateGroup(t.Context(), &sdk.UpdateGroupInput{GroupName: str("writers")}))(t)
		list := func(prefix string, size int32) (names []string) {
			for p := sdk.NewListGroupsPaginator(b.admin, &sdk.ListGroupsInput{PathPrefix: &prefix, MaxItems: &size}); p.HasMorePages(); {
				for _, g := range must(p.NextPage(t.Context()))(t).Groups {
					names = append(names, *g.GroupName)
				}
			}
			return names
		}
		for _, size := range []int32{1, 2, 3, 100} {
			if got := list("/", size); !slices.Equal(got, []string{"alpha", "Omega", "writers"}) {
				t.Errorf("by %d: %v", size, got)
			}
		}
		if got := list("/ne", 10); !slices.Equal(got, []string{"writers"}) {
			t.Errorf("under /ne: %v", got)
		}
		// One made again under the old name has none of the members.
		for _, u := range []string{"anna", "bob", "dora"} {
			ok(t, b.leave("writers", u))
		}
		must(b.admin.DeleteGroup(t.Context(), &sdk.DeleteGroupInput{GroupName: str("WRITERS")}))(t)
		b.createGroup(t, "writers", "")
		if got := must(b.admin.GetGroup(t.Context(), &sdk.GetGroupInput{GroupName: str("writers")}))(t); len(got.Users) != 0 || *got.Group.GroupId == *made.GroupId {
			t.Errorf("%+v with %d users", got.Group, len(got.Users))
		}
	})
}

func TestGroupErrors(t *testing.T) {
	t.Parallel()
	b := start(t, servertest.Config(func(c *config.Config) { c.Quotas.Groups = 11 }))
	b.createUser("bob", "")
	create := func(name string) error {
		_, err := b.admin.CreateGroup(t.Context(), &sdk.CreateGroupInput{GroupName: &name})
		return err
	}
	for i := range 10 {
		ok(t, create(fmt.Sprint("g", i)))
		ok(t, b.join(fmt.Sprint("g", i), "bob"))
	}
	b.want(t, "CreateGroup", create("G1"), 409, "EntityAlreadyExists", "Group with name G1 already exists.")
	ok(t, create("eleventh"))
	b.want(t, "CreateGroup", create("twelfth"), 409, "LimitExceeded", "Cannot exceed quota for GroupsPerAccount: 11")
	b.want(t, "AddUserToGroup", b.join("eleventh", "bob"), 409, "LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10")
	ok(t, b.join("g3", "bob")) // no further one
	rename := func(from, to string) error {
		_, err := b.admin.UpdateGroup(t.Context(), &sdk.UpdateGroupInput{GroupName: &from, NewGroupName: &to})
		return err
	}
	b.want(t, "UpdateGroup", rename("g1", "G2"), 409, "EntityAlreadyExists", "Group with name G2 already exists.")
	remove := func(name string) error {
		_, err := b.admin.DeleteGroup(t.Context(), &sdk.DeleteGroupInput{GroupName: &name})
		return err
	}
	b.want(t, "DeleteGroup", remove("g1"), 409, "DeleteConflict", "Cannot delete entity, must remove users from group first.")
	_, err := b.admin.DeleteUser(t.Context(), &sdk.DeleteUserInput{UserName: str("bob")})
	b.want(t, "DeleteUser", err, 409, "DeleteConflict", "Cannot delete entity, must remove users from group first.")
	for op, call := range b.onGroup(b.admin, "nothing", "bob") {
		b.want(t, op, call(), 404, "NoSuchEntity", "The group with name nothing cannot be found.")
	}
	// Of a missing user and a missing group the user is told about.
	for _, group := range []string{"g1", "nothing"} {
		b.want(t, "AddUserToGroup", b.join(group, "nobody"), 404, "NoSuchEntity", "The user with name nobody cannot be found.")
		b.want(t, "RemoveUserFromGroup", b.leave(group, "nobody"), 404, "NoSuchEntity", "The user with name nobody cannot be found.")
	}
	_, err = b.admin.ListGroupsForUser(t.Context(), &sdk.ListGroupsForUserInput{UserName: str("nobody")})
	b.want(t, "ListGroupsForUser", err, 404, "NoSuchEntity", "The user with name nobody cannot be found.")
	_, err = b.admin.ListGroups(t.Context(), &sdk.ListGroupsInput{Marker: str("!")})
	b.want(t, "ListGroups", err, 400, "ValidationError", "Invalid Marker.")
	_, err = b.admin.GetGroup(t.Context(), &sdk.GetGroupInput{GroupName: str("g1"), Marker: str("!")})
	b.want(t, "GetGroup", err, 400, "ValidationError", "Invalid Marker.")
	_, err = b.admin.ListGroupsForUser(t.Context(), &sdk.ListGroupsForUserInput{UserName: str("bob"), Marker: str("!")})
	b.want(t, "ListGroupsForUser", err, 400, "ValidationError", "Invalid Marker.")
}

// onGroup are all operations that name a group which must be there.
func (b *bench) onGroup(c *sdk.Client, group, user string) map[string]func() error {
	ctx := b.Context()
	return map[string]func() error{
		"GetGroup":    func() error { _, err := c.GetGroup(ctx, &sdk.GetGroupInput{GroupName: &group}); return err },
		"DeleteGroup": func() error { _, err := c.DeleteGroup(ctx, &sdk.DeleteGroupInput{GroupName: &group}); return err },
		"UpdateGroup": func() error {
			_, err := c.UpdateGroup(ctx, &sdk.UpdateGroupInput{GroupName: &group, NewPath: str("/x/")})
			return err
		},
		"AddUserToGroup": func() error {
			_, err := c.AddUserToGroup(ctx, &sdk.AddUserToGroupInput{GroupName: &group, UserName: &user})
			return err
		},
		"RemoveUserFromGroup": func() error {
			_, err := c.RemoveUserFromGroup(ctx, &sdk.RemoveUserFromGroupInput{GroupName: &group, UserName: &user})
			return err
		},
	}
}

func TestGroupDenials(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.createGroup(t, "present", "/hidden/")
	stranger := b.as(b.User(t, "stranger", ""))
	denied := func(op, resource string, err error) {
		t.Helper()
		b.want(t, op, err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:"+op+
			" on resource: "+resource+" because no identity-based policy allows the iam:"+op+" action")
	}
	for _, group := range []string{"present", "absent"} {
		for _, user := range []string{"stranger", "nobody"} {
			for op, call := range b.onGroup(stranger, group, user) {
				denied(op, "group "+group, call())
			}
		}
		_, err := stranger.CreateGroup(t.Context(), &sdk.CreateGroupInput{GroupName: &group})
		denied("CreateGroup", "arn:aws:iam::111122223333:group/"+group, err)
	}
	_, err := stranger.ListGroups(t.Context(), nil)
	denied("ListGroups", "arn:aws:iam::111122223333:group/", err)
	_, err = stranger.ListGroupsForUser(t.Context(), &sdk.ListGroupsForUserInput{UserName: str("stranger")})
	denied("ListGroupsForUser", "user stranger", err)
	// Whoever renames needs the right to both names.
	half := b.as(b.User(t, "half", servertest.Allow("arn:aws:iam::111122223333:group/hidden/*", "iam:UpdateGroup")))
	_, err = half.UpdateGroup(t.Context(), &sdk.UpdateGroupInput{GroupName: str("present"), NewPath: str("/")})
	if err == nil || !strings.Contains(err.Error(), "iam:UpdateGroup on resource: arn:aws:iam::111122223333:group/present because") {
		t.Errorf("%v", err)
	}
	must(half.UpdateGroup(t.Context(), &sdk.UpdateGroupInput{GroupName: str("present"), NewPath: str("/hidden/more/")}))(t)
}

func TestUpdateUser(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		key := b.User(t, "Bob", servertest.Allow("*", "iam:GetUser", "iam:ListAccessKeys"))
		before := must(b.admin.GetUser(t.Context(), &sdk.GetUserInput{UserName: str("bob")}))(t).User
		b.createGroup(t, "readers", "")
		ok(t, b.join("readers", "bob"))
		must(b.admin.TagUser(t.Context(), &sdk.TagUserInput{UserName: str("bob"), Tags: []types.Tag{{Key: str("k"), Value: str("v")}}}))(t)
		must(b.admin.UpdateUser(t.Context(), &sdk.UpdateUserInput{UserName: str("bob"), NewUserName: str("Robert"), NewPath: str("/new/")}))(t)
		// The key is the same, and its holder has the new name at once.
		u := must(b.as(key).GetUser(t.Context(), nil))(t).User
		if *u.UserName != "Robert" || *u.Arn != "arn:aws:iam::111122223333:user/new/Robert" || *u.UserId != *before.UserId || len(u.Tags) != 1 || !u.CreateDate.Equal(*before.CreateDate) {
			t.Errorf("%+v", u)
		}
		if n := len(must(b.as(key).ListAccessKeys(t.Context(), nil))(t).AccessKeyMetadata); n != 1 {
			t.Errorf("%d keys", n)
		}
		if g := must(b.admin.GetGroup(t.Context(), &sdk.GetGroupInput{GroupName: str("readers")}))(t); len(g.Users) != 1 || *g.Users[0].UserName != "Robert" {
			t.Errorf("members %+v", g.Users)
		}
		if p := must(b.admin.ListUserPolicies(t.Context(), &sdk.ListUserPoliciesInput{UserName: str("robert")}))(t).PolicyNames; len(p) != 1 {
			t.Errorf("policies %v", p)
		}
		_, err := b.admin.GetUser(t.Context(), &sdk.GetUserInput{UserName: str("bob")})
		b.want(t, "GetUser", err, 404, "NoSuchEntity", "The user with name bob cannot be found.")
		// Only the case, only the path, nothing at all.
		for _, in := range []sdk.UpdateUserInput{{NewUserName: str("ROBERT")}, {NewPath: str("/")}, {}} {
			in.UserName = str("robert")
			must(b.admin.UpdateUser(t.Context(), &in))(t)
		}
		if u := must(b.as(key).GetUser(t.Context(), nil))(t).User; *u.Arn != "arn:aws:iam::111122223333:user/ROBERT" {
			t.Errorf("%s", *u.Arn)
		}
		b.createUser("taken", "")
		_, err = b.admin.UpdateUser(t.Context(), &sdk.UpdateUserInput{UserName: str("robert"), NewUserName: str("Taken")})
		b.want(t, "UpdateUser", err, 409, "EntityAlreadyExists", "User with name Taken already exists.")
		_, err = b.admin.UpdateUser(t.Context(), &sdk.UpdateUserInput{UserName: str("nobody")})
		b.want(t, "UpdateUser", err, 404, "NoSuchEntity", "The user with name nobody cannot be found.")
		// Renaming needs the right to both names.
		half := b.as(b.User(t, "half", servertest.Allow("arn:aws:iam::111122223333:user/taken", "iam:UpdateUser")))
		_, err = half.UpdateUser(t.Context(), &sdk.UpdateUserInput{UserName: str("taken"), NewUserName: str("admin2")})
		b.want(t, "UpdateUser", err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/half is not authorized to perform: iam:UpdateUser on resource: "+
			"arn:aws:iam::111122223333:user/admin2 because no identity-based policy allows the iam:UpdateUser action")
	})
}

func TestUserTags(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.createUser("bob", "")
	tag := func(pairs ...string) error {
		in := &sdk.TagUserInput{UserName: str("bob")}
		for i := 0; i < len(pairs); i += 2 {
			in.Tags = append(in.Tags, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
		}
		_, err := b.admin.TagUser(t.Context(), in)
		return err
	}
	list := func(size int32) (out []string) {
		for p := sdk.NewListUserTagsPaginator(b.admin, &sdk.ListUserTagsInput{UserName: str("bob"), MaxItems: &size}); p.HasMorePages(); {
			for _, t := range must(p.NextPage(t.Context()))(t).Tags {
				out = append(out, *t.Key+"="+*t.Value)
			}
		}
		return out
	}
	if got := list(10); got != nil {
		t.Errorf("at first %v", got)
	}
	ok(t, tag("Team", "blue", "empty", ""))
	ok(t, tag("TEAM", "red", "a/b", "c"))
	for _, size := range []int32{1, 2, 50} {
		if got := list(size); !slices.Equal(got, []string{"TEAM=red", "a/b=c", "empty="}) {
			t.Errorf("by %d: %v", size, got)
		}
	}
	must(b.admin.UntagUser(t.Context(), &sdk.UntagUserInput{UserName: str("bob"), TagKeys: []string{"team", "none"}}))(t)
	if got := list(10); !slices.Equal(got, []string{"a/b=c", "empty="}) {
		t.Errorf("then %v", got)
	}
	b.want(t, "TagUser", tag("x", "", "X", ""), 400, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	var many []string
	for i := range 49 {
		many = append(many, fmt.Sprint("k", i), "v")
	}
	b.want(t, "TagUser", tag(many...), 409, "LimitExceeded", "The number of tags has reached the maximum limit.")
	ok(t, tag(many[2:]...))
	_, err := b.admin.ListUserTags(t.Context(), &sdk.ListUserTagsInput{UserName: str("bob"), Marker: str("!")})
	b.want(t, "ListUserTags", err, 400, "ValidationError", "Invalid Marker.")
	// Tags decide as soon as they are there.
	tagger := b.as(b.User(t, "tagger", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:TagUser","iam:UntagUser"],"Resource":"*",
		"Condition":{"StringEquals":{"aws:ResourceTag/empty":""},"ForAllValues:StringEquals":{"aws:TagKeys":["empty","k1"]}}}]}`))
	untag := func(key string) error {
		_, err := tagger.UntagUser(t.Context(), &sdk.UntagUserInput{UserName: str("bob"), TagKeys: []string{key}})
		return err
	}
	ok(t, untag("k1"))
	for _, key := range []string{"k2", "empty", "k1"} {
		if err := untag(key); (err == nil) != (key == "empty") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
