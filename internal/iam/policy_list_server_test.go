package iam_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/strongroom/strongroom/internal/iam/awsmanaged"
	"github.com/strongroom/strongroom/internal/servertest"
)

func TestListPolicies(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		arns := map[string]*string{}
		for _, p := range [][2]string{{"zoe", "/x/"}, {"Anna", "/"}, {"AdministratorAccess", "/"}, {"bert", "/x/y/"}} {
			arns[p[0]] = must(b.admin.CreatePolicy(t.Context(), &sdk.CreatePolicyInput{PolicyName: &p[0], Path: &p[1], Description: str("d"),
				PolicyDocument: str(servertest.Allow("*", "a:b")), Tags: []types.Tag{{Key: str("k"), Value: str("v")}}}))(t).Policy.Arn
		}
		own := []string{"AdministratorAccess", "Anna", "bert", "zoe"}
		var awsOwn []string
		for _, p := range awsmanaged.List() {
			awsOwn = append(awsOwn, p.Name)
		}
		slices.SortFunc(awsOwn, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
		b.createUser("it", "")
		b.createRole(t, "it")
		must(b.admin.AttachUserPolicy(t.Context(), &sdk.AttachUserPolicyInput{UserName: str("it"), PolicyArn: arns["Anna"]}))(t)
		must(b.admin.AttachRolePolicy(t.Context(), &sdk.AttachRolePolicyInput{RoleName: str("it"), PolicyArn: arns["Anna"]}))(t)
		must(b.admin.AttachRolePolicy(t.Context(), &sdk.AttachRolePolicyInput{RoleName: str("it"), PolicyArn: str(administrator)}))(t)
		must(b.admin.PutUserPermissionsBoundary(t.Context(), &sdk.PutUserPermissionsBoundaryInput{UserName: str("it"), PermissionsBoundary: arns["bert"]}))(t)
		must(b.admin.PutRolePermissionsBoundary(t.Context(), &sdk.PutRolePermissionsBoundaryInput{RoleName: str("it"), PermissionsBoundary: arns["bert"]}))(t)
		list := func(in sdk.ListPoliciesInput, size int32) (names []string) {
			in.MaxItems = &size
			for pages := sdk.NewListPoliciesPaginator(b.admin, &in); pages.HasMorePages(); {
				page := must(pages.NextPage(t.Context()))(t)
				if len(page.Policies) > int(size) || page.IsTruncated != (page.Marker != nil) {
					t.Errorf("%d policies, truncated %v", len(page.Policies), page.IsTruncated)
				}
				for _, p := range page.Policies {
					names = append(names, *p.PolicyName)
					if p.Tags != nil || p.Description != nil || p.DefaultVersionId == nil {
						t.Errorf("listed as %+v", p)
					}
					attached, bounds := int32(0), int32(0)
					switch *p.Arn {
					case *arns["Anna"]:
						attached = 2
					case administrator:
						attached = 1
					case *arns["bert"]:
						bounds = 2
					}
					if *p.AttachmentCount != attached || *p.PermissionsBoundaryUsageCount != bounds {
						t.Errorf("%s is attached to %d and bounds %d", *p.Arn, *p.AttachmentCount, *p.PermissionsBoundaryUsageCount)
					}
				}
			}
			return names
		}
		for _, size := range []int32{1, 3, 4, 5, 1000} {
			for name, tt := range map[string]struct {
				in   sdk.ListPoliciesInput
				want []string
			}{
				"all":                  {sdk.ListPoliciesInput{}, slices.Concat(own, awsOwn)},
				"all by name":          {sdk.ListPoliciesInput{Scope: types.PolicyScopeTypeAll}, slices.Concat(own, awsOwn)},
				"own":                  {sdk.ListPoliciesInput{Scope: types.PolicyScopeTypeLocal}, own},
				"AWS's":                {sdk.ListPoliciesInput{Scope: types.PolicyScopeTypeAws}, awsOwn},
				"under a path":         {sdk.ListPoliciesInput{PathPrefix: str("/x/")}, []string{"bert", "zoe"}},
				"AWS's under a path":   {sdk.ListPoliciesInput{PathPrefix: str("/service-role/")}, []string{"AWSLambdaBasicExecutionRole"}},
				"in use":               {sdk.ListPoliciesInput{OnlyAttached: true}, []string{"Anna", "bert", "AdministratorAccess"}},
				"in use, own":          {sdk.ListPoliciesInput{OnlyAttached: true, Scope: types.PolicyScopeTypeLocal}, []string{"Anna", "bert"}},
				"as permission":        {sdk.ListPoliciesInput{PolicyUsageFilter: types.PolicyUsageTypePermissionsPolicy}, []string{"Anna", "AdministratorAccess"}},
				"as boundary":          {sdk.ListPoliciesInput{PolicyUsageFilter: types.PolicyUsageTypePermissionsBoundary}, []string{"bert"}},
				"in use under no path": {sdk.ListPoliciesInput{OnlyAttached: true, PathPrefix: str("/none/")}, nil},
			} {
				if size < 3 && len(tt.want) > 10 {
					continue
				}
				if got := list(tt.in, size); !slices.Equal(got, tt.want) {
					t.Errorf("%s by %d: %v", name, size, got)
				}
			}
		}
		_, err := b.admin.DeletePolicy(t.Context(), &sdk.DeletePolicyInput{PolicyArn: arns["bert"]})
		b.want(t, "DeletePolicy", err, 409, "DeleteConflict", "Cannot delete a policy attached to entities.")
	})
}

func TestListPoliciesErrors(t *testing.T) {
	t.Parallel()
	b := start(t)
	for _, marker := range []string{"AA", "!", "Lw"} {
		_, err := b.admin.ListPolicies(t.Context(), &sdk.ListPoliciesInput{Marker: &marker})
		b.want(t, "ListPolicies", err, 400, "ValidationError", "Invalid Marker.")
	}
	stranger := b.as(b.User(t, "stranger", ""))
	_, err := stranger.ListPolicies(t.Context(), nil)
	b.want(t, "ListPolicies", err, 403, "AccessDenied",
		"User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:ListPolicies on resource: policy path / because no identity-based policy allows the iam:ListPolicies action")
}

func TestListEntitiesForPolicy(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		p := b.createPolicy(t, "p", servertest.Allow("*", "a:b"))
		for i, name := range []string{"Anna", "bert", "carl", "dora"} {
			path := []string{"/x/", "/"}[i%2]
			b.createUser(name, path)
			must(b.admin.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: &name, Path: &path, AssumeRolePolicyDocument: str(trustOf(accountRoot))}))(t)
			if name != "dora" {
				must(b.admin.AttachUserPolicy(t.Context(), &sdk.AttachUserPolicyInput{UserName: &name, PolicyArn: p.Arn}))(t)
				must(b.admin.AttachRolePolicy(t.Context(), &sdk.AttachRolePolicyInput{RoleName: &name, PolicyArn: p.Arn}))(t)
			}
			if name == "carl" || name == "dora" {
				must(b.admin.PutUserPermissionsBoundary(t.Context(), &sdk.PutUserPermissionsBoundaryInput{UserName: &name, PermissionsBoundary: p.Arn}))(t)
				must(b.admin.PutRolePermissionsBoundary(t.Context(), &sdk.PutRolePermissionsBoundaryInput{RoleName: &name, PermissionsBoundary: p.Arn}))(t)
			}
		}
		must(b.admin.CreateGroup(t.Context(), &sdk.CreateGroupInput{GroupName: str("Team")}))(t)
		must(b.admin.CreateGroup(t.Context(), &sdk.CreateGroupInput{GroupName: str("other")}))(t)
		must(b.admin.AttachGroupPolicy(t.Context(), &sdk.AttachGroupPolicyInput{GroupName: str("team"), PolicyArn: p.Arn}))(t)
		list := func(in sdk.ListEntitiesForPolicyInput, size int32) (users, roles, groups []string) {
			in.PolicyArn, in.MaxItems = p.Arn, &size
			for pages := sdk.NewListEntitiesForPolicyPaginator(b.admin, &in); pages.HasMorePages(); {
				page := must(pages.NextPage(t.Context()))(t)
				if n := len(page.PolicyUsers) + len(page.PolicyRoles) + len(page.PolicyGroups); n > int(size) {
					t.Errorf("%d on a page of %d", n, size)
				}
				for _, g := range page.PolicyGroups {
					groups = append(groups, *g.GroupName)
					if !strings.HasPrefix(*g.GroupId, "AGPA") {
						t.Errorf("%+v", g)
					}
				}
				for _, u := range page.PolicyUsers {
					users = append(users, *u.UserName)
					if !strings.HasPrefix(*u.UserId, "AIDA") {
						t.Errorf("%+v", u)
					}
				}
				for _, r := range page.PolicyRoles {
					roles = append(roles, *r.RoleName)
					if !strings.HasPrefix(*r.RoleId, "AROA") {
						t.Errorf("%+v", r)
					}
				}
			}
			return users, roles, groups
		}
		all := []string{"Anna", "bert", "carl", "dora"}
		for _, size := range []int32{1, 3, 4, 1000} {
			for name, tt := range map[string]struct {
				in                   sdk.ListEntitiesForPolicyInput
				users, roles, groups []string
			}{
				"all":            {sdk.ListEntitiesForPolicyInput{}, all, all, []string{"Team"}},
				"users":          {sdk.ListEntitiesForPolicyInput{EntityFilter: types.EntityTypeUser}, all, nil, nil},
				"roles":          {sdk.ListEntitiesForPolicyInput{EntityFilter: types.EntityTypeRole}, nil, all, nil},
				"groups":         {sdk.ListEntitiesForPolicyInput{EntityFilter: types.EntityTypeGroup}, nil, nil, []string{"Team"}},
				"attached":       {sdk.ListEntitiesForPolicyInput{PolicyUsageFilter: types.PolicyUsageTypePermissionsPolicy}, all[:3], all[:3], []string{"Team"}},
				"bounded":        {sdk.ListEntitiesForPolicyInput{PolicyUsageFilter: types.PolicyUsageTypePermissionsBoundary}, all[2:], all[2:], nil},
				"under a path":   {sdk.ListEntitiesForPolicyInput{PathPrefix: str("/x/")}, []string{"Anna", "carl"}, []string{"Anna", "carl"}, nil},
				"bounded, roles": {sdk.ListEntitiesForPolicyInput{PolicyUsageFilter: types.PolicyUsageTypePermissionsBoundary, EntityFilter: types.EntityTypeRole}, nil, all[2:], nil},
			} {
				if users, roles, groups := list(tt.in, size); !slices.Equal(users, tt.users) || !slices.Equal(roles, tt.roles) || !slices.Equal(groups, tt.groups) {
					t.Errorf("%s by %d: %v %v %v", name, size, users, roles, groups)
				}
			}
		}
		none := str("arn:aws:iam::111122223333:policy/none")
		_, err := b.admin.ListEntitiesForPolicy(t.Context(), &sdk.ListEntitiesForPolicyInput{PolicyArn: none})
		b.want(t, "ListEntitiesForPolicy", err, 404, "NoSuchEntity", "Policy "+*none+" does not exist or is not attachable.")
		for _, marker := range []string{"AA", "eC95"} { // NUL, "x/y"
			_, err = b.admin.ListEntitiesForPolicy(t.Context(), &sdk.ListEntitiesForPolicyInput{PolicyArn: p.Arn, Marker: &marker})
			b.want(t, "ListEntitiesForPolicy", err, 400, "ValidationError", "Invalid Marker.")
		}
	})
}

func TestBoundaries(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		p := b.createPolicy(t, "p", servertest.Allow("*", "iam:ListRoles"))
		bob := b.as(b.User(t, "bob", servertest.Allow("*", "iam:*")))
		boundary := func() *types.AttachedPermissionsBoundary {
			return must(b.admin.GetUser(t.Context(), &sdk.GetUserInput{UserName: str("bob")}))(t).User.PermissionsBoundary
		}
		must(bob.ListPolicies(t.Context(), nil))(t)
		must(b.admin.PutUserPermissionsBoundary(t.Context(), &sdk.PutUserPermissionsBoundaryInput{UserName: str("bob"), PermissionsBoundary: p.Arn}))(t)
		if got := boundary(); got == nil || *got.PermissionsBoundaryArn != *p.Arn || got.PermissionsBoundaryType != "Policy" {
			t.Errorf("%+v", got)
		}
		must(bob.ListRoles(t.Context(), nil))(t)
		_, err := bob.ListPolicies(t.Context(), nil)
		b.want(t, "ListPolicies", err, 403, "AccessDenied",
			"User: arn:aws:iam::111122223333:user/bob is not authorized to perform: iam:ListPolicies on resource: policy path / because no permissions boundary allows the iam:ListPolicies action")
		must(b.admin.PutUserPermissionsBoundary(t.Context(), &sdk.PutUserPermissionsBoundaryInput{UserName: str("bob"), PermissionsBoundary: str(administrator)}))(t)
		must(bob.ListPolicies(t.Context(), nil))(t)
		must(b.admin.DeletePolicy(t.Context(), &sdk.DeletePolicyInput{PolicyArn: p.Arn}))(t)
		for range 2 { // nothing to take away is no fault
			must(b.admin.DeleteUserPermissionsBoundary(t.Context(), &sdk.DeleteUserPermissionsBoundaryInput{UserName: str("bob")}))(t)
		}
		if got := boundary(); got != nil {
			t.Errorf("%+v", got)
		}
		// Made with one.
		must(b.admin.CreateUser(t.Context(), &sdk.CreateUserInput{UserName: str("carl"), PermissionsBoundary: str(administrator)}))(t)
		role := must(b.admin.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: str("app"), AssumeRolePolicyDocument: str(trustOf(accountRoot)), PermissionsBoundary: str(administrator)}))(t).Role
		if got := role.PermissionsBoundary; got == nil || *got.PermissionsBoundaryArn != administrator {
			t.Errorf("%+v", got)
		}
		for _, r := range must(b.admin.ListRoles(t.Context(), nil))(t).Roles {
			if r.PermissionsBoundary != nil {
				t.Errorf("listed as %+v", r)
			}
		}
		for _, u := range must(b.admin.ListUsers(t.Context(), nil))(t).Users {
			if u.PermissionsBoundary != nil {
				t.Errorf("listed as %+v", u)
			}
		}
		must(b.admin.DeleteRolePermissionsBoundary(t.Context(), &sdk.DeleteRolePermissionsBoundaryInput{RoleName: str("app")}))(t)
		if got := b.getRole(t, "app").PermissionsBoundary; got != nil {
			t.Errorf("%+v", got)
		}
	})
}

func TestBoundaryErrors(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.createUser("bob", "")
	b.createRole(t, "app")
	for _, e := range [][2]string{{"bob", "app"}, {"nobody", "nobody"}} {
		user, role := &e[0], &e[1]
		put := func(arn string) map[string]error {
			_, u := b.admin.PutUserPermissionsBoundary(t.Context(), &sdk.PutUserPermissionsBoundaryInput{UserName: user, PermissionsBoundary: &arn})
			_, r := b.admin.PutRolePermissionsBoundary(t.Context(), &sdk.PutRolePermissionsBoundaryInput{RoleName: role, PermissionsBoundary: &arn})
			return map[string]error{"PutUserPermissionsBoundary": u, "PutRolePermissionsBoundary": r}
		}
		for op, err := range put("arn:aws:iam::aws:role/somebody") {
			b.want(t, op, err, 400, "InvalidInput", "ARN arn:aws:iam::aws:role/somebody is not valid.")
		}
		if *user == "bob" {
			for op, err := range put("arn:aws:iam::111122223333:policy/none") {
				b.want(t, op, err, 404, "NoSuchEntity", "Scope ARN: arn:aws:iam::111122223333:policy/none does not exist or is not attachable.")
			}
			continue
		}
		for op, err := range put(administrator) {
			kind := map[bool]string{true: "user", false: "role"}[strings.Contains(op, "User")]
			b.want(t, op, err, 404, "NoSuchEntity", "The "+kind+" with name nobody cannot be found.")
		}
		_, err := b.admin.DeleteUserPermissionsBoundary(t.Context(), &sdk.DeleteUserPermissionsBoundaryInput{UserName: user})
		b.want(t, "DeleteUserPermissionsBoundary", err, 404, "NoSuchEntity", "The user with name nobody cannot be found.")
		_, err = b.admin.DeleteRolePermissionsBoundary(t.Context(), &sdk.DeleteRolePermissionsBoundaryInput{RoleName: role})
		b.want(t, "DeleteRolePermissionsBoundary", err, 404, "NoSuchEntity", "The role with name nobody cannot be found.")
	}
}

// TestDelegatedAdministration is the use that boundaries were made for (IAM User
// Guide, "Delegating responsibility"): a delegate may make users and roles and give
// them rights, but only under one boundary, which it cannot take away.
func TestDelegatedAdministration(t *testing.T) {
	t.Parallel()
	b := start(t)
	fence := b.createPolicy(t, "fence", servertest.Allow("*", "secretsmanager:*"))
	delegate := b.as(b.User(t, "delegate", fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:CreateUser","iam:CreateRole","iam:AttachUserPolicy","iam:AttachRolePolicy","iam:PutUserPolicy","iam:PutRolePolicy","iam:PutUserPermissionsBoundary",
			"iam:DeleteUserPermissionsBoundary","iam:UpdateRole","iam:DeleteRole"],"Resource":"*","Condition":{"StringEquals":{"iam:PermissionsBoundary":%q}}},
		{"Effect":"Deny","Action":"iam:DeleteUserPermissionsBoundary","Resource":"*"}]}`, *fence.Arn)))
	b.createUser("free", "")
	name, doc := str("new"), str(servertest.Allow("*", "*"))
	trust := str(trustOf(accountRoot))
	for _, tt := range []struct {
		name    string
		allowed bool
		call    func() error
	}{
		{"a user without the boundary", false, func() error {
			_, err := delegate.CreateUser(t.Context(), &sdk.CreateUserInput{UserName: name})
			return err
		}},
		{"a user with another", false, func() error {
			_, err := delegate.CreateUser(t.Context(), &sdk.CreateUserInput{UserName: name, PermissionsBoundary: str(administrator)})
			return err
		}},
		{"a user with it", true, func() error {
			_, err := delegate.CreateUser(t.Context(), &sdk.CreateUserInput{UserName: name, PermissionsBoundary: fence.Arn})
			return err
		}},
		{"a role with it", true, func() error {
			_, err := delegate.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: trust, PermissionsBoundary: fence.Arn})
			return err
		}},
		{"rights for the bounded user", true, func() error {
			_, err := delegate.PutUserPolicy(t.Context(), &sdk.PutUserPolicyInput{UserName: name, PolicyName: name, PolicyDocument: doc})
			return err
		}},
		{"more rights for it", true, func() error {
			_, err := delegate.AttachUserPolicy(t.Context(), &sdk.AttachUserPolicyInput{UserName: name, PolicyArn: str(administrator)})
			return err
		}},
		{"rights for the bounded role", true, func() error {
			_, err := delegate.PutRolePolicy(t.Context(), &sdk.PutRolePolicyInput{RoleName: name, PolicyName: name, PolicyDocument: doc})
			return err
		}},
		{"rights for a free user", false, func() error {
			_, err := delegate.PutUserPolicy(t.Context(), &sdk.PutUserPolicyInput{UserName: str("free"), PolicyName: name, PolicyDocument: doc})
			return err
		}},
		{"another boundary", false, func() error {
			_, err := delegate.PutUserPermissionsBoundary(t.Context(), &sdk.PutUserPermissionsBoundaryInput{UserName: name, PermissionsBoundary: str(administrator)})
			return err
		}},
		{"no boundary", false, func() error {
			_, err := delegate.DeleteUserPermissionsBoundary(t.Context(), &sdk.DeleteUserPermissionsBoundaryInput{UserName: name})
			return err
		}},
		{"a change of the bounded role", true, func() error {
			_, err := delegate.UpdateRole(t.Context(), &sdk.UpdateRoleInput{RoleName: name})
			return err
		}},
	} {
		if err := tt.call(); (err == nil) != tt.allowed || err != nil && !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
