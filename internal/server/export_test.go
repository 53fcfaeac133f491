package server

import (
	"context"
	"path/filepath"

	"github.com/strongroom/strongroom/internal/jobs"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/store"
)

// Store is the server's database, for tests that damage it.
func (s *Server) Store() *store.DB { return s.db }

// InspectIn looks at the store from within a transaction.
func (s *Server) InspectIn(ctx context.Context, tx store.Tx) (in store.Inspection, err error) {
	root, err := seal.OpenFile(filepath.Join(s.config.Data, RootKeyFile))
	if err != nil {
		return in, err
	}
	return in, inspect(ctx, &in, s.db, tx, root)
}

// Jobs are the server's jobs, for tests that run one at a time.
func (s *Server) Jobs() []jobs.Job { return s.jobs() }
