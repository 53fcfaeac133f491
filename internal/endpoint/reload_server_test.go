package endpoint_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

const (
	open   = `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`
	closed = `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
)

// whole sends a read over h and reports whether the connection was there before.
func whole(t *testing.T, s *servertest.Server, h *http.Client) (status int, reused bool) {
	t.Helper()
	r := s.Request(t, servertest.Raw{Service: "secretsmanager", Target: "secretsmanager.GetSecretValue", Body: `{"SecretId":"db"}`})
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}))
	answer, err := h.Do(r)
	if err != nil {
		return 0, reused
	}
	defer answer.Body.Close()
	var b [4 << 10]byte
	for {
		if _, err := answer.Body.Read(b[:]); err != nil {
			return answer.StatusCode, reused
		}
	}
}

// TestReload: what changes is in force for the next request, on connections that
// are open as well; what does not change is not disturbed.
func TestReload(t *testing.T) {
	t.Parallel()
	policy := file(t, "policy.json", open)
	s := servertest.Start(t, network(func(n *config.Network) {
		n.VPCs = []config.VPC{vpc(vpcA)}
		a := private(idA, vpcA, free(t))
		a.PolicyFile = policy
		n.Endpoints = []config.Endpoint{a, private(idB, vpcA, free(t))}
	}))
	secret(t, s, "db")
	atB := address(t, s, idB)
	a, b := client(t, s, to(address(t, s, idA), ""), idA), client(t, s, to(atB, ""), idB)
	for _, h := range []*http.Client{a, b} {
		if status, _ := whole(t, s, h); status != http.StatusOK {
			t.Fatalf("before any change: %d", status)
		}
	}
	same := func(h *http.Client, want int, what string) {
		t.Helper()
		if status, reused := whole(t, s, h); status != want || !reused {
			t.Errorf("%s: status %d, on the same connection %v", what, status, reused)
		}
	}

	t.Run("a file that changes by itself", func(t *testing.T) {
		if err := os.WriteFile(policy, []byte(closed), 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the file is noticed", func() bool { status, _ := whole(t, s, a); return status == http.StatusBadRequest })
		same(a, http.StatusBadRequest, "A, closed")
		same(b, http.StatusOK, "B")
	})
	t.Run("a broken file", func(t *testing.T) {
		version := list(t, s)[0].Policy.Version
		if err := os.WriteFile(policy, []byte(`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		const fault = "statement without Principal"
		eventually(t, "the fault is shown", func() bool { return strings.Contains(s.Server().Status().Network.Fault, fault) })
		if w := s.Server().Status().Warnings; !strings.Contains(w[len(w)-1], fault) {
			t.Errorf("warnings: %v", w)
		}
		if !strings.Contains(s.Log.String(), fault) {
			t.Error("the log does not say it")
		}
		same(a, http.StatusBadRequest, "A, as before")
		if now := list(t, s)[0].Policy.Version; now != version {
			t.Errorf("version %s, was %s", now, version)
		}
		if err := os.WriteFile(policy, []byte(open), 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the fault is gone", func() bool { return s.Server().Status().Network.Fault == "" })
		same(a, http.StatusOK, "A, open")
	})
	t.Run("listeners come and go", func(t *testing.T) {
		if err := s.Reconfigure(func(c *config.Config) {
			c.Network.Endpoints = append(c.Network.Endpoints[:1:1], private(idC, vpcA, free(t)))
		}); err != nil {
			t.Fatal(err)
		}
		same(a, http.StatusOK, "A, untouched")
		if status, _ := whole(t, s, client(t, s, to(address(t, s, idC), ""), idC)); status != http.StatusOK {
			t.Errorf("C, new: %d", status)
		}
		eventually(t, "B is gone", func() bool {
			_, err := net.Dial("tcp", atB)
			return errors.Is(err, syscall.ECONNREFUSED)
		})
		if status, _ := whole(t, s, b); status != 0 {
			t.Errorf("B, gone, answers %d", status)
		}
	})
	t.Run("all or nothing", func(t *testing.T) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		fresh := free(t)
		err = s.Reconfigure(func(c *config.Config) {
			c.Network.Endpoints[0].AllowCIDRs = []string{"192.0.2.0/24"}
			c.Network.Endpoints = append(c.Network.Endpoints, private(idB, vpcA, fresh, taken.Addr().String()))
		})
		if !errors.Is(err, syscall.EADDRINUSE) || len(list(t, s)) != 2 {
			t.Errorf("an address that is taken: %v, %d endpoints", err, len(list(t, s)))
		}
		if _, err := net.Dial("tcp", fresh); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("half of an endpoint listens: %v", err)
		}
		same(a, http.StatusOK, "A, with its old ranges")
		if err := s.Reconfigure(func(c *config.Config) { c.Network.Endpoints = c.Network.Endpoints[:1] }); err != nil {
			t.Fatal(err)
		}
		// The range is in force for the connection that is open, and ends it.
		same(a, http.StatusForbidden, "A, outside of its new range")
		if status, _ := whole(t, s, a); status != 0 {
			t.Errorf("A, on a new connection: %d", status)
		}
	})
	t.Run("what cannot be", func(t *testing.T) {
		for want, change := range map[string]func(*config.Config){
			"there is no VPC":     func(c *config.Config) { c.Network.VPCs = nil },
			`no service "lambda"`: func(c *config.Config) { c.Network.Endpoints[0].Services = []string{"lambda"} },
			"no such file":        func(c *config.Config) { c.Network.Endpoints[0].PolicyFile = "missing.json" },
			"more than 20480": func(c *config.Config) {
				c.Network.Endpoints[0].PolicyFile = file(t, "long.json", open+strings.Repeat(" ", 20_480))
			},
			"endpoint vpce-0123456789abcdef0: policy_file": func(c *config.Config) { c.Network.Endpoints[0].PolicyFile = file(t, "bad.json", "{") },
		} {
			var kept config.Config
			err := s.Reconfigure(func(c *config.Config) {
				kept = *c
				kept.Network.VPCs = append([]config.VPC(nil), c.Network.VPCs...)
				kept.Network.Endpoints = append([]config.Endpoint(nil), c.Network.Endpoints...)
				change(c)
			})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			if err := s.Reconfigure(func(c *config.Config) { *c = kept }); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestSockets: the kernel says who is at the other end of a Unix socket.
func TestSockets(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	path := filepath.Join(dir, "a.sock")
	// What a killed process has left is no obstacle.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	s := servertest.Start(t, network(func(n *config.Network) {
		n.VPCs = []config.VPC{vpc(vpcA, "10.20.0.0/16")}
		n.Endpoints = []config.Endpoint{private(idA, vpcA, "unix:"+path)}
	}))
	secret(t, s, "db")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	h := client(t, s, to(path, ""), idA)
	if status, _ := whole(t, s, h); status != http.StatusOK {
		t.Errorf("as the owner: %d", status)
	}
	users := func(uids ...uint32) {
		t.Helper()
		if err := s.Reconfigure(func(c *config.Config) { c.Network.Endpoints[0].PeerUIDs = uids }); err != nil {
			t.Fatal(err)
		}
	}
	users(uint32(os.Geteuid()) + 1)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("the socket for others: %v, %v", info, err)
	}
	if status, reused := whole(t, s, h); status != http.StatusForbidden || !reused {
		t.Errorf("not on the list, on an open connection: %d, %v", status, reused)
	}
	if status, _ := whole(t, s, h); status != 0 {
		t.Errorf("not on the list: %d", status)
	}
	users(uint32(os.Geteuid()))
	if status, _ := whole(t, s, h); status != http.StatusOK {
		t.Errorf("on the list: %d", status)
	}
	// Neither a file nor the socket of another process is taken over.
	other := filepath.Join(dir, "file")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for taken, want := range map[string]string{other: "a file that is no socket", filepath.Join(s.Dir, server.SocketFile): "another process does"} {
		err := s.Reconfigure(func(c *config.Config) {
			c.Network.Endpoints = append(c.Network.Endpoints[:1:1], private(idB, vpcA, "unix:"+taken))
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", taken, err)
		}
	}
}
