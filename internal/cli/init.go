package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
)

func newInit(env *Env) *cobra.Command {
	var data, account, region, database string
	var regions []string
	c := &cobra.Command{
		Use:   "init",
		Short: "Make a data directory: keys, certificates, the first account and its admin",
		Long: `Make a data directory: root key, certificates, configuration, the first account
with its user "admin" and that user's access key.

The access key is printed once and kept in admin.json (mode 0600) for
"strongroom env". The root key in root.key opens everything: back it up apart
from the data, and without it nothing can be read.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(data, env.Getenv, func(cfg *config.Config) {
				if c.Flags().Changed("region") {
					cfg.Region = region
				}
				if c.Flags().Changed("regions") {
					cfg.Regions = regions
				}
				if c.Flags().Changed("database") {
					cfg.Database = database
				}
			})
			if err != nil {
				return usageError{err}
			}
			creds, err := server.Init(c.Context(), cfg, account, quiet(env))
			if errors.Is(err, server.ErrInitialised) {
				return withHint(fmt.Errorf("%s: %w", data, err), "start it with: strongroom server --data "+data)
			}
			if err != nil {
				return fmt.Errorf("cannot initialise %s: %w", data, err)
			}
			fmt.Fprintf(env.Stderr, "Initialised %s: account %s, region %s.\n", data, creds.Account, cfg.Region)
			fmt.Fprintf(env.Stderr, "The root key is %s/%s. Back it up apart from the data.\n\n", data, server.RootKeyFile)
			fmt.Fprintf(env.Stdout, "Account:           %s\nUser:              %s\nAccess key id:     %s\nSecret access key: %s\n",
				creds.Account, creds.User, creds.AccessKeyID, creds.SecretAccessKey)
			return nil
		},
	}
	dataFlag(c, env, &data)
	c.Flags().StringVar(&account, "account-id", "", "12-digit account id (default: random)")
	c.Flags().StringVar(&region, "region", config.Default().Region, "default region")
	c.Flags().StringSliceVar(&regions, "regions", nil, "all regions to serve (default: the default region)")
	c.Flags().StringVar(&database, "database", "", "postgres:// URL instead of SQLite (environment "+config.EnvDatabase+")")
	return c
}
