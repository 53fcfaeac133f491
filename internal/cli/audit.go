package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/store"
)

func newAudit(env *Env) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "audit",
		Short: "Prove and read the audit record",
		Long: `Prove and read the audit record of a data directory: every call, as one record in
CloudTrail's form, in a chain of hashes under signed heads. Each node has a chain of
its own; with PostgreSQL any node's directory leads to all of them.`,
	})
	c.AddCommand(newAuditVerify(env), newAuditTail(env))
	return c
}

// record is the audit record of a deployment, as a command finds it.
type record struct {
	// own is the chain of the data directory's node, with its files and with what
	// the database has of it; others are those of the other nodes, as far as they
	// have shipped them. On SQLite there are none.
	own    audit.Source
	others []audit.Source
	// witness says where the heads come from.
	witness witness
	chains  []audit.Chain
	close   func() error
}

// nodes are all chains, own first.
func (r *record) nodes() []audit.Source { return append([]audit.Source{r.own}, r.others...) }

// openRecord finds the audit record of a data directory: by the running server, or
// in the database of a stopped one. Nobody else may have SQLite's database open
// meanwhile, so it is not touched unless there is something to prove with it.
func openRecord(ctx context.Context, env *Env, data string, prove bool) (*record, error) {
	node, err := server.Node(data)
	if errors.Is(err, server.ErrNotInitialised) {
		return nil, notInitialised(data)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", data, err)
	}
	r := &record{own: audit.Source{Dir: filepath.Join(data, server.AuditDir), Node: node}, witness: byFiles, close: func() error { return nil }}
	var chains []audit.Chain
	if err := operator(ctx, data, http.MethodGet, "/v1/audit/chains", nil, &chains); err == nil {
		r.witness = byServer
		r.fill(chains, running{data}, running{data}.heads)
		return r, nil
	}
	cfg, err := config.Load(data, env.Getenv, nil)
	if err != nil {
		return nil, usageError{err}
	}
	if cfg.Database == "" && !prove {
		return r, nil
	}
	db, done, err := openDatabase(ctx, env, cfg)
	if err == nil {
		chains, err = audit.Chains(ctx, db)
		if err != nil {
			_ = done() // It is of no use; what it could not do is told.
		}
	}
	if err != nil {
		fmt.Fprintf(env.Stderr, "The database cannot be read (%v); %s\n", err, r.withoutDatabase(cfg, prove))
		return r, ctx.Err()
	}
	r.witness, r.close = byDatabase, done
	r.fill(chains, audit.Copied(db), func(ctx context.Context, node string) ([]audit.Head, error) { return audit.StoredHeads(ctx, db, node) })
	return r, nil
}

// withoutDatabase says what is missing.
func (r *record) withoutDatabase(cfg config.Config, prove bool) string {
	switch {
	case !prove:
		return "the records of other nodes are not shown."
	case cfg.Database != "":
		return "the proof rests on the files beside the segments, and says nothing of other nodes."
	}
	return "the proof rests on the files beside the segments."
}

// fill takes what the database knows of the chains.
func (r *record) fill(chains []audit.Chain, copies audit.Copies, heads func(ctx context.Context, node string) ([]audit.Head, error)) {
	of := func(node string) func(context.Context) ([]audit.Head, error) {
		return func(ctx context.Context) ([]audit.Head, error) { return heads(ctx, node) }
	}
	r.chains, r.own.Heads = chains, of(r.own.Node)
	for _, c := range chains {
		switch {
		case c.Node == r.own.Node:
			r.own.Public = c.Public
			if !c.Opened.IsZero() {
				r.own.Copies = copies
			}
		case !c.Opened.IsZero():
			r.others = append(r.others, audit.Source{Node: c.Node, Public: c.Public, Copies: copies, Heads: of(c.Node)})
		}
	}
}

// running asks the server for what its database holds.
type running struct{ data string }

func (r running) get(ctx context.Context, out any, path string, args ...any) error {
	for i, a := range args {
		args[i] = url.PathEscape(fmt.Sprint(a))
	}
	return operator(ctx, r.data, http.MethodGet, fmt.Sprintf("/v1/audit/chains/"+path, args...), nil, out)
}

func (r running) heads(ctx context.Context, node string) ([]audit.Head, error) {
	var in server.AuditHeads
	if err := r.get(ctx, &in, "%s/heads", node); err != nil {
		return nil, err
	}
	heads := make([]audit.Head, 0, len(in.Heads))
	for _, h := range in.Heads {
		b, err := hex.DecodeString(h.Chain)
		if err != nil || len(b) != len(audit.Hash{}) {
			return nil, errors.New("the server sent an audit head that is none")
		}
		heads = append(heads, audit.Head{Node: in.Node, Segment: h.Segment, Seq: h.Seq, Chain: audit.Hash(b), Time: h.Time, Signature: h.Signature})
	}
	return heads, nil
}

func (r running) Segments(ctx context.Context, node string) (out []audit.CopiedSegment, err error) {
	err = r.get(ctx, &out, "%s/segments", node)
	return out, err
}

func (r running) Lines(ctx context.Context, node string, segment, place uint64) ([]byte, uint64, error) {
	var in server.AuditLines
	err := r.get(ctx, &in, "%s/segments/%s/%s", node, segment, place)
	return in.Lines, in.From, err
}

// databaseFile is the embedded database. Where it is missing, opening the store
// would make a new one amid the evidence.
const databaseFile = "strongroom.db"

func openDatabase(ctx context.Context, env *Env, cfg config.Config) (*store.DB, func() error, error) {
	if cfg.Database == "" {
		if _, err := os.Stat(filepath.Join(cfg.Data, databaseFile)); err != nil {
			return nil, nil, err
		}
	}
	return server.OpenStore(ctx, cfg, quiet(env))
}
