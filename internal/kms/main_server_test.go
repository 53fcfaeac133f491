package kms_test

import (
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/strongroom/strongroom/internal/kms"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/servertest/coverage"
)

// errs is every error of the service.
var errs = coverage.New(&kms.API, coverage.Files{
	Documented: "testdata/errors-kms.tsv",
	Unreached:  "testdata/unreached.tsv",
})

func TestMain(m *testing.M) {
	os.Exit(errs.Main(m, "../../docs/coverage-kms.md"))
}

// bench is a whole server and its administrator's client.
type bench struct {
	*servertest.Server
	*testing.T
	admin *sdk.Client
}

func startServer(t *testing.T, o ...servertest.Option) *bench {
	s := servertest.Start(t, o...)
	return &bench{s, t, s.KMS("")}
}

func (b *bench) as(key server.Credentials, region string) *sdk.Client {
	return sdk.NewFromConfig(b.AWS(key, region))
}

// key makes a key with a policy ("" = the default) and returns id and ARN.
func (b *bench) key(policy string) (id, arn string) {
	b.Helper()
	in := &sdk.CreateKeyInput{}
	if policy != "" {
		in.Policy = &policy
	}
	out, err := b.admin.CreateKey(b.Context(), in)
	ok(b.T, err)
	return *out.KeyMetadata.KeyId, *out.KeyMetadata.Arn
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

func str(s string) *string { return aws.String(s) }

// policyFor is a key policy that leaves the key to the account and adds a
// statement ("" = none).
func policyFor(more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}` + more + `]}`
}

// onKey are all operations that name a key, by their names.
func (b *bench) onKey(c *sdk.Client, key string, blob []byte) map[string]func() error {
	ctx := b.Context()
	return map[string]func() error{
		"DescribeKey": func() error { _, err := c.DescribeKey(ctx, &sdk.DescribeKeyInput{KeyId: &key}); return err },
		"EnableKey":   func() error { _, err := c.EnableKey(ctx, &sdk.EnableKeyInput{KeyId: &key}); return err },
		"DisableKey":  func() error { _, err := c.DisableKey(ctx, &sdk.DisableKeyInput{KeyId: &key}); return err },
		"ScheduleKeyDeletion": func() error {
			_, err := c.ScheduleKeyDeletion(ctx, &sdk.ScheduleKeyDeletionInput{KeyId: &key})
			return err
		},
		"CancelKeyDeletion": func() error {
			_, err := c.CancelKeyDeletion(ctx, &sdk.CancelKeyDeletionInput{KeyId: &key})
			return err
		},
		"GetKeyPolicy": func() error { _, err := c.GetKeyPolicy(ctx, &sdk.GetKeyPolicyInput{KeyId: &key}); return err },
		"PutKeyPolicy": func() error {
			_, err := c.PutKeyPolicy(ctx, &sdk.PutKeyPolicyInput{KeyId: &key, Policy: str(policyFor(""))})
			return err
		},
		"ListKeyPolicies": func() error {
			_, err := c.ListKeyPolicies(ctx, &sdk.ListKeyPoliciesInput{KeyId: &key})
			return err
		},
		"Encrypt": func() error {
			_, err := c.Encrypt(ctx, &sdk.EncryptInput{KeyId: &key, Plaintext: []byte("x")})
			return err
		},
		"GenerateDataKey": func() error {
			_, err := c.GenerateDataKey(ctx, &sdk.GenerateDataKeyInput{KeyId: &key, KeySpec: "AES_256"})
			return err
		},
		"Decrypt": func() error {
			_, err := c.Decrypt(ctx, &sdk.DecryptInput{KeyId: &key, CiphertextBlob: blob})
			return err
		},
		"CreateAlias": func() error {
			_, err := c.CreateAlias(ctx, &sdk.CreateAliasInput{AliasName: str("alias/on-key"), TargetKeyId: &key})
			return err
		},
		"ListAliases": func() error { _, err := c.ListAliases(ctx, &sdk.ListAliasesInput{KeyId: &key}); return err },
	}
}

// blob is something that a key has encrypted.
func (b *bench) blob(key string) []byte {
	b.Helper()
	return must(b.admin.Encrypt(b.Context(), &sdk.EncryptInput{KeyId: &key, Plaintext: []byte("x")}))(b.T).CiphertextBlob
}
