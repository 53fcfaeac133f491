package iam_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/servertest"
)

// TestSessionsFollowTheirRole: what hangs on a role counts for its live sessions
// from the next request on, and a role that is deleted takes them with it, also when
// another one is made under its name.
func TestSessionsFollowTheirRole(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		arn := b.Role(t, b.Admin, "app", trustOf("arn:aws:iam::111122223333:user/admin"), "")
		session := b.as(b.AssumeRole(t, b.Admin, arn))
		app := str("app")
		allowed := func(want bool, when string) {
			t.Helper()
			if _, err := session.ListRoles(t.Context(), nil); (err == nil) != want {
				t.Errorf("%s: %v", when, err)
			}
		}
		allowed(false, "without policies")
		p := b.createPolicy(t, "p", servertest.Allow("*", "iam:ListRoles"))
		must(b.admin.AttachRolePolicy(t.Context(), &sdk.AttachRolePolicyInput{RoleName: app, PolicyArn: p.Arn}))(t)
		allowed(true, "attached")
		must(b.createVersion(t, p.Arn, servertest.Allow("*", "iam:GetUser"), true))(t)
		allowed(false, "a version that does not allow it")
		must(b.admin.PutRolePolicy(t.Context(), &sdk.PutRolePolicyInput{RoleName: app, PolicyName: str("in"), PolicyDocument: str(servertest.Allow("*", "iam:*"))}))(t)
		allowed(true, "embedded")
		must(b.admin.PutRolePermissionsBoundary(t.Context(), &sdk.PutRolePermissionsBoundaryInput{RoleName: app, PermissionsBoundary: p.Arn}))(t)
		allowed(false, "bounded")
		must(b.admin.DeleteRolePermissionsBoundary(t.Context(), &sdk.DeleteRolePermissionsBoundaryInput{RoleName: app}))(t)
		allowed(true, "unbounded")
		must(b.admin.DetachRolePolicy(t.Context(), &sdk.DetachRolePolicyInput{RoleName: app, PolicyArn: p.Arn}))(t)
		must(b.admin.DeleteRolePolicy(t.Context(), &sdk.DeleteRolePolicyInput{RoleName: app, PolicyName: str("in")}))(t)
		must(b.admin.DeleteRole(t.Context(), &sdk.DeleteRoleInput{RoleName: app}))(t)
		dead := func(when string) {
			t.Helper()
			_, err := session.ListRoles(t.Context(), nil)
			if err == nil || !strings.Contains(err.Error(), "InvalidClientTokenId") {
				t.Errorf("%s: %v", when, err)
			}
		}
		dead("of a deleted role")
		b.Role(t, b.Admin, "app", trustOf("arn:aws:iam::111122223333:user/admin"), servertest.Allow("*", "*"))
		dead("of one made again")
	})
}

// TestWhoMayTakeARole: the trust policy of the moment decides, and it means the
// users and roles that it was written for.
func TestWhoMayTakeARole(t *testing.T) {
	t.Parallel()
	b := start(t)
	may := servertest.Allow("*", "sts:AssumeRole")
	bob := b.User(t, "bob", may)
	arn := b.Role(t, b.Admin, "app", trustOf("arn:aws:iam::111122223333:user/bob"), "")
	assume := func() error {
		_, err := b.STS(bob).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: str("test")})
		return err
	}
	refused := func(when string) {
		t.Helper()
		if err := assume(); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("%s: %v", when, err)
		}
	}
	ok(t, assume())
	must(b.admin.UpdateAssumeRolePolicy(t.Context(), &sdk.UpdateAssumeRolePolicyInput{RoleName: str("app"), PolicyDocument: str(trustOf("arn:aws:iam::111122223333:user/admin"))}))(t)
	refused("no longer trusted")
	must(b.admin.UpdateAssumeRolePolicy(t.Context(), &sdk.UpdateAssumeRolePolicyInput{RoleName: str("app"), PolicyDocument: str(trustOf("arn:aws:iam::111122223333:user/bob"))}))(t)
	ok(t, assume())
	// Another bob.
	must(b.admin.DeleteUserPolicy(t.Context(), &sdk.DeleteUserPolicyInput{UserName: str("bob"), PolicyName: str("test")}))(t)
	must(b.admin.DeleteAccessKey(t.Context(), &sdk.DeleteAccessKeyInput{UserName: str("bob"), AccessKeyId: &bob.AccessKeyID}))(t)
	must(b.admin.DeleteUser(t.Context(), &sdk.DeleteUserInput{UserName: str("bob")}))(t)
	bob = b.User(t, "bob", "")
	refused("made again")
	must(b.admin.UpdateAssumeRolePolicy(t.Context(), &sdk.UpdateAssumeRolePolicyInput{RoleName: str("app"), PolicyDocument: str(trustOf("arn:aws:iam::111122223333:user/bob"))}))(t)
	ok(t, assume()) // a user of the same account that is named needs no policy of its own
}

func TestRoleLastUsed(t *testing.T) {
	t.Parallel()
	b := start(t)
	arn := b.Role(t, b.Admin, "app", trustOf("arn:aws:iam::111122223333:user/admin"), servertest.Allow("*", "*"))
	session := b.AssumeRole(t, b.Admin, arn)
	if used := b.getRole(t, "app").RoleLastUsed; used == nil || used.LastUsedDate != nil {
		t.Errorf("taking the role counts: %+v", used)
	}
	must(b.SecretsAs(session, servertest.Other).ListSecrets(t.Context(), nil))(t)
	for _, when := range []string{"at once", "after a restart"} {
		used := b.getRole(t, "app").RoleLastUsed
		if used.LastUsedDate == nil || time.Since(*used.LastUsedDate).Abs() > time.Minute || *used.Region != servertest.Other {
			t.Errorf("%s: %+v", when, used)
		}
		detail := must(b.admin.GetAccountAuthorizationDetails(t.Context(), nil))(t).RoleDetailList[0].RoleLastUsed
		if detail.LastUsedDate == nil || *detail.Region != servertest.Other {
			t.Errorf("%s: %+v", when, detail)
		}
		b.Restart()
		b.admin = b.IAM()
	}
}

// TestSecretOfARole: the resource policy of a secret can name a role, and means that
// role, not the next one of its name.
func TestSecretOfARole(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		trust := trustOf("arn:aws:iam::111122223333:user/admin")
		arn := b.Role(t, b.Admin, "app", trust, "")
		id := *b.getRole(t, "app").RoleId
		secrets := b.Secrets()
		must(secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: str("db"), SecretString: str("value")}))(t)
		read := func() error {
			_, err := b.SecretsAs(b.AssumeRole(t, b.Admin, arn), "").GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: str("db")})
			return err
		}
		if err := read(); err == nil {
			t.Error("read without a policy")
		}
		policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + arn + `"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
		must(secrets.PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: str("db"), ResourcePolicy: &policy}))(t)
		ok(t, read())
		shown := func() string {
			return aws.ToString(must(secrets.GetResourcePolicy(t.Context(), &secretsmanager.GetResourcePolicyInput{SecretId: str("db")}))(t).ResourcePolicy)
		}
		if got := shown(); !strings.Contains(got, `"`+arn+`"`) {
			t.Errorf("shown as %s", got)
		}
		must(b.admin.DeleteRole(t.Context(), &sdk.DeleteRoleInput{RoleName: str("app")}))(t)
		b.Role(t, b.Admin, "app", trust, "")
		if err := read(); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("the role made again: %v", err)
		}
		if got := shown(); !strings.Contains(got, `"`+id+`"`) || strings.Contains(got, arn) {
			t.Errorf("shown as %s", got)
		}
	})
}
