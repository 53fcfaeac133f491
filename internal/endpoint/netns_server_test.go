package endpoint_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

// namespace is a network of its own on this machine.
type namespace string

// newNamespaces makes network namespaces, or skips the test and says why.
func newNamespaces(t *testing.T, names ...string) []namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no ip command; tools/deps/system iproute2 installs it")
	}
	var out []namespace
	for _, name := range names {
		n := namespace(fmt.Sprintf("strongroom-%d-%s", os.Getpid(), name))
		if b, err := exec.Command("ip", "netns", "add", string(n)).CombinedOutput(); err != nil {
			t.Skipf("this machine gives no network namespaces: %s", b)
		}
		t.Cleanup(func() {
			if b, err := exec.Command("ip", "netns", "del", string(n)).CombinedOutput(); err != nil {
				t.Errorf("ip netns del %s: %s", n, b)
			}
		})
		n.ip(t, "link set lo up")
		out = append(out, n)
	}
	return out
}

// ip runs the ip command inside the namespace.
func (n namespace) ip(t *testing.T, args string) {
	t.Helper()
	if b, err := exec.Command("ip", append([]string{"-n", string(n)}, strings.Fields(args)...)...).CombinedOutput(); err != nil {
		t.Fatalf("ip -n %s %s: %s", n, args, b)
	}
}

// enter moves the calling thread into the namespace: sockets that it makes from
// now on are in there. The thread must not be used for anything else after.
func (n namespace) enter() error {
	f, err := os.Open("/run/netns/" + string(n))
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
}

// dial makes a dialer connect from inside the namespace.
func (n namespace) dial(d dialer) dialer {
	return func(ctx context.Context) (net.Conn, error) {
		type result struct {
			c   net.Conn
			err error
		}
		done := make(chan result, 1)
		go func() {
			runtime.LockOSThread() // And never unlocked: the thread ends with its goroutine.
			if err := n.enter(); err != nil {
				done <- result{err: err}
				return
			}
			c, err := d(ctx)
			done <- result{c, err}
		}()
		r := <-done
		return r.c, r.err
	}
}

// TestNamespaces: a server with one foot in each of three networks. The same
// credential reads through one endpoint and not through the others, whatever is
// forged on the way. All traffic stays inside namespaces that end with the test.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	ns := newNamespaces(t, "srv", "a", "b", "c")
	srv, clients := ns[0], ns[1:]
	for i, c := range clients {
		// One cable for each network: 10.77.N.1 is the server's end.
		srv.ip(t, fmt.Sprintf("link add v%d type veth peer name eth0 netns %s", i+1, c))
		srv.ip(t, fmt.Sprintf("addr add 10.77.%d.1/24 dev v%d", i+1, i+1))
		srv.ip(t, fmt.Sprintf("link set v%d up", i+1))
		c.ip(t, fmt.Sprintf("addr add 10.77.%d.2/24 dev eth0", i+1))
		c.ip(t, "link set eth0 up")
		// The other networks' addresses can be reached, as in a network that is
		// routed carelessly.
		c.ip(t, fmt.Sprintf("route add default via 10.77.%d.1", i+1))
	}
	a, b, c := clients[0], clients[1], clients[2]
	const atA, atB, atC = "10.77.1.1:443", "10.77.2.1:443", "10.77.3.1:443"
	s := servertest.Start(t, servertest.Thread(func() {
		if err := srv.enter(); err != nil {
			t.Errorf("enter %s: %v", srv, err)
		}
	}), network(func(n *config.Network) {
		n.VPCs = []config.VPC{vpc(vpcA, "10.77.1.0/24"), vpc(vpcB, "10.77.2.0/24"), vpc("vpc-2a1b2c3d4e5f60718", "10.77.3.0/24")}
		n.Endpoints = []config.Endpoint{private(idA, vpcA, atA), private(idB, vpcB, atB), private(idC, "vpc-2a1b2c3d4e5f60718", atC)}
		n.Endpoints[2].ProxyProtocol = config.ProxyProtocol{Mode: "v2", Trusted: []string{"10.77.3.2/32"}, EndpointFromTLV: true}
	}))
	// The public listener is on the loopback of the server's namespace.
	s.HTTP = client(t, s, srv.dial(to(strings.TrimPrefix(s.URL, "https://"), "")), "127.0.0.1")
	secret(t, s, "db")
	user := s.User(t, "app", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{
		"StringEquals":{"aws:SourceVpce":"`+idA+`","aws:SourceVpc":"`+vpcA+`"},"IpAddress":{"aws:VpcSourceIp":"10.77.1.0/24"}}}]}`)
	const name, denied, nothing = "secretsmanager.us-east-1.amazonaws.com", "AccessDeniedException", "no answer"

	balancer := c.dial(to(atC, ""))
	for _, w := range []struct {
		name string
		d    dialer
		code string
	}{
		{"from A through A", a.dial(to(atA, "")), ""},
		{"from B through B", b.dial(to(atB, "")), denied},
		{"from C through C, by its load balancer", speaking(balancer, header(t, "10.77.3.9", idC)), denied},
		{"the public listener", srv.dial(to(strings.TrimPrefix(s.URL, "https://"), "")), denied},
		// A stolen credential does not reach the endpoint that would take it.
		{"from B through A", b.dial(to(atA, "")), nothing},
		{"from C through A", c.dial(to(atA, "")), nothing},
		{"from A through B", a.dial(to(atB, "")), nothing},
		{"from the server's own network through A", srv.dial(to(atA, "10.77.2.1")), nothing},
		// Nor do lines of a protocol that is not expected, or not from there.
		{"from B through B, a header that says A", b.dial(speaking(to(atB, ""), header(t, "10.77.1.2", idA))), nothing},
		{"from B through A, a header that says A", b.dial(speaking(to(atA, ""), header(t, "10.77.1.2", idA))), nothing},
		{"from B through B, a line that says A", b.dial(speaking(to(atB, ""), []byte("PROXY TCP4 10.77.1.2 10.77.1.1 40000 443\r\n"))), nothing},
		{"from B through C, an untrusted peer", b.dial(speaking(to(atC, ""), header(t, "10.77.3.9", idC))), nothing},
		{"from A through C, an untrusted peer", a.dial(to(atC, "")), nothing},
		{"from C through C, no header", balancer, nothing},
		{"from C through C, version 1", speaking(balancer, []byte("PROXY TCP4 10.77.3.9 10.77.3.1 40000 443\r\n")), nothing},
		{"from C through C, the endpoint A", speaking(balancer, header(t, "10.77.1.2", idA)), nothing},
		{"from C through C, no endpoint", speaking(balancer, header(t, "10.77.3.9")), nothing},
		{"from C through C, an address of A", speaking(balancer, header(t, "10.77.1.2", idC)), nothing},
	} {
		server := name
		if w.name == "the public listener" {
			server = "127.0.0.1"
		}
		if code, text := read(t, sdk(s, user, client(t, s, w.d, server)), "db"); code != w.code {
			t.Errorf("%s: %q %s, want %q", w.name, code, text, w.code)
		}
	}

	// Headers that others would believe.
	for _, h := range []string{"X-Forwarded-For", "X-Real-Ip", "X-Amz-Source-Ip", "X-Amz-Vpc-Source-Ip", "X-Amz-Source-Vpce", "X-Amz-Source-Vpc", "X-Amz-Vpce-Id", "Forwarded"} {
		for _, value := range []string{"10.77.1.2", idA, vpcA} {
			r := s.Request(t, servertest.Raw{Service: "secretsmanager", Key: user, Target: "secretsmanager.GetSecretValue", Body: `{"SecretId":"db"}`,
				Before: func(r *http.Request) { r.Header.Set(h, value) }})
			answer, err := client(t, s, b.dial(to(atB, "")), name).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: %s: %d", h, value, answer.StatusCode)
			}
		}
	}

	// What was let in stands on record with the network that it came from.
	seen := map[any]any{}
	for _, r := range records(t, s, "GetSecretValue") {
		seen[r["vpcEndpointId"]] = r["sourceIPAddress"]
		if (r["errorCode"] == nil) != (r["vpcEndpointId"] == idA) {
			t.Errorf("a record: %v", r)
		}
	}
	if want := map[any]any{idA: "10.77.1.2", idB: "10.77.2.2", idC: "10.77.3.9", nil: "127.0.0.1"}; fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("on record are %v, want %v", seen, want)
	}
}
