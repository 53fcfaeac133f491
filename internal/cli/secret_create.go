package cli

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/spf13/cobra"
)

func newSecretCreate(env *Env) *cobra.Command {
	var description, key string
	var tags []string
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a secret with its first value",
		Long:  "Create a secret with its first value.\n" + valueHelp,
		Example: `  strongroom secret create prod/db
  pwgen -s 32 1 | strongroom secret create prod/db --tag team=payments
  strongroom secret create prod/tls-key --file key.pem --description "front door"`,
		Args: noValueArgument,
	}
	a, v := accessFlags(c, env), valueFlags(c)
	c.Flags().StringVar(&description, "description", "", "`TEXT` on what the secret is; stored in the clear")
	c.Flags().StringVar(&key, "kms-key", "", "KMS `KEY`: id, ARN or alias (default alias/aws/secretsmanager)")
	c.Flags().StringArrayVar(&tags, "tag", nil, "tag as `KEY=VALUE`; may be repeated")
	c.RunE = func(c *cobra.Command, args []string) error {
		in := &secretsmanager.CreateSecretInput{Name: &args[0], Description: optional(description), KmsKeyId: optional(key)}
		for _, t := range tags {
			k, val, ok := strings.Cut(t, "=")
			if !ok {
				return usageError{fmt.Errorf("--tag %s is not KEY=VALUE", plain(t))}
			}
			in.Tags = append(in.Tags, types.Tag{Key: &k, Value: &val})
		}
		ctx := c.Context()
		api, err := a.open(ctx)
		if err != nil {
			return apiError("create secret", args[0], err)
		}
		if in.SecretString, in.SecretBinary, err = v.read(ctx, env, args[0]); err != nil {
			return apiError("create secret", args[0], err)
		}
		out, err := api.CreateSecret(ctx, in)
		if err != nil {
			return apiError("create secret", args[0], err)
		}
		return a.show(api, func() error {
			return printFields(env.Stdout, [][2]string{{"Created", deref(out.Name)}, {"ARN", deref(out.ARN)}, {"Version", deref(out.VersionId)}})
		})
	}
	return c
}

// optional is nil for an empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// deref is the value behind a pointer of an answer; the zero value for nil.
func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
