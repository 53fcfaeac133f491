// Package cli is the strongroom command: one file per command, each a short
// function from arguments and streams to a result.
//
// Values go to standard output, talk goes to standard error, errors say what to
// do next. Commands about secrets reach the server through the official SDK, so
// that each of them proves compatibility again; administration uses the
// operator's socket.
//
// Its one invariant: a secret is written to standard output only, and only by the
// commands whose purpose it is; it is never an argument, a log line or an error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/config"
)

// Version is set by the linker.
var Version = "development"

// Env is everything a command knows of the world.
type Env struct {
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
}

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

// hinted is an error with the operator's next step.
type hinted struct {
	error
	hint string
}

func (h hinted) Hint() string  { return h.hint }
func (h hinted) Unwrap() error { return h.error }

// withHint adds a next step to an error.
func withHint(err error, hint string) error { return hinted{err, hint} }

// usageError is a mistake in how a command was called.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// Run runs one command and returns its exit code.
func Run(ctx context.Context, env *Env) int {
	root := newRoot(env)
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(env.Stderr, "strongroom: %v\n", err)
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		fmt.Fprintf(env.Stderr, "hint: %s\n", h.Hint())
	}
	var u usageError
	if errors.As(err, &u) {
		return exitUsage
	}
	return exitFailure
}

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:           "strongroom",
		Short:         "AWS Secrets Manager that you run yourself",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{withHint(err, fmt.Sprintf("%q shows what it takes", c.CommandPath()+" --help"))}
	})
	root.AddCommand(newInit(env), newServer(env), newEnv(env), newVersion(env))
	return root
}

// dataFlag adds --data to a command.
func dataFlag(c *cobra.Command, env *Env, data *string) {
	d := env.Getenv(config.EnvData)
	if d == "" {
		d = config.Default().Data
	}
	c.Flags().StringVar(data, "data", d, "data directory (environment "+config.EnvData+")")
}

func newVersion(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(env.Stdout, "strongroom", Version)
			return err
		},
	}
}

// notRunning explains a failed connection to the operator's socket.
func notRunning(err error, data string) error {
	if errors.Is(err, os.ErrNotExist) {
		return withHint(fmt.Errorf("no server runs on %s: %w", data, err), "start it with: strongroom server --data "+data)
	}
	return err
}
