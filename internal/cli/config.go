package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/endpoint"
	"github.com/strongroom/strongroom/internal/server"
)

func newConfig(env *Env) *cobra.Command {
	c := group(&cobra.Command{Use: "config", Short: "Check the configuration"})
	c.AddCommand(newConfigCheck(env))
	return c
}

func newConfigCheck(env *Env) *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Print the configuration in force, or what is wrong with it",
		Long: `Print the configuration in force: strongroom.yaml of the data directory over the
defaults, the environment over both. Passwords are hidden. A mistake is told
with file and line, and the status is then 2. The policies and authorities that
private endpoints name are read as well.`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(data, env.Getenv, nil)
			if err != nil {
				return usageError{err}
			}
			if err := endpoint.Check(&cfg, server.EndpointServices()); err != nil {
				return usageError{err}
			}
			if _, err := server.Rates(&cfg); err != nil {
				return usageError{err}
			}
			path := filepath.Join(data, config.FileName)
			if _, err := os.Stat(path); err != nil {
				fmt.Fprintf(env.Stderr, "There is no %s; these are the defaults.\n", path)
			}
			text := cfg.Redacted()
			if !asJSON {
				_, err = io.WriteString(env.Stdout, text)
				return err
			}
			// One description of the names: the struct's YAML tags.
			var settings map[string]any
			if err := yaml.Unmarshal([]byte(text), &settings); err != nil {
				return err
			}
			return printJSON(env.Stdout, settings)
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	return c
}
