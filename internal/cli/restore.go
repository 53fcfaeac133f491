package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/backup"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
)

func newRestore(env *Env) *cobra.Command {
	var data, identity, passphrase, database, listen, asOf string
	var dryRun, asJSON bool
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a data directory from a backup",
		Long: `Make a data directory, as init does, from a backup: with a root key of its own,
into an empty SQLite or PostgreSQL database, whichever the backup came from. The
whole backup is proven before anything is written, and what was restored is
checked before it is kept.

A backup has forgotten what was revoked since. So every access key is inactive
afterwards and every session of users and roles void; --as-of with the backup's
moment, which --dry-run prints, keeps them as they were. The way in is then
"strongroom root-credentials" on the running server.`,
		Example: `  strongroom restore --identity key.txt --dry-run backup.age
  strongroom restore --identity key.txt --data /var/lib/strongroom backup.age`,
		Args: arguments("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if identity != "" && passphrase != "" {
				return usageError{errors.New("--identity and --passphrase-file exclude each other")}
			}
			in := server.RestoreRequest{Open: func() (io.ReadCloser, error) { return os.Open(args[0]) }}
			if asOf != "" {
				var err error
				if in.AsOf, err = time.Parse(time.RFC3339, asOf); err != nil {
					return usageError{errors.New("--as-of is not a moment such as 2026-01-31T12:00:00Z")}
				}
			}
			var err error
			if identity != "" {
				in.Identities, err = readIdentities(identity)
			} else {
				var text string
				if text, err = readPassphrase(c.Context(), env, passphrase, false); err == nil {
					in.Identities, err = backup.Passphrase(text)
				}
			}
			if err != nil {
				return err
			}
			if dryRun {
				found, err := server.VerifyBackup(in)
				if err != nil {
					return fmt.Errorf("cannot read %s: %w", plain(args[0]), err)
				}
				if asJSON {
					return printJSON(env.Stdout, found)
				}
				return printBackup(env, found)
			}
			cfg, err := config.Load(data, env.Getenv, func(cfg *config.Config) {
				if c.Flags().Changed("database") {
					cfg.Database = database
				}
				if c.Flags().Changed("listen") {
					cfg.Listen = listen
				}
			})
			if err != nil {
				return usageError{err}
			}
			out, err := server.Restore(c.Context(), cfg, in, quiet(env))
			switch {
			case errors.Is(err, server.ErrInitialised), errors.Is(err, backup.ErrNotEmpty):
				return withHint(fmt.Errorf("cannot restore into %s: %w", data, err), "name a new --data directory, and an empty database")
			case err != nil:
				return fmt.Errorf("cannot restore %s: %w", plain(args[0]), err)
			}
			fmt.Fprintf(env.Stderr, "Restored into %s. The root key is %s. Back it up apart from the data.\n", data, filepath.Join(data, server.RootKeyFile))
			if asJSON {
				return printJSON(env.Stdout, out)
			}
			return printRestored(env, out)
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	c.Flags().StringVarP(&identity, "identity", "i", "", "`FILE` with the age identity that opens it")
	c.Flags().StringVar(&passphrase, "passphrase-file", "", "`FILE` with the passphrase (without an identity, the default is to ask)")
	c.Flags().StringVar(&database, "database", "", "postgres:// `URL` instead of SQLite (environment "+config.EnvDatabase+")")
	c.Flags().StringVar(&listen, "listen", config.Default().Listen, "address `HOST:PORT` of the API, kept in the configuration (environment "+config.EnvListen+")")
	c.Flags().StringVar(&asOf, "as-of", "", "`MOMENT` of the backup: keep access keys and sessions as they were then")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "prove the backup, say what is in it, and write nothing")
	return c
}

func readIdentities(file string) (backup.Identities, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the identity: %w", err)
	}
	defer f.Close()
	ids, err := backup.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("read the identity from %s: %w", plain(file), err)
	}
	return ids, nil
}

func printBackup(env *Env, s backup.Summary) error {
	var rows [][]string
	for _, table := range slices.Sorted(maps.Keys(s.Rows)) {
		if s.Rows[table] > 0 {
			rows = append(rows, []string{table, fmt.Sprint(s.Rows[table])})
		}
	}
	if err := printTable(env.Stdout, []string{"TABLE", "ROWS"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout)
	return printFields(env.Stdout, [][2]string{{"Moment", s.At.UTC().Format(time.RFC3339)}, {"Account", s.Account}, {"Engine", s.Engine},
		{"Release", s.Release}, {"Backup", "whole and unaltered"}})
}

func printRestored(env *Env, out server.Restored) error {
	if err := printBackup(env, out.Summary); err != nil {
		return err
	}
	state := "inactive now"
	if out.Kept {
		state = "active, as it was"
	}
	var rows [][]string
	for _, k := range out.Keys {
		user := k.User
		if user == "" {
			user = "(root)"
		}
		rows = append(rows, []string{k.Account, user, k.KeyID, moment(&k.Created), state})
	}
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(env.Stdout)
	return printTable(env.Stdout, []string{"ACCOUNT", "USER", "ACCESS KEY", "CREATED", "STATE"}, rows)
}
