package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/denial"
)

func newExplain(env *Env) *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain [REQUEST-ID]",
		Short: "Tell why a request was denied",
		Long: `Tell why a request was denied, from the decision as it was made then: each policy
that was looked at, with its version, each statement, whether it matched and what
kept it from it, and the least that would have to change.

The request id is that of the denied request, as SDKs and "strongroom secret" print
it ("aws --debug" does), or the requestID of a record in the audit log. Without one
the latest 20 denials are listed. The command
asks the running server over its socket, so it works on its machine only, for the
user that runs it; users of the API ask sts:DecodeAuthorizationMessage, with the
same id as the encoded message.`,
		Example: `  strongroom explain 4f5d4a9e-9a57-4a0e-8a57-3f3f9d1c2b1a`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return arguments("REQUEST-ID")(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listDenials(c, env, data, asJSON)
			}
			var found []*denial.Denial
			if err := operator(c.Context(), data, http.MethodGet, "/v1/denials/"+url.PathEscape(args[0]), nil, &found); err != nil {
				return fmt.Errorf("cannot explain: %w", err)
			}
			if len(found) == 0 {
				return withHint(errors.New("no denial is known under this request id"),
					"a request that was not denied by a policy has none; explanations go when they are old or too many (\"denials\" in the configuration), and reach other nodes within a second; \"strongroom audit tail\" shows how the request ended")
			}
			if asJSON {
				return printJSON(env.Stdout, found)
			}
			for i, d := range found {
				if i > 0 {
					fmt.Fprintln(env.Stdout)
				}
				if _, err := io.WriteString(env.Stdout, d.Text(d.Explanation)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	return c
}

func listDenials(c *cobra.Command, env *Env, data string, asJSON bool) error {
	var latest []denial.Summary
	if err := operator(c.Context(), data, http.MethodGet, "/v1/denials", nil, &latest); err != nil {
		return fmt.Errorf("cannot list denials: %w", err)
	}
	if asJSON {
		return printJSON(env.Stdout, latest)
	}
	if len(latest) == 0 {
		fmt.Fprintln(env.Stderr, "Nothing was denied.")
		return nil
	}
	rows := make([][]string, 0, len(latest))
	for _, d := range latest {
		rows = append(rows, []string{moment(&d.Time), d.RequestID, d.Principal, d.Action, d.Resource})
	}
	return printTable(env.Stdout, []string{"TIME", "REQUEST ID", "PRINCIPAL", "ACTION", "RESOURCE"}, rows)
}
