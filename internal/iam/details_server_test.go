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

// described is an account's details in words.
type described struct{ users, groups, roles, policies []string }

func (b *bench) describe(t *testing.T, in sdk.GetAccountAuthorizationDetailsInput) (all described, pages int) {
	t.Helper()
	attached := func(list []types.AttachedPolicy) (names []string) {
		for _, a := range list {
			if !strings.HasSuffix(*a.PolicyArn, "/"+*a.PolicyName) {
				t.Errorf("%s is %s", *a.PolicyArn, *a.PolicyName)
			}
			names = append(names, *a.PolicyName)
		}
		return names
	}
	inline := func(list []types.PolicyDetail) (names []string) {
		for _, p := range list {
			if text, err := url.PathUnescape(*p.PolicyDocument); err != nil || !strings.Contains(text, `"Statement"`) {
				t.Errorf("%s is %s", *p.PolicyName, *p.PolicyDocument)
			}
			names = append(names, *p.PolicyName)
		}
		return names
	}
	bound := func(p *types.AttachedPermissionsBoundary) string {
		if p == nil {
			return ""
		}
		return *p.PermissionsBoundaryArn
	}
	for p := sdk.NewGetAccountAuthorizationDetailsPaginator(b.admin, &in); p.HasMorePages(); {
		page := must(p.NextPage(t.Context()))(t)
		pages++
		n := len(page.UserDetailList) + len(page.GroupDetailList) + len(page.RoleDetailList) + len(page.Policies)
		if in.MaxItems != nil && n > int(*in.MaxItems) || page.IsTruncated != (page.Marker != nil) {
			t.Errorf("%d items, truncated %v", n, page.IsTruncated)
		}
		if page.UserDetailList == nil || page.GroupDetailList == nil || page.RoleDetailList == nil || page.Policies == nil {
			t.Error("a list is missing")
		}
		for _, u := range page.UserDetailList {
			all.users = append(all.users, words(*u.UserName, inline(u.UserPolicyList), attached(u.AttachedManagedPolicies), u.GroupList, bound(u.PermissionsBoundary), len(u.Tags)))
		}
		for _, g := range page.GroupDetailList {
			all.groups = append(all.groups, words(*g.GroupName, inline(g.GroupPolicyList), attached(g.AttachedManagedPolicies)))
		}
		for _, r := range page.RoleDetailList {
			trust, err := url.PathUnescape(*r.AssumeRolePolicyDocument)
			ok(t, err)
			if r.InstanceProfileList == nil || r.RoleLastUsed == nil || trust != trustOf("arn:aws:iam::111122223333:user/admin") {
				t.Errorf("%s: %+v", trust, r)
			}
			all.roles = append(all.roles, words(*r.RoleName, inline(r.RolePolicyList), attached(r.AttachedManagedPolicies), bound(r.PermissionsBoundary), len(r.Tags)))
		}
		for _, m := range page.Policies {
			var versions []string
			for _, v := range m.PolicyVersionList {
				if text, err := url.PathUnescape(*v.Document); err != nil || !strings.Contains(text, `"Statement"`) {
					t.Errorf("%s", text)
				}
				versions = append(versions, *v.VersionId)
			}
			all.policies = append(all.policies, words(*m.PolicyName, versions, *m.DefaultVersionId, *m.AttachmentCount, *m.PermissionsBoundaryUsageCount))
		}
	}
	return all, pages
}

// words are values with a blank between each two.
func words(v ...any) string { return strings.Join(strings.Fields(fmt.Sprintln(v...)), " ") }

func TestAccountAuthorizationDetails(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		trust, admins := trustOf("arn:aws:iam::111122223333:user/admin"), str(administrator)
		p := b.createPolicy(t, "Own", servertest.Allow("*", "a:b"))
		b.createPolicy(t, "unused", servertest.Allow("*", "a:b"))
		must(b.createVersion(t, p.Arn, servertest.Allow("*", "c:d"), true))(t)
		for _, name := range []string{"Zoe", "bert", "carl"} {
			tags := []types.Tag{{Key: str("k"), Value: str("v")}}
			must(b.admin.CreateUser(t.Context(), &sdk.CreateUserInput{UserName: &name, Tags: tags, PermissionsBoundary: admins}))(t)
			must(b.admin.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: &name, Tags: tags, PermissionsBoundary: p.Arn, AssumeRolePolicyDocument: &trust}))(t)
		}
		ok(t, b.put("zoe", "one", servertest.Allow("*", "a:b")))
		ok(t, b.put("zoe", "two", servertest.Allow("*", "a:b")))
		must(b.admin.AttachUserPolicy(t.Context(), &sdk.AttachUserPolicyInput{UserName: str("zoe"), PolicyArn: p.Arn}))(t)
		must(b.admin.AttachUserPolicy(t.Context(), &sdk.AttachUserPolicyInput{UserName: str("bert"), PolicyArn: admins}))(t)
		must(b.admin.AttachRolePolicy(t.Context(), &sdk.AttachRolePolicyInput{RoleName: str("carl"), PolicyArn: admins}))(t)
		must(b.admin.PutRolePolicy(t.Context(), &sdk.PutRolePolicyInput{RoleName: str("bert"), PolicyName: str("in"), PolicyDocument: str(servertest.Allow("*", "a:b"))}))(t)
		must(b.admin.CreateGroup(t.Context(), &sdk.CreateGroupInput{GroupName: str("Team")}))(t)
		must(b.admin.PutGroupPolicy(t.Context(), &sdk.PutGroupPolicyInput{GroupName: str("team"), PolicyName: str("in"), PolicyDocument: str(servertest.Allow("*", "a:b"))}))(t)
		must(b.admin.AttachGroupPolicy(t.Context(), &sdk.AttachGroupPolicyInput{GroupName: str("team"), PolicyArn: admins}))(t)
		must(b.admin.AddUserToGroup(t.Context(), &sdk.AddUserToGroupInput{GroupName: str("team"), UserName: str("carl")}))(t)
		want := described{
			groups: []string{"Team [in] [AdministratorAccess]"},
			users: []string{"admin [AdministratorAccess] [] [] 0", "bert [] [AdministratorAccess] [] " + administrator + " 1", "carl [] [] [Team] " + administrator + " 1",
				"Zoe [one two] [Own] [] " + administrator + " 1"},
			roles:    []string{"bert [in] [] " + *p.Arn + " 1", "carl [] [AdministratorAccess] " + *p.Arn + " 1", "Zoe [] [] " + *p.Arn + " 1"},
			policies: []string{"Own [v2 v1] v2 1 3", "unused [v1] v1 0 0", "AdministratorAccess [v1] v1 3 3"},
		}
		check := func(name string, got, want described) {
			t.Helper()
			if !slices.Equal(got.users, want.users) || !slices.Equal(got.roles, want.roles) || !slices.Equal(got.policies, want.policies) || !slices.Equal(got.groups, want.groups) {
				t.Errorf("%s:\n%q\nwant\n%q", name, got, want)
			}
		}
		for _, size := range []int32{1, 2, 3, 4, 5, 7, 11, 1000} {
			got, pages := b.describe(t, sdk.GetAccountAuthorizationDetailsInput{MaxItems: &size})
			check(fmt.Sprint("by ", size), got, want)
			if least := (11 + int(size) - 1) / int(size); pages != least {
				t.Errorf("by %d: %d pages, want %d", size, pages, least)
			}
		}
		for kind, part := range map[types.EntityType]described{
			types.EntityTypeUser: {users: want.users}, types.EntityTypeRole: {roles: want.roles}, types.EntityTypeGroup: {groups: want.groups},
			types.EntityTypeLocalManagedPolicy: {policies: want.policies[:2]}, types.EntityTypeAWSManagedPolicy: {policies: want.policies[2:]},
		} {
			got, _ := b.describe(t, sdk.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{kind}, MaxItems: new(int32(1))})
			check(string(kind), got, part)
		}
		got, _ := b.describe(t, sdk.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{types.EntityTypeAWSManagedPolicy, types.EntityTypeUser}, MaxItems: new(int32(2))})
		check("two kinds", got, described{users: want.users, policies: want.policies[2:]})
	})
}

// TestDetailsAreBounded: white space is free in policies, and a page is not to grow
// with it.
func TestDetailsAreBounded(t *testing.T) {
	t.Parallel()
	b := start(t)
	blank := strings.Repeat(" ", 120_000)
	var want []string
	for i := range 40 {
		name := fmt.Sprintf("p%02d", i)
		b.createPolicy(t, name, servertest.Allow("*", "a:b")+blank)
		want = append(want, name+" [v1] v1 0 0")
	}
	got, pages := b.describe(t, sdk.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{types.EntityTypeLocalManagedPolicy}})
	if !slices.Equal(got.policies, want) || pages != 3 {
		t.Errorf("%d pages: %v", pages, got.policies)
	}
	for _, marker := range []string{"AA", "VXNlci8A", "eA"} {
		_, err := b.admin.GetAccountAuthorizationDetails(t.Context(), &sdk.GetAccountAuthorizationDetailsInput{Marker: &marker})
		b.want(t, "GetAccountAuthorizationDetails", err, 400, "ValidationError", "Invalid Marker.")
	}
	stranger := b.as(b.User(t, "stranger", ""))
	_, err := stranger.GetAccountAuthorizationDetails(t.Context(), nil)
	b.want(t, "GetAccountAuthorizationDetails", err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: "+
		"iam:GetAccountAuthorizationDetails on resource: * because no identity-based policy allows the iam:GetAccountAuthorizationDetails action")
}

func TestServiceLinkedRoles(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.createRole(t, "app")
	_, err := b.admin.CreateServiceLinkedRole(t.Context(), &sdk.CreateServiceLinkedRoleInput{AWSServiceName: str("lambda.amazonaws.com")})
	b.want(t, "CreateServiceLinkedRole", err, 400, "InvalidInput", "The service lambda.amazonaws.com has no service-linked role.")
	_, err = b.admin.DeleteServiceLinkedRole(t.Context(), &sdk.DeleteServiceLinkedRoleInput{RoleName: str("App")})
	b.want(t, "DeleteServiceLinkedRole", err, 404, "NoSuchEntity", "The role with name app is not a service-linked role.")
	_, err = b.admin.DeleteServiceLinkedRole(t.Context(), &sdk.DeleteServiceLinkedRoleInput{RoleName: str("nobody")})
	b.want(t, "DeleteServiceLinkedRole", err, 404, "NoSuchEntity", "The role with name nobody cannot be found.")
	fenced := b.as(b.User(t, "fenced", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:CreateServiceLinkedRole","Resource":"*","Condition":{"StringEquals":{"iam:AWSServiceName":"a.amazonaws.com"}}}]}`))
	for service, code := range map[string]string{"a.amazonaws.com": "InvalidInput", "b.amazonaws.com": "AccessDenied"} {
		if _, err := fenced.CreateServiceLinkedRole(t.Context(), &sdk.CreateServiceLinkedRoleInput{AWSServiceName: &service}); err == nil || !strings.Contains(err.Error(), code) {
			t.Errorf("%s: %v", service, err)
		}
	}
}
