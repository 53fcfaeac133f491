package conformance

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// canary is a value that must stay on this machine.
const canary = "canary-d41b0f6c2a7e"

// TestOldCommandLineIsStopped shows that `strongroom env` keeps a command line that would ignore AWS_ENDPOINT_URL from
// sending a secret to Amazon: in every common shell the command is refused with a word on --endpoint-url, and not one
// connection is tried. The last case is the control: without the guard that very command line does try, so the test
// would see it.
func TestOldCommandLineIsStopped(t *testing.T) {
	tested := 0
	for _, cli := range commandLines() {
		if honoursEndpoint(cli.version) {
			continue
		}
		tested++
		t.Run("aws-cli-"+cli.version, func(t *testing.T) { testGuard(t, cli) })
	}
	if tested == 0 {
		missing(t, "AWS command line before 1.29 or 2.13")
	}
}

func testGuard(t *testing.T, cli program) {
	const create = `aws secretsmanager create-secret --name guard --secret-string ` + canary

	for _, shell := range []string{"sh", "bash"} {
		t.Run(shell, func(t *testing.T) {
			out, code, tried := runOutside(t, cli, shell, `eval "$(strongroom env --data "$DATA")"; `+create)
			if code == 0 {
				t.Errorf("the command succeeded:\n%s", out)
			}
			if !strings.Contains(out, "--endpoint-url") {
				t.Errorf("the refusal does not speak of --endpoint-url:\n%s", out)
			}
			if strings.Contains(out, canary) {
				t.Errorf("the refusal repeats the secret:\n%s", out)
			}
			if tried != 0 {
				t.Errorf("%d connections were tried", tried)
			}
		})
	}

	t.Run("with --endpoint-url", func(t *testing.T) {
		out, code, tried := runOutside(t, cli, "sh",
			`eval "$(strongroom env --data "$DATA")"; aws --endpoint-url "$AWS_ENDPOINT_URL" sts get-caller-identity --query Account --output text`)
		if code != 0 || strings.TrimSpace(out) != account {
			t.Errorf("status %d:\n%s", code, out)
		}
		if tried != 0 {
			t.Errorf("%d connections were tried", tried)
		}
	})

	t.Run("control without the guard", func(t *testing.T) {
		out, code, tried := runOutside(t, cli, "sh", `eval "$(strongroom env --data "$DATA")"; unset -f aws; `+create)
		if code == 0 || tried == 0 {
			t.Errorf("status %d, %d connections; the old command line was expected to try another host:\n%s", code, tried, out)
		}
	})
}

// runOutside runs a shell line with a command line on the PATH and all ways out of the machine leading to a listener that
// counts and hangs up. It returns the line's output, its status and the count.
func runOutside(t *testing.T, cli program, shell, line string) (out string, code int, tried int64) {
	t.Helper()
	s := sharedServer(t)

	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer trap.Close()
	var connections atomic.Int64
	go func() {
		for {
			conn, err := trap.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			conn.Close()
		}
	}()

	home := t.TempDir()
	for name, target := range map[string]string{"aws": cli.path, "strongroom": s.binary} {
		if err := os.Symlink(target, filepath.Join(home, name)); err != nil {
			t.Fatal(err)
		}
	}
	proxy := "http://" + trap.Addr().String()
	cmd := exec.CommandContext(t.Context(), shell, "-c", line)
	cmd.Env = []string{
		"HOME=" + home, "PATH=" + home + ":/usr/local/bin:/usr/bin:/bin", "DATA=" + s.data, "LC_ALL=C.UTF-8",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1",
		"HTTPS_PROXY=" + proxy, "HTTP_PROXY=" + proxy, "NO_PROXY=127.0.0.1",
	}
	printed, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(printed), cmd.ProcessState.ExitCode(), connections.Load()
}
