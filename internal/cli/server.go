package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
)

func newServer(env *Env) *cobra.Command {
	var data, listen, operations, database string
	var insecure, unprivileged bool
	c := &cobra.Command{
		Use:   "server",
		Short: "Serve the API",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(data, env.Getenv, func(cfg *config.Config) {
				set := func(name string, p *string, v string) {
					if c.Flags().Changed(name) {
						*p = v
					}
				}
				set("listen", &cfg.Listen, listen)
				set("operations", &cfg.Operations, operations)
				set("database", &cfg.Database, database)
				cfg.InsecureHTTP = cfg.InsecureHTTP || insecure
				cfg.RequireUnprivileged = cfg.RequireUnprivileged || unprivileged
			})
			if err != nil {
				return usageError{err}
			}
			return serve(c.Context(), env, cfg)
		},
	}
	dataFlag(c, env, &data)
	d := config.Default()
	c.Flags().StringVar(&listen, "listen", d.Listen, "address of the API (environment "+config.EnvListen+")")
	c.Flags().StringVar(&operations, "operations", d.Operations, "loopback address of /healthz, /readyz and /metrics; empty for none")
	c.Flags().StringVar(&database, "database", "", "postgres:// URL instead of SQLite (environment "+config.EnvDatabase+")")
	c.Flags().BoolVar(&insecure, "insecure-http", false, "plain HTTP, on loopback only")
	c.Flags().BoolVar(&unprivileged, "require-unprivileged", false, "refuse to run as root")
	return c
}

func serve(ctx context.Context, env *Env, cfg config.Config) error {
	if cfg.RequireUnprivileged && os.Geteuid() == 0 {
		return withHint(errors.New("running as root is refused"), "start it under an account of its own")
	}
	log := newLogger(env.Stderr, cfg.Log)
	s, err := server.Open(ctx, server.Options{Config: cfg, Log: log})
	if errors.Is(err, server.ErrNotInitialised) || errors.Is(err, os.ErrNotExist) {
		return withHint(fmt.Errorf("cannot start: %w", err), "make the data directory first: strongroom init --data "+cfg.Data)
	}
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	for _, w := range server.Warnings(cfg.InsecureHTTP) {
		log.Warn(w)
	}
	err = s.Serve(ctx, func(a net.Addr) {
		log.Info("serving", "api", cfg.URL(), "address", a.String(), "account", s.Status().Account, "engine", s.Status().Engine)
		fmt.Fprintf(env.Stderr, "\nIn another shell:\n\n  eval \"$(%s env --data %s)\"\n  aws secretsmanager create-secret --name hello --secret-string world\n  aws secretsmanager get-secret-value --secret-id hello\n\n",
			program(), cfg.Data)
	})
	return errors.Join(err, s.Close(context.WithoutCancel(ctx)))
}

// program is how the user called us, for lines to be copied.
func program() string { return os.Args[0] }

func newLogger(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// quiet logs warnings only: for commands that open a server for a moment.
func quiet(env *Env) *slog.Logger {
	return newLogger(env.Stderr, config.Log{Level: "warn"})
}
