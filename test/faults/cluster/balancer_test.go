package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/internal/ca"
)

// operations asks for health or metrics, which are on a host's own loopback.
func (h *host) operations(path string) (status int, body string, err error) {
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return h.dialLoopback("127.0.0.1:4767") },
	}}
	res, err := client.Get("http://localhost" + path)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, strings.TrimSpace(string(b)), err
}

// balancer spreads calls over the nodes, and leaves out those that are not ready. It is the transport of the load's clients.
type balancer struct {
	c     *cluster
	next  atomic.Uint64
	up    []atomic.Bool
	inner *http.Transport
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu   sync.Mutex
	seen map[string]int // what went wrong, by kind
}

// balancerURL is resolved by the balancer alone.
const balancerURL = "https://balancer.test:4766"

// checkEvery is how often a node is asked whether it is there, and how long it may take.
const checkEvery = 500 * time.Millisecond

func newBalancer(c *cluster) *balancer {
	pem, err := os.ReadFile(filepath.Join(c.hosts[0].path("strongroom"), ca.CertificateFile))
	if err != nil {
		c.t.Fatal(err)
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(pem)
	inner := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: authorities}, MaxIdleConnsPerHost: 128, DialContext: (&net.Dialer{Timeout: time.Second}).DialContext,
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &balancer{c: c, up: make([]atomic.Bool, len(c.hosts)), inner: inner, stop: cancel, seen: map[string]int{}}
	checker := &http.Client{Timeout: checkEvery, Transport: inner.Clone()}
	for i, h := range c.hosts {
		b.up[i].Store(true)
		b.done.Go(func() {
			for ctx.Err() == nil {
				res, err := checker.Get(h.url() + "/readyz")
				if err == nil {
					res.Body.Close()
				}
				b.up[i].Store(err == nil && res.StatusCode == http.StatusOK)
				select {
				case <-ctx.Done():
				case <-time.After(checkEvery):
				}
			}
		})
	}
	return b
}

func (b *balancer) close() {
	b.stop()
	b.done.Wait()
	b.inner.CloseIdleConnections()
}

// RoundTrip sends a call to the next node that is up, or to any when none is.
func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	host := b.choose()
	sent := r.Clone(r.Context())
	if r.Body != nil && r.Body != http.NoBody {
		sent.Body = struct{ io.ReadCloser }{r.Body} // See servertest.Client.
	}
	if r.URL.Host == "balancer.test:4766" {
		sent.Host = r.URL.Host // what is signed
		sent.URL.Host = b.c.hosts[host].ip + ":4766"
	}
	res, err := b.inner.RoundTrip(sent)
	switch {
	case err != nil:
		b.note(kindOf(err))
	case res.StatusCode >= 500:
		b.note("answer " + res.Status)
	}
	return res, err
}

func (b *balancer) choose() int {
	for range b.up {
		i := int(b.next.Add(1) % uint64(len(b.up)))
		if b.up[i].Load() {
			return i
		}
	}
	return int(b.next.Load() % uint64(len(b.up)))
}

func kindOf(err error) string {
	op, _ := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case op != nil && op.Op == "dial":
		return "no connection"
	}
	return "connection broke"
}

func (b *balancer) note(kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[kind]++
}

// errors tells what clients saw since the last time.
func (b *balancer) errors() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.seen) == 0 {
		return "none"
	}
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(b.seen)) {
		out = append(out, fmt.Sprintf("%s: %d", kind, b.seen[kind]))
	}
	clear(b.seen)
	return strings.Join(out, ", ")
}
