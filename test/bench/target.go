package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// target is a running server under test.
type target struct {
	name          string
	address       string
	keyID, secret string
	token         string // of temporary credentials
	roots         *x509.CertPool
	dir           string
	cmd           *exec.Cmd
}

// pinned puts a command on core 0, with one scheduler thread, if that is possible.
func pinned(pin bool, args ...string) *exec.Cmd {
	if pin {
		args = append([]string{"taskset", "-c", "0"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = os.Environ()
	if pin {
		cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// startServer makes a data directory and serves it.
func startServer(binary, data string, pin, synced bool) (*target, error) {
	if out, err := exec.Command(binary, "init", "--data", data).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("init: %w: %s", err, out)
	}
	durability := "written"
	if synced {
		durability = "synced"
	}
	// AWS's quota of versions would end a benchmark of writes within a second.
	yaml := "region: " + region + "\nquotas: {versions_per_secret: 1000000}\nlog: {level: warn}\naudit: {durability: " + durability + "}\n"
	if err := os.WriteFile(filepath.Join(data, "strongroom.yaml"), []byte(yaml), 0o600); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd := pinned(pin, binary, "server", "--data", data, "--listen", address, "--operations", "")
	cmd.Stderr = io.Discard
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t := &target{name: "strongroom", address: address, dir: data, cmd: cmd}
	out, err := exec.Command(binary, "env", "--data", data, "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("env: %w", err)
	}
	var env map[string]string
	if err := json.Unmarshal(out, &env); err != nil {
		return nil, err
	}
	t.keyID, t.secret = env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
	return t, t.trust(env["AWS_CA_BUNDLE"])
}

// startFloor runs this program again as the floor.
func startFloor(dir string, s *target, pin bool) (*target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	cmd := pinned(pin, self, "floor", dir)
	cmd.Env = append(cmd.Env, "FLOOR_KEY="+s.keyID, "FLOOR_SECRET="+s.secret, "FLOOR_TLS="+filepath.Join(s.dir, "tls"))
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
	return &target{name: "floor", address: strings.TrimSpace(line), keyID: s.keyID, secret: s.secret, roots: s.roots, dir: dir, cmd: cmd}, nil
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
	// Fields 14 and 15, in ticks of 10 ms, counted behind the name in brackets.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
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
