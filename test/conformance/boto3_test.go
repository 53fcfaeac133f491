package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestResponseCheck runs the tests of the response check itself: it must find what it is there to find, with each
// version of the SDK. It needs no server.
func TestResponseCheck(t *testing.T) {
	eachSDK(t, func(t *testing.T, sdk program) {
		runPython(t, sdk, os.Environ(), "test_check")
	})
}

// TestBoto3 runs the scenarios of testdata/boto3 with every boto3 on this machine, under the response check.
func TestBoto3(t *testing.T) {
	eachSDK(t, func(t *testing.T, sdk program) {
		s := sharedServer(t)
		env := clientEnv(s, t.TempDir())
		env = append(env, "CONFORMANCE_ACCOUNT="+account, "CONFORMANCE_SECOND_REGION="+secondRegion)
		runPython(t, sdk, env, "test_secretsmanager", "test_errors", "test_neighbours", "test_credentials", "test_iam")
	})
}

func eachSDK(t *testing.T, test func(t *testing.T, sdk program)) {
	if len(sdks()) == 0 {
		missing(t, "Python with boto3")
	}
	for _, sdk := range sdks() {
		t.Run(strings.ReplaceAll(sdk.version, " ", ","), func(t *testing.T) { test(t, sdk) })
	}
}

// runPython runs unittest over modules of testdata/boto3. A run that executes no test fails, as a run with a failure does.
func runPython(t *testing.T, sdk program, env []string, modules ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), sdk.path, append([]string{"-B", "-m", "unittest", "-v"}, modules...)...)
	cmd.Dir = filepath.Join("testdata", "boto3")
	cmd.Env = append(env, "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	report := string(out)
	if err != nil {
		t.Fatalf("%v\n%s", err, report)
	}
	if strings.Contains(report, "Ran 0 tests") {
		t.Fatalf("no test ran\n%s", report)
	}
	t.Log(report)
}
