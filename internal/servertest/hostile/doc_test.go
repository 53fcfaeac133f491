// Package hostile sends a server what no client in its right mind would: requests made
// from the service models and then broken, and what is no request at all. More than
// half are signed as they should be, by somebody who may do everything in an account,
// so that they get past the door.
//
// Its one invariant: nothing that a client sends is the server's fault. No answer is a
// 5xx, no panic is caught, memory is bounded, everybody else is served meanwhile, and
// nothing is left over. Which request is sent follows from the seed and its number
// alone.
//
// A run of 10,000 takes some 20 s. HOSTILE_REQUESTS and HOSTILE_SEED ask for others,
// FLOOD_SECONDS for a longer flood than 10 s.
package hostile

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/wire"
)

// dirVariable tells the child, which is this test binary again, what to serve. The
// server has a process of its own so that its memory is not the test's.
const dirVariable = "STRONGROOM_HOSTILE_DIR"

func TestMain(m *testing.M) {
	if os.Getenv(dirVariable) == "" {
		os.Exit(m.Run())
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

// attacker is the account whose owner is hostile; the healthy are in servertest.Account.
const attacker = "444455556666"

func configuration(dir string) config.Config {
	c := config.Default()
	c.Data, c.Listen, c.Operations = dir, "127.0.0.1:0", ""
	c.Region, c.Regions = servertest.Region, []string{servertest.Region, servertest.Other}
	return c
}

// stats are what the child tells of itself.
type stats struct {
	// Operations counts calls by "service:operation": those whose caller was known, so
	// that their input was looked at, and those of them that got past that.
	Operations map[string][2]int
	Goroutines int
	Files      int
	Heap, RSS  uint64
}

// watch counts calls.
type watch struct {
	mu     sync.Mutex
	counts map[string][2]int
}

func (w *watch) observe(c *wire.Call) {
	if c.Principal == nil || c.Service == nil || c.Operation == "" || c.Parent != nil || c.EventType != wire.EventAPICall {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	name := c.Service.Name + ":" + c.Operation
	n := w.counts[name]
	n[0]++
	if e, refused := c.Err.(*aws.Error); c.Input != nil && (!refused || !e.Framework) {
		n[1]++
	}
	w.counts[name] = n
}

func (w *watch) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/collect" {
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := stats{Goroutines: runtime.NumGoroutine(), Heap: m.HeapAlloc}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			pages, _ := strconv.ParseUint(f[1], 10, 64)
			s.RSS = pages * uint64(os.Getpagesize())
		}
	}
	if d, err := os.ReadDir("/proc/self/fd"); err == nil {
		s.Files = len(d)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Operations = w.counts
	json.NewEncoder(rw).Encode(s)
}

// serve runs a server until standard input ends: the parent is gone, or is done.
func serve() error {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	w := &watch{counts: map[string][2]int{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(l, w)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := server.Open(ctx, server.Options{Config: configuration(os.Getenv(dirVariable)), Log: log, Observe: w.observe})
	if err != nil {
		return err
	}
	err = s.Serve(ctx, func(a net.Addr) { fmt.Println("ready", a, l.Addr()) })
	if e := s.Close(context.Background()); err == nil {
		err = e
	}
	return err
}

// target is the server under attack.
type target struct {
	*servertest.Server
	t        *testing.T
	attacker server.Credentials
	stats    string
}

func start(t *testing.T) *target {
	t.Helper()
	root, err := os.MkdirTemp("", "hostile")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(root) })
	dir := filepath.Join(root, "data")
	quiet := slog.New(slog.DiscardHandler)
	admin, err := server.Init(t.Context(), configuration(dir), servertest.Account, quiet)
	check(t, err)
	opened, err := server.Open(t.Context(), server.Options{Config: configuration(dir), Log: quiet})
	check(t, err)
	hostile, err := opened.CreateAccount(t.Context(), attacker, "test")
	check(t, err)
	check(t, opened.Close(t.Context()))

	log := &servertest.Buffer{}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dirVariable+"="+dir)
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	lines := bufio.NewScanner(out)
	var address, told string
	if !lines.Scan() {
		t.Fatalf("server does not start: %v %s", cmd.Wait(), log)
	}
	if _, err := fmt.Sscanf(lines.Text(), "ready %s %s", &address, &told); err != nil {
		t.Fatalf("server does not start: %s %v %s", lines.Text(), cmd.Wait(), log)
	}
	s := &servertest.Server{Admin: admin, Dir: dir, URL: "https://" + address, HTTP: servertest.Client(t, dir), Log: log}
	t.Cleanup(func() {
		s.HTTP.CloseIdleConnections()
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("server ends: %v %s", err, log)
		}
	})
	return &target{Server: s, t: t, attacker: hostile, stats: "http://" + told}
}

// look asks the child; collect has it give back what it does not use first.
func (g *target) look(collect bool) (s stats) {
	g.t.Helper()
	url := g.stats
	if collect {
		url += "/collect"
	}
	res, err := http.Get(url)
	check(g.t, err)
	defer res.Body.Close()
	check(g.t, json.NewDecoder(res.Body).Decode(&s))
	return s
}

// calm waits until the child has no more goroutines and files than before, with a few
// to spare.
func (g *target) calm(before stats) {
	g.t.Helper()
	var now stats
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if now = g.look(true); now.Goroutines <= before.Goroutines+8 && now.Files <= before.Files+8 {
			return
		}
	}
	g.t.Errorf("left over: %d goroutines and %d files, before %d and %d", now.Goroutines, now.Files, before.Goroutines, before.Files)
}

// spotless fails if the log tells of a panic, a broken operation or an internal error.
func (g *target) spotless() {
	g.t.Helper()
	for line := range strings.Lines(g.Log.String()) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "panic") {
			g.t.Errorf("the log says %.2000s", line)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	check(t, err)
	return n
}

// mb prints bytes.
func mb(n uint64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }

// table prints rows aligned.
func table(rows [][]string) string {
	var b bytes.Buffer
	widths := map[int]int{}
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], len(c))
		}
	}
	for _, r := range rows {
		for i, c := range r {
			fmt.Fprintf(&b, "%-*s  ", widths[i], c)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
