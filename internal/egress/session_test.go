package egress

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// TestSession: one connection for requests that follow each other, another one when
// it was closed meanwhile or is old, and the bounds of Get.
func TestSession(t *testing.T) {
	t.Parallel()
	var conns atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /echo", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	mux.HandleFunc("GET /away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/echo", http.StatusFound) })
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.Repeat([]byte("x"), 2<<10)) })
	mux.HandleFunc("GET /silent", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	h := httptest.NewUnstartedServer(mux)
	h.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	h.Start()
	defer h.Close()
	var ahead atomic.Int64
	d := New(Config{Loopback: Always, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	s, err := d.Session(h.URL, Options{MaxBody: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	do := func(ctx context.Context, method, path, body string) (*Answer, error) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, h.URL+path, bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		return s.Do(ctx, r)
	}
	echo := func(want int64) {
		t.Helper()
		body := fmt.Sprint("hello ", want)
		a, err := do(t.Context(), "PUT", "/echo", body)
		if err != nil || a.Status != 200 || string(a.Body) != body {
			t.Errorf("%+v, %v", a, err)
		}
		if n := conns.Load(); n != want {
			t.Errorf("%d connections, want %d", n, want)
		}
	}
	echo(1)
	echo(1)
	if a, err := do(t.Context(), "GET", "/status", ""); err != nil || a.Status != http.StatusTeapot {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := do(t.Context(), "GET", "/away", ""); err != nil || a.Status != http.StatusFound {
		t.Errorf("%+v, %v", a, err)
	}
	echo(1)
	h.CloseClientConnections()
	echo(2)
	ahead.Store(int64(time.Minute))
	echo(3)
	if _, err := do(t.Context(), "GET", "/large", ""); ClassOf(err) != TooLarge {
		t.Errorf("a large answer: %v", err)
	}
	echo(4)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := do(ctx, "GET", "/silent", ""); ClassOf(err) != Unreachable {
		t.Errorf("a silent server: %v", err)
	}
	echo(5)
	if _, err := d.Session("ftp://x/", Options{}); ClassOf(err) != Refused {
		t.Errorf("another scheme: %v", err)
	}
	closed := New(Config{Loopback: Never})
	n, err := closed.Session(h.URL, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequestWithContext(t.Context(), "GET", h.URL+"/status", nil)
	if _, err := n.Do(t.Context(), r); ClassOf(err) != Refused {
		t.Errorf("loopback where it is forbidden: %v", err)
	}
}
