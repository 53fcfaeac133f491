package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/memory"
	"github.com/strongroom/strongroom/internal/server"
)

func newServer(env *Env) *cobra.Command {
	var data, listen, operations, database string
	var insecure, unprivileged bool
	c := &cobra.Command{
		Use:   "server",
		Short: "Serve the API",
		Long: `Serve the API of a data directory until a signal ends it. Flags go before
environment variables, and these before strongroom.yaml in the data directory;
"strongroom config check" prints what is in force. SIGHUP reads the section
network again, which also happens by itself when its files change.`,
		Example: `  strongroom server
  strongroom server --data /var/lib/strongroom --listen 10.0.0.5:4766`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			load := func() (config.Config, error) {
				return config.Load(data, env.Getenv, func(cfg *config.Config) {
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
			}
			cfg, err := load()
			if err != nil {
				return usageError{err}
			}
			return serve(c.Context(), env, cfg, load)
		},
	}
	dataFlag(c, env, &data)
	d := config.Default()
	c.Flags().StringVar(&listen, "listen", d.Listen, "address `HOST:PORT` of the API (environment "+config.EnvListen+")")
	c.Flags().StringVar(&operations, "operations", d.Operations, "loopback address `HOST:PORT` of /healthz, /readyz and /metrics; empty for none")
	c.Flags().StringVar(&database, "database", "", "postgres:// `URL` instead of SQLite (environment "+config.EnvDatabase+")")
	c.Flags().BoolVar(&insecure, "insecure-http", false, "plain HTTP, on loopback only")
	c.Flags().BoolVar(&unprivileged, "require-unprivileged", false, "refuse to run as root")
	return c
}

func serve(ctx context.Context, env *Env, cfg config.Config, load func() (config.Config, error)) error {
	if cfg.RequireUnprivileged && os.Geteuid() == 0 {
		return withHint(errors.New("running as root is refused"), "start it under an account of its own")
	}
	if _, err := server.Node(cfg.Data); errors.Is(err, server.ErrNotInitialised) {
		return notInitialised(cfg.Data)
	}
	log := newLogger(env.Stderr, cfg.Log)
	// Before there is a key in memory.
	kept, err := memory.Harden(cfg.Memory.Lock, cfg.Memory.Dumps)
	if errors.Is(err, memory.ErrLock) {
		return withHint(fmt.Errorf("cannot start: %w", err), "let it: LimitMEMLOCK=infinity in its systemd unit, or the capability CAP_IPC_LOCK; or set memory.lock to auto")
	}
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	s, err := server.Open(ctx, server.Options{Config: cfg, Log: log, Reload: load, Memory: kept, Release: buildOf(env).Version})
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	for _, w := range server.Warnings(cfg.InsecureHTTP) {
		log.Warn(w)
	}
	onHangup(ctx, func() { _ = s.ReloadNetwork() }) // It logs what is wrong.
	err = s.Serve(ctx, func(a net.Addr) {
		st := s.Status()
		log.Info("serving", "api", server.Endpoint(cfg), "address", a.String(), "account", st.Account, "engine", st.Engine)
	})
	return errors.Join(busy(err, cfg), s.Close(context.WithoutCancel(ctx)))
}

// onHangup calls f for each SIGHUP until ctx ends.
func onHangup(ctx context.Context, f func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hangup)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
				f()
			}
		}
	}()
}

// busy says what to do about an address that is taken.
func busy(err error, cfg config.Config) error {
	var op *net.OpError
	if !errors.Is(err, syscall.EADDRINUSE) || !errors.As(err, &op) || op.Addr == nil {
		return err
	}
	if op.Addr.String() == cfg.Operations && cfg.Operations != cfg.Listen {
		return withHint(fmt.Errorf("cannot start: %w", err), `choose another address for health and metrics with --operations HOST:PORT, or none with --operations ""`)
	}
	return withHint(fmt.Errorf("cannot start: %w", err), "another program, or another Strongroom, has that address: choose one with --listen HOST:PORT")
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
