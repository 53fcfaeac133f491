package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// host is a machine: a network namespace, a directory, and processes.
type host struct {
	name, ip, dir string
	node          string // the name of its audit chain

	t         testing.TB
	account   *syscall.Credential // that everything runs as
	processes map[string]*process
}

// process is a program that a host runs.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
}

// patience is for what takes a moment on a quiet machine, and may take long on a busy one.
const patience = 120 * time.Second

// await waits for a condition.
func await(t testing.TB, what string, ok func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// ip runs the ip command in the namespace of the clients.
func ip(t testing.TB, args string) {
	t.Helper()
	if b, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v %s", args, err, b)
	}
}

// newHosts makes hosts on a bridge. The clients' namespace is the one that the test runs in, and holds the bridge.
func newHosts(t testing.TB, names ...string) []*host {
	t.Helper()
	account := unprivileged(t)
	ip(t, "link add bridge type bridge")
	ip(t, "addr add 10.77.0.100/24 dev bridge")
	ip(t, "link set bridge up")
	var out []*host
	for i, name := range names {
		h := &host{name: name, ip: fmt.Sprintf("10.77.0.%d", i+1), dir: filepath.Join(root, name), t: t, account: account, processes: map[string]*process{}}
		ip(t, "netns add "+name)
		ip(t, fmt.Sprintf("link add %s type veth peer name eth0 netns %s", h.cable(), name))
		ip(t, fmt.Sprintf("link set %s master bridge up", h.cable()))
		ip(t, fmt.Sprintf("-n %s addr add %s/24 dev eth0", name, h.ip))
		ip(t, fmt.Sprintf("-n %s link set eth0 up", name))
		ip(t, fmt.Sprintf("-n %s link set lo up", name))
		h.mkdir("")
		out = append(out, h)
	}
	return out
}

// cable is the end of the host's cable at the bridge.
func (h *host) cable() string { return "cable-" + h.name }

// unprivileged is the account of all servers: PostgreSQL refuses to be root.
func unprivileged(t testing.TB) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) mkdir(name string) {
	h.t.Helper()
	if err := errors.Join(os.MkdirAll(h.path(name), 0o700), os.Chown(h.path(name), int(h.account.Uid), int(h.account.Gid))); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) write(name, text string) {
	h.t.Helper()
	if err := errors.Join(os.WriteFile(h.path(name), []byte(text), 0o600), os.Chown(h.path(name), int(h.account.Uid), int(h.account.Gid))); err != nil {
		h.t.Fatal(err)
	}
}

// within runs f on a thread in the host's network.
func (h *host) within(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // And never unlocked: the thread ends with its goroutine.
		ns, err := os.Open("/run/netns/" + h.name)
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			ns.Close()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// command is a program on the host, not started.
func (h *host) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = h.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: h.account, Setpgid: true}
	return cmd
}

// run runs a program on the host to its end and returns what it printed; an error holds what it complained of.
func (h *host) run(path string, args ...string) (string, error) {
	cmd := h.command(path, args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	var out []byte
	err := h.within(func() (err error) {
		out, err = cmd.Output()
		return err
	})
	if err != nil {
		err = fmt.Errorf("%w %s", err, complaints.Bytes())
	}
	return string(out), err
}

// start starts a program on the host; what it says is appended to a file of its name.
func (h *host) start(name, path string, args ...string) {
	h.t.Helper()
	log, err := os.OpenFile(h.log(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		h.t.Fatal(err)
	}
	defer log.Close()
	cmd := h.command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := h.within(cmd.Start); err != nil {
		h.t.Fatalf("start %s on %s: %v", name, h.name, err)
	}
	p := &process{cmd, make(chan struct{})}
	h.processes[name] = p
	go func() {
		cmd.Wait()
		close(p.gone)
	}()
}

func (h *host) log(name string) string { return filepath.Join(root, h.name+"."+name+".log") }

// pids are the processes of the host whose command line has a word in it; "" for all.
func (h *host) pids(word string) (out []int) {
	var mine unix.Stat_t
	if err := unix.Stat("/run/netns/"+h.name, &mine); err != nil {
		h.t.Fatal(err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var its unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &its) != nil || its.Ino != mine.Ino {
			continue
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(line), word) {
			out = append(out, pid)
		}
	}
	return out
}

// The processes of a host by what their command lines have in them.
const (
	everything = ""
	postgres   = "postgres"
	patroni    = "bin/patroni"
	strongroom = "strongroom\x00server"
)

// signal sends a signal to processes of the host. Those that they start meanwhile get it, too.
func (h *host) signal(s syscall.Signal, words ...string) {
	h.t.Helper()
	sent := map[int]bool{}
	for again := true; again; {
		again = false
		for _, word := range words {
			for _, pid := range h.pids(word) {
				if !sent[pid] {
					sent[pid], again = true, true
					syscall.Kill(pid, s) // It may have ended.
				}
			}
		}
	}
	if len(sent) == 0 {
		h.t.Fatalf("nothing like %q runs on %s", words, h.name)
	}
}

// kill ends processes of the host at once and waits until they are gone.
func (h *host) kill(words ...string) {
	h.t.Helper()
	h.signal(syscall.SIGKILL, words...)
	if len(words) == 1 && words[0] == postgres {
		return // Patroni starts the next one.
	}
	await(h.t, "killed processes end", func() error {
		for _, word := range words {
			if left := h.pids(word); len(left) > 0 {
				return fmt.Errorf("%q: %v", word, left)
			}
		}
		return nil
	})
}

// dialLoopback connects to a server on the host's own loopback.
func (h *host) dialLoopback(address string) (conn net.Conn, err error) {
	err = h.within(func() (err error) {
		conn, err = net.DialTimeout("tcp", address, 2*time.Second)
		return err
	})
	return conn, err
}
