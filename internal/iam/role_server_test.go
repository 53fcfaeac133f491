package iam_test

import (
	"fmt"
	"net/url"
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

// trustOf is a trust policy for one AWS principal.
func trustOf(principal string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"sts:AssumeRole"}]}`
}

const accountRoot = "arn:aws:iam::" + servertest.Account + ":root"

func (b *bench) createRole(t *testing.T, name string) *types.Role {
	t.Helper()
	return must(b.admin.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: str(trustOf(accountRoot))}))(t).Role
}

func (b *bench) getRole(t *testing.T, name string) *types.Role {
	t.Helper()
	return must(b.admin.GetRole(t.Context(), &sdk.GetRoleInput{RoleName: &name}))(t).Role
}

// trust is the trust policy of a role as it is shown.
func (b *bench) trust(t *testing.T, name string) string {
	t.Helper()
	text, err := url.PathUnescape(*b.getRole(t, name).AssumeRolePolicyDocument)
	ok(t, err)
	return text
}

func TestRoleLife(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		trust := "{ \"Version\":\"2008-10-17\",\n \"Statement\" : {\"Sid\":\"a b\",\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"lambda.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"} }"
		made := must(b.admin.CreateRole(t.Context(), &sdk.CreateRoleInput{
			RoleName: str("App"), Path: str("/apps/blue/"), AssumeRolePolicyDocument: &trust, Description: str("does things"), MaxSessionDuration: new(int32(7200)),
			Tags: []types.Tag{{Key: str("Team"), Value: str("blue")}},
		}))(t).Role
		if !regexp.MustCompile(`^AROA[A-Z0-9]{17}$`).MatchString(*made.RoleId) {
			t.Errorf("id %s", *made.RoleId)
		}
		if *made.RoleName != "App" || *made.Path != "/apps/blue/" || *made.Arn != "arn:aws:iam::111122223333:role/apps/blue/App" || *made.Description != "does things" {
			t.Errorf("%+v", made)
		}
		if made.MaxSessionDuration != nil || made.RoleLastUsed != nil || len(made.Tags) != 1 || made.PermissionsBoundary != nil {
			t.Errorf("%+v", made)
		}
		if shown, err := url.PathUnescape(*made.AssumeRolePolicyDocument); err != nil || shown != trust || strings.ContainsAny(*made.AssumeRolePolicyDocument, " {\"\n") {
			t.Errorf("%v: %s", err, *made.AssumeRolePolicyDocument)
		}
		for _, name := range []string{"App", "app"} {
			got := b.getRole(t, name)
			if *got.RoleId != *made.RoleId || *got.RoleName != "App" || *got.MaxSessionDuration != 7200 || got.RoleLastUsed == nil || got.RoleLastUsed.LastUsedDate != nil ||
				len(got.Tags) != 1 || time.Since(*got.CreateDate) > time.Minute {
				t.Errorf("%s is %+v", name, got)
			}
		}
		if got := b.trust(t, "App"); got != trust {
			t.Errorf("trust policy comes back as %s", got)
		}
		// Nothing given keeps all.
		must(b.admin.UpdateRole(t.Context(), &sdk.UpdateRoleInput{RoleName: str("app")}))(t)
		if got := b.getRole(t, "App"); *got.Description != "does things" || *got.MaxSessionDuration != 7200 {
			t.Errorf("%+v", got)
		}
		must(b.admin.UpdateRole(t.Context(), &sdk.UpdateRoleInput{RoleName: str("app"), Description: str(""), MaxSessionDuration: new(int32(43200))}))(t)
		if got := b.getRole(t, "App"); got.Description != nil || *got.MaxSessionDuration != 43200 {
			t.Errorf("%+v", got)
		}
		old := must(b.admin.UpdateRoleDescription(t.Context(), &sdk.UpdateRoleDescriptionInput{RoleName: str("app"), Description: str("new")}))(t).Role
		if *old.Description != "new" || old.MaxSessionDuration != nil || *old.RoleId != *made.RoleId {
			t.Errorf("%+v", old)
		}
		must(b.admin.UpdateAssumeRolePolicy(t.Context(), &sdk.UpdateAssumeRolePolicyInput{RoleName: str("app"), PolicyDocument: str(trustOf(accountRoot))}))(t)
		if got := b.trust(t, "App"); got != trustOf(accountRoot) {
			t.Errorf("trust policy is %s", got)
		}
		must(b.admin.DeleteRole(t.Context(), &sdk.DeleteRoleInput{RoleName: str("aPP")}))(t)
		_, err := b.admin.GetRole(t.Context(), &sdk.GetRoleInput{RoleName: str("App")})
		b.want(t, "GetRole", err, 404, "NoSuchEntity", "The role with name App cannot be found.")
		again := b.createRole(t, "app")
		if *again.RoleId == *made.RoleId || again.Tags != nil || *b.getRole(t, "app").MaxSessionDuration != 3600 {
			t.Errorf("%+v", again)
		}
	})
}

func TestListRoles(t *testing.T) {
	t.Parallel()
	b := start(t)
	for _, r := range [][2]string{{"zoe", "/test/"}, {"Anna", "/"}, {"bert", "/test-x/"}, {"dora", "/test/deep/"}} {
		must(b.admin.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: &r[0], Path: &r[1], AssumeRolePolicyDocument: str(trustOf(accountRoot)),
			Description: str("d"), Tags: []types.Tag{{Key: str("k"), Value: str("v")}}}))(t)
	}
	list := func(prefix string, size int32) (names []string) {
		for p := sdk.NewListRolesPaginator(b.admin, &sdk.ListRolesInput{MaxItems: &size, PathPrefix: &prefix}); p.HasMorePages(); {
			page := must(p.NextPage(t.Context()))(t)
			for _, r := range page.Roles {
				names = append(names, *r.RoleName)
				if r.Tags != nil || r.RoleLastUsed != nil || *r.MaxSessionDuration != 3600 || *r.Description != "d" {
					t.Errorf("listed as %+v", r)
				}
				if shown, err := url.PathUnescape(*r.AssumeRolePolicyDocument); err != nil || shown != trustOf(accountRoot) {
					t.Errorf("%v: %s", err, shown)
				}
			}
		}
		return names
	}
	for _, size := range []int32{1, 3, 1000} {
		for prefix, want := range map[string][]string{"/": {"Anna", "bert", "dora", "zoe"}, "/test": {"bert", "dora", "zoe"}, "/test/": {"dora", "zoe"}, "/none": nil} {
			if got := list(prefix, size); !slices.Equal(got, want) {
				t.Errorf("under %s by %d: %v", prefix, size, got)
			}
		}
	}
	_, err := b.admin.ListRoles(t.Context(), &sdk.ListRolesInput{Marker: str("AA")})
	b.want(t, "ListRoles", err, 400, "ValidationError", "Invalid Marker.")
}

func TestCreateRoleErrors(t *testing.T) {
	t.Parallel()
	b := start(t, servertest.Config(func(c *config.Config) { c.Quotas.Roles = 2 }))
	b.createRole(t, "one")
	create := func(in sdk.CreateRoleInput) error {
		in.RoleName = str("two")
		if in.AssumeRolePolicyDocument == nil {
			in.AssumeRolePolicyDocument = str(trustOf(accountRoot))
		}
		_, err := b.admin.CreateRole(t.Context(), &in)
		return err
	}
	const op = "CreateRole"
	_, err := b.admin.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: str("ONE"), AssumeRolePolicyDocument: str(trustOf(accountRoot))})
	b.want(t, op, err, 409, "EntityAlreadyExists", "Role with name ONE already exists.")
	b.want(t, op, create(sdk.CreateRoleInput{Tags: []types.Tag{{Key: str("A"), Value: str("")}, {Key: str("a"), Value: str("")}}}), 400, "InvalidInput",
		"Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	b.want(t, op, create(sdk.CreateRoleInput{PermissionsBoundary: str("arn:aws:iam::111122223333:policy/none")}), 404, "NoSuchEntity",
		"Scope ARN: arn:aws:iam::111122223333:policy/none does not exist or is not attachable.")
	b.want(t, op, create(sdk.CreateRoleInput{PermissionsBoundary: str("arn:aws:iam::aws:role/somebody")}), 400, "InvalidInput", "ARN arn:aws:iam::aws:role/somebody is not valid.")
	for _, seconds := range []int32{3599, 43201} {
		if err := create(sdk.CreateRoleInput{MaxSessionDuration: &seconds}); err == nil || !strings.Contains(err.Error(), "'maxSessionDuration'") {
			t.Errorf("%d seconds: %v", seconds, err)
		}
	}
	long := strings.Replace(trustOf(accountRoot), "sts:AssumeRole", "sts:AssumeRole"+strings.Repeat("*", 1950), 1)
	b.want(t, op, create(sdk.CreateRoleInput{AssumeRolePolicyDocument: &long}), 409, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048")
	// White space is free.
	ok(t, create(sdk.CreateRoleInput{AssumeRolePolicyDocument: str(trustOf(accountRoot) + strings.Repeat(" ", 2048))}))
	_, err = b.admin.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: str("three"), AssumeRolePolicyDocument: str(trustOf(accountRoot))})
	b.want(t, op, err, 409, "LimitExceeded", "Cannot exceed quota for RolesPerAccount: 2")
	tagged := &sdk.CreateRoleInput{RoleName: str("four"), AssumeRolePolicyDocument: str(trustOf(accountRoot)), Tags: []types.Tag{{Key: str("k"), Value: str("v")}}}
	for action, policy := range map[string]string{"CreateRole": servertest.Allow("*", "iam:TagRole"), "TagRole": servertest.Allow("*", "iam:CreateRole")} {
		_, err = b.as(b.User(t, "without-"+action, policy)).CreateRole(t.Context(), tagged)
		b.want(t, op, err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/without-"+action+" is not authorized to perform: iam:"+action+
			" on resource: arn:aws:iam::111122223333:role/four because no identity-based policy allows the iam:"+action+" action")
	}
	_, err = b.admin.UpdateAssumeRolePolicy(t.Context(), &sdk.UpdateAssumeRolePolicyInput{RoleName: str("one"), PolicyDocument: &long})
	b.want(t, "UpdateAssumeRolePolicy", err, 409, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048")
}

func TestMalformedTrustPolicies(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.createRole(t, "app")
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[{` + s + `}]}` }
	const allow = `"Effect":"Allow","Action":"sts:AssumeRole",`
	trust := func(principal string) string { return statement(allow + `"Principal":{` + principal + `}`) }
	for text, message := range map[string]string{
		`{`: "This policy contains invalid Json",
		`{"Version":"2012-10-17","Statement":[]}`:                                                   "Syntax errors in policy.",
		statement(`"Principal":"*",` + allow + `"Resource":"*"`):                                    "Has prohibited field Resource",
		statement(`"Effect":"Allow","Principal":"*","Action":"iam:GetUser"`):                        "AssumeRole policy may only specify STS AssumeRole actions.",
		trust(`"AWS":"arn:aws:iam::111122223333:user/nobody"`):                                      `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/nobody"`,
		trust(`"AWS":"arn:aws:iam::111122223333:role/nobody"`):                                      `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:role/nobody"`,
		trust(`"AWS":"arn:aws:iam::111122223333:user/x/admin"`):                                     `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/x/admin"`,
		trust(`"AWS":"arn:aws:iam::111122223333:user/ADMIN"`):                                       `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/ADMIN"`,
		trust(`"AWS":"arn:aws:iam::999988887777:root"`):                                             `Invalid principal in policy: "AWS":"arn:aws:iam::999988887777:root"`,
		trust(`"AWS":"999988887777"`):                                                               `Invalid principal in policy: "AWS":"999988887777"`,
		trust(`"AWS":"arn:aws:iam::111122223333:group/all"`):                                        `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:group/all"`,
		trust(`"AWS":"arn:aws:iam::111122223333:user/*"`):                                           `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/*"`,
		trust(`"AWS":"AIDAAAAAAAAAAAAAAAAAA"`):                                                      `Invalid principal in policy: "AWS":"AIDAAAAAAAAAAAAAAAAAA"`,
		trust(`"AWS":"arn:aws:sts::111122223333:assumed-role/none/x"`):                              `Invalid principal in policy: "AWS":"arn:aws:sts::111122223333:assumed-role/none/x"`,
		trust(`"Service":"lambda.example.com"`):                                                     `Invalid principal in policy: "SERVICE":"lambda.example.com"`,
		trust(`"Federated":"no host"`):                                                              `Invalid principal in policy: "FEDERATED":"no host"`,
		trust(`"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"`): `Invalid principal in policy: "CANONICALUSER":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"`,
	} {
		_, err := b.admin.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: str("other"), AssumeRolePolicyDocument: &text})
		b.want(t, "CreateRole", err, 400, "MalformedPolicyDocument", message)
		_, err = b.admin.UpdateAssumeRolePolicy(t.Context(), &sdk.UpdateAssumeRolePolicyInput{RoleName: str("app"), PolicyDocument: &text})
		b.want(t, "UpdateAssumeRolePolicy", err, 400, "MalformedPolicyDocument", message)
	}
	for _, text := range []string{
		trust(`"AWS":"*"`), trust(`"AWS":"111122223333"`), trust(`"AWS":"arn:aws:sts::111122223333:assumed-role/app/x"`),
		trust(`"Service":"secretsmanager.amazonaws.com"`), trust(`"Federated":"arn:aws:iam::111122223333:oidc-provider/example.com/x"`),
		trust(`"AWS":["arn:aws:iam::111122223333:role/app","arn:aws:iam::111122223333:user/admin"]`),
	} {
		must(b.admin.UpdateAssumeRolePolicy(t.Context(), &sdk.UpdateAssumeRolePolicyInput{RoleName: str("app"), PolicyDocument: &text}))(t)
		if got := b.trust(t, "app"); got != text {
			t.Errorf("%s comes back as %s", text, got)
		}
	}
	// A caller that may not put one does not learn what is wrong with it.
	stranger := b.as(b.User(t, "stranger", ""))
	_, err := stranger.UpdateAssumeRolePolicy(t.Context(), &sdk.UpdateAssumeRolePolicyInput{RoleName: str("app"), PolicyDocument: str("{")})
	b.want(t, "UpdateAssumeRolePolicy", err, 403, "AccessDenied",
		"User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:UpdateAssumeRolePolicy on resource: role app because no identity-based policy allows the iam:UpdateAssumeRolePolicy action")
}

// The text of a trusted user in the place of a provider does not keep the user's from
// being bound.
func TestTrustIsBoundBesideProviders(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.createUser("bob", "")
	bob := must(b.admin.GetUser(t.Context(), &sdk.GetUserInput{UserName: str("bob")}))(t).User
	text := func(user string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + user + `","Federated":"` + *bob.Arn + `"},"Action":"sts:AssumeRole"}]}`
	}
	given := text(*bob.Arn)
	must(b.admin.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: str("app"), AssumeRolePolicyDocument: &given}))(t)
	must(b.admin.DeleteUser(t.Context(), &sdk.DeleteUserInput{UserName: str("bob")}))(t)
	b.createUser("bob", "")
	if got := b.trust(t, "app"); got != text(*bob.UserId) {
		t.Errorf("who was made again is trusted: %s", got)
	}
}

// TestTrustIsBound: whoever is made again under the name of one that was trusted
// is not; the policy shows the id of the one who was.
func TestTrustIsBound(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		b.createUser("bob", "/x/")
		bob := *must(b.admin.GetUser(t.Context(), &sdk.GetUserInput{UserName: str("bob")}))(t).User.UserId
		caller := b.createRole(t, "caller")
		text := func(user, role string) string {
			return "{\"Version\":\"2012-10-17\",\n\t\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"" + user + "\",\n\"" + role + "\"]},\"Action\":\"sts:AssumeRole\"}]}"
		}
		given := text("arn:aws:iam::111122223333:user/x/bob", *caller.Arn)
		must(b.admin.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: str("app"), AssumeRolePolicyDocument: &given}))(t)
		if got := b.trust(t, "app"); got != given {
			t.Errorf("shown as %s", got)
		}
		must(b.admin.UpdateUser(t.Context(), &sdk.UpdateUserInput{UserName: str("bob"), NewUserName: str("rob"), NewPath: str("/y/")}))(t)
		if got, want := b.trust(t, "app"), text("arn:aws:iam::111122223333:user/y/rob", *caller.Arn); got != want {
			t.Errorf("after the user was renamed: %s", got)
		}
		must(b.admin.DeleteUser(t.Context(), &sdk.DeleteUserInput{UserName: str("rob")}))(t)
		must(b.admin.DeleteRole(t.Context(), &sdk.DeleteRoleInput{RoleName: str("caller")}))(t)
		b.createUser("bob", "/x/")
		b.createRole(t, "caller")
		dead := text(bob, *caller.RoleId)
		if got := b.trust(t, "app"); got != dead {
			t.Errorf("shown as %s, want %s", got, dead)
		}
		listed := must(b.admin.ListRoles(t.Context(), nil))(t).Roles[0]
		if got, _ := url.PathUnescape(*listed.AssumeRolePolicyDocument); got != dead {
			t.Errorf("listed as %s", got)
		}
		// The text with the dead is refused, and taken once they are named anew.
		_, err := b.admin.UpdateAssumeRolePolicy(t.Context(), &sdk.UpdateAssumeRolePolicyInput{RoleName: str("app"), PolicyDocument: &dead})
		b.want(t, "UpdateAssumeRolePolicy", err, 400, "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"`+bob+`"`)
		must(b.admin.UpdateAssumeRolePolicy(t.Context(), &sdk.UpdateAssumeRolePolicyInput{RoleName: str("app"), PolicyDocument: &given}))(t)
		if got := b.trust(t, "app"); got != given {
			t.Errorf("shown as %s", got)
		}
	})
}

func TestRoleTags(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.createRole(t, "app")
	tag := func(pairs ...string) error {
		in := &sdk.TagRoleInput{RoleName: str("app")}
		for i := 0; i < len(pairs); i += 2 {
			in.Tags = append(in.Tags, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
		}
		_, err := b.admin.TagRole(t.Context(), in)
		return err
	}
	tags := func(size int32) (out []string) {
		for p := sdk.NewListRoleTagsPaginator(b.admin, &sdk.ListRoleTagsInput{RoleName: str("app"), MaxItems: &size}); p.HasMorePages(); {
			for _, t := range must(p.NextPage(t.Context()))(t).Tags {
				out = append(out, *t.Key+"="+*t.Value)
			}
		}
		return out
	}
	if got := tags(1); got != nil {
		t.Errorf("untagged: %v", got)
	}
	ok(t, tag("Team", "blue", "a: b", "é"))
	ok(t, tag("team", "green", "Cost", ""))
	for _, size := range []int32{1, 2, 100} {
		if got, want := tags(size), []string{"Cost=", "a: b=é", "team=green"}; !slices.Equal(got, want) {
			t.Errorf("by %d: %v", size, got)
		}
	}
	must(b.admin.UntagRole(t.Context(), &sdk.UntagRoleInput{RoleName: str("app"), TagKeys: []string{"TEAM", "none"}}))(t)
	if got := b.getRole(t, "app").Tags; len(got) != 2 {
		t.Errorf("%+v", got)
	}
	b.want(t, "TagRole", tag("x", "", "X", ""), 400, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	var many []string
	for i := range 49 {
		many = append(many, fmt.Sprint("k", i), "")
	}
	b.want(t, "TagRole", tag(many...), 409, "LimitExceeded", "The number of tags has reached the maximum limit.")
	ok(t, tag(many[:96]...))
	_, err := b.admin.ListRoleTags(t.Context(), &sdk.ListRoleTagsInput{RoleName: str("app"), Marker: str("!")})
	b.want(t, "ListRoleTags", err, 400, "ValidationError", "Invalid Marker.")
	// Conditions see what is asked for and what is there.
	key := b.User(t, "tagger", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:TagRole","iam:UntagRole"],"Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["Cost"]},"StringEquals":{"iam:ResourceTag/k1":""}}},
		{"Effect":"Deny","Action":"iam:TagRole","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/Cost":"bad"}}}]}`)
	tagger := b.as(key)
	cost := func(value string) error {
		_, err := tagger.TagRole(t.Context(), &sdk.TagRoleInput{RoleName: str("app"), Tags: []types.Tag{{Key: str("Cost"), Value: &value}}})
		return err
	}
	ok(t, cost("good"))
	if err := cost("bad"); err == nil || !strings.Contains(err.Error(), "explicit deny") {
		t.Errorf("a value that is denied: %v", err)
	}
	_, err = tagger.UntagRole(t.Context(), &sdk.UntagRoleInput{RoleName: str("app"), TagKeys: []string{"Cost"}})
	ok(t, err)
	if _, err = tagger.UntagRole(t.Context(), &sdk.UntagRoleInput{RoleName: str("app"), TagKeys: []string{"k1"}}); err == nil {
		t.Error("a key that is not allowed was taken off")
	}
}

func TestDeleteRole(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.createRole(t, "app")
	p := b.createPolicy(t, "p", servertest.Allow("*", "iam:GetUser"))
	must(b.admin.PutRolePolicy(t.Context(), &sdk.PutRolePolicyInput{RoleName: str("app"), PolicyName: str("in"), PolicyDocument: str(servertest.Allow("*", "a:b"))}))(t)
	must(b.admin.AttachRolePolicy(t.Context(), &sdk.AttachRolePolicyInput{RoleName: str("app"), PolicyArn: p.Arn}))(t)
	del := func() error {
		_, err := b.admin.DeleteRole(t.Context(), &sdk.DeleteRoleInput{RoleName: str("app")})
		return err
	}
	b.want(t, "DeleteRole", del(), 409, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
	must(b.admin.DetachRolePolicy(t.Context(), &sdk.DetachRolePolicyInput{RoleName: str("app"), PolicyArn: p.Arn}))(t)
	b.want(t, "DeleteRole", del(), 409, "DeleteConflict", "Cannot delete entity, must delete policies first.")
	must(b.admin.DeleteRolePolicy(t.Context(), &sdk.DeleteRolePolicyInput{RoleName: str("app"), PolicyName: str("in")}))(t)
	ok(t, del())
	b.want(t, "DeleteRole", del(), 404, "NoSuchEntity", "The role with name app cannot be found.")
}

func TestNoSuchRole(t *testing.T) {
	t.Parallel()
	b := start(t)
	p := b.createPolicy(t, "p", servertest.Allow("*", "iam:GetUser"))
	stranger := b.as(b.User(t, "stranger", ""))
	for op, call := range b.onRole(b.admin, p.Arn) {
		b.want(t, op, call(), 404, "NoSuchEntity", "The role with name nobody cannot be found.")
	}
	for op, call := range b.onRole(stranger, p.Arn) {
		b.want(t, op, call(), 403, "AccessDenied",
			"User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:"+op+" on resource: role nobody because no identity-based policy allows the iam:"+op+" action")
	}
}

// onRole are all operations that name a role which must be there.
func (b *bench) onRole(c *sdk.Client, arn *string) map[string]func() error {
	ctx, name, p, doc := b.Context(), str("nobody"), str("p"), str(servertest.Allow("*", "a:b"))
	return map[string]func() error{
		"GetRole":    func() error { _, err := c.GetRole(ctx, &sdk.GetRoleInput{RoleName: name}); return err },
		"DeleteRole": func() error { _, err := c.DeleteRole(ctx, &sdk.DeleteRoleInput{RoleName: name}); return err },
		"UpdateRole": func() error { _, err := c.UpdateRole(ctx, &sdk.UpdateRoleInput{RoleName: name}); return err },
		"UpdateRoleDescription": func() error {
			_, err := c.UpdateRoleDescription(ctx, &sdk.UpdateRoleDescriptionInput{RoleName: name, Description: p})
			return err
		},
		"UpdateAssumeRolePolicy": func() error {
			_, err := c.UpdateAssumeRolePolicy(ctx, &sdk.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: str(trustOf(accountRoot))})
			return err
		},
		"TagRole": func() error {
			_, err := c.TagRole(ctx, &sdk.TagRoleInput{RoleName: name, Tags: []types.Tag{{Key: p, Value: p}}})
			return err
		},
		"UntagRole": func() error {
			_, err := c.UntagRole(ctx, &sdk.UntagRoleInput{RoleName: name, TagKeys: []string{"k"}})
			return err
		},
		"ListRoleTags": func() error { _, err := c.ListRoleTags(ctx, &sdk.ListRoleTagsInput{RoleName: name}); return err },
		"PutRolePolicy": func() error {
			_, err := c.PutRolePolicy(ctx, &sdk.PutRolePolicyInput{RoleName: name, PolicyName: p, PolicyDocument: doc})
			return err
		},
		"GetRolePolicy": func() error {
			_, err := c.GetRolePolicy(ctx, &sdk.GetRolePolicyInput{RoleName: name, PolicyName: p})
			return err
		},
		"DeleteRolePolicy": func() error {
			_, err := c.DeleteRolePolicy(ctx, &sdk.DeleteRolePolicyInput{RoleName: name, PolicyName: p})
			return err
		},
		"ListRolePolicies": func() error {
			_, err := c.ListRolePolicies(ctx, &sdk.ListRolePoliciesInput{RoleName: name})
			return err
		},
		"AttachRolePolicy": func() error {
			_, err := c.AttachRolePolicy(ctx, &sdk.AttachRolePolicyInput{RoleName: name, PolicyArn: arn})
			return err
		},
		"DetachRolePolicy": func() error {
			_, err := c.DetachRolePolicy(ctx, &sdk.DetachRolePolicyInput{RoleName: name, PolicyArn: arn})
			return err
		},
		"ListAttachedRolePolicies": func() error {
			_, err := c.ListAttachedRolePolicies(ctx, &sdk.ListAttachedRolePoliciesInput{RoleName: name})
			return err
		},
	}
}

func TestRolePolicyLife(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.createRole(t, "App")
	put := func(name, text string) error {
		_, err := b.admin.PutRolePolicy(t.Context(), &sdk.PutRolePolicyInput{RoleName: str("app"), PolicyName: &name, PolicyDocument: &text})
		return err
	}
	b.want(t, "PutRolePolicy", put("p", `{"Version":"2012-10-17","Statement":[]}`), 400, "MalformedPolicyDocument", "Syntax errors in policy.")
	ok(t, put("p", policyOf(6000)))
	ok(t, put("q", policyOf(4240)))
	b.want(t, "PutRolePolicy", put("r", policyOf(100)), 409, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role App")
	got := must(b.admin.GetRolePolicy(t.Context(), &sdk.GetRolePolicyInput{RoleName: str("app"), PolicyName: str("p")}))(t)
	if text, err := url.PathUnescape(*got.PolicyDocument); err != nil || text != policyOf(6000) || *got.RoleName != "App" || *got.PolicyName != "p" {
		t.Errorf("%v %s %s", err, *got.RoleName, *got.PolicyName)
	}
	first := must(b.admin.ListRolePolicies(t.Context(), &sdk.ListRolePoliciesInput{RoleName: str("app"), MaxItems: new(int32(1))}))(t)
	rest := must(b.admin.ListRolePolicies(t.Context(), &sdk.ListRolePoliciesInput{RoleName: str("app"), Marker: first.Marker}))(t)
	if !slices.Equal(first.PolicyNames, []string{"p"}) || !slices.Equal(rest.PolicyNames, []string{"q"}) || rest.IsTruncated {
		t.Errorf("%v %v", first.PolicyNames, rest.PolicyNames)
	}
	must(b.admin.DeleteRolePolicy(t.Context(), &sdk.DeleteRolePolicyInput{RoleName: str("app"), PolicyName: str("p")}))(t)
	_, err := b.admin.DeleteRolePolicy(t.Context(), &sdk.DeleteRolePolicyInput{RoleName: str("app"), PolicyName: str("p")})
	b.want(t, "DeleteRolePolicy", err, 404, "NoSuchEntity", "The role policy with name p cannot be found.")
	_, err = b.admin.GetRolePolicy(t.Context(), &sdk.GetRolePolicyInput{RoleName: str("app"), PolicyName: str("p")})
	b.want(t, "GetRolePolicy", err, 404, "NoSuchEntity", "The role policy with name p cannot be found.")
}
