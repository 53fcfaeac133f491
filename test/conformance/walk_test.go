package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a piece of code in a page: ```sh, ```python, or ```sh denied for commands that must be refused.
var block = regexp.MustCompile("(?s)```(sh|python)( denied)?\n(.*?)```")

// command is one more program that a page's blocks call.
type command struct{ name, path string }

// walk runs the shell and Python blocks of a page in their order, as a newcomer would: one fresh server, one home
// directory, a new shell for each block. It returns all that they printed. Blocks that call make are what the rest of the
// project runs.
func walk(t *testing.T, page string, commands ...command) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", page))
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
	for _, c := range commands {
		if err := os.Symlink(c.path, filepath.Join(bin, c.name)); err != nil {
			t.Fatal(err)
		}
	}
	env := append(clientEnv(s, home, bin), "STRONGROOM_DATA="+s.data)

	var seen []string
	for _, found := range block.FindAllStringSubmatch(string(text), -1) {
		language, denied, code := found[1], found[2] != "", found[3]
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
		switch {
		case denied && (err == nil || !strings.Contains(string(out), "(AccessDenied")):
			t.Fatalf("not denied: %v\n%s\n%s", err, code, out)
		case !denied && err != nil:
			t.Fatalf("%v\n%s\n%s", err, code, out)
		}
		seen = append(seen, string(out))
	}
	return strings.Join(seen, "\n")
}

// printed checks that what a page's blocks printed contains each of want.
func printed(t *testing.T, all string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(all, w) {
			t.Errorf("the blocks did not print %q; they printed:\n%s", w, all)
		}
	}
}

// TestApplicationAccess runs the guide about access to one secret.
func TestApplicationAccess(t *testing.T) {
	printed(t, walk(t, "docs/guide/application-access.md"),
		`{"username":"billing","password":"s3cret"}`,
		"arn:aws:sts::"+account+":assumed-role/billing-app/",
		"user/billing is not authorized to perform: secretsmanager:GetSecretValue on resource: payroll/database because no identity-based policy allows",
		"To have it allowed", "\nallowed\n")
}
