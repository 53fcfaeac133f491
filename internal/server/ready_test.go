package server_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

func get(t *testing.T, s *servertest.Server, path string) (status int, body string, close bool) {
	t.Helper()
	a, err := s.HTTP.Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, strings.TrimSpace(string(b)), a.Close
}

// A load balancer asks at the API itself, without a signature, and is told no more
// than one word.
func TestHealthAtTheAPI(t *testing.T) {
	s := servertest.Start(t)
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready"} {
		if status, body, _ := get(t, s, path); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %q", path, status, body)
		}
		if status, body, _ := get(t, s, path+"?Action=GetCallerIdentity"); body == want {
			t.Errorf("%s with a query: %d %q", path, status, body)
		}
	}
}

// A server that is told to end says so and answers until its time to drain is over,
// and each answer asks for a new connection.
func TestDrain(t *testing.T) {
	s := servertest.Start(t, servertest.Config(func(c *config.Config) { c.Limits.DrainTime = 3 * time.Second }))
	if status, _, close := get(t, s, "/readyz"); status != http.StatusOK || close {
		t.Fatalf("before: %d, close %t", status, close)
	}
	ended := make(chan struct{})
	go func() {
		s.Stop()
		close(ended)
	}()
	for {
		status, body, close := get(t, s, "/readyz")
		if status == http.StatusServiceUnavailable {
			if body != "the server is about to end" || !close {
				t.Errorf("%q, close %t", body, close)
			}
			break
		}
	}
	if status, _, _ := get(t, s, "/healthz"); status != http.StatusOK {
		t.Errorf("not alive any more: %d", status)
	}
	a := s.Send(t, servertest.Raw{Service: "sts", Form: url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}}})
	if a.Status != http.StatusOK {
		t.Errorf("a call while draining: %d %s", a.Status, a.Body)
	}
	<-ended
	if _, err := s.HTTP.Get(s.URL + "/healthz"); err == nil {
		t.Error("answers after its end")
	}
}
