package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestREADME runs the shell and Python blocks of the README in their order, as a newcomer would: one fresh server, one
// shell environment. Blocks that call make are what the rest of the project runs; the Go block runs in
// internal/servertest.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServer(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	home := t.TempDir()
	bin := filepath.Join(home, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(s.binary, filepath.Join(bin, "strongroom")); err != nil {
		t.Fatal(err)
	}
	cli := newestCommandLine(t)
	if err := os.Symlink(cli.path, filepath.Join(bin, "aws")); err != nil {
		t.Fatal(err)
	}
	env := append(clientEnv(s, home, bin), "STRONGROOM_DATA="+s.data)

	var seen []string
	for _, block := range regexp.MustCompile("(?s)```(sh|python)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		language, code := block[1], block[2]
		if strings.HasPrefix(code, "make ") {
			continue
		}
		var cmd *exec.Cmd
		if language == "python" {
			if len(sdks()) == 0 {
				missing(t, "Python with boto3")
			}
			// The last one: boto3 reads AWS_ENDPOINT_URL from 1.28 on.
			cmd = exec.CommandContext(t.Context(), sdks()[len(sdks())-1].path, "-c", code)
		} else {
			cmd = exec.CommandContext(t.Context(), "sh", "-euc", strings.ReplaceAll(code, "./bin/strongroom", "strongroom"))
		}
		cmd.Env, cmd.Dir = env, home
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, code, out)
		}
		seen = append(seen, string(out))
	}
	all := strings.Join(seen, "\n")
	for _, want := range []string{"world\n", "hello\n", `{"username":"app","password":"s3cret"}`, "from a pipe"} {
		if !strings.Contains(all, want) {
			t.Errorf("the README's blocks did not print %q; they printed:\n%s", want, all)
		}
	}
}

// newestCommandLine returns the last command line that honours AWS_ENDPOINT_URL.
func newestCommandLine(t *testing.T) program {
	t.Helper()
	var found program
	for _, cli := range commandLines() {
		if honoursEndpoint(cli.version) {
			found = cli
		}
	}
	if found.path == "" {
		missing(t, "AWS command line from 1.29 or 2.13 on")
	}
	return found
}
