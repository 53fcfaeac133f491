package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
)

func newCheck(env *Env) *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Prove that everything stored can be read and fits together",
		Long: `Read the whole store, on a running or a stopped server, and prove that every
value, key, password and seed opens, that everything points at something that
exists, that every policy can be read, and that the audit record is whole.
Nothing is changed and no value is shown.

Each damaged row is named, and the status is then 1. A running server answers
meanwhile; on SQLite its log file grows until the check ends. A stopped server's
database must be at the release of this command, or it is brought there.`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			if _, err := server.Node(data); errors.Is(err, server.ErrNotInitialised) {
				return notInitialised(data)
			}
			report, err := checkStore(c.Context(), env, data)
			if err != nil {
				return fmt.Errorf("cannot check the store: %w", err)
			}
			record, err := prove(c.Context(), env, data)
			if err != nil {
				return err
			}
			ok := report.OK() && record.ok()
			if asJSON {
				err = printJSON(env.Stdout, checkVerdict{ok, report, record.verdict()})
			} else {
				err = printCheck(env, report, record)
			}
			if err == nil && !ok {
				return errSilent
			}
			return err
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	return c
}

// checkStore asks the running server, or opens the store of a stopped one.
func checkStore(ctx context.Context, env *Env, data string) (report server.StoreReport, err error) {
	err = operatorWork(ctx, data, http.MethodGet, "/v1/check", nil, &report)
	if !errors.Is(err, errNotRunning) {
		return report, err
	}
	cfg, err := config.Load(data, env.Getenv, nil)
	if err != nil {
		return report, usageError{err}
	}
	if cfg.Database == "" {
		// Opening the store would make a new one.
		if _, err := os.Stat(filepath.Join(data, databaseFile)); errors.Is(err, fs.ErrNotExist) {
			return report, withHint(errors.New("the database is gone"), "restore "+filepath.Join(data, databaseFile))
		}
	}
	return server.CheckStore(ctx, cfg, quiet(env))
}

// checkVerdict is the whole result as JSON.
type checkVerdict struct {
	OK    bool               `json:"ok"`
	Store server.StoreReport `json:"store"`
	Audit recordVerdict      `json:"audit"`
}

func printCheck(env *Env, r server.StoreReport, record *proof) error {
	var rows [][]string
	for _, table := range slices.Sorted(maps.Keys(r.Rows)) {
		rows = append(rows, []string{table, fmt.Sprint(r.Rows[table])})
	}
	if err := printTable(env.Stdout, []string{"TABLE", "ROWS READ"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout)
	for _, what := range slices.Sorted(maps.Keys(r.Notes)) {
		fmt.Fprintf(env.Stdout, "Note: %d %s.\n", r.Notes[what], what)
	}
	for _, f := range r.Faults {
		fmt.Fprintf(env.Stdout, "FAULT in %s: %s: %s\n", f.Table, plain(f.Row), plain(f.Problem))
	}
	if more := r.Found - int64(len(r.Faults)); more > 0 {
		fmt.Fprintf(env.Stdout, "... and %d more faults.\n", more)
	}
	fields := [][2]string{{"Store", fmt.Sprintf("%s, as it was %s", r.Engine, moment(&r.At))}}
	if r.OK() {
		fields = append(fields, [2]string{"Store verdict", "proven: everything opens and fits together"})
	} else {
		fields = append(fields, [2]string{"Store verdict", "DAMAGED: " + count(uint64(r.Found), "fault")})
	}
	if err := printFields(env.Stdout, fields); err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout)
	return record.print(env)
}
