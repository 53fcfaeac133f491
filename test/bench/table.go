package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// result is one row of the table.
type result struct {
	Suite       string  `json:"suite"`
	Server      string  `json:"server"`
	Operation   string  `json:"operation"`
	Connections int     `json:"connections"`
	PerSecond   float64 `json:"perSecond"`
	P50         float64 `json:"p50Micros"`
	P99         float64 `json:"p99Micros"`
	CPU         float64 `json:"serverCPUMicrosPerRequest"`
	// LeastCPU is that of the round with the least.
	LeastCPU float64 `json:"leastServerCPUMicros"`
	// Rounds are the rates of all rounds; PerSecond and the rest are those of
	// the median one.
	Rounds []float64 `json:"rounds"`

	answered int
}

// check is one of the project's targets and what became of it.
type check struct {
	What     string  `json:"what"`
	Measured float64 `json:"measured"`
	Bound    float64 `json:"bound"`
	// AtMost: the bound is the most, not the least.
	AtMost bool   `json:"atMost,omitempty"`
	Unit   string `json:"unit"`
}

func (c check) met() bool { return c.AtMost == (c.Measured <= c.Bound) || c.Measured == c.Bound }

type report struct {
	Time    string   `json:"time"`
	Machine string   `json:"machine"`
	Pinned  bool     `json:"pinned"`
	Secrets int      `json:"secrets"`
	Results []result `json:"results"`
	Checks  []check  `json:"checks"`
}

func newReport(b *bench) report {
	return report{Time: time.Now().UTC().Format(time.RFC3339), Machine: machine(), Pinned: canPin(), Secrets: b.secrets}
}

func machine() string {
	return fmt.Sprintf("%s, %s/%s, %d CPUs", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}

// heading begins a suite's table, in the form that docs/benchmarks.md takes.
func (b *bench) heading(suite string) {
	fmt.Fprintf(b.stdout, "\n**%s** (load of the machine: %s)\n\n", suite, load())
	fmt.Fprintln(b.stdout, "| | connections | req/s | p50 µs | p99 µs | CPU µs | of the first |")
	fmt.Fprintln(b.stdout, "|---|---|---|---|---|---|---|")
}

// load is the machine's, so that whoever reads the table knows what else ran.
func load() string {
	f, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(f))[:2], " ")
}

// rows prints and keeps the results of servers that took turns; the first is what
// the others are compared with.
func (b *bench) rows(suite string, results []result) {
	for i, r := range results {
		r.Suite = suite
		ratio := ""
		if i > 0 {
			ratio = fmt.Sprintf("%.0f %%", 100*ratioOf(r, results[0]))
		}
		fmt.Fprintf(b.stdout, "| %s, %s | %d | %s | %s | %s | %.1f | %s |\n", r.Server, r.Operation, r.Connections,
			thousands(r.PerSecond), thousands(r.P50), thousands(r.P99), r.CPU, ratio)
		b.report.Results = append(b.report.Results, r)
	}
}

// ratioOf compares round by round, since what else the machine does meets the
// rounds of one turn alike, and takes the median.
func ratioOf(r, base result) float64 {
	var all []float64
	for i := range min(len(r.Rounds), len(base.Rounds)) {
		all = append(all, r.Rounds[i]/base.Rounds[i])
	}
	return median(all)
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// find returns a result that was measured, or a zero one.
func find(results []result, server string) result {
	for _, r := range results {
		if r.Server == server {
			return r
		}
	}
	return result{}
}

// least and most note a target of the project.
func (b *bench) least(what string, measured, bound float64, unit string) {
	b.report.Checks = append(b.report.Checks, check{What: what, Measured: measured, Bound: bound, Unit: unit})
}

func (b *bench) most(what string, measured, bound float64, unit string) {
	b.report.Checks = append(b.report.Checks, check{What: what, Measured: measured, Bound: bound, Unit: unit, AtMost: true})
}

// verdict prints the targets.
func (b *bench) verdict() {
	if len(b.report.Checks) == 0 {
		return
	}
	fmt.Fprint(b.stdout, "\n| target | bound | measured | |\n|---|---|---|---|\n")
	for _, c := range b.report.Checks {
		word, verdict := "at least", "met"
		if c.AtMost {
			word = "at most"
		}
		if !c.met() {
			verdict = "**missed**"
		}
		fmt.Fprintf(b.stdout, "| %s | %s %s %s | %s | %s |\n", c.What, word, thousands(c.Bound), c.Unit, thousands(c.Measured), verdict)
	}
}

// thousands prints a whole number with commas.
func thousands(f float64) string {
	s := fmt.Sprintf("%.0f", f)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (r *report) save(out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(out, "bench-"+time.Now().UTC().Format("20060102T150405Z")+".json")
	fmt.Fprintln(os.Stderr, "written:", path)
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
