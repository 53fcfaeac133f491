package nodes

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/strongroom/strongroom/internal/servertest"
)

// expired is what a revoked session is told, so that SDKs fetch a new one.
const expired = "ExpiredTokenException"

// readsWith uses a right to read with temporary credentials.
func (w *tenant) readsWith(made *ststypes.Credentials, n int) error {
	answer := w.nodes[n].Send(w.t, servertest.Raw{
		Service: "secretsmanager", Target: "secretsmanager.GetSecretValue", Body: `{"SecretId":"app"}`,
		Key: servertest.Session(made),
	})
	if code, message := answer.Error(); code != "" {
		return &refusal{code, message}
	}
	if answer.Status != http.StatusOK {
		return fmt.Errorf("status %d: %s", answer.Status, answer.Body)
	}
	return nil
}

// refusal is an error of a request that no SDK sent.
type refusal struct{ code, message string }

func (r *refusal) Error() string { return r.code + ": " + r.message }

// session is a session of a role for the whole test.
func (w *tenant) session(role string) *ststypes.Credentials {
	made, err := w.take(role, 0)
	check(w.t, err)
	return made
}

// take makes a session of a role at node n.
func (w *tenant) take(role string, n int) (*ststypes.Credentials, error) {
	out, err := sts.NewFromConfig(w.nodes[n].AWS(w.admin, "")).AssumeRole(w.t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String(w.roleARN(role)), RoleSessionName: aws.String("session"),
	})
	if err != nil {
		return nil, err
	}
	return out.Credentials, nil
}

func (w *tenant) roleARN(name string) string {
	return "arn:aws:iam::" + w.admin.Account + ":role/" + name
}

// role makes a role that the account may take.
func (w *tenant) role(name string, n int) error {
	trust := servertest.Trust(w.admin.Account, "sts:AssumeRole")
	_, err := w.iam(n).CreateRole(w.t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	return err
}

func (w *tenant) putRole(role, policy string) func(n int) error {
	return func(n int) error {
		_, err := w.iam(n).PutRolePolicy(w.t.Context(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: aws.String("p"), PolicyDocument: &policy})
		return err
	}
}

func (w *tenant) dropRolePolicy(role string) func(n int) error {
	return func(n int) error {
		_, err := w.iam(n).DeleteRolePolicy(w.t.Context(), &iam.DeleteRolePolicyInput{RoleName: &role, PolicyName: aws.String("p")})
		return err
	}
}

// rightsOfSessions are the ways in which temporary credentials lose access.
func (w *tenant) rightsOfSessions() []right {
	return []right{w.rolePolicy(), w.roleResource(), w.revoked(), w.roleDeleted(), w.trust(), w.userDeleted(), w.userRevoked()}
}

func (w *tenant) rolePolicy() right {
	check(w.t, w.role("unbound", 0))
	made := w.session("unbound")
	return right{"policy of a role deleted", w.putRole("unbound", all), w.dropRolePolicy("unbound"), func(n int) error { return w.readsWith(made, n) }, accessDenied}
}

func (w *tenant) roleResource() right {
	check(w.t, w.role("granted", 0))
	check(w.t, w.putRole("granted", onlyKeys)(0))
	made := w.session("granted")
	return right{"resource policy of a role's deleted", w.setPolicyFor("Allow", w.roleARN("granted")), w.dropPolicy, func(n int) error { return w.readsWith(made, n) }, accessDenied}
}

// revoke voids sessions by the operator's socket of node n.
func (w *tenant) revoke(kind, name string) func(n int) error {
	return func(n int) error {
		answer := w.nodes[n].Operator(w.t, http.MethodPost, "/v1/sessions/revoke", map[string]string{"account": w.admin.Account, "kind": kind, "name": name})
		if answer.Status != http.StatusOK {
			return fmt.Errorf("revoke: %s", answer.Body)
		}
		return nil
	}
}

func (w *tenant) revoked() right {
	check(w.t, w.role("revoked", 0))
	check(w.t, w.putRole("revoked", all)(0))
	var made *ststypes.Credentials
	return right{
		"sessions of a role revoked",
		func(n int) (err error) {
			made, err = w.take("revoked", n)
			return err
		},
		w.revoke("role", "revoked"),
		func(n int) error { return w.readsWith(made, n) },
		expired,
	}
}

func (w *tenant) roleDeleted() right {
	const name = "passing"
	var made *ststypes.Credentials
	return right{
		"role deleted, and made anew",
		func(n int) (err error) {
			if err := w.deleteRole(name)(n); err != nil {
				return err
			}
			if err := errors.Join(w.role(name, n), w.putRole(name, all)(n)); err != nil {
				return err
			}
			made, err = w.take(name, n)
			return err
		},
		func(n int) error {
			// The role made anew has every right that the old one had.
			return errors.Join(w.deleteRole(name)(n), w.role(name, n), w.putRole(name, all)(n))
		},
		func(n int) error { return w.readsWith(made, n) },
		unknownKey,
	}
}

func (w *tenant) deleteRole(name string) func(n int) error {
	return func(n int) error {
		err := w.dropRolePolicy(name)(n)
		if err == nil {
			_, err = w.iam(n).DeleteRole(w.t.Context(), &iam.DeleteRoleInput{RoleName: &name})
		}
		if codeOf(err) == "NoSuchEntity" {
			return nil
		}
		return err
	}
}

// trust is the right to take a role.
func (w *tenant) trust() right {
	const name = "trusting"
	check(w.t, w.role(name, 0))
	put := func(effect string) func(n int) error {
		text := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":"sts:AssumeRole"},{"Effect":%q,"Principal":{"AWS":%[1]q},"Action":"sts:AssumeRole"}]}`,
			w.admin.Account, effect)
		return func(n int) error {
			_, err := w.iam(n).UpdateAssumeRolePolicy(w.t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String(name), PolicyDocument: &text})
			return err
		}
	}
	return right{"trust policy denies", put("Allow"), put("Deny"), func(n int) error {
		_, err := w.take(name, n)
		return err
	}, "AccessDenied"}
}

func (w *tenant) userDeleted() right {
	const name = "leaving"
	var made *ststypes.Credentials
	return right{
		"user of a session deleted",
		func(n int) error {
			c := w.nodes[n].UserOf(w.t, w.admin, name, all)
			out, err := sts.NewFromConfig(w.nodes[n].AWS(c, "")).GetSessionToken(w.t.Context(), nil)
			if err != nil {
				return err
			}
			made = out.Credentials
			_, err = w.iam(n).DeleteAccessKey(w.t.Context(), &iam.DeleteAccessKeyInput{UserName: &c.User, AccessKeyId: &c.AccessKeyID})
			return err
		},
		func(n int) error {
			if err := w.deleteInline(name, "test")(n); err != nil {
				return err
			}
			_, err := w.iam(n).DeleteUser(w.t.Context(), &iam.DeleteUserInput{UserName: aws.String(name)})
			return err
		},
		func(n int) error { return w.readsWith(made, n) },
		unknownKey,
	}
}

func (w *tenant) userRevoked() right {
	const name = "suspected"
	c := w.nodes[0].UserOf(w.t, w.admin, name, all)
	var made *ststypes.Credentials
	return right{
		"sessions of a user revoked",
		func(n int) error {
			out, err := sts.NewFromConfig(w.nodes[n].AWS(c, "")).GetFederationToken(w.t.Context(), &sts.GetFederationTokenInput{Name: aws.String("joe"), Policy: &all})
			if err == nil {
				made = out.Credentials
			}
			return err
		},
		w.revoke("user", name),
		func(n int) error { return w.readsWith(made, n) },
		expired,
	}
}

// rightsByPolicies are managed policies, groups and boundaries of users.
func (w *tenant) rightsByPolicies() []right {
	return []right{w.detached(), w.version(), w.group(), w.boundary()}
}

func (w *tenant) policy(name, document string) string {
	out, err := w.iam(0).CreatePolicy(w.t.Context(), &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: &document})
	check(w.t, err)
	return *out.Policy.Arn
}

func (w *tenant) detached() right {
	c := w.nodes[0].UserOf(w.t, w.admin, "detached", "")
	arn := w.policy("read", all)
	return right{
		"policy detached",
		func(n int) error {
			_, err := w.iam(n).AttachUserPolicy(w.t.Context(), &iam.AttachUserPolicyInput{UserName: &c.User, PolicyArn: &arn})
			return err
		},
		func(n int) error {
			_, err := w.iam(n).DetachUserPolicy(w.t.Context(), &iam.DetachUserPolicyInput{UserName: &c.User, PolicyArn: &arn})
			return err
		},
		w.reads(c), accessDenied,
	}
}

func (w *tenant) version() right {
	c := w.nodes[0].UserOf(w.t, w.admin, "versioned", "")
	arn := w.policy("versions", all)
	_, err := w.iam(0).CreatePolicyVersion(w.t.Context(), &iam.CreatePolicyVersionInput{PolicyArn: &arn, PolicyDocument: &onlyKeys})
	check(w.t, err)
	_, err = w.iam(0).AttachUserPolicy(w.t.Context(), &iam.AttachUserPolicyInput{UserName: &c.User, PolicyArn: &arn})
	check(w.t, err)
	set := func(version string) func(n int) error {
		return func(n int) error {
			_, err := w.iam(n).SetDefaultPolicyVersion(w.t.Context(), &iam.SetDefaultPolicyVersionInput{PolicyArn: &arn, VersionId: &version})
			return err
		}
	}
	return right{"another version of a policy", set("v1"), set("v2"), w.reads(c), accessDenied}
}

func (w *tenant) group() right {
	c := w.nodes[0].UserOf(w.t, w.admin, "member", "")
	_, err := w.iam(0).CreateGroup(w.t.Context(), &iam.CreateGroupInput{GroupName: aws.String("readers")})
	check(w.t, err)
	_, err = w.iam(0).AttachGroupPolicy(w.t.Context(), &iam.AttachGroupPolicyInput{GroupName: aws.String("readers"), PolicyArn: aws.String(w.policy("of-a-group", all))})
	check(w.t, err)
	return right{
		"removed from a group",
		func(n int) error {
			_, err := w.iam(n).AddUserToGroup(w.t.Context(), &iam.AddUserToGroupInput{UserName: &c.User, GroupName: aws.String("readers")})
			return err
		},
		func(n int) error {
			_, err := w.iam(n).RemoveUserFromGroup(w.t.Context(), &iam.RemoveUserFromGroupInput{UserName: &c.User, GroupName: aws.String("readers")})
			return err
		},
		w.reads(c), accessDenied,
	}
}

func (w *tenant) boundary() right {
	c := w.nodes[0].UserOf(w.t, w.admin, "bounded", all)
	put := func(arn string) func(n int) error {
		return func(n int) error {
			_, err := w.iam(n).PutUserPermissionsBoundary(w.t.Context(), &iam.PutUserPermissionsBoundaryInput{UserName: &c.User, PermissionsBoundary: &arn})
			return err
		}
	}
	return right{"boundary put", put(w.policy("wide", all)), put(w.policy("narrow", onlyKeys)), w.reads(c), accessDenied}
}

// rightsByTags are tags that policies compare.
func (w *tenant) rightsByTags() []right {
	c := w.nodes[0].UserOf(w.t, w.admin, "tagged", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["secretsmanager:GetSecretValue","kms:Decrypt"],"Resource":"*",
		"Condition":{"StringEquals":{"aws:PrincipalTag/team":"blue"}}}}`)
	return []right{{
		"tag of a user removed",
		func(n int) error {
			_, err := w.iam(n).TagUser(w.t.Context(), &iam.TagUserInput{UserName: &c.User, Tags: []iamtypes.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}})
			return err
		},
		func(n int) error {
			_, err := w.iam(n).UntagUser(w.t.Context(), &iam.UntagUserInput{UserName: &c.User, TagKeys: []string{"team"}})
			return err
		},
		w.reads(c), accessDenied,
	}, w.secretTag()}
}

func (w *tenant) secretTag() right {
	c := w.nodes[0].UserOf(w.t, w.admin, "by-tag", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"},
		{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/open":"yes"}}}]}`)
	return right{
		"tag of a secret removed",
		func(n int) error {
			_, err := w.secrets(w.admin, n).TagResource(w.t.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String("app"), Tags: []smtypes.Tag{{Key: aws.String("open"), Value: aws.String("yes")}}})
			return err
		},
		func(n int) error {
			_, err := w.secrets(w.admin, n).UntagResource(w.t.Context(), &secretsmanager.UntagResourceInput{SecretId: aws.String("app"), TagKeys: []string{"open"}})
			return err
		},
		w.reads(c), accessDenied,
	}
}
