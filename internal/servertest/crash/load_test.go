package crash

import (
	"context"
	"testing"

	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/servertest/program"
	"github.com/strongroom/strongroom/internal/servertest/workload"
)

// load prepares writers for a running server.
func load(t *testing.T, p program.Place, s *program.Process, seed uint64, writers int) *workload.Workload {
	t.Helper()
	w, err := workload.New(t.Context(), workload.Config{
		Endpoints: []string{s.URL}, HTTP: s.HTTP, Credentials: s.Admin, Regions: [2]string{servertest.Region, servertest.Other},
		Seed: seed, Writers: writers, Records: workload.Chains(p.Dir),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// during lets a load run while f does something, and a moment longer: until what
// was under way is answered, or is not.
func during(t *testing.T, w *workload.Workload, f func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	f(ctx)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
