package crash

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest/program"
	"github.com/strongroom/strongroom/internal/store"
)

// source is the chain of a deployment, judged by the heads in its database unless
// the server is running, which has the database.
func source(t *testing.T, p program.Place, running bool) audit.Source {
	t.Helper()
	node, err := server.Node(p.Dir)
	if err != nil {
		t.Fatal(err)
	}
	s := audit.Source{Dir: filepath.Join(p.Dir, server.AuditDir), Node: node}
	if running {
		return s
	}
	s.Heads = func(ctx context.Context) ([]audit.Head, error) {
		c := store.Config{Dir: p.Dir}
		if p.Database != "" {
			c = store.Config{URL: p.Database}
		}
		db, err := store.Open(ctx, c)
		if err != nil {
			return nil, err
		}
		defer db.Close()
		return audit.StoredHeads(ctx, db, node)
	}
	return s
}

// verify proves the chain.
func verify(t *testing.T, p program.Place, running bool) *audit.Report {
	t.Helper()
	r, err := audit.Verify(t.Context(), source(t, p, running))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sound fails when the chain does not hold.
func sound(t *testing.T, p program.Place, running bool) {
	t.Helper()
	if r := verify(t, p, running); !r.OK() {
		t.Errorf("the audit chain does not hold: %v, gaps %v", r.Broken, r.Gaps)
	}
}

// check runs the command that proves a store.
func check(t *testing.T, p program.Place) {
	t.Helper()
	if _, err := p.Run(t, "check"); err != nil {
		t.Error(err)
	}
}
