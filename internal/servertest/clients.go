package servertest

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/strongroom/strongroom/internal/server"
)

// AWS is the SDK's configuration for a key in a region ("" = Region). Calls are
// not retried: a test wants to see the first answer.
func (s *Server) AWS(c server.Credentials, region string) aws.Config {
	if region == "" {
		region = Region
	}
	return aws.Config{
		Region: region, BaseEndpoint: &s.URL, HTTPClient: s.HTTP, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken),
	}
}

// Secrets is a Secrets Manager client of the admin in the default region.
func (s *Server) Secrets() *secretsmanager.Client { return s.SecretsAs(s.Admin, "") }

// SecretsAs is a Secrets Manager client of any key and region.
func (s *Server) SecretsAs(c server.Credentials, region string) *secretsmanager.Client {
	return secretsmanager.NewFromConfig(s.AWS(c, region))
}

// KMS is a KMS client of the admin in a region ("" = Region).
func (s *Server) KMS(region string) *kms.Client { return kms.NewFromConfig(s.AWS(s.Admin, region)) }

// IAM is an IAM client of the admin.
func (s *Server) IAM() *iam.Client { return iam.NewFromConfig(s.AWS(s.Admin, "")) }

// IAMAs is an IAM client of any key.
func (s *Server) IAMAs(c server.Credentials) *iam.Client { return iam.NewFromConfig(s.AWS(c, "")) }

// STS is an STS client of any key.
func (s *Server) STS(c server.Credentials) *sts.Client { return sts.NewFromConfig(s.AWS(c, "")) }

// Role makes a role in the account of an admin, with a trust policy and an inline
// policy ("" = none), and returns its ARN.
func (s *Server) Role(tb testing.TB, admin server.Credentials, name, trust, policy string) string {
	tb.Helper()
	client := iam.NewFromConfig(s.AWS(admin, ""))
	out, err := client.CreateRole(tb.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		tb.Fatalf("create role %s: %v", name, err)
	}
	if policy != "" {
		if _, err := client.PutRolePolicy(tb.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("test"), PolicyDocument: &policy}); err != nil {
			tb.Fatalf("put policy of role %s: %v", name, err)
		}
	}
	return *out.Role.Arn
}

// Trust is a trust policy that lets a principal, an ARN or an account, do actions.
func Trust(principal string, actions ...string) string {
	list := ""
	for i, a := range actions {
		if i > 0 {
			list += ","
		}
		list += fmt.Sprintf("%q", a)
	}
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":[%s]}]}`, principal, list)
}

// AssumeRole takes a role with the credentials of somebody; change may add to the
// request.
func (s *Server) AssumeRole(tb testing.TB, c server.Credentials, roleARN string, change ...func(*sts.AssumeRoleInput)) server.Credentials {
	tb.Helper()
	in := &sts.AssumeRoleInput{RoleArn: &roleARN, RoleSessionName: aws.String("test")}
	for _, f := range change {
		f(in)
	}
	out, err := s.STS(c).AssumeRole(tb.Context(), in)
	if err != nil {
		tb.Fatalf("assume role %s: %v", roleARN, err)
	}
	return Session(out.Credentials)
}

// Session are temporary credentials as the clients here take them.
func Session(c *ststypes.Credentials) server.Credentials {
	return server.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}
}

// User makes a user with an inline policy ("" = none) and a key.
func (s *Server) User(tb testing.TB, name, policy string) server.Credentials {
	tb.Helper()
	return s.UserOf(tb, s.Admin, name, policy)
}

// UserOf makes a user in the account of an admin.
func (s *Server) UserOf(tb testing.TB, admin server.Credentials, name, policy string) server.Credentials {
	tb.Helper()
	client := iam.NewFromConfig(s.AWS(admin, ""))
	if _, err := client.CreateUser(tb.Context(), &iam.CreateUserInput{UserName: &name}); err != nil {
		tb.Fatalf("create user %s: %v", name, err)
	}
	if policy != "" {
		s.SetPolicy(tb, admin, name, policy)
	}
	key, err := client.CreateAccessKey(tb.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		tb.Fatalf("create key of %s: %v", name, err)
	}
	return server.Credentials{Account: admin.Account, User: name, AccessKeyID: *key.AccessKey.AccessKeyId, SecretAccessKey: *key.AccessKey.SecretAccessKey}
}

// SetPolicy gives a user the inline policy "test".
func (s *Server) SetPolicy(tb testing.TB, admin server.Credentials, name, policy string) {
	tb.Helper()
	client := iam.NewFromConfig(s.AWS(admin, ""))
	if _, err := client.PutUserPolicy(tb.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("test"), PolicyDocument: &policy}); err != nil {
		tb.Fatalf("put policy of %s: %v", name, err)
	}
}

// Account makes another account and returns its admin.
func (s *Server) Account(tb testing.TB, id string) server.Credentials {
	tb.Helper()
	creds, err := s.server.CreateAccount(tb.Context(), id, "test")
	if err != nil {
		tb.Fatalf("create account %s: %v", id, err)
	}
	return creds
}

// Allow is a policy that allows actions on a resource.
func Allow(resource string, actions ...string) string {
	return statement("Allow", resource, actions)
}

// Deny is a policy that denies actions on a resource.
func Deny(resource string, actions ...string) string {
	return statement("Deny", resource, actions)
}

func statement(effect, resource string, actions []string) string {
	list := ""
	for i, a := range actions {
		if i > 0 {
			list += ","
		}
		list += fmt.Sprintf("%q", a)
	}
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":%q,"Action":[%s],"Resource":%q}]}`, effect, list, resource)
}
