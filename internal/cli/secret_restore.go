package cli

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"
)

func newSecretRestore(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "restore NAME",
		Short: "Bring a deleted secret back",
		Args:  arguments("NAME"),
	}
	a := accessFlags(c, env)
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx := c.Context()
		api, err := a.open(ctx)
		if err != nil {
			return apiError("restore secret", args[0], err)
		}
		out, err := api.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: &args[0]})
		if err != nil {
			return apiError("restore secret", args[0], err)
		}
		return a.show(api, func() error {
			_, err = fmt.Fprintf(env.Stdout, "Restored %s.\n", plain(deref(out.Name)))
			return err
		})
	}
	return c
}
