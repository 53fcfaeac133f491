package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Alone is a server for one test, which may change its settings.
type Alone struct {
	// Address is a database of the role, Superuser one of the superuser's.
	Address, Superuser string

	server *server
	tidy   []func() // ends the scripts of earlier starts
}

// StartAlone starts a server that no other test uses, with settings such as
// "max_connections=20"; it ends with the test.
func StartAlone(tb testing.TB, settings ...string) *Alone {
	tb.Helper()
	if os.Getenv(skipVariable) == "1" {
		tb.Skip("PostgreSQL tests are skipped because " + skipVariable + "=1")
	}
	s, err := newServer(settings...)
	if err != nil {
		tb.Fatalf("cannot start PostgreSQL: %v", err)
	}
	a := &Alone{server: s}
	tb.Cleanup(func() {
		s.stop()
		for _, f := range a.tidy {
			f()
		}
	})
	// As in production: a commit waits for the synchronous standby, once one is named.
	err = errors.Join(s.admin("CREATE DATABASE alone OWNER "+role), s.admin("ALTER ROLE "+role+" SET synchronous_commit = 'on'"))
	if err != nil {
		tb.Fatalf("cannot create database: %v", err)
	}
	a.Address, a.Superuser = s.address(role, "alone"), s.address(superuser, "alone")
	return a
}

// Set changes a setting of the server for all its sessions, at once.
func (a *Alone) Set(tb testing.TB, setting, value string) {
	tb.Helper()
	err := errors.Join(a.server.admin(fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", setting, value)), a.server.admin("SELECT pg_reload_conf()"))
	if err != nil {
		tb.Fatalf("cannot set %s: %v", setting, err)
	}
}

// Stop stops the server; with crash, as if it had been killed.
func (a *Alone) Stop(tb testing.TB, crash bool) {
	tb.Helper()
	signal := syscall.SIGINT // "fast": transactions are rolled back
	if crash {
		signal = syscall.SIGQUIT // "immediate": nothing is tidied up
	}
	b, err := os.ReadFile(filepath.Join(a.server.data(), "postmaster.pid"))
	if err != nil {
		tb.Fatal(err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid <= 1 {
		tb.Fatalf("PostgreSQL's process is %q", first)
	}
	if err := syscall.Kill(pid, signal); err != nil {
		tb.Fatal(err)
	}
	for deadline := time.Now().Add(startTimeout); !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatal("PostgreSQL does not stop")
		}
	}
}

// Start starts the stopped server again, on the same port.
func (a *Alone) Start(tb testing.TB) {
	tb.Helper()
	bin, err := findPrograms()
	if err != nil {
		tb.Fatal(err)
	}
	credential, err := serverCredential()
	if err != nil {
		tb.Fatal(err)
	}
	// The old script removes the files once its pipe ends, so that waits.
	pipe, shell := a.server.alive, a.server.shell
	a.tidy = append(a.tidy, func() { pipe.Close(); shell.Wait() })
	if err := a.server.start(bin, credential); err != nil {
		tb.Fatalf("cannot start PostgreSQL again: %v", err)
	}
}

// stop ends the server and waits until it is gone.
func (s *server) stop() {
	s.alive.Close()
	s.shell.Wait()
}
