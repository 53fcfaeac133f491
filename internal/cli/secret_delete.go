package cli

import (
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"
)

func newSecretDelete(env *Env) *cobra.Command {
	var days int64
	var force bool
	c := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a secret, to be restored for some days",
		Long: `Delete a secret. Its value can be read no more at once; until the recovery window
ends, "strongroom secret restore" brings it back. With --force there is no
window and no way back.`,
		Args: arguments("NAME"),
	}
	a := accessFlags(c, env)
	c.Flags().Int64Var(&days, "recovery-days", 0, "recovery window in `DAYS`, 7 to 30 (default 30)")
	c.Flags().BoolVar(&force, "force", false, "delete for good, now")
	exclude(c, "recovery-days", "force")
	c.RunE = func(c *cobra.Command, args []string) error {
		in := &secretsmanager.DeleteSecretInput{SecretId: &args[0]}
		if c.Flags().Changed("recovery-days") {
			if days < 7 || days > 30 {
				return usageError{errors.New("--recovery-days is a number from 7 to 30")}
			}
			in.RecoveryWindowInDays = &days
		}
		if force {
			in.ForceDeleteWithoutRecovery = &force
		}
		ctx := c.Context()
		api, err := a.open(ctx)
		if err != nil {
			return apiError("delete secret", args[0], err)
		}
		out, err := api.DeleteSecret(ctx, in)
		if err != nil {
			return apiError("delete secret", args[0], err)
		}
		return a.show(api, func() error {
			name := plain(deref(out.Name))
			if force {
				_, err = fmt.Fprintf(env.Stdout, "Deleted %s for good.\n", name)
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "Deleted %s. Until %s it can be restored: strongroom secret restore %s\n", name, moment(out.DeletionDate), shellWord(name))
			return err
		})
	}
	return c
}
