package cluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/servertest/workload"
)

// suite is the cluster with its load.
type suite struct {
	*cluster
	balancer *balancer
	load     *workload.Workload
	verified workload.Report
}

// The load of a round: changes before the fault. During it each object stops at the first lost answer, until it is verified.
const (
	writers      = 64
	loadedBefore = 600
)

// TestCluster breaks one cluster in one way after the other.
func TestCluster(t *testing.T) {
	needCluster(t)
	failovers, all := 1, false
	if text := os.Getenv(failoversVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%s=%q is not how often to kill the primary", failoversVariable, text)
		}
		failovers, all = n, true
	}
	begun := time.Now()
	s := newSuite(t, all)
	t.Logf("three hosts, one deployment: %.1f s", time.Since(begun).Seconds())
	t.Run("primary killed", func(t *testing.T) { s.failovers(t, failovers) })
	if all && !t.Failed() {
		t.Run("host cut off", s.cutOff)
	}
	if all && !t.Failed() {
		t.Run("primary stopped", s.stoppedPrimary)
	}
	if all && !t.Failed() {
		t.Run("node stopped", s.stoppedNode)
	}
	if all && !t.Failed() {
		t.Run("disk lost", s.lostDisk)
	}
}

func newSuite(t *testing.T, all bool) *suite {
	t.Helper()
	s := &suite{cluster: newCluster(t)}
	s.balancer = newBalancer(s.cluster)
	t.Cleanup(s.balancer.close)
	if _, err := s.client(s.balancer).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(probeSecret), SecretString: aws.String("x")}); err != nil {
		t.Fatal(err)
	}
	var err error
	s.load, err = workload.New(t.Context(), workload.Config{
		Endpoints: []string{balancerURL}, HTTP: &http.Client{Transport: s.balancer}, Credentials: s.admin, Regions: [2]string{servertest.Region, servertest.Other},
		Seed: uint64(time.Now().UnixNano()), Writers: writers, Records: s.records, QuietMayBeLost: all,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// under does something to the cluster while the load runs, waits until it has struck, and heals it. Then it verifies that every
// word was kept.
func (s *suite) under(t *testing.T, what string, fault func(), struck func() error, heal func()) {
	t.Helper()
	s.balancer.errors()
	probe := s.startProbe(s.balancer)
	defer probe.stop()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.load.Run(ctx) }()
	s.acknowledged(t, s.load.Acknowledged()+loadedBefore, ended)
	from := time.Now()
	fault()
	await(t, what, struck)
	at := time.Now()
	await(t, what+": writes go on", func() error { return probe.wroteAfter(at) })
	heal()
	s.awaitWhole(t)
	reads, writes := probe.since(from)
	seen := s.balancer.errors()
	stop()
	probe.stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	t.Logf("%s: no read for %.1f s, no write for %.1f s; errors seen by clients: %s", what, reads.Seconds(), writes.Seconds(), seen)
	s.verify(t)
}

// acknowledged waits until so many changes are.
func (s *suite) acknowledged(t *testing.T, n int64, ended chan error) {
	t.Helper()
	await(t, "changes are acknowledged", func() error {
		select {
		case err := <-ended:
			t.Fatalf("the load ended: %v", err)
		default:
		}
		if got := s.load.Acknowledged(); got < n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
}

// awaitWhole waits until all hosts do their work again.
func (s *suite) awaitWhole(t *testing.T) {
	t.Helper()
	await(t, "the database is whole again", func() error { return s.whole(len(s.hosts)) })
	for _, h := range s.hosts {
		s.awaitNode(h)
	}
}

// verify checks every word that was given. The load does not run.
func (s *suite) verify(t *testing.T) {
	t.Helper()
	s.awaitDelivery(t)
	for _, h := range s.hosts {
		s.awaitQuiet(t, h)
	}
	var urls []string
	for _, h := range s.hosts {
		urls = append(urls, h.url())
	}
	s.load.SetEndpoints(urls...)
	defer s.load.SetEndpoints(balancerURL)
	s.proveAll(t)
	r := s.load.VerifyRecent(t.Context(), t)
	t.Log(r)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s.load.AwaitReplicas(ctx, t) // Now that it is known which were asked for.
	s.verified.Unknown += r.Unknown
	s.verified.Lost += r.Lost
}

// awaitDelivery waits until nothing that the load sent is on its way. What a client has given up waiting for may still be in
// the kernel: it is sent again when a cable is back, and read when a stopped node goes on, and then it is carried out.
func (s *suite) awaitDelivery(t *testing.T) {
	t.Helper()
	await(t, "requests are delivered", func() error {
		left, err := queued("self/")
		for _, h := range s.hosts {
			if err == nil && left == 0 {
				err = h.within(func() (err error) {
					left, err = queued("thread-self/")
					return err
				})
			}
		}
		if err == nil && left > 0 {
			err = fmt.Errorf("%d connections have bytes in their queues", left)
		}
		return err
	})
}

// nodePort is the nodes' in /proc/net/tcp.
const nodePort = ":129E"

// queued counts the connections of this network, from or to a node, with bytes that were not acknowledged or not read.
func queued(of string) (n int, err error) {
	b, err := os.ReadFile("/proc/" + of + "net/tcp")
	if err != nil {
		return 0, err
	}
	const listens = "0A" // Its queue is of connections.
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 5 || f[3] == listens || f[4] == "00000000:00000000" {
			continue
		}
		if strings.HasSuffix(f[1], nodePort) || strings.HasSuffix(f[2], nodePort) {
			n++
		}
	}
	return n, nil
}

// awaitQuiet waits until a node has nothing of the load left to do: no connection to the database is in use, three times in a row.
func (s *suite) awaitQuiet(t *testing.T, h *host) {
	t.Helper()
	const gauge = "strongroom_store_connections_used "
	times := 0
	await(t, "node "+h.name+" has nothing to do", func() error {
		_, body, err := h.operations("/metrics")
		if err != nil {
			return err
		}
		_, rest, found := strings.Cut(body, "\n"+gauge)
		value, _, _ := strings.Cut(rest, "\n")
		if times++; !found || value != "0" {
			times = 0
		}
		if times < 3 {
			return fmt.Errorf("%q connections in use", value)
		}
		return nil
	})
}

// passed says when another host than this one has the primary.
func (s *suite) passed(from *host) func() error {
	return func() error {
		all, err := s.view()
		for _, m := range all {
			if m.Role == "leader" && m.Name != from.name {
				return nil
			}
		}
		return fmt.Errorf("the primary is on %s, %v: %+v", from.name, err, all)
	}
}

// failovers kills the primary again and again, in one of three ways by turns.
func (s *suite) failovers(t *testing.T, n int) {
	ways := []struct {
		name string
		kill []string
	}{
		{"PostgreSQL killed, Patroni sees it", []string{postgres}},
		{"PostgreSQL and Patroni killed", []string{patroni, postgres}},
		{"whole host killed", []string{everything}},
	}
	for i := range n {
		way := ways[i%len(ways)]
		primary := s.primary()
		s.under(t, fmt.Sprintf("failover %d, %s (%s)", i+1, way.name, primary.name),
			func() { primary.kill(way.kill...) },
			s.passed(primary),
			func() { s.revive(primary) })
		if t.Failed() {
			return
		}
		if now := s.primary(); now == primary {
			t.Errorf("the primary is still on %s", now.name)
		}
	}
}

// revive starts what does not run on a host.
func (s *suite) revive(h *host) {
	if len(h.pids("bin/etcd\x00")) == 0 {
		s.startEtcd(h, "existing")
	}
	if len(h.pids(patroni)) == 0 {
		s.startPatroni(h)
	}
	if len(h.pids(strongroom)) == 0 {
		s.startNode(h)
	}
}

// cutOff takes each host's cable out, that of the primary first.
func (s *suite) cutOff(t *testing.T) {
	first := s.primary()
	for _, h := range append([]*host{first}, s.others(first)...) {
		role, cut := "a standby", time.Time{}
		// Longer than etcd and Patroni wait for a member.
		struck := func() error {
			if d := time.Since(cut); d < 25*time.Second {
				return fmt.Errorf("cut off for %v", d)
			}
			return nil
		}
		if h == s.primary() {
			role, struck = "the primary", s.passed(h)
		}
		s.under(t, fmt.Sprintf("%s cut off, with %s", h.name, role),
			func() {
				cut = time.Now()
				ip(t, "link set "+h.cable()+" down")
			},
			struck,
			func() { ip(t, "link set "+h.cable()+" up") })
		if t.Failed() {
			return
		}
	}
}

// stoppedPrimary stops the primary's PostgreSQL and its Patroni for longer than the leader's key lives, and lets them go on.
func (s *suite) stoppedPrimary(t *testing.T) {
	for _, words := range [][]string{{postgres}, {patroni, postgres}} {
		primary := s.primary()
		s.under(t, fmt.Sprintf("%q of %s stopped", words, primary.name),
			func() { primary.signal(syscall.SIGSTOP, words...) },
			s.passed(primary),
			func() { primary.signal(syscall.SIGCONT, words...) })
		if t.Failed() {
			return
		}
		if now := s.primary(); now == primary {
			t.Errorf("the primary is still on %s", now.name)
		}
	}
}

// lostDisk kills a host, removes all that it had, and lets it join as a new one.
func (s *suite) lostDisk(t *testing.T) {
	h := s.primary()
	s.under(t, "host "+h.name+" killed, its disk lost",
		func() {
			h.kill(everything)
			if err := os.RemoveAll(h.dir); err != nil {
				t.Fatal(err)
			}
		},
		s.passed(h),
		func() {
			h.mkdir("")
			id := ""
			for line := range strings.Lines(s.etcdctl(h, "member", "list")) {
				if fields := strings.Split(line, ", "); len(fields) > 2 && fields[2] == h.name {
					id = fields[0]
				}
			}
			s.etcdctl(h, "member", "remove", id)
			s.etcdctl(h, "member", "add", h.name, "--peer-urls", "http://"+h.ip+":2380")
			s.startEtcd(h, "existing")
			s.startPatroni(h)
			s.joinNode(h)
			s.startNode(h)
		})
}
