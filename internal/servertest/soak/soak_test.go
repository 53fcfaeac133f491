package soak

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest/program"
)

// minutesVariable asks for more than `make test` does.
const minutesVariable = "STRONGROOM_SOAK_MINUTES"

// short is how long `make test` soaks.
const short = 20 * time.Second

// maxRecord is more than a record of these calls takes in the audit log.
const maxRecord = 4 << 10

func TestMain(m *testing.M) {
	code := m.Run()
	program.Remove()
	os.Exit(code)
}

func length(t *testing.T) time.Duration {
	t.Helper()
	v := os.Getenv(minutesVariable)
	if v == "" {
		return short
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil {
		t.Fatalf("%s: %v", minutesVariable, err)
	}
	return time.Duration(n * float64(time.Minute))
}

// TestSoak runs the server under everything at once, and measures it.
func TestSoak(t *testing.T) {
	takes := length(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	operations := l.Addr().String()
	l.Close()
	// Explanations of denials are bounded; here by so few that the bound is soon met.
	p := program.NewPlace(t, "", "audit:\n  segment_size: 4194304\ndenials:\n  per_account: 1000\noperations: "+operations+"\n")
	p.Init(t)
	s := p.Start(t)
	load := &load{s: s}
	if err := load.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := take(p, s, operations)
	if err != nil {
		t.Fatal(err)
	}
	written := recorded(t, p)

	ctx, cancel := context.WithTimeout(t.Context(), takes)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		load.run(ctx)
		close(ended)
	}()
	all := measure(t, ctx, p, s, operations, load, max(takes/200, 200*time.Millisecond))
	<-ended
	if err := load.failed(); err != nil {
		t.Errorf("answered as it must not be: %v", err)
	}
	t.Logf("%v, %d rounds of calls: %s\n%s", takes, load.calls.Load(), load, table(all))
	for _, grown := range judge(all) {
		t.Error(grown)
	}
	after := recorded(t, p)
	records, bytes := after.records-written.records, after.bytes-written.bytes
	t.Logf("audit log: %d records, %d bytes each", records, bytes/max(records, 1))
	if records == 0 || bytes/records > maxRecord {
		t.Errorf("the audit log has grown by %d bytes for %d records", bytes, records)
	}
	settle(t, p, s, operations, before)
	if _, err := p.Run(t, "check"); err != nil {
		t.Error(err)
	}
	s.Stop(t)
}

// measure takes a sample now and then until ctx ends.
func measure(t *testing.T, ctx context.Context, p program.Place, s *program.Process, operations string, l *load, every time.Duration) (all []sample) {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		v, err := take(p, s, operations)
		if err != nil {
			t.Fatalf("the server cannot be measured: %v: %s", err, s.Log())
		}
		all = append(all, sample{time.Since(began), l.calls.Load(), v})
		select {
		case <-ctx.Done():
			return all
		case <-tick.C:
		}
	}
}

// settleTime is how long what a load has opened may take to close.
const settleTime = time.Minute

// settle waits until descriptors and goroutines are back where they were without a
// load.
func settle(t *testing.T, p program.Place, s *program.Process, operations string, before [len(quantities)]float64) {
	t.Helper()
	s.HTTP.CloseIdleConnections()
	for deadline := time.Now().Add(settleTime); ; time.Sleep(100 * time.Millisecond) {
		now, err := take(p, s, operations)
		if err != nil {
			t.Fatal(err)
		}
		over := false
		for i, q := range quantities {
			over = over || q.unit == 1 && now[i] > before[i]+q.least
		}
		if !over {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("without a load there are %v, before it were %v", now, before)
			return
		}
	}
}

// log is how far the audit log has come.
type log struct{ records, bytes int64 }

// recorded counts the records and bytes of the audit log; what is preallocated
// does not count.
func recorded(t *testing.T, p program.Place) (l log) {
	t.Helper()
	node, err := server.Node(p.Dir)
	if err != nil {
		t.Fatal(err)
	}
	err = audit.Scan(t.Context(), filepath.Join(p.Dir, server.AuditDir), node, 1, func(e audit.Entry) error {
		l.records++
		l.bytes += int64(len(e.Body))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}
