package cli

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/server"
)

func newRootCredentials(env *Env) *cobra.Command {
	var data, account string
	var asJSON bool
	c := &cobra.Command{
		Use:   "root-credentials",
		Short: "Make a key of an account's root user that lives an hour",
		Long: `Make a key of an account's root user that lives an hour, and print shell exports
as "strongroom env" does: eval "$(strongroom root-credentials)".

Root may do everything in its account, also where policies have locked everybody
else out. Making the key and every use of it is recorded. The command asks the
running server over its socket, so it works on its machine only, for the user
that runs it.`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			if account == "" {
				first, err := server.Account(data)
				if err != nil {
					return notInitialised(data)
				}
				account = first
			}
			if !aws.ValidAccountID(account) {
				return usageError{fmt.Errorf("--account %s is not 12 digits", plain(account))}
			}
			var creds server.RootCredentials
			if err := operator(c.Context(), data, http.MethodPost, "/v1/root-credentials", map[string]string{"account": account}, &creds); err != nil {
				return fmt.Errorf("cannot make root credentials of account %s: %w", account, err)
			}
			fmt.Fprintf(env.Stderr, "Root credentials of account %s until %s: no policy limits them, and they end by themselves.\n", account, moment(&creds.Expires))
			if asJSON {
				return printJSON(env.Stdout, creds)
			}
			vars, err := environment(env, data, creds.Credentials)
			if err != nil {
				return err
			}
			return printExports(env, vars)
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&account, "account", "", "12-digit account `ID` (default the account that init made)")
	return c
}
