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
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/config"
)

// Env is everything a command knows of the world.
type Env struct {
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Version and Commit are set by the linker; empty in a plain go build.
	Version, Commit string
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

// usageError is a mistake in how a command was called, or in its configuration.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// errSilent ends a command with status 1 when it has said everything itself.
var errSilent = errors.New("already reported")

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
	if !errors.Is(err, errSilent) {
		fmt.Fprintf(env.Stderr, "strongroom: %v\n", err)
		var h interface{ Hint() string }
		if errors.As(err, &h) && h.Hint() != "" {
			fmt.Fprintf(env.Stderr, "hint: %s\n", h.Hint())
		}
	}
	var u usageError
	if errors.As(err, &u) {
		return exitUsage
	}
	return exitFailure
}

// The groups of the overview.
const (
	groupServer = "server"
	groupUse    = "use"
	groupCheck  = "check"
)

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "strongroom",
		Short: "AWS Secrets Manager that you run yourself",
		Long: `AWS Secrets Manager that you run yourself.

To begin:

  strongroom init
  strongroom server
  eval "$(strongroom env)"        (in another shell)
  aws secretsmanager create-secret --name hello --secret-string world`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	group(root)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{withHint(err, helpHint(c))}
	})
	root.AddGroup(
		&cobra.Group{ID: groupServer, Title: "Run a server:"},
		&cobra.Group{ID: groupUse, Title: "Use it:"},
		&cobra.Group{ID: groupCheck, Title: "Check and prove:"},
	)
	add := func(id string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	add(groupServer, newInit(env), newServer(env), newStatus(env), newConfig(env), newEndpoint(env), newNode(env), newBackup(env), newRestore(env))
	add(groupUse, newEnv(env), newSecret(env), newAccount(env), newRootCredentials(env), newEntity(env, "role"), newEntity(env, "user"), newOIDC(env),
		newCredentialProcess(env), newContainerCredentials(env))
	add(groupCheck, newCheck(env), newAudit(env), newPolicy(env), newExplain(env))
	root.AddCommand(newVersion(env))
	return root
}

// group makes a command that only holds others show its help, and refuse what is
// not one of them.
func group(c *cobra.Command) *cobra.Command {
	c.SuggestionsMinimumDistance = 2
	// A usage template of our own would say it better, and link text/template with
	// all that reflection keeps: 4 MB.
	c.DisableFlagsInUseLine = true
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		// The word is not repeated: it may be a value in the wrong place.
		err := fmt.Errorf("%s has no such command", c.CommandPath())
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			return usageError{withHint(err, "did you mean "+strings.Join(near, " or ")+"?")}
		}
		return usageError{withHint(err, helpHint(c))}
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

func helpHint(c *cobra.Command) string {
	return fmt.Sprintf("%q shows what it takes", c.CommandPath()+" --help")
}

// arguments checks the number of positional arguments; names are what they stand
// for. What was given is not repeated: it may be a secret in the wrong place.
func arguments(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError{withHint(fmt.Errorf("%s needs %s", c.CommandPath(), names[len(args)]), helpHint(c))}
		case len(args) > len(names) && len(names) == 0:
			return usageError{withHint(fmt.Errorf("%s takes no arguments", c.CommandPath()), helpHint(c))}
		case len(args) > len(names):
			return usageError{withHint(fmt.Errorf("%s takes %s and no more arguments", c.CommandPath(), strings.Join(names, ", ")), helpHint(c))}
		}
		return nil
	}
}

// exclude refuses two flags together. It goes before the check of arguments.
func exclude(c *cobra.Command, one, other string) {
	then := c.Args
	c.Args = func(c *cobra.Command, args []string) error {
		if c.Flags().Changed(one) && c.Flags().Changed(other) {
			return usageError{withHint(fmt.Errorf("--%s and --%s exclude each other", one, other), helpHint(c))}
		}
		return then(c, args)
	}
}

// dataFlag adds --data to a command.
func dataFlag(c *cobra.Command, env *Env, data *string) {
	c.Flags().StringVar(data, "data", defaultData(env), "data directory `DIR` (environment "+config.EnvData+")")
	_ = c.MarkFlagDirname("data") // fails only for a flag that does not exist
}

func defaultData(env *Env) string {
	if d := env.Getenv(config.EnvData); d != "" {
		return d
	}
	return config.Default().Data
}

// jsonFlag adds --json to a command.
func jsonFlag(c *cobra.Command, asJSON *bool) {
	c.Flags().BoolVar(asJSON, "json", false, "print JSON")
}
