package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// target is a running server under test.
type target struct {
	name    string
	address string
	session
	plain bool // without TLS
	roots *x509.CertPool
	dir   string
	cmd   *exec.Cmd
}

// setting is how a server under test differs from the others.
type setting struct {
	name string
	// binary is "" for the one that is measured.
	binary string
	// shared leaves it both cores; plain is without TLS.
	shared, plain bool
	// yaml is more configuration.
	yaml string
}

// session is whom the driver signs as.
type session struct{ keyID, secret, token string }

// command puts a command on core 0, with one scheduler thread, unless it may have
// all.
func command(shared bool, args ...string) *exec.Cmd {
	cores, procs := "0", "1"
	if shared {
		cores, procs = "0-"+strconv.Itoa(runtime.NumCPU()-1), strconv.Itoa(runtime.NumCPU())
	}
	pin := canPin()
	if pin {
		args = append([]string{"taskset", "-c", cores}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = os.Environ()
	if pin {
		cmd.Env = append(cmd.Env, "GOMAXPROCS="+procs)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// server starts one on a copy of the loaded data, and reads every secret once: a
// server that has just started is another measurement.
func (b *bench) server(s setting) (*target, error) {
	data, err := os.MkdirTemp(b.dir, "data")
	if err != nil {
		return nil, err
	}
	if out, err := exec.Command("cp", "-a", "--sparse=always", b.loaded.dir+"/.", data).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("copy: %w: %s", err, out)
	}
	t, err := b.startServer(data, s)
	if err != nil {
		return nil, err
	}
	if err := t.each(b.secrets, readRequest); err != nil {
		t.stop()
		return nil, err
	}
	return t, nil
}

// servers starts several; stop ends them.
func (b *bench) servers(settings ...setting) (all []*target, stop func(), err error) {
	stop = func() {
		for _, t := range all {
			t.stop()
		}
	}
	for _, s := range settings {
		t, err := b.server(s)
		if err != nil {
			stop()
			return nil, nil, fmt.Errorf("%s: %w", s.name, err)
		}
		all = append(all, t)
	}
	return all, stop, nil
}

// startServer serves a data directory, which it makes when there is none.
func (b *bench) startServer(data string, s setting) (*target, error) {
	binary := s.binary
	if binary == "" {
		binary = b.binary
	}
	if _, err := os.Stat(filepath.Join(data, "node.json")); err != nil {
		if out, err := exec.Command(b.binary, "init", "--data", data).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("init: %w: %s", err, out)
		}
	}
	// AWS's quota of versions would end a benchmark of writes within a second.
	yaml := "region: " + region + "\nquotas: {versions_per_secret: 1000000}\nlog: {level: warn}\n" + s.yaml
	if err := os.WriteFile(filepath.Join(data, "strongroom.yaml"), []byte(yaml), 0o600); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	args := []string{binary, "server", "--data", data, "--listen", address, "--operations", ""}
	if s.plain {
		args = append(args, "--insecure-http")
	}
	cmd := command(s.shared, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t := &target{name: s.name, address: address, dir: data, plain: s.plain, cmd: cmd}
	out, err := exec.Command(b.binary, "env", "--data", data, "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("env: %w", err)
	}
	var env map[string]string
	if err := json.Unmarshal(out, &env); err != nil {
		return nil, err
	}
	t.session = session{keyID: env["AWS_ACCESS_KEY_ID"], secret: env["AWS_SECRET_ACCESS_KEY"]}
	if err := t.trust(filepath.Join(data, "tls", "ca.pem")); err != nil {
		t.stop()
		return nil, fmt.Errorf("%w: %s", err, said.Bytes())
	}
	return t, nil
}

// floor runs this program again as the floor. It takes certificate and key of one
// of the servers.
func (b *bench) floor(shared, plain bool) (*target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "floor")
	if err != nil {
		return nil, err
	}
	cmd := command(shared, self, "floor", dir)
	cmd.Env = append(cmd.Env, "FLOOR_KEY="+b.loaded.keyID, "FLOOR_SECRET="+b.loaded.secret)
	if !plain {
		cmd.Env = append(cmd.Env, "FLOOR_TLS="+filepath.Join(b.loaded.dir, "tls"))
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("floor did not start: %w", err)
	}
	return &target{name: "floor", address: strings.TrimSpace(line), session: b.loaded.session, plain: plain, roots: b.loaded.roots, dir: dir, cmd: cmd}, nil
}

func (t *target) trust(bundle string) error {
	pem, err := os.ReadFile(bundle)
	if err != nil {
		return err
	}
	t.roots = x509.NewCertPool()
	t.roots.AppendCertsFromPEM(pem)
	for range 200 {
		c, err := t.dial()
		if err == nil {
			return c.conn.Close()
		}
		time.Sleep(25 * time.Millisecond)
	}
	return errors.New("server does not answer")
}

// stop ends a process in order.
func (t *target) stop() {
	_ = t.cmd.Process.Signal(syscall.SIGTERM)
	_ = t.cmd.Wait()
}

// each sends one request for every secret, over 64 connections.
func (t *target) each(secrets int, request func(i int) (target, body string)) error {
	next := make(chan int)
	errs := make(chan error, 64)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			c, err := t.dial()
			if err != nil {
				errs <- err
				return
			}
			defer c.conn.Close()
			for i := range next {
				if _, err := c.do(request(i)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	var failed error
feed:
	for i := range secrets {
		select {
		case next <- i:
		case failed = <-errs:
			break feed
		}
	}
	close(next)
	wg.Wait()
	return failed
}

// cpu is the processor time that the server has used.
func (t *target) cpu() time.Duration {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(t.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0
	}
	return cpuIn(b)
}

// cpuIn reads fields 14 and 15, in ticks of 10 ms, counted behind the name in
// brackets.
func cpuIn(stat []byte) time.Duration {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	u := url.URL{Host: l.Addr().String()}
	return u.Host, nil
}
