// Package packaging holds no code: its tests keep the promises of the files beside
// it.
package packaging

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// unit reads the settings of the section Service; of those that are there several
// times, all values.
func unit(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("strongroom.service")
	if err != nil {
		t.Fatal(err)
	}
	_, service, _ := strings.Cut(string(b), "\n[Service]\n")
	service, _, ok := strings.Cut(service, "\n[Install]\n")
	if !ok {
		t.Fatal("no section Service before Install")
	}
	out := make(map[string][]string)
	for line := range strings.Lines(service) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Errorf("not a setting: %s", line)
		}
		out[name] = append(out[name], value)
	}
	return out
}

// TestUnitPromises: what the guide says of the unit.
func TestUnitPromises(t *testing.T) {
	t.Parallel()
	got := unit(t)
	for name, want := range map[string]string{
		"DynamicUser": "yes", "StateDirectoryMode": "0700", "UMask": "0077", "LimitCORE": "0", "LimitMEMLOCK": "infinity", "MemorySwapMax": "0",
		"CapabilityBoundingSet": "", "AmbientCapabilities": "", "NoNewPrivileges": "yes", "RestrictSUIDSGID": "yes", "LockPersonality": "yes",
		"MemoryDenyWriteExecute": "yes", "RestrictNamespaces": "yes", "SystemCallArchitectures": "native", "ProtectSystem": "strict",
		"ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes", "ProtectProc": "invisible", "ProtectKernelTunables": "yes",
		"ProtectKernelModules": "yes", "ProtectKernelLogs": "yes", "ProtectControlGroups": "yes", "ProtectClock": "yes",
		"RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX AF_NETLINK", "Restart": "on-failure",
	} {
		if v := got[name]; !slices.Equal(v, []string{want}) {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
	if v := got["SystemCallFilter"]; !slices.Equal(v, []string{"@system-service", "~@privileged"}) {
		t.Errorf("system calls: %q", v)
	}
	if v := got["ExecStart"]; len(v) != 1 || !strings.Contains(v[0], "--require-unprivileged") || !strings.Contains(v[0], "/var/lib/"+got["StateDirectory"][0]) {
		t.Errorf("starts %q", v)
	}
	for _, name := range []string{"ReadWritePaths", "Environment", "PermissionsStartOnly"} {
		if v, ok := got[name]; ok {
			t.Errorf("%s is %q", name, v)
		}
	}
}

// TestUnitIsValid asks systemd itself, where it is installed.
func TestUnitIsValid(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd is not installed")
	}
	text, err := os.ReadFile("strongroom.service")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// It looks whether the program is there.
	path := filepath.Join(t.TempDir(), "strongroom.service")
	if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte("/usr/bin/strongroom "), []byte(self+" ")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", path).CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	// In tenths, of 100: systemd calls up to 20 well protected.
	if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", path).CombinedOutput(); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
}

// TestDockerfilePromises: the image is the binary and the authorities, its user is
// nobody, and the build sees no data directory.
func TestDockerfilePromises(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	build, image, ok := strings.Cut(string(b), "\nFROM scratch\n")
	if !ok || !strings.Contains(build, "CGO_ENABLED=0") || !strings.Contains(build, "install -d -m 0700 /image/strongroom\n") || strings.Contains(image, "\nRUN ") || strings.Contains(image, "\nADD ") {
		t.Errorf("not a static binary in an empty image:\n%s", b)
	}
	for _, line := range []string{"USER 65532:65532", `ENTRYPOINT ["/strongroom"]`, "VOLUME /var/lib/strongroom", "COPY --from=build --chown=65532:65532 /image/ /var/lib/"} {
		if !strings.Contains(image, "\n"+line+"\n") {
			t.Errorf("no %s", line)
		}
	}
	if n := strings.Count(image, "COPY "); n != 3 {
		t.Errorf("%d things are copied", n)
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if version == nil || !strings.Contains(build, "FROM golang:"+string(version[1])+"-") {
		t.Errorf("built with another Go than go.mod's %s", version)
	}
	ignore, err := os.ReadFile("../.dockerignore")
	if err != nil || !strings.Contains(string(ignore), "\n*\n") {
		t.Errorf("the build sees more than it needs: %v\n%s", err, ignore)
	}
	for line := range strings.Lines(string(ignore)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			if _, err := os.Stat("../" + name); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestNoTags: what is built to be used is built without build tags, since some make
// programs for tests and benchmarks that leave a protection out.
func TestNoTags(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"../Dockerfile", "../Makefile", "strongroom.service"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), " -tags") || strings.Contains(string(b), "bench_noaudit") {
			t.Errorf("%s builds with tags", file)
		}
	}
	binary := os.Getenv("STRONGROOM_BINARY")
	if binary == "" {
		return // make test gives the one that make build made.
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			t.Errorf("the binary is built with tags %s", s.Value)
		}
	}
}

// child is set in the process that becomes the confined server.
const child = "PACKAGING_TEST_ROOT"

// TestConfined runs the binary as image and unit do: no file of the system there,
// a root directory that it cannot write to, a user that owns its data alone, no
// privilege to be gained, no memory that is both writable and executable.
func TestConfined(t *testing.T) {
	if root := os.Getenv(child); root != "" {
		confine(t, root)
		return
	}
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can make another root directory")
	}
	root := t.TempDir()
	binary := os.Getenv("STRONGROOM_BINARY")
	if binary == "" {
		binary = filepath.Join(t.TempDir(), "strongroom")
		c := exec.Command("go", "build", "-o", binary, "../cmd/strongroom")
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(root, "data")
	for _, err := range []error{
		os.WriteFile(filepath.Join(root, "strongroom"), text, 0o555),
		os.Mkdir(data, 0o700), os.Chown(data, nobody, nobody), os.Chmod(root, 0o555), os.Chmod(filepath.Dir(root), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	run := func(ctx context.Context, args ...string) *exec.Cmd {
		c := exec.CommandContext(ctx, os.Args[0], append([]string{"-test.run=^TestConfined$", "--"}, args...)...)
		c.Env = []string{child + "=" + root}
		c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
		c.WaitDelay = 20 * time.Second
		return c
	}
	if out, err := run(t.Context(), "init", "--data", "/data").CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log bytes.Buffer
	server := run(ctx, "server", "--data", "/data", "--listen", "127.0.0.1:0", "--operations", "", "--require-unprivileged")
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	var status []byte
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if status, err = run(t.Context(), "status", "--data", "/data").CombinedOutput(); err == nil {
			break
		}
	}
	kernel, _ := os.ReadFile("/proc/" + strconv.Itoa(server.Process.Pid) + "/status")
	stop()
	_ = server.Wait() // What matters is the log: it was told to end.
	if err != nil || !strings.Contains(string(status), "not dumped") {
		t.Fatalf("status: %v\n%s\nserver:\n%s", err, status, log.String())
	}
	if !regexp.MustCompile(`NoNewPrivs:\s+1`).Match(kernel) || !regexp.MustCompile(`CapEff:\s+0{16}`).Match(kernel) {
		t.Errorf("the server has privileges, or can get some:\n%s", kernel)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("log:\n%s", log.String())
	}
}

// nobody is the user of the image.
const nobody = 65532

// confine turns this process into the server.
func confine(t *testing.T, root string) {
	runtime.LockOSThread() // Some of this is the thread's own, which then becomes the server.
	i := slices.Index(os.Args, "--")
	// Kernels before 6.3 do not know this one, and systemd filters system calls there.
	if err := unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); err != nil && err != unix.EINVAL {
		t.Fatal(err)
	}
	for _, err := range []error{
		unix.Chroot(root), os.Chdir("/"), syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody),
		unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal(syscall.Exec("/strongroom", append([]string{"/strongroom"}, os.Args[i+1:]...), []string{"HOME=/"}))
}
