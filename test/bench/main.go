// Command bench measures the server as its users meet it: the real binary over
// TLS on loopback, every request signed. A floor program, doing only what no
// server of this kind can leave out (net/http, TLS, signature, JSON, one prepared
// read, decryption, two appends), is measured in the same run, so that ratios hold
// on any machine.
//
// Where the system allows, the server under test has core 0 and the driver core 1:
// the figures are then requests a second per core. Suites that say so let them
// share both.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// suites are what can be measured, in the order in which it is.
var suites = []struct {
	name string
	run  func(*bench) error
}{
	{"reads", (*bench).reads},
	{"shared", (*bench).shared},
	{"overload", (*bench).overload},
	{"writes", (*bench).writes},
	{"postgres", (*bench).postgres},
	{"scale", (*bench).scale},
	{"compare", (*bench).compare}, // only where -other is given
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "floor" {
		if err := floor(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "floor:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	binary, noAudit, other, out string
	length                      time.Duration
	rounds, secrets             int
	many                        int // secrets of the suite scale
	connections                 []int

	dir string
	// loaded is a stopped server with the secrets; each server under test begins
	// with a copy of it.
	loaded *target
	// role is the session that reads in place of the administrator.
	role   session
	report report
	stdout io.Writer
}

func run(args []string, stdout io.Writer) error {
	b := &bench{stdout: stdout}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&b.binary, "binary", "bin/strongroom", "the server to measure")
	f.StringVar(&b.noAudit, "noaudit", "", "the same server built with -tags bench_noaudit")
	f.StringVar(&b.other, "other", "", "another build, for the suite compare: reads of both by turns")
	f.DurationVar(&b.length, "time", time.Second, "length of a round")
	f.IntVar(&b.rounds, "rounds", 5, "rounds of each row; the median counts")
	f.IntVar(&b.secrets, "secrets", 10_000, "secrets to preload")
	f.IntVar(&b.many, "many", 1_000_000, "secrets of the suite scale")
	f.StringVar(&b.out, "out", "bench-results", "folder for the JSON")
	var names []string
	for _, s := range suites {
		names = append(names, s.name)
	}
	list := f.String("suites", strings.Join(names[:len(names)-1], ","), "what to measure")
	connections := f.String("connections", "1,16,64", "connections of the rows that do not say")
	if err := f.Parse(args); err != nil {
		return err
	}
	for n := range strings.SplitSeq(*connections, ",") {
		c, err := strconv.Atoi(n)
		if err != nil {
			return fmt.Errorf("-connections: %w", err)
		}
		b.connections = append(b.connections, c)
	}
	wanted := strings.Split(*list, ",")
	for _, w := range wanted {
		if !slices.Contains(names, w) {
			return fmt.Errorf("-suites: no %q; there are %s", w, strings.Join(names, ", "))
		}
	}
	dir, err := os.MkdirTemp("", "srbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	b.report = newReport(b)
	if err := b.load(); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	for _, s := range suites {
		if !slices.Contains(wanted, s.name) {
			continue
		}
		b.heading(s.name)
		if err := s.run(b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	b.verdict()
	return b.report.save(b.out)
}

// load fills a data directory and stops its server.
func (b *bench) load() error {
	s, err := b.startServer(filepath.Join(b.dir, "loaded"), setting{name: "loaded"})
	if err != nil {
		return err
	}
	defer s.stop()
	fmt.Fprintf(os.Stderr, "loading %d secrets …\n", b.secrets)
	if err := s.each(b.secrets, createRequest); err != nil {
		return err
	}
	// The first read of a secret on a day also notes the day, in a write of its
	// own a second later. That is paid once, here, and not measured.
	if err := s.each(b.secrets, readRequest); err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	if b.role, err = s.makeRole(context.Background()); err != nil {
		return fmt.Errorf("make a role: %w", err)
	}
	b.loaded = s
	return nil
}
