package cli

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/server"
)

// newEntity makes the command of users or of roles: what an operator may do with
// them beside the AWS API.
func newEntity(env *Env, kind string) *cobra.Command {
	c := group(&cobra.Command{
		Use:   kind,
		Short: "Void the sessions of a " + kind,
		Long: "Void the sessions of a " + kind + `. All else is done with the AWS API:
"aws iam help" lists it.`,
	})
	c.AddCommand(newRevokeSessions(env, kind))
	return c
}

func newRevokeSessions(env *Env, kind string) *cobra.Command {
	var data, account string
	var asJSON bool
	c := &cobra.Command{
		Use:   "revoke-sessions NAME",
		Short: "Void all temporary credentials of a " + kind,
		Long: "Void all temporary credentials of a " + kind + ` that there are. The next request made with
any of them is refused, on every node.

New ones can be made at once by whoever may make them: take that permission away
first. The command asks the running server over its socket, so it works on its
machine only, for the user that runs it. It is recorded.`,
		Args: arguments("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
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
			var out server.Revocation
			in := map[string]string{"account": account, "kind": kind, "name": args[0]}
			if err := operator(c.Context(), data, http.MethodPost, "/v1/sessions/revoke", in, &out); err != nil {
				return fmt.Errorf("cannot revoke the sessions of %s %s: %w", kind, plain(args[0]), err)
			}
			if asJSON {
				return printJSON(env.Stdout, out)
			}
			fmt.Fprintf(env.Stdout, "All sessions of %s %s until %s are void.\n", kind, plain(args[0]), moment(&out.Until))
			return nil
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&account, "account", "", "12-digit account `ID` (default the account that init made)")
	return c
}
