package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
)

func newNode(env *Env) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "node",
		Short: "Add, list and retire nodes",
		Long: `Add, list and retire nodes: servers that share one PostgreSQL database and the root
key, each with a data directory and an audit chain of its own.`,
	})
	c.AddCommand(newNodeJoin(env), newNodeList(env), newNodeRetire(env))
	return c
}

func newNodeJoin(env *Env) *cobra.Command {
	var data, database, listen, rootKey, name string
	var asJSON bool
	c := &cobra.Command{
		Use:   "join",
		Short: "Make the data directory of a further node",
		Long: `Make the data directory of a further node over a deployment's database: a
certificate from the deployment's own authority, configuration with its regions,
and an audit chain of its own.

The root key does not travel through the database: bring it to this machine by the
way you trust, and name its file, or put it into the data directory as root.key.
Settings that strongroom.yaml of other nodes has beyond the regions are copied by
hand.`,
		Example: `  strongroom node join --data /var/lib/strongroom --root-key /run/keys/root.key \
    --database 'postgres://strongroom@db.example/strongroom' --listen 10.0.0.6:4766`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(data, env.Getenv, func(cfg *config.Config) {
				if c.Flags().Changed("listen") {
					cfg.Listen = listen
				}
				if c.Flags().Changed("database") {
					cfg.Database = database
				}
			})
			if err != nil {
				return usageError{err}
			}
			cfg, err = server.Join(c.Context(), cfg, rootKey, name, quiet(env))
			switch {
			case errors.Is(err, server.ErrInitialised):
				return withHint(fmt.Errorf("%s: %w", data, err), "start it: strongroom server --data "+shellWord(data))
			case errors.Is(err, server.ErrNotShared):
				return withHint(fmt.Errorf("cannot join: %w", err), "name the deployment's database with --database postgres://...")
			case errors.Is(err, server.ErrNoDeployment):
				return withHint(fmt.Errorf("cannot join: %w", err), "begin one with strongroom init --database, or start one of its nodes with this release first")
			case err != nil:
				return fmt.Errorf("cannot join: %w", err)
			}
			node, err := server.Node(data)
			if err != nil {
				return err
			}
			fmt.Fprintf(env.Stderr, "%s is node %s, for regions %v.\n", data, node, cfg.Regions)
			fmt.Fprintf(env.Stderr, "Next: %s server --data %s\n", shellWord(program()), shellWord(data))
			if !asJSON {
				return nil
			}
			return printJSON(env.Stdout, joined{node, data, cfg.Regions})
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&database, "database", "", "postgres:// `URL` of the deployment (environment "+config.EnvDatabase+")")
	c.Flags().StringVar(&listen, "listen", config.Default().Listen, "address `HOST:PORT` of the API, kept in the configuration (environment "+config.EnvListen+")")
	c.Flags().StringVar(&rootKey, "root-key", "", "`FILE` with the deployment's root key (default root.key in the data directory)")
	c.Flags().StringVar(&name, "name", "", "`NAME` of the node, such as that of one whose disk is lost (default random)")
	return c
}

// joined is a node that was made.
type joined struct {
	Node    string   `json:"node"`
	Data    string   `json:"data"`
	Regions []string `json:"regions"`
}

// nodeRow is a node as "node list" shows it.
type nodeRow struct {
	Node string `json:"node"`
	// Here says that it is the directory's own.
	Here bool `json:"here"`
	// Started is when it last opened its audit chain, zero where nothing is shipped.
	Started time.Time `json:"started,omitzero"`
	// Last is its newest signed record, Signed when that was signed.
	Last   uint64    `json:"lastRecord"`
	Signed time.Time `json:"signed,omitzero"`
}

func newNodeList(env *Env) *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the nodes that there are and were",
		Long: `List the nodes that there are and were, each with its newest audit record in the
database. A node that serves signs a record as soon as it has one.`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := openRecord(c.Context(), env, data, true)
			if err != nil {
				return err
			}
			defer func() { _ = r.close() }() // Nothing was written.
			rows, err := nodeRows(c.Context(), r)
			if err != nil {
				return fmt.Errorf("cannot list the nodes: %w", err)
			}
			if asJSON {
				return printJSON(env.Stdout, rows)
			}
			var table [][]string
			for _, n := range rows {
				name := n.Node
				if n.Here {
					name += " (here)"
				}
				table = append(table, []string{name, moment(&n.Started), fmt.Sprint(n.Last), moment(&n.Signed)})
			}
			return printTable(env.Stdout, []string{"NODE", "STARTED", "LAST RECORD", "SIGNED"}, table)
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	return c
}

func nodeRows(ctx context.Context, r *record) ([]nodeRow, error) {
	rows := []nodeRow{}
	for _, s := range r.nodes() {
		row := nodeRow{Node: s.Node, Here: s.Node == r.own.Node}
		for _, c := range r.chains {
			if c.Node == s.Node {
				row.Started = c.Opened
			}
		}
		var heads []audit.Head
		if s.Heads != nil {
			var err error
			if heads, err = s.Heads(ctx); err != nil {
				return nil, err
			}
		}
		if n := len(heads); n > 0 {
			row.Last, row.Signed = heads[n-1].Seq, heads[n-1].Time
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// retired is a node whose chain was closed.
type retired struct {
	Node string `json:"node"`
	// Last is the newest record that it had shipped, Changes how many records of its
	// changes joined the chain.
	Last    uint64 `json:"lastRecord"`
	Changes int    `json:"changesJoined"`
}

func newNodeRetire(env *Env) *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use:   "retire NODE",
		Short: "End the audit chain of a node that will not come back",
		Long: `End the audit chain of a node that will not come back, from the directory of another
one. The records of its last changes join the chain, a signed record says from when
until when others may be missing, and the chain is closed. What it had shipped stays
provable for ever.

Should the node still live, it refuses every call until it is started again.`,
		Example: "  strongroom node retire node-7f3k2q9a",
		Args:    arguments("NODE"),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := config.Load(data, env.Getenv, nil)
			if err != nil {
				return usageError{err}
			}
			found, err := server.Retire(c.Context(), cfg, args[0], quiet(env))
			switch {
			case errors.Is(err, server.ErrNotInitialised):
				return notInitialised(data)
			case errors.Is(err, server.ErrUnknownNode):
				return withHint(fmt.Errorf("cannot retire %s: %w", plain(args[0]), err), `"strongroom node list" shows them`)
			case err != nil:
				return fmt.Errorf("cannot retire %s: %w", plain(args[0]), err)
			}
			fmt.Fprintf(env.Stderr, "The chain of %s is closed behind record %d; %s of changes joined it.\n", plain(args[0]), found.Found, count(uint64(found.Pending), "record"))
			if !asJSON {
				return nil
			}
			return printJSON(env.Stdout, retired{args[0], found.Found, found.Pending})
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	return c
}
