package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/backup"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/ship"
)

// restoreFlags are the command's.
type restoreFlags struct {
	data, identity, passphrase, database, listen, asOf string
	from, at, newer                                    string
	endpoint, region, credentials                      string
	dryRun, asJSON                                     bool
}

func newRestore(env *Env) *cobra.Command {
	var f restoreFlags
	c := &cobra.Command{
		Use:   "restore [FILE]",
		Short: "Make a data directory from a backup, or from what was shipped",
		Long: `Make a data directory, as init does, from a backup: with a root key of its own,
into an empty SQLite or PostgreSQL database, whichever the backup came from. With
--from, it is made from what a server has shipped to a directory or a bucket, as
it was at any moment (SQLite only). All of it is proven before anything is
written, and what was restored is checked before it is kept.

A backup has forgotten what was revoked since. So every access key is inactive
afterwards and every session of users and roles void; --as-of with the moment
that was restored, which --dry-run prints, keeps them as they were. The way in
is then "strongroom root-credentials" on the running server. --newer lists what
would be revived against a later state.`,
		Example: `  strongroom restore --identity key.txt --dry-run backup.age
  strongroom restore --identity key.txt --data /var/lib/strongroom backup.age
  strongroom restore --identity key.txt --from s3://bucket/prefix --at 2026-01-31T12:00:00Z`,
		Args: func(c *cobra.Command, args []string) error {
			if f.from != "" {
				return arguments()(c, args)
			}
			return arguments("FILE")(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			in, source, err := f.request(c.Context(), env, args)
			if err != nil {
				return err
			}
			if f.dryRun {
				return f.prove(c.Context(), env, in, source)
			}
			cfg, err := config.Load(f.data, env.Getenv, func(cfg *config.Config) {
				if c.Flags().Changed("database") {
					cfg.Database = f.database
				}
				if c.Flags().Changed("listen") {
					cfg.Listen = f.listen
				}
			})
			if err != nil {
				return usageError{err}
			}
			out, err := server.Restore(c.Context(), cfg, in, quiet(env))
			switch {
			case errors.Is(err, server.ErrInitialised), errors.Is(err, backup.ErrNotEmpty):
				return withHint(fmt.Errorf("cannot restore into %s: %w", f.data, err), "name a new --data directory, and an empty database")
			case err != nil:
				return fmt.Errorf("cannot restore %s: %w", plain(source), err)
			}
			fmt.Fprintf(env.Stderr, "Restored into %s. The root key is %s. Back it up apart from the data.\n", f.data, filepath.Join(f.data, server.RootKeyFile))
			if f.asJSON {
				return printJSON(env.Stdout, out)
			}
			return printRestored(env, out, in.Newer)
		},
	}
	dataFlag(c, env, &f.data)
	jsonFlag(c, &f.asJSON)
	c.Flags().StringVarP(&f.identity, "identity", "i", "", "`FILE` with the age identity that opens it")
	c.Flags().StringVar(&f.passphrase, "passphrase-file", "", "`FILE` with the passphrase (without an identity, the default is to ask)")
	c.Flags().StringVar(&f.database, "database", "", "postgres:// `URL` instead of SQLite (environment "+config.EnvDatabase+")")
	c.Flags().StringVar(&f.listen, "listen", config.Default().Listen, "address `HOST:PORT` of the API, kept in the configuration (environment "+config.EnvListen+")")
	c.Flags().StringVar(&f.asOf, "as-of", "", "`MOMENT` of what is restored: keep access keys and sessions as they were then")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "prove all of it, say what is in it, and write nothing")
	c.Flags().StringVar(&f.from, "from", "", "`TARGET` that a server was shipped to: a directory, or s3://bucket/prefix")
	c.Flags().StringVar(&f.at, "at", "", "`MOMENT` to restore, with --from (default the last one)")
	c.Flags().StringVar(&f.newer, "newer", "", "`STATE` to compare with: a data directory, a postgres:// URL, a backup or a target")
	c.Flags().StringVar(&f.endpoint, "s3-endpoint", "", "`URL` of a bucket that is not Amazon's")
	c.Flags().StringVar(&f.region, "s3-region", "", "`REGION` of the bucket (default us-east-1)")
	c.Flags().StringVar(&f.credentials, "s3-credentials-file", "", "`FILE` as AWS's tools have it (default AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)")
	return c
}

// request reads the flags. source is what is restored, for people.
func (f *restoreFlags) request(ctx context.Context, env *Env, args []string) (in server.RestoreRequest, source string, err error) {
	switch {
	case f.identity != "" && f.passphrase != "":
		return in, "", usageError{errors.New("--identity and --passphrase-file exclude each other")}
	case f.from != "" && f.identity == "":
		return in, "", usageError{errors.New("--from needs --identity: what is shipped is for recipients")}
	case f.from == "" && f.at != "":
		return in, "", usageError{errors.New("--at is for --from: a backup has one moment")}
	}
	if in.AsOf, err = momentFlag("--as-of", f.asOf); err != nil {
		return in, "", err
	}
	if in.At, err = momentFlag("--at", f.at); err != nil {
		return in, "", err
	}
	if f.identity != "" {
		in.Identities, err = readIdentities(f.identity)
	} else {
		var text string
		if text, err = readPassphrase(ctx, env, f.passphrase, false); err == nil {
			in.Identities, err = backup.Passphrase(text)
		}
	}
	if err != nil {
		return in, "", err
	}
	if f.from == "" {
		source = args[0]
		in.Open = func() (io.ReadCloser, error) { return os.Open(source) }
	} else {
		source = f.from
		if in.Shipped, err = f.target(env, f.from); err != nil {
			return in, "", usageError{err}
		}
	}
	if f.newer == "" {
		return in, source, nil
	}
	in.Newer, err = server.ReadNewer(ctx, server.NewerRequest{Name: f.newer, Identities: in.Identities, Getenv: env.Getenv,
		Target:  func() (ship.Target, error) { return f.target(env, f.newer) },
		Running: backupOfRunning(env),
	}, quiet(env))
	if err != nil {
		return in, "", fmt.Errorf("cannot read the newer state in %s: %w", plain(f.newer), err)
	}
	return in, source, nil
}

// backupOfRunning asks a server for a backup in one stream.
func backupOfRunning(env *Env) func(context.Context, string, string) (io.ReadCloser, error) {
	return func(ctx context.Context, dir, recipient string) (io.ReadCloser, error) {
		body, err := operatorStream(ctx, dir, http.MethodPost, "/v1/backup", server.BackupRequest{Recipients: []string{recipient}, Release: buildOf(env).Version, NoAudit: true})
		if errors.Is(err, errNotRunning) {
			return nil, server.ErrNotRunning
		}
		return body, err
	}
}

// target opens a target that a flag names.
func (f *restoreFlags) target(env *Env, name string) (ship.Target, error) {
	cfg := config.Default()
	cfg.Backup.Ship.To, cfg.Backup.Ship.Endpoint, cfg.Backup.Ship.Region, cfg.Backup.Ship.CredentialsFile = name, f.endpoint, f.region, f.credentials
	if f.credentials != "" {
		path, err := filepath.Abs(f.credentials)
		if err != nil {
			return nil, err
		}
		cfg.Backup.Ship.CredentialsFile = path
	}
	if !strings.HasPrefix(name, "s3://") {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("%s is neither a directory nor s3://bucket/prefix", plain(name))
		}
	}
	return server.ShipTarget(&cfg, env.Getenv, nil, nil)
}

func momentFlag(name, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return t, usageError{fmt.Errorf("%s is not a moment such as 2026-01-31T12:00:00Z", name)}
	}
	return t, nil
}

// prove is the command with --dry-run.
func (f *restoreFlags) prove(ctx context.Context, env *Env, in server.RestoreRequest, source string) error {
	found, err := server.ProveRestore(ctx, in)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", plain(source), err)
	}
	if f.asJSON {
		if in.Newer == nil && in.Shipped == nil {
			return printJSON(env.Stdout, found.Summary)
		}
		return printJSON(env.Stdout, found)
	}
	if err := printBackup(env, found.Summary); err != nil {
		return err
	}
	if err := printShipped(env, found.Shipped); err != nil {
		return err
	}
	return printRevived(env, in.Newer, found.Revived)
}

// printShipped says what a target can restore.
func printShipped(env *Env, p *ship.Plan) error {
	if p == nil {
		return nil
	}
	fields := [][2]string{{"Stream", p.Stream}, {"Node", p.About.Node},
		{"Moments", p.First.Format(time.RFC3339Nano) + " to " + p.Last.Format(time.RFC3339Nano)},
		{"Exact moment", p.At.Format(time.RFC3339Nano)},
		{"Replayed", fmt.Sprintf("%s of %s, %s read", count(uint64(p.Commits), "commit"), count(uint64(p.Logs), "object"), count(uint64(p.Bytes), "byte"))}}
	if !p.Unsure.IsZero() {
		fields = append(fields, [2]string{"Unsure", "the machine lost power after " + p.Unsure.Format(time.RFC3339Nano) + ": some commits from then on may be missing at the moment"})
	}
	return printFields(env.Stdout, fields)
}

// printRevived lists what a newer state has taken away.
func printRevived(env *Env, newer *server.Known, revived []server.Revival) error {
	if newer == nil {
		return nil
	}
	fmt.Fprintln(env.Stdout)
	if len(revived) == 0 {
		fmt.Fprintf(env.Stdout, "Against the newer state of %s nothing is revived.\n", moment(&newer.At))
		return nil
	}
	fmt.Fprintf(env.Stdout, "Against the newer state of %s this comes back:\n", moment(&newer.At))
	var rows [][]string
	for _, r := range revived {
		rows = append(rows, []string{r.Kind, r.Account, plain(r.Name), plain(r.Since)})
	}
	return printTable(env.Stdout, []string{"WHAT", "ACCOUNT", "NAME", "SINCE THEN"}, rows)
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

func printRestored(env *Env, out server.Restored, newer *server.Known) error {
	if err := printBackup(env, out.Summary); err != nil {
		return err
	}
	if err := printShipped(env, out.Shipped); err != nil {
		return err
	}
	for _, c := range out.Audit {
		verdict := "proven"
		if !c.OK {
			verdict = "NOT WHOLE: " + plain(c.Problem)
		}
		fmt.Fprintf(env.Stdout, "Audit record of %s: %s, %s\n", c.Node, count(c.Records, "record"), verdict)
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
	if len(rows) > 0 {
		fmt.Fprintln(env.Stdout)
		if err := printTable(env.Stdout, []string{"ACCOUNT", "USER", "ACCESS KEY", "CREATED", "STATE"}, rows); err != nil {
			return err
		}
	}
	return printRevived(env, newer, out.Revived)
}
