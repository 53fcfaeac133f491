package layout

import (
	"go/ast"
	"path/filepath"
	"testing"
)

// goroutines are the places of the product that start one, how many times, and
// what a panic in it does: one that nobody catches ends the process and every call
// in it.
var goroutines = map[string]struct {
	starts int
	why    string
}{
	"internal/server/serve.go":              {5, "jobs catch each run; so does shipping; watchNetwork's reload is caught; net/http catches each connection; Close only waits"},
	"internal/jobs/jobs.go":                 {2, "each run is caught and runs again; a renewal is caught and ends the run"},
	"internal/endpoint/gate.go":             {2, "accept only hands on; admit is caught"},
	"internal/endpoint/manager.go":          {3, "run is net/http's, which catches each connection; two shut down"},
	"internal/oidc/verifier.go":             {1, "the fetch is caught"},
	"internal/store/sqlite.go":              {1, "starts the writer's loop"},
	"internal/store/writer.go":              {2, "each change is caught; a panic of the loop itself ends the process on purpose, since nobody would know what is committed, and one of the folder, since nobody would know what the file holds"},
	"internal/store/postgres.go":            {2, "the pruner's one transaction is caught; the probe opens a connection and does nothing with it"},
	"internal/store/primary.go":             {2, "each dial is caught; one closes connections that came late"},
	"internal/audit/log.go":                 {3, "a panic ends the process on purpose: nothing may be answered that is not recorded"},
	"internal/ship/shipper.go":              {1, "each of its three works is caught and begins again"},
	"internal/ship/restore.go":              {1, "a command of its own, no server"},
	"internal/cli/container_credentials.go": {1, "a client of its own, no server"},
	"internal/cli/server.go":                {1, "the reload is caught"},
	"internal/cli/terminal.go":              {1, "a client of its own, no server"},
}

// TestGoroutines: whoever starts another one says here what a panic in it does.
func TestGoroutines(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for path, file := range product(t, root) {
		if under(filepath.ToSlash(path), []string{"internal/policy/policydiff"}) != "" {
			continue // A tool.
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				found[path]++
			case *ast.CallExpr: // sync.WaitGroup's and errgroup's
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Go" {
					found[path]++
				}
			}
			return true
		})
	}
	for path, n := range found {
		if want := goroutines[path]; n != want.starts {
			t.Errorf("%s starts %d goroutines, %d are known: what does a panic in them do?", path, n, want.starts)
		}
	}
	for path, want := range goroutines {
		if found[path] == 0 {
			t.Errorf("%s starts none of %d goroutines", path, want.starts)
		}
	}
}
