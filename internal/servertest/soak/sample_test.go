package soak

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/servertest/program"
)

// sample is what the process was like at a moment.
type sample struct {
	at    time.Duration // since the load began
	calls int64
	value [len(quantities)]float64
}

// quantity is something that must not grow.
type quantity struct {
	name string
	unit float64 // in which it is printed
	// share and least are how much the line may rise over the last two thirds: a
	// share of the mean, or the least, whichever is more.
	share, least float64
}

const mega = 1 << 20

// quantities are what is measured. The least rise of memory is what the garbage
// collector makes of a few seconds, that of the others what a burst of calls or
// connections does. The log is folded every 16 MB, so it swings that far. The
// database's pages are freed and used again.
var quantities = [...]quantity{
	{"memory MB", mega, .05, 24 * mega},
	{"descriptors", 1, .05, 12},
	{"goroutines", 1, .05, 24},
	{"log MB", mega, 0, 24 * mega},
	{"database MB", mega, .10, 8 * mega},
}

// take measures.
func take(p program.Place, s *program.Process, operations string) (v [len(quantities)]float64, err error) {
	proc := fmt.Sprintf("/proc/%d/", s.PID())
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return v, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kilobytes, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		return v, err
	}
	descriptors, err := os.ReadDir(proc + "fd")
	if err != nil {
		return v, err
	}
	goroutines, err := metric(operations, "go_goroutines")
	if err != nil {
		return v, err
	}
	return [...]float64{kilobytes * 1024, float64(len(descriptors)), goroutines, size(p, "strongroom.db-wal"), size(p, "strongroom.db")}, nil
}

func size(p program.Place, name string) float64 {
	info, err := os.Stat(filepath.Join(p.Dir, name))
	if err != nil {
		return 0 // A log that is not there takes no room.
	}
	return float64(info.Size())
}

func metric(operations, name string) (float64, error) {
	res, err := http.Get("http://" + operations + "/metrics")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s: %v", name, lines.Err())
}

// rise is how much the straight line through the last two thirds of the samples
// rises there (least squares), and their mean.
func rise(all []sample, i int) (rise, mean float64) {
	from := all[len(all)-1].at / 3
	var n, st, sv, stt, stv float64
	for _, s := range all {
		if s.at < from {
			continue
		}
		t, v := s.at.Seconds(), s.value[i]
		n, st, sv, stt, stv = n+1, st+t, sv+v, stt+t*t, stv+t*v
	}
	slope := (n*stv - st*sv) / (n*stt - st*st)
	return slope * (all[len(all)-1].at - from).Seconds(), sv / n
}

// judge returns which quantities have grown, and how.
func judge(all []sample) (grown []string) {
	for i, q := range quantities {
		r, mean := rise(all, i)
		if bound := max(q.share*mean, q.least); r > bound {
			grown = append(grown, fmt.Sprintf("%s: rises by %.1f over the last two thirds, at a mean of %.1f; %.1f is allowed", q.name, r/q.unit, mean/q.unit, bound/q.unit))
		}
	}
	return grown
}

// rows is how many samples a table shows, at most.
const rows = 16

func table(all []sample) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%8s %10s", "time", "calls")
	for _, q := range quantities {
		fmt.Fprintf(&b, " %12s", q.name)
	}
	every := max(1, (len(all)-1)/rows)
	for i := 0; i < len(all); i += every {
		fmt.Fprintf(&b, "\n%8s %10d", all[i].at.Round(time.Second), all[i].calls)
		for j, q := range quantities {
			fmt.Fprintf(&b, " %12.1f", all[i].value[j]/q.unit)
		}
	}
	fmt.Fprintf(&b, "\n%8s %10s", "rise", "")
	for j, q := range quantities {
		r, _ := rise(all, j)
		fmt.Fprintf(&b, " %12.1f", r/q.unit)
	}
	return b.String()
}

// TestLaw: what leaks is found, what swings is not.
func TestLaw(t *testing.T) {
	series := func(f func(i int) float64) (all []sample) {
		for i := range 200 {
			s := sample{at: time.Duration(i) * time.Second}
			for j := range s.value {
				s.value[j] = quantities[j].least * (10 + f(i))
			}
			all = append(all, s)
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		f     func(i int) float64
		grown int
	}{
		{"swings", func(i int) float64 { return float64(i % 7) }, 0},
		{"fills, then stays", func(i int) float64 { return float64(min(i, 60)) }, 0},
		{"falls", func(i int) float64 { return -float64(i) / 20 }, 0},
		{"leaks", func(i int) float64 { return float64(i) / 40 }, len(quantities)},
		{"leaks and swings", func(i int) float64 { return float64(i)/40 + float64(i%7) }, len(quantities)},
	} {
		if grown := judge(series(tt.f)); len(grown) != tt.grown {
			t.Errorf("%s: %d have grown: %v", tt.name, len(grown), grown)
		}
	}
}
