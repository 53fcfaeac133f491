package sts_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// managed makes a managed policy and returns its ARN.
func (a asker) managed(name, document string) string {
	a.Helper()
	out, err := a.IAM().CreatePolicy(a.Context(), &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: &document})
	if err != nil {
		a.Fatal(err)
	}
	return *out.Policy.Arn
}

// A denial by a permissions boundary names it with its version, and the change
// to it, made as a new version, lets the call through.
func TestDecodeDenialByBoundary(t *testing.T) {
	onBoth(t, func(a asker) {
		a.secret("app/db", "")
		const list = `{"Sid":"Only","Effect":"Allow","Action":"secretsmanager:List*","Resource":"*"}`
		boundary := a.managed("boundary", document(list))
		if _, err := a.IAM().CreateUser(a.Context(), &iam.CreateUserInput{UserName: aws.String("app"), PermissionsBoundary: &boundary}); err != nil {
			a.Fatal(err)
		}
		a.SetPolicy(a.T, a.Admin, "app", servertest.Allow("*", "secretsmanager:*"))
		key, err := a.IAM().CreateAccessKey(a.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("app")})
		if err != nil {
			a.Fatal(err)
		}
		app := server.Credentials{Account: servertest.Account, User: "app", AccessKeyID: *key.AccessKey.AccessKeyId, SecretAccessKey: *key.AccessKey.SecretAccessKey}
		id := a.denied(a.read(app, "app/db"))
		d := a.decode(a.Admin, id).Strongroom.Denials[0]
		a.contains(d.Text, "because no permissions boundary allows the secretsmanager:GetSecretValue action",
			"permissions boundary "+boundary+" (v1)", `statement 1 "Only" (Allow), line 1: does not match`)
		if c := d.Explanation.Changes; len(c) != 1 || c[0].Layer != policy.LayerBoundary {
			a.Fatalf("changes %+v", c)
		}
		changed := document(list, d.Explanation.Changes[0].Add)
		if _, err := a.IAM().CreatePolicyVersion(a.Context(), &iam.CreatePolicyVersionInput{PolicyArn: &boundary, PolicyDocument: &changed, SetAsDefault: true}); err != nil {
			a.Fatal(err)
		}
		if err := a.read(app, "app/db"); err != nil {
			a.Errorf("after the change that was asked for (%s): %v", d.Explanation.Changes[0].Add, err)
		}
		if again := a.decode(a.Admin, id).Strongroom.Denials[0]; again.Text != d.Text {
			a.Errorf("before:\n%s\nafter:\n%s", d.Text, again.Text)
		}
	})
}

// A session of a role is denied by the session policy, and by what the role has.
func TestDecodeDenialOfASession(t *testing.T) {
	onBoth(t, func(a asker) {
		a.secret("app/db", "")
		read := a.managed("read", servertest.Allow("*", "secretsmanager:GetSecretValue"))
		role, err := a.IAM().CreateRole(a.Context(), &iam.CreateRoleInput{RoleName: aws.String("reader"),
			AssumeRolePolicyDocument: aws.String(document(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole"}`))})
		if err != nil {
			a.Fatal(err)
		}
		if _, err := a.IAM().AttachRolePolicy(a.Context(), &iam.AttachRolePolicyInput{RoleName: aws.String("reader"), PolicyArn: &read}); err != nil {
			a.Fatal(err)
		}
		const list = `{"Sid":"Session","Effect":"Allow","Action":"secretsmanager:List*","Resource":"*"}`
		assume := func(policy string) func() error {
			out, err := a.STS(a.Admin).AssumeRole(a.Context(), &sts.AssumeRoleInput{RoleArn: role.Role.Arn, RoleSessionName: aws.String("s1"), Policy: &policy})
			if err != nil {
				a.Fatal(err)
			}
			cfg := a.AWS(a.Admin, "")
			cfg.Credentials = credentials.NewStaticCredentialsProvider(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
			return func() error {
				_, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(a.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app/db")})
				return err
			}
		}
		d := a.decode(a.Admin, a.denied(assume(document(list))())).Strongroom.Denials[0]
		a.contains(d.Text, "because no session policy allows the secretsmanager:GetSecretValue action", "caller    arn:aws:sts::111122223333:assumed-role/reader/s1",
			":s1, of account 111122223333", read+" (v1)", `statement 1 "Session" (Allow), line 1: does not match`)
		if c := d.Explanation.Changes; len(c) != 1 || c[0].Layer != policy.LayerSession {
			a.Fatalf("changes %+v", c)
		}
		if err := assume(document(list, d.Explanation.Changes[0].Add))(); err != nil {
			a.Errorf("after the change that was asked for: %v", err)
		}
	})
}

// That a role may not be taken is said without a reason; whoever may decode learns
// it within the account, and of another account's role nothing.
func TestDecodeDenialOfAssumeRole(t *testing.T) {
	onBoth(t, func(a asker) {
		stranger := a.Account(a.T, "444455556666")
		role, err := a.IAM().CreateRole(a.Context(), &iam.CreateRoleInput{RoleName: aws.String("reader"),
			AssumeRolePolicyDocument: aws.String(document(`{"Sid":"Confidential","Effect":"Deny","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}`))})
		if err != nil {
			a.Fatal(err)
		}
		assume := func(key server.Credentials, arn string) string {
			_, err := a.STS(key).AssumeRole(a.Context(), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("s1")})
			return a.denied(err)
		}
		own := a.decode(a.Admin, assume(a.Admin, *role.Role.Arn)).Strongroom.Denials[0]
		a.contains(own.Text, "explicit deny in the role trust policy", `"Confidential"`)
		there, missing := assume(stranger, *role.Role.Arn), assume(stranger, *role.Role.Arn+"2")
		plain := func(id string) string {
			m := a.decode(stranger, id)
			text := fmt.Sprint(m.ExplicitDeny, m.MatchedStatements, m.Strongroom.Denials[0].Explanation)
			return strings.NewReplacer(*role.Role.Arn+"2", "ARN", *role.Role.Arn, "ARN").Replace(text)
		}
		if first, second := plain(there), plain(missing); first != second || strings.Contains(first, "Confidential") {
			a.Errorf("there:\n%s\nmissing:\n%s", first, second)
		}
		found, err := a.Server.Server().Denials(a.Context(), there)
		if err != nil || !slices.ContainsFunc(found[0].Explanation.Policies, func(p policy.PolicyTrace) bool { return p.Layer == policy.LayerTrust }) {
			a.Errorf("operator finds %v, %v", found, err)
		}
	})
}
