// Package pgtest runs a real PostgreSQL server for tests.
//
// The server is started on first use, once for each test binary, from the
// programs of the Debian package, on a free port of 127.0.0.1, in a directory
// of its own, with a random password. Each call of Start gives a fresh database
// in it. Where it can, the server sorts text by the rules of a language (ICU,
// en-US), so that a query that relies on bytewise order without asking for it
// is found out.
//
// Invariant: no server and no directory outlives the test binary, however that
// ends. A shell stands between: it waits for the end of a pipe that only the
// test binary holds, then stops the server by its process number and removes
// the directory.
package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// skipVariable set to 1 skips the tests that need PostgreSQL.
	skipVariable = "STRONGROOM_TEST_NO_POSTGRES"
	// syncVariable set to 1 makes the server flush each commit to disk, for
	// benchmarks. Tests do without: the machine will not crash under them.
	syncVariable = "STRONGROOM_TEST_POSTGRES_FSYNC"
	// programsVariable names the folder of the server's programs; without it
	// the places where Debian puts them are searched.
	programsVariable = "STRONGROOM_POSTGRES"
	// role owns the databases handed out. It is no superuser, as in production.
	role = "strongroom"
	// superuser is the role that makes databases.
	superuser = "postgres"

	startTimeout   = 30 * time.Second
	commandTimeout = 30 * time.Second
	portAttempts   = 5
)

// binPattern is where Debian and its kin put the programs of each version.
const binPattern = "/usr/lib/postgresql/*/bin"

// serverAccounts may run the server when the tests run as root, which
// PostgreSQL refuses to be: the first one that exists does.
var serverAccounts = []string{"postgres", "nobody"}

var errNotInstalled = errors.New("PostgreSQL is not installed: run `make deps`, " +
	"or set " + skipVariable + "=1 to skip the tests that need it")

var errPortTaken = errors.New("port was taken by another process")

// shared is the server of this test binary. It can't hang from a value that
// tests pass around, since each test begins with nothing but its testing.TB.
var shared = sync.OnceValues(startServer)

// Start returns the address of a fresh, empty database on a real server. The
// database is dropped when the test ends. Without PostgreSQL the test fails,
// unless STRONGROOM_TEST_NO_POSTGRES=1 asks for it to be skipped.
func Start(tb testing.TB) (address string) {
	tb.Helper()
	if os.Getenv(skipVariable) == "1" {
		tb.Skip("PostgreSQL tests are skipped because " + skipVariable + "=1")
	}
	s, err := shared()
	if err != nil {
		tb.Fatalf("cannot start PostgreSQL: %v", err)
	}
	name := "t_" + random()
	if err := s.admin(fmt.Sprintf(`CREATE DATABASE %s OWNER %s`, name, role)); err != nil {
		tb.Fatalf("cannot create database: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.admin(fmt.Sprintf(`DROP DATABASE IF EXISTS %s WITH (FORCE)`, name)); err != nil {
			tb.Errorf("cannot drop database: %v", err)
		}
	})
	return s.address(role, name)
}

// Watched is a database whose server can be looked into.
type Watched struct {
	// Address is what Start returns.
	Address string
	// Dir holds all that the server writes: its data, its write-ahead log and
	// its own log, to which every statement on this database goes with all its
	// parameters. Other tests of the same binary write there too.
	Dir string

	server *server
}

// Watch is Start for a test that searches what the database server leaves on
// disk.
func Watch(tb testing.TB) *Watched {
	tb.Helper()
	w := &Watched{Address: Start(tb)}
	u, err := url.Parse(w.Address)
	if err != nil {
		tb.Fatal(err)
	}
	if w.server, err = shared(); err != nil {
		tb.Fatal(err)
	}
	w.Dir = w.server.dir
	name := strings.TrimPrefix(u.Path, "/")
	for _, setting := range []string{
		"log_statement = 'all'", "log_parameter_max_length = -1", "log_parameter_max_length_on_error = -1",
		"log_error_verbosity = 'verbose'", "debug_print_plan = on",
	} {
		if err := w.server.admin("ALTER DATABASE " + name + " SET " + setting); err != nil {
			tb.Fatalf("cannot set %s: %v", setting, err)
		}
	}
	return w
}

// Flush makes the server write all pages that it holds in memory.
func (w *Watched) Flush(tb testing.TB) {
	tb.Helper()
	if err := w.server.admin("CHECKPOINT"); err != nil {
		tb.Fatalf("cannot make a checkpoint: %v", err)
	}
}

// server is a running PostgreSQL.
type server struct {
	dir      string
	port     int
	password string
	settings []string
	// alive is the pipe whose end stops the server. It is kept here so that it
	// is not closed by the garbage collector.
	alive *os.File
	shell *exec.Cmd
}

func startServer() (*server, error) { return newServer() }

// newServer starts a server with settings such as "max_connections=20" over ours.
func newServer(settings ...string) (*server, error) {
	bin, err := findPrograms()
	if err != nil {
		return nil, err
	}
	credential, err := serverCredential()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "strongroom-postgres-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, password: random(), settings: settings}
	if err := s.initialise(bin, credential); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	for range portAttempts {
		// Another process may take the port between the look and the server's
		// start; then the next one is tried.
		if err = s.run(bin, credential); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, s.admin(fmt.Sprintf(`CREATE ROLE %s LOGIN PASSWORD '%s'`, role, s.password))
}

// findPrograms returns the directory of the newest server installed.
func findPrograms() (string, error) {
	if dir := os.Getenv(programsVariable); dir != "" {
		return dir, nil
	}
	dirs, err := filepath.Glob(binPattern)
	if err != nil {
		return "", err
	}
	version := func(dir string) float64 {
		v, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(dir)), 64)
		return v
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "postgres"))
		return err != nil
	})
	if len(dirs) == 0 {
		return "", errNotInstalled
	}
	return slices.MaxFunc(dirs, func(a, b string) int { return int(version(a)*100) - int(version(b)*100) }), nil
}

// serverCredential returns the account to run the server as, or nil for ours.
func serverCredential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	var account *user.User
	var err error
	for _, name := range serverAccounts {
		if account, err = user.Lookup(name); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("no account to run PostgreSQL as: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (s *server) data() string    { return filepath.Join(s.dir, "data") }
func (s *server) logFile() string { return filepath.Join(s.dir, "log") }

// initialise creates the server's files.
func (s *server) initialise(bin string, credential *syscall.Credential) error {
	passwordFile := filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	if credential != nil {
		for _, path := range []string{s.dir, passwordFile} {
			if err := os.Chown(path, int(credential.Uid), int(credential.Gid)); err != nil {
				return err
			}
		}
	}
	var failures []error
	for _, locale := range [][]string{
		{"--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"}, // from version 15, if built with ICU
		{"--locale=en_US.UTF-8"},
		{"--locale=C.UTF-8"},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), append([]string{
			"--pgdata", s.data(), "--username", superuser, "--auth", "scram-sha-256",
			"--pwfile", passwordFile, "--encoding", "UTF8", "--no-sync",
		}, locale...)...)
		cmd.Dir = s.dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
		out, err := cmd.CombinedOutput()
		if err == nil {
			return os.Remove(passwordFile)
		}
		failures = append(failures, fmt.Errorf("initdb %v: %w\n%s", locale, err, out))
		if err := os.RemoveAll(s.data()); err != nil {
			return err
		}
	}
	return errors.Join(failures...)
}

// script runs the server ($2...) in the background until standard input ends,
// then stops it at once and removes its directory ($1). If the server ends by
// itself, so does the script with the next signal or the end of the input.
const script = `
dir=$1; shift
"$@" </dev/null >>"$dir/log" 2>&1 &
server=$!
cat >/dev/null
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$dir/data" "$dir/log" && rmdir "$dir" 2>/dev/null
`

// run is start on a free port.
func (s *server) run(bin string, credential *syscall.Credential) (err error) {
	if s.port, err = freePort(); err != nil {
		return err
	}
	return s.start(bin, credential)
}

// start starts the server on its port and waits until it answers.
func (s *server) start(bin string, credential *syscall.Credential) error {
	args := []string{
		"-c", script, "pgtest", s.dir,
		filepath.Join(bin, "postgres"), "-D", s.data(),
		"-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(s.port),
		"-c", "unix_socket_directories=",
		"-c", "max_connections=300", "-c", "shared_buffers=64MB",
	}
	if os.Getenv(syncVariable) != "1" {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")
	}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command("/bin/sh", args...)
	cmd.Dir = s.dir
	// A group of its own: an interrupt from the terminal ends the test binary,
	// and through the pipe the server, in this order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Setpgid: true}
	input, output, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	cmd.Stdin = input
	if err := cmd.Start(); err != nil {
		return errors.Join(err, output.Close())
	}
	s.alive, s.shell = output, cmd
	if err := s.awaitReady(); err != nil {
		log, _ := os.ReadFile(s.logFile())
		// Not the pipe's end, which would remove the files that the next
		// attempt needs: the script and its child are ours by number.
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		return errors.Join(fmt.Errorf("%w\n%s", err, log), output.Close())
	}
	return nil
}

func (s *server) awaitReady() error {
	var err error
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = s.admin("SELECT 1"); err == nil {
			return nil
		}
		log, _ := os.ReadFile(s.logFile())
		if len(log) > 0 && s.portTaken() {
			return errPortTaken
		}
	}
	return err
}

// portTaken reports whether somebody else answers on the port: our server would
// let us in.
func (s *server) portTaken() bool {
	_, err := os.Stat(filepath.Join(s.data(), "postmaster.pid"))
	conn, dialErr := net.DialTimeout("tcp", s.host(), time.Second)
	if dialErr == nil {
		conn.Close()
	}
	return err != nil && dialErr == nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// admin runs one statement as the superuser.
func (s *server) admin(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.address(superuser, "postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

func (s *server) host() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

func (s *server) address(account, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(account, s.password),
		Host:     s.host(),
		Path:     database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func random() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
