package cli

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
)

func newAudit(env *Env) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "audit",
		Short: "Prove and read the audit record",
		Long: `Prove and read the audit record of a data directory: every call, as one record in
CloudTrail's form, in a chain of hashes under signed heads.`,
	})
	c.AddCommand(newAuditVerify(env), newAuditTail(env))
	return c
}

// chain names the audit chain of a data directory.
func chain(data string) (audit.Source, error) {
	node, err := server.Node(data)
	if errors.Is(err, server.ErrNotInitialised) {
		return audit.Source{}, notInitialised(data)
	}
	if err != nil {
		return audit.Source{}, fmt.Errorf("read %s: %w", data, err)
	}
	return audit.Source{Dir: filepath.Join(data, server.AuditDir), Node: node}, nil
}

// runningHeads asks the server for the heads that its database holds, and for
// the key that they are signed with.
func runningHeads(ctx context.Context, data string) (ed25519.PublicKey, []audit.Head, error) {
	var in server.AuditHeads
	if err := operator(ctx, data, http.MethodGet, "/v1/audit/heads", nil, &in); err != nil {
		return nil, nil, err
	}
	heads := make([]audit.Head, 0, len(in.Heads))
	for _, h := range in.Heads {
		b, err := hex.DecodeString(h.Chain)
		if err != nil || len(b) != len(audit.Hash{}) {
			return nil, nil, errors.New("the server sent an audit head that is none")
		}
		heads = append(heads, audit.Head{Node: in.Node, Segment: h.Segment, Seq: h.Seq, Chain: audit.Hash(b), Time: h.Time, Signature: h.Signature})
	}
	return in.PublicKey, heads, nil
}

// databaseFile is the embedded database. Where it is missing, opening the store
// would make a new one amid the evidence.
const databaseFile = "strongroom.db"

// storedHeads reads the heads of a stopped server from its database. Nobody else
// may have it open meanwhile.
func storedHeads(ctx context.Context, env *Env, data, node string) ([]audit.Head, error) {
	cfg, err := config.Load(data, env.Getenv, nil)
	if err != nil {
		return nil, usageError{err}
	}
	if cfg.Database == "" {
		if _, err := os.Stat(filepath.Join(data, databaseFile)); err != nil {
			return nil, err
		}
	}
	db, done, err := server.OpenStore(ctx, cfg, quiet(env))
	if err != nil {
		return nil, err
	}
	heads, err := audit.StoredHeads(ctx, db, node)
	return heads, errors.Join(err, done())
}
