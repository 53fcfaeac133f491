package conformance

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// probeTimeout bounds one look at a client. A cold start of the command line takes some seconds on a small machine.
const probeTimeout = time.Minute

// program is a client found on this machine: the file and what it says it is, such as "2.23.6" or "boto3-1.37.9".
type program struct {
	path    string
	version string
}

// clientFolders are the places to look for clients, those of STRONGROOM_CLIENTS first.
func clientFolders() []string {
	folders := filepath.SplitList(os.Getenv("STRONGROOM_CLIENTS"))
	return append(folders, filepath.SplitList(os.Getenv("PATH"))...)
}

// missing ends a test that has no client to run: as a failure when the clients were promised.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("STRONGROOM_CLIENTS") != "" {
		t.Fatalf("no %s in STRONGROOM_CLIENTS or PATH", what)
	}
	t.Skipf("no %s here; `make test` fetches it", what)
}

// find looks through the folders for programs of a name and returns one for each version that probe reads off them.
func find(name string, probe func(path string) string) []program {
	found := map[string]program{}
	for _, folder := range clientFolders() {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			continue
		}
		version := probe(path)
		if version == "" {
			continue
		}
		if _, have := found[version]; !have {
			found[version] = program{path: path, version: version}
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b program) int { return strings.Compare(a.version, b.version) })
}

// output runs a client as a probe, with the caller's AWS and Python settings taken away.
func output(path string, args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	out, err := cmd.CombinedOutput() // old command lines print their version to stderr
	if err != nil {
		return ""
	}
	return string(out)
}

var cliVersion = regexp.MustCompile(`^aws-cli/(\d+\.\d+\.\d+)`)

// commandLines returns the AWS command lines on this machine.
var commandLines = sync.OnceValue(func() []program {
	return find("aws", func(path string) string {
		m := cliVersion.FindStringSubmatch(output(path, "--version"))
		if m == nil {
			return ""
		}
		return m[1]
	})
})

// sdks returns the Python interpreters on this machine that have boto3, one for each pair of boto3 and botocore.
var sdks = sync.OnceValue(func() []program {
	return find("python3", func(path string) string {
		return strings.TrimSpace(output(path, "-c",
			`import boto3, botocore; print("boto3-%s botocore-%s" % (boto3.__version__, botocore.__version__))`))
	})
})

// honoursEndpoint tells whether a command line reads AWS_ENDPOINT_URL: those from 1.29 and 2.13 on do (spec clients.md 7).
func honoursEndpoint(version string) bool {
	parts := strings.Split(version, ".")
	if len(parts) < 2 {
		return false
	}
	major, err := strconv.Atoi(parts[0])
	if err != nil {
		return false
	}
	minor, err := strconv.Atoi(parts[1])
	if err != nil {
		return false
	}
	switch major {
	case 0:
		return false
	case 1:
		return minor >= 29
	case 2:
		return minor >= 13
	default:
		return true
	}
}

func TestHonoursEndpoint(t *testing.T) {
	for version, want := range map[string]bool{
		"1.28.99": false, "1.29.0": true, "1.45.11": true,
		"2.9.19": false, "2.12.9": false, "2.13.0": true, "2.38.1": true, "3.0.0": true,
		"0.9": false, "x": false, "": false,
	} {
		if got := honoursEndpoint(version); got != want {
			t.Errorf("honoursEndpoint(%q) = %v", version, got)
		}
	}
}

// clientEnv is the whole environment of a client under test: the settings of `strongroom env` and what keeps the client
// from looking elsewhere for more.
func clientEnv(s *server, home string, folders ...string) []string {
	env := []string{
		"HOME=" + home,
		"PATH=" + strings.Join(append(folders, "/usr/local/bin", "/usr/bin", "/bin"), ":"),
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_PAGER=",
		"LC_ALL=C.UTF-8",
		"TMPDIR=" + home,
	}
	for _, name := range slices.Sorted(maps.Keys(s.env)) {
		env = append(env, name+"="+s.env[name])
	}
	return env
}
