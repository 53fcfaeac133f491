package iam_test

import (
	"fmt"
	"slices"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/strongroom/strongroom/internal/servertest"
)

// attached is one of the kinds of entity that policies are attached to.
type attached struct {
	kind, title, name string
	attach, detach    func(arn string) error
	list              func(prefix string, size int32) []string
}

// attachables makes one entity of each kind, named "it".
func (b *bench) attachables(t *testing.T) []attached {
	b.createUser("it", "")
	b.createRole(t, "it")
	it := str("it")
	must(b.admin.CreateGroup(t.Context(), &sdk.CreateGroupInput{GroupName: it}))(t)
	return []attached{
		{
			"user", "User", "it",
			func(arn string) error {
				_, err := b.admin.AttachUserPolicy(t.Context(), &sdk.AttachUserPolicyInput{UserName: it, PolicyArn: &arn})
				return err
			},
			func(arn string) error {
				_, err := b.admin.DetachUserPolicy(t.Context(), &sdk.DetachUserPolicyInput{UserName: it, PolicyArn: &arn})
				return err
			},
			func(prefix string, size int32) (names []string) {
				for p := sdk.NewListAttachedUserPoliciesPaginator(b.admin, &sdk.ListAttachedUserPoliciesInput{UserName: it, PathPrefix: &prefix, MaxItems: &size}); p.HasMorePages(); {
					for _, a := range must(p.NextPage(t.Context()))(t).AttachedPolicies {
						names = append(names, *a.PolicyName)
					}
				}
				return names
			},
		},
		{
			"group", "Group", "it",
			func(arn string) error {
				_, err := b.admin.AttachGroupPolicy(t.Context(), &sdk.AttachGroupPolicyInput{GroupName: it, PolicyArn: &arn})
				return err
			},
			func(arn string) error {
				_, err := b.admin.DetachGroupPolicy(t.Context(), &sdk.DetachGroupPolicyInput{GroupName: it, PolicyArn: &arn})
				return err
			},
			func(prefix string, size int32) (names []string) {
				for p := sdk.NewListAttachedGroupPoliciesPaginator(b.admin, &sdk.ListAttachedGroupPoliciesInput{GroupName: it, PathPrefix: &prefix, MaxItems: &size}); p.HasMorePages(); {
					for _, a := range must(p.NextPage(t.Context()))(t).AttachedPolicies {
						names = append(names, *a.PolicyName)
					}
				}
				return names
			},
		},
		{
			"role", "Role", "it",
			func(arn string) error {
				_, err := b.admin.AttachRolePolicy(t.Context(), &sdk.AttachRolePolicyInput{RoleName: it, PolicyArn: &arn})
				return err
			},
			func(arn string) error {
				_, err := b.admin.DetachRolePolicy(t.Context(), &sdk.DetachRolePolicyInput{RoleName: it, PolicyArn: &arn})
				return err
			},
			func(prefix string, size int32) (names []string) {
				for p := sdk.NewListAttachedRolePoliciesPaginator(b.admin, &sdk.ListAttachedRolePoliciesInput{RoleName: it, PathPrefix: &prefix, MaxItems: &size}); p.HasMorePages(); {
					for _, a := range must(p.NextPage(t.Context()))(t).AttachedPolicies {
						names = append(names, *a.PolicyName)
					}
				}
				return names
			},
		},
	}
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		var arns, names []string
		for i := range 11 {
			in := &sdk.CreatePolicyInput{PolicyName: str(fmt.Sprintf("p%02d", i)), PolicyDocument: str(servertest.Allow("*", "a:b"))}
			if i == 10 {
				in.Path = str("/deep/er/")
			}
			arns = append(arns, *must(b.admin.CreatePolicy(t.Context(), in))(t).Policy.Arn)
			names = append(names, *in.PolicyName)
		}
		for _, e := range b.attachables(t) {
			attach, detach := "Attach"+e.title+"Policy", "Detach"+e.title+"Policy"
			for _, arn := range arns[1:] {
				ok(t, e.attach(arn))
				ok(t, e.attach(arn)) // twice is once
			}
			b.want(t, attach, e.attach(arns[0]), 409, "LimitExceeded", "Cannot exceed quota for PoliciesPer"+e.title+": 10")
			for _, size := range []int32{1, 4, 10, 1000} {
				got := e.list("/", size)
				slices.Sort(got)
				if !slices.Equal(got, names[1:]) {
					t.Errorf("%s by %d: %v", e.kind, size, got)
				}
			}
			if got := e.list("/deep/", 5); !slices.Equal(got, []string{"p10"}) {
				t.Errorf("%s under /deep: %v", e.kind, got)
			}
			if n := *b.getPolicy(t, &arns[1]).AttachmentCount; n != 1 {
				t.Errorf("attached to %d", n)
			}
			_, err := b.admin.DeletePolicy(t.Context(), &sdk.DeletePolicyInput{PolicyArn: &arns[1]})
			b.want(t, "DeletePolicy", err, 409, "DeleteConflict", "Cannot delete a policy attached to entities.")
			for _, arn := range arns[1:] {
				ok(t, e.detach(arn))
			}
			b.want(t, detach, e.detach(arns[1]), 404, "NoSuchEntity", "Policy "+arns[1]+" was not found.")
			none := "arn:aws:iam::111122223333:policy/none"
			b.want(t, attach, e.attach(none), 404, "NoSuchEntity", "Policy "+none+" does not exist or is not attachable.")
			b.want(t, attach, e.attach("arn:aws:iam::aws:user/no"), 400, "ValidationError", "ARN arn:aws:iam::aws:user/no is not valid.")
			b.want(t, detach, e.detach("arn:aws:iam::aws:user/no"), 400, "ValidationError", "ARN arn:aws:iam::aws:user/no is not valid.")
			if got := e.list("/", 5); got != nil {
				t.Errorf("%s has %v", e.kind, got)
			}
		}
		ok(t, func() error {
			_, err := b.admin.DeletePolicy(t.Context(), &sdk.DeletePolicyInput{PolicyArn: &arns[1]})
			return err
		}())
	})
}

// TestAttachedPolicyDecides: what is attached counts from the next request on, and
// no longer once it is detached.
func TestAttachedPolicyDecides(t *testing.T) {
	t.Parallel()
	b := start(t)
	bob := b.as(b.User(t, "bob", ""))
	p := b.createPolicy(t, "p", servertest.Allow("*", "iam:ListRoles"))
	list := func() error {
		_, err := bob.ListRoles(t.Context(), nil)
		return err
	}
	for range 3 {
		b.want(t, "ListRoles", list(), 403, "AccessDenied",
			"User: arn:aws:iam::111122223333:user/bob is not authorized to perform: iam:ListRoles on resource: arn:aws:iam::111122223333:role/ because no identity-based policy allows the iam:ListRoles action")
		must(b.admin.AttachUserPolicy(t.Context(), &sdk.AttachUserPolicyInput{UserName: str("bob"), PolicyArn: p.Arn}))(t)
		ok(t, list())
		must(b.admin.DetachUserPolicy(t.Context(), &sdk.DetachUserPolicyInput{UserName: str("bob"), PolicyArn: p.Arn}))(t)
	}
	must(b.admin.AttachUserPolicy(t.Context(), &sdk.AttachUserPolicyInput{UserName: str("bob"), PolicyArn: p.Arn}))(t)
	del := func() error {
		_, err := b.admin.DeleteUser(t.Context(), &sdk.DeleteUserInput{UserName: str("bob")})
		return err
	}
	b.want(t, "DeleteUser", del(), 409, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
}

// TestPolicyARNCondition: what a delegate may attach can be fenced in.
func TestPolicyARNCondition(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.createRole(t, "app")
	good, bad := b.createPolicy(t, "good", servertest.Allow("*", "a:b")), b.createPolicy(t, "bad", servertest.Allow("*", "*"))
	delegate := b.as(b.User(t, "delegate", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:AttachRolePolicy","iam:DetachRolePolicy"],"Resource":"*",
		"Condition":{"ArnEquals":{"iam:PolicyARN":"`+*good.Arn+`"}}}]}`))
	attach := func(arn *string) error {
		_, err := delegate.AttachRolePolicy(t.Context(), &sdk.AttachRolePolicyInput{RoleName: str("app"), PolicyArn: arn})
		return err
	}
	ok(t, attach(good.Arn))
	if err := attach(bad.Arn); err == nil {
		t.Error("another policy was attached")
	}
	_, err := delegate.DetachRolePolicy(t.Context(), &sdk.DetachRolePolicyInput{RoleName: str("app"), PolicyArn: good.Arn})
	ok(t, err)
}

func TestAttachToNobody(t *testing.T) {
	t.Parallel()
	b := start(t)
	p := b.createPolicy(t, "p", servertest.Allow("*", "a:b"))
	nobody, message := str("nobody"), "The user with name nobody cannot be found."
	_, err := b.admin.AttachUserPolicy(t.Context(), &sdk.AttachUserPolicyInput{UserName: nobody, PolicyArn: p.Arn})
	b.want(t, "AttachUserPolicy", err, 404, "NoSuchEntity", message)
	_, err = b.admin.DetachUserPolicy(t.Context(), &sdk.DetachUserPolicyInput{UserName: nobody, PolicyArn: p.Arn})
	b.want(t, "DetachUserPolicy", err, 404, "NoSuchEntity", message)
	_, err = b.admin.ListAttachedUserPolicies(t.Context(), &sdk.ListAttachedUserPoliciesInput{UserName: nobody})
	b.want(t, "ListAttachedUserPolicies", err, 404, "NoSuchEntity", message)
	_, err = b.admin.ListAttachedUserPolicies(t.Context(), &sdk.ListAttachedUserPoliciesInput{UserName: nobody, Marker: str("AA")})
	b.want(t, "ListAttachedUserPolicies", err, 400, "ValidationError", "Invalid Marker.")
}
