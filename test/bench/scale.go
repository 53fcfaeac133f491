package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// few is what many is compared with, usual what the memory of a server is stated
// for.
const (
	few   = 1_000
	usual = 10_000
)

// scale compares a server of many secrets, a million unless the flags say otherwise,
// with one of a thousand.
func (b *bench) scale() error {
	if err := pinDriver(false); err != nil {
		return err
	}
	memory := map[int]float64{}
	servers := map[int]*target{}
	for _, n := range []int{few, usual, b.many} {
		s, started, err := b.filledServer(n)
		if err != nil {
			return fmt.Errorf("%d secrets: %w", n, err)
		}
		defer s.stop()
		// All connections that serve readers, and a full cache: what a server holds
		// after a while, not what it begins with.
		if _, err := b.measure([]*target{s}, plan{read, 64, getRequest(n)}); err != nil {
			return err
		}
		if err := s.each(min(n, 100_000), readRequest); err != nil {
			return err
		}
		memory[n], servers[n] = s.resident(), s
		fmt.Fprintf(b.stdout, "| %s: first answer after %d ms, %.0f MB resident after reads | | | | | | |\n", s.name, started.Milliseconds(), memory[n]/1e6)
		switch n {
		case usual:
			s.stop()
			b.most("memory with 10,000 secrets", memory[n]/1e6, 100, "MB")
		case b.many:
			b.most("start to first answer with "+s.name, float64(started.Milliseconds()), 2000, "ms")
			b.most("memory for each further secret", (memory[n]-memory[usual])/float64(n-usual), 1024, "bytes")
		}
	}
	if err := b.compareScales(servers[few], servers[b.many]); err != nil {
		return err
	}
	return b.compareUncached(servers[few], servers[b.many])
}

// compareScales lets the two servers take turns.
func (b *bench) compareScales(small, large *target) error {
	for _, p := range []struct {
		plan
		large request
	}{
		{plan{operation: "ListSecrets", connections: 1, request: listRequest}, listRequest},
		{plan{operation: "GetSecretValue of 1,000 of them", connections: 1, request: getRequest(few)}, getRequest(few)},
		{plan{operation: "GetSecretValue of 1,000 of them", connections: 64, request: getRequest(few)}, getRequest(few)},
		{plan{operation: put, connections: 1, request: putRequest(few)}, putRequest(b.many)},
		{plan{operation: put, connections: 64, request: putRequest(few)}, putRequest(b.many)},
	} {
		if err := b.compareAt(small, large, p.plan, p.large); err != nil {
			return err
		}
	}
	return nil
}

// compareUncached reads all secrets alike. A thousand fit into the cache and a
// million do not, so both servers go without: what is compared is the database.
func (b *bench) compareUncached(small, large *target) error {
	without := setting{shared: true, yaml: "cache: {rows: 0}\n"}
	var uncached []*target
	for _, t := range []*target{small, large} {
		t.stop()
		without.name = t.name + ", no cache"
		s, err := b.startServer(t.dir, without)
		if err != nil {
			return err
		}
		defer s.stop()
		uncached = append(uncached, s)
	}
	for _, n := range []int{1, 64} {
		if err := b.compareAt(uncached[0], uncached[1], plan{read, n, getRequest(few)}, getRequest(b.many)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) compareAt(small, large *target, p plan, ofLarge request) error {
	got, err := b.measureEach([]*target{small, large}, []request{p.request, ofLarge}, p)
	if err != nil {
		return err
	}
	b.rows("scale", got)
	if p.operation == "ListSecrets" {
		b.most("first page of "+large.name+", p50", got[1].P50, 5000, "µs")
		return nil
	}
	b.least(fmt.Sprintf("%s at %d connections, %s of %s", p.operation, p.connections, large.name, small.name), 100*ratioOf(got[1], got[0]), 90, "%")
	return nil
}

// filledServer makes a server with n secrets, and measures how long a start takes
// until a signed request is answered.
func (b *bench) filledServer(n int) (s *target, started time.Duration, err error) {
	at := setting{name: thousands(float64(n)) + " secrets", shared: true}
	data := filepath.Join(b.dir, "scale-"+strconv.Itoa(n))
	if s, err = b.startServer(data, at); err != nil {
		return nil, 0, err
	}
	// The first secret comes by the front door: with it the server makes its key.
	err = s.each(1, createRequest)
	s.stop()
	if err != nil {
		return nil, 0, err
	}
	fmt.Fprintf(os.Stderr, "filling in %d secrets …\n", n)
	if err := fill(context.Background(), data, 1, n); err != nil {
		return nil, 0, fmt.Errorf("fill: %w", err)
	}
	begun := time.Now()
	if s, err = b.startServer(data, at); err != nil {
		return nil, 0, err
	}
	if err := s.each(1, readRequest); err != nil {
		s.stop()
		return nil, 0, err
	}
	return s, time.Since(begun), nil
}

// resident is the memory that the server occupies, in bytes.
func (t *target) resident() float64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(t.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024
		}
	}
	return 0
}
