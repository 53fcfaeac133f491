package cli

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
)

func newInit(env *Env) *cobra.Command {
	var data, account, region, listen, database string
	var regions []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "init",
		Short: "Make a data directory: keys, certificates, the first account and its admin",
		Long: `Make a data directory: root key, certificates, configuration, the first account
with its user "admin" and that user's access key.

The access key is printed once and kept in admin.json (mode 0600) for
"strongroom env". The root key in root.key opens everything: back it up apart
from the data, and without it nothing can be read.`,
		Example: `  strongroom init
  strongroom init --data /var/lib/strongroom --region dc-berlin-1 --regions dc-berlin-1,dc-paris-1`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			if account != "" && !aws.ValidAccountID(account) {
				return usageError{fmt.Errorf("--account-id %s is not 12 digits", plain(account))}
			}
			changed := c.Flags().Changed
			cfg, err := config.Load(data, env.Getenv, func(cfg *config.Config) {
				if changed("region") {
					cfg.Region = region
				}
				if changed("regions") {
					cfg.Regions = regions
				}
				if changed("listen") {
					cfg.Listen = listen
				}
				if changed("database") {
					cfg.Database = database
				}
			})
			if err != nil {
				return usageError{err}
			}
			creds, err := server.Init(c.Context(), cfg, account, quiet(env))
			if errors.Is(err, server.ErrInitialised) {
				return withHint(fmt.Errorf("%s: %w", data, err), "start it: strongroom server --data "+shellWord(data))
			}
			if err != nil {
				return fmt.Errorf("cannot initialise %s: %w", data, err)
			}
			fmt.Fprintf(env.Stderr, "Initialised %s for region %s.\n", data, cfg.Region)
			fmt.Fprintf(env.Stderr, "The root key is %s. Back it up apart from the data.\n", filepath.Join(data, server.RootKeyFile))
			fmt.Fprintf(env.Stderr, "Next:             %[1]s server --data %[2]s\nin another shell: eval \"$(%[1]s env --data %[2]s)\"\n\n", shellWord(program()), shellWord(data))
			return printCredentials(env, creds, asJSON)
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&account, "account-id", "", "12-digit account `ID` (default random)")
	c.Flags().StringVar(&region, "region", config.Default().Region, "default `REGION`")
	c.Flags().StringSliceVar(&regions, "regions", nil, "all `REGIONS` to serve, comma-separated (default the default region)")
	c.Flags().StringVar(&listen, "listen", config.Default().Listen, "address `HOST:PORT` of the API, kept in the configuration (environment "+config.EnvListen+")")
	c.Flags().StringVar(&database, "database", "", "postgres:// `URL` instead of SQLite (environment "+config.EnvDatabase+")")
	return c
}
