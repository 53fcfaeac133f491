package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestCommandLine runs the walks of testdata/cli with every AWS command line on this machine that reads AWS_ENDPOINT_URL,
// as a user has it: unmodified, with no flag that names the endpoint.
func TestCommandLine(t *testing.T) {
	tested := 0
	for _, cli := range commandLines() {
		if !honoursEndpoint(cli.version) {
			continue
		}
		tested++
		t.Run("aws-cli-"+cli.version, func(t *testing.T) {
			runScripts(t, filepath.Join("testdata", "cli"), cli)
		})
	}
	if tested == 0 {
		missing(t, "AWS command line from 1.29 or 2.13 on")
	}
}

// runScripts runs the scripts of a folder against the shared server with one command line. In a script, $SECRETS is a
// prefix for names of secrets that no other run uses, $NAMES one for names in IAM, and $DATA the server's data directory.
func runScripts(t *testing.T, folder string, cli program) {
	s := sharedServer(t)
	testscript.Run(t, testscript.Params{
		Dir:                 folder,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			bin := filepath.Join(e.WorkDir, ".bin")
			if err := os.Mkdir(bin, 0o755); err != nil {
				return err
			}
			// Links, so that nothing else of the folders they come from gets onto the PATH.
			for name, target := range map[string]string{"aws": cli.path, "strongroom": s.binary} {
				if err := os.Symlink(target, filepath.Join(bin, name)); err != nil {
					return err
				}
			}
			home := filepath.Join(e.WorkDir, ".home")
			if err := os.Mkdir(home, 0o700); err != nil {
				return err
			}
			for _, entry := range clientEnv(s, home, bin) {
				name, value, _ := strings.Cut(entry, "=")
				e.Setenv(name, value)
			}
			e.Setenv("DATA", s.data)
			e.Setenv("SECRETS", "cli/"+cli.version+"/"+filepath.Base(e.WorkDir))
			e.Setenv("NAMES", "cli-"+cli.version+"-"+filepath.Base(e.WorkDir))
			return nil
		},
	})
}
