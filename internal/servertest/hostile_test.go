package servertest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/internal/servertest"
)

// TestHostilePolicies sends what is too large, too deep or no policy to every
// operation that stores one: each answers with its service's own error, and the
// server goes on.
func TestHostilePolicies(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	i, k, sm := s.IAM(), s.KMS(""), s.Secrets()
	if _, err := i.CreateUser(t.Context(), &iam.CreateUserInput{UserName: new("ann")}); err != nil {
		t.Fatal(err)
	}
	key, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sm.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: new("s"), SecretString: new("v")}); err != nil {
		t.Fatal(err)
	}
	stores := map[string]func(ctx context.Context, text string) error{
		"PutUserPolicy": func(ctx context.Context, text string) error {
			_, err := i.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: new("ann"), PolicyName: new("p"), PolicyDocument: &text})
			return err
		},
		"CreatePolicy": func(ctx context.Context, text string) error {
			_, err := i.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("p"), PolicyDocument: &text})
			return err
		},
		"CreateRole": func(ctx context.Context, text string) error {
			_, err := i.CreateRole(ctx, &iam.CreateRoleInput{RoleName: new("r"), AssumeRolePolicyDocument: &text})
			return err
		},
		"SimulateCustomPolicy": func(ctx context.Context, text string) error {
			_, err := i.SimulateCustomPolicy(ctx, &iam.SimulateCustomPolicyInput{PolicyInputList: []string{text}, ActionNames: []string{"kms:Decrypt"}})
			return err
		},
		"PutKeyPolicy": func(ctx context.Context, text string) error {
			_, err := k.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: key.KeyMetadata.KeyId, Policy: &text})
			return err
		},
		"PutResourcePolicy": func(ctx context.Context, text string) error {
			_, err := sm.PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{SecretId: new("s"), ResourcePolicy: &text})
			return err
		},
		"ValidateResourcePolicy": func(ctx context.Context, text string) error {
			_, err := sm.ValidateResourcePolicy(ctx, &secretsmanager.ValidateResourcePolicyInput{ResourcePolicy: &text})
			return err
		},
	}
	statement := `{"Effect":"Allow","Action":"a:b","Resource":"*"}`
	texts := map[string]struct{ text, iam, json string }{
		"10 MB": {strings.Repeat(" ", 10<<20), "RequestEntityTooLarge", "RequestEntityTooLargeException"},
		"200 KB of statements": {`{"Version":"2012-10-17","Statement":[` + strings.Repeat(statement+",", 4_000) + statement + `]}`,
			"ValidationError", "ValidationException"},
		"20,000 brackets":   {strings.Repeat("[", 20_000), "MalformedPolicyDocument", "MalformedPolicyDocumentException"},
		"3,000 levels":      {strings.Repeat(`{"a":`, 3000) + "1" + strings.Repeat("}", 3000), "MalformedPolicyDocument", "MalformedPolicyDocumentException"},
		"2,000 same names":  {`{` + strings.Repeat(`"Version":"2012-10-17",`, 800) + `"Statement":` + statement + `}`, "MalformedPolicyDocument", "MalformedPolicyDocumentException"},
		"2,000 operators":   {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{` + strings.TrimSuffix(strings.Repeat(`"X":{},`, 2000), ",") + `}}}`, "MalformedPolicyDocument", "MalformedPolicyDocumentException"},
		"half a surrogate":  {`{"Version":"2012-10-17","Statement":{"Sid":"\ud800","Effect":"Allow","Action":"a:b","Resource":"*"}}`, "MalformedPolicyDocument", "MalformedPolicyDocumentException"},
		"a list of nothing": {`[]`, "MalformedPolicyDocument", "MalformedPolicyDocumentException"},
	}
	for what, c := range texts {
		for operation, store := range stores {
			want := c.json
			switch operation {
			case "PutUserPolicy", "CreatePolicy", "CreateRole", "SimulateCustomPolicy":
				want = c.iam
			}
			if operation == "SimulateCustomPolicy" && want == "MalformedPolicyDocument" {
				want = "InvalidInput"
			}
			err := store(t.Context(), c.text)
			e, ok := errors.AsType[smithy.APIError](err)
			if !ok || e.ErrorCode() != want || len(e.ErrorMessage()) > 1000 {
				t.Errorf("%s, %s: %.300v, want %s", operation, what, err, want)
			}
		}
	}
}

// TestHostilePatterns stores policies that are built to be slow, as large as IAM takes
// them, and asks about the longest values that a request can have. Each call is
// decided; that the test ends says that none takes its time.
func TestHostilePatterns(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	i := s.IAM()
	ann := s.User(t, "ann", "")
	text := func(action, resource, condition string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"` + condition + `}}`
	}
	arn := "arn:aws:secretsmanager:*:*:"
	for name, policy := range map[string]string{
		"action":    text("secretsmanager:"+strings.Repeat("*e", 2900)+"*z", "*", ""),
		"resource":  text("secretsmanager:*", arn+strings.Repeat("a*", 2900)+"z", ""),
		"run":       text("secretsmanager:*", arn+"secret:*"+strings.Repeat("a", 5800)+"z", ""),
		"condition": text("secretsmanager:*", "*", `,"Condition":{"StringLike":{"secretsmanager:Description":"*`+strings.Repeat("?a", 2800)+`z"}}`),
		"variables": text("secretsmanager:*", arn+strings.Repeat("${aws:username}*", 370), ""),
		"values":    text("secretsmanager:*", "*", `,"Condition":{"StringLike":{"secretsmanager:Description":[`+strings.TrimSuffix(strings.Repeat(`"*aaaab*",`, 570), ",")+`]}}`),
	} {
		made, err := i.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: &policy})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := i.AttachUserPolicy(t.Context(), &iam.AttachUserPolicyInput{UserName: new("ann"), PolicyArn: made.Policy.Arn}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	sm := s.SecretsAs(ann, "")
	for range 20 {
		_, err := sm.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
			Name: new(strings.Repeat("a", 512)), SecretString: new("v"), Description: new(strings.Repeat("a", 2048)),
		})
		if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != "AccessDeniedException" {
			t.Fatalf("%v", err)
		}
	}
	// The patterns do match what they match.
	if _, err := sm.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: new("b"), SecretString: new("v"), Description: new(strings.Repeat("a", 2000) + "b"),
	}); err != nil {
		t.Error(err)
	}
}
