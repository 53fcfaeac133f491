package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/server"
)

func newAccount(env *Env) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "account",
		Short: "Make and list accounts",
		Long: `Make and list the accounts of a deployment. The commands ask the running server,
and open the data directory themselves when none runs.`,
	})
	c.AddCommand(newAccountCreate(env), newAccountList(env))
	return c
}

func newAccountCreate(env *Env) *cobra.Command {
	var data, id, name string
	var asJSON bool
	c := &cobra.Command{
		Use:   "create",
		Short: "Make an account with its user admin, and print that user's key",
		Long: `Make an account with its user "admin", and print that user's access key. The key
is shown this once and kept nowhere.`,
		Example: "  strongroom account create --name staging",
		Args:    arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			if id == "" {
				id = aws.NewAccountID()
			}
			if !aws.ValidAccountID(id) {
				return usageError{fmt.Errorf("--account-id %s is not 12 digits", plain(id))}
			}
			in := map[string]string{"account": id, "name": name}
			var creds server.Credentials
			err := operator(c.Context(), data, http.MethodPost, "/v1/accounts", in, &creds)
			if errors.Is(err, errNotRunning) {
				err = offline(c.Context(), env, data, func(s *server.Server) (err error) {
					creds, err = s.CreateAccount(c.Context(), id, name)
					return err
				})
			}
			if err != nil {
				return fmt.Errorf("cannot create account %s: %w", id, err)
			}
			fmt.Fprintln(env.Stderr, "The secret access key is shown this once.")
			return printCredentials(env, creds, asJSON)
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&id, "account-id", "", "12-digit account `ID` (default random)")
	c.Flags().StringVar(&name, "name", "", "`NAME` in lists")
	return c
}

// printCredentials writes a key as fields or as the JSON of admin.json.
func printCredentials(env *Env, creds server.Credentials, asJSON bool) error {
	if asJSON {
		return printJSON(env.Stdout, creds)
	}
	return printFields(env.Stdout, [][2]string{
		{"Account", creds.Account}, {"User", creds.User},
		{"Access key id", creds.AccessKeyID}, {"Secret access key", creds.SecretAccessKey},
	})
}

func newAccountList(env *Env) *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the accounts", Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			var accounts []iam.Account
			err := operator(c.Context(), data, http.MethodGet, "/v1/accounts", nil, &accounts)
			if errors.Is(err, errNotRunning) {
				err = offline(c.Context(), env, data, func(s *server.Server) (err error) {
					accounts, err = s.Accounts(c.Context())
					return err
				})
			}
			if err != nil {
				return fmt.Errorf("cannot list accounts: %w", err)
			}
			if asJSON {
				return printJSON(env.Stdout, map[string]any{"accounts": accounts})
			}
			rows := make([][]string, 0, len(accounts))
			for _, a := range accounts {
				rows = append(rows, []string{a.ID, moment(&a.CreatedAt), a.Name})
			}
			return printTable(env.Stdout, []string{"ACCOUNT", "CREATED", "NAME"}, rows)
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	return c
}

// offline opens the data directory as the server would, for one change that is
// audited as any other, and closes it.
func offline(ctx context.Context, env *Env, data string, do func(*server.Server) error) error {
	cfg, err := config.Load(data, env.Getenv, nil)
	if err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s, err := server.Open(ctx, server.Options{Config: cfg, Log: quiet(env)})
	if err != nil {
		return fmt.Errorf("no server runs, and the data directory cannot be opened: %w", err)
	}
	return errors.Join(do(s), s.Close(context.WithoutCancel(ctx)))
}
