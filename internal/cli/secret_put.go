package cli

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"
)

func newSecretPut(env *Env) *cobra.Command {
	var stages []string
	c := &cobra.Command{
		Use:   "put NAME",
		Short: "Store a new value in a secret",
		Long: `Store a new value in a secret, as a new version that becomes AWSCURRENT. The one
before stays as AWSPREVIOUS.
` + valueHelp,
		Example: `  strongroom secret put prod/db
  strongroom secret put prod/db --file new-password --stage AWSPENDING`,
		Args: noValueArgument,
	}
	a, v := accessFlags(c, env), valueFlags(c)
	c.Flags().StringArrayVar(&stages, "stage", nil, "staging `LABEL` for the new version instead of AWSCURRENT; may be repeated")
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx := c.Context()
		api, err := a.open(ctx)
		if err != nil {
			return apiError("put secret", args[0], err)
		}
		in := &secretsmanager.PutSecretValueInput{SecretId: &args[0], VersionStages: stages}
		if in.SecretString, in.SecretBinary, err = v.read(ctx, env, args[0]); err != nil {
			return apiError("put secret", args[0], err)
		}
		out, err := api.PutSecretValue(ctx, in)
		if err != nil {
			return apiError("put secret", args[0], err)
		}
		return a.show(api, func() error {
			return printFields(env.Stdout, [][2]string{{"Stored", deref(out.Name)}, {"ARN", deref(out.ARN)},
				{"Version", deref(out.VersionId)}, {"Labels", strings.Join(out.VersionStages, ", ")}})
		})
	}
	return c
}
