package nodes

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// What the child is told by its environment.
const (
	dirVariable = "STRONGROOM_NODE_DIR"
	urlVariable = "STRONGROOM_NODE_URL"
)

func TestMain(m *testing.M) {
	if os.Getenv(dirVariable) == "" {
		os.Exit(m.Run())
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

func configuration(dir, url string) config.Config {
	c := config.Default()
	c.Data, c.Database, c.Listen, c.Operations = dir, url, "127.0.0.1:0", ""
	c.Region, c.Regions = servertest.Region, []string{servertest.Region}
	c.Audit.SegmentSize = 1 << 20
	return c
}

func quiet(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelError}))
}

// serve runs a server until standard input ends: the parent is gone, or is done.
func serve() error {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	s, err := server.Open(ctx, server.Options{Config: configuration(os.Getenv(dirVariable), os.Getenv(urlVariable)), Log: quiet(os.Stderr)})
	if err != nil {
		return err
	}
	err = s.Serve(ctx, func(a net.Addr) { fmt.Println("ready", a) })
	if e := s.Close(context.Background()); err == nil {
		err = e
	}
	return err
}

// deployment is two nodes of one deployment.
func deployment(t *testing.T) [2]*servertest.Server {
	t.Helper()
	url := pgtest.Start(t)
	// Not t.TempDir: a test's name can make the path too long for a socket.
	root, err := os.MkdirTemp("", "nodes")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(root) })
	first, second := filepath.Join(root, "a"), filepath.Join(root, "b")
	admin, err := server.Init(t.Context(), configuration(first, url), servertest.Account, quiet(&servertest.Buffer{}))
	check(t, err)
	addNode(t, first, second)
	return [2]*servertest.Server{start(t, admin, first, url), start(t, admin, second, url)}
}

// addNode makes the directory of another node as an operator does: the same root
// key and certificates, and a name of its own.
func addNode(t *testing.T, first, second string) {
	t.Helper()
	check(t, os.MkdirAll(second, 0o700))
	check(t, os.CopyFS(filepath.Join(second, "tls"), os.DirFS(filepath.Join(first, "tls"))))
	key, err := os.ReadFile(filepath.Join(first, server.RootKeyFile))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(second, server.RootKeyFile), key, 0o600))
	name, err := json.Marshal(map[string]string{"node": "node-second", "account": servertest.Account})
	check(t, err)
	check(t, os.WriteFile(filepath.Join(second, "node.json"), name, 0o600))
}

// start runs a node in a child process, which is this test binary again.
func start(t *testing.T, admin server.Credentials, dir, url string) *servertest.Server {
	t.Helper()
	log := &servertest.Buffer{}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dirVariable+"="+dir, urlVariable+"="+url)
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "ready ") {
		t.Fatalf("node does not start: %s %v %s", lines.Text(), cmd.Wait(), log)
	}
	s := &servertest.Server{
		Admin: admin, Dir: dir, URL: "https://" + strings.TrimPrefix(lines.Text(), "ready "), HTTP: servertest.Client(t, dir), Log: log,
	}
	s.HTTP.Timeout = 20 * time.Second
	t.Cleanup(func() {
		s.HTTP.CloseIdleConnections()
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("node ends: %v %s", err, log)
		}
	})
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
