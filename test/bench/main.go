// Command bench measures the server as its users meet it: the real binary over
// TLS on loopback, every request signed, at 1, 16 and 64 connections. A floor
// program, doing only what no server of this kind can leave out (net/http, TLS,
// signature, JSON, one prepared read, decryption, two appends), is measured in
// the same run, so that ratios hold on any machine.
//
// With taskset at hand tools/bench gives the server under test core 0 and the
// driver core 1: the figures are then requests a second per core.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// result is one row of the table.
type result struct {
	Server      string  `json:"server"`
	Operation   string  `json:"operation"`
	Connections int     `json:"connections"`
	PerSecond   float64 `json:"perSecond"`
	P50         float64 `json:"p50Micros"`
	P99         float64 `json:"p99Micros"`
	CPU         float64 `json:"serverCPUMicrosPerRequest"`
	Errors      int     `json:"errors"`
	// Rounds are the rates of all rounds; PerSecond and the rest are those of
	// the median one.
	Rounds []float64 `json:"rounds"`
}

type report struct {
	Time    string   `json:"time"`
	Machine string   `json:"machine"`
	Pinned  bool     `json:"pinned"`
	Secrets int      `json:"secrets"`
	Results []result `json:"results"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "floor" {
		if err := floor(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "floor:", err)
			os.Exit(1)
		}
		return
	}
	binary := flag.String("binary", "bin/strongroom", "the server to measure")
	seconds := flag.Duration("time", 2*time.Second, "length of a round")
	rounds := flag.Int("rounds", 5, "rounds of each row; the median counts")
	secrets := flag.Int("secrets", 10_000, "secrets to preload")
	out := flag.String("out", "bench-results", "folder for the JSON")
	pin := flag.Bool("pin", false, "give the server core 0; the caller has put this program on another one")
	only := flag.String("only", "", "measure this operation alone")
	list := flag.String("connections", "1,16,64", "connections of each row")
	synced := flag.Bool("synced", false, "audit.durability synced instead of written")
	flag.Parse()
	p := plan{binary: *binary, length: *seconds, rounds: *rounds, secrets: *secrets, out: *out, pin: *pin, synced: *synced, only: *only}
	for n := range strings.SplitSeq(*list, ",") {
		c, err := strconv.Atoi(n)
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: -connections:", err)
			os.Exit(2)
		}
		p.connections = append(p.connections, c)
	}
	if err := p.run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// plan is what the flags say.
type plan struct {
	binary, out, only string
	length            time.Duration
	rounds, secrets   int
	connections       []int
	pin, synced       bool
}

func (p *plan) run() error {
	dir, err := os.MkdirTemp("", "srbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	rep := report{Time: time.Now().UTC().Format(time.RFC3339), Machine: machine(), Pinned: p.pin, Secrets: p.secrets}
	if p.pin {
		runtime.GOMAXPROCS(1)
	}

	s, err := startServer(p.binary, filepath.Join(dir, "data"), p.pin, p.synced)
	if err != nil {
		return err
	}
	defer s.stop()
	fmt.Fprintf(os.Stderr, "loading %d secrets …\n", p.secrets)
	if err := s.each(p.secrets, createRequest); err != nil {
		return err
	}
	// The first read of a secret on a day also notes the day, in a write of its
	// own a second later. That is paid once, here, and not measured.
	if err := s.each(p.secrets, readRequest); err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	f, err := startFloor(filepath.Join(dir, "floor"), s, p.pin)
	if err != nil {
		return err
	}
	defer f.stop()

	role, err := s.asRole(context.Background())
	if err != nil {
		return fmt.Errorf("make a role: %w", err)
	}
	type row struct {
		targets   []*target
		operation string
		make      func(worker, i int) (target, body string)
	}
	rows := []row{
		{[]*target{f, s, role}, "GetSecretValue", getRequest(p.secrets)},
		{[]*target{s}, "PutSecretValue", putRequest(p.secrets)},
		{[]*target{s}, "ListSecrets", listRequest},
	}
	fmt.Printf("%-11s %-15s %5s %10s %10s %10s %9s %7s\n", "server", "operation", "conns", "req/s", "p50 µs", "p99 µs", "CPU µs", "errors")
	// Row by row, reads before writes: a version's first read on a day costs a
	// note, and every write makes such a version.
	for _, r := range rows {
		if p.only != "" && r.operation != p.only {
			continue
		}
		for _, connections := range p.connections {
			results, err := measure(r.targets, r.operation, connections, p.length, p.rounds, r.make)
			if err != nil {
				return fmt.Errorf("%s: %w", r.operation, err)
			}
			rep.Results = append(rep.Results, results...)
			for _, res := range results {
				fmt.Printf("%-11s %-15s %5d %10.0f %10.0f %10.0f %9.1f %7d\n", res.Server, res.Operation, res.Connections, res.PerSecond, res.P50, res.P99, res.CPU, res.Errors)
			}
		}
	}
	return save(p.out, rep)
}

func save(out string, rep report) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(out, "bench-"+time.Now().UTC().Format("20060102T150405Z")+".json")
	fmt.Fprintln(os.Stderr, "written:", path)
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

func machine() string {
	return fmt.Sprintf("%s, %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
