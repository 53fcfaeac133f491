package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// operator calls the operator's socket.
func operator(t *testing.T, s *servertest.Server, method, path, body string, out any) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.Dir, server.SocketFile))
	}}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://operator"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if out != nil && answer.StatusCode == http.StatusOK {
		if err := json.Unmarshal(b, out); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
	}
	return answer.StatusCode
}

func TestOperatorSocket(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, name := range []string{server.SocketFile, server.RootKeyFile, server.CredentialsFile} {
		if info, err := os.Stat(filepath.Join(s.Dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	var status server.Status
	if code := operator(t, s, http.MethodGet, "/v1/status", "", &status); code != http.StatusOK || status.Account != servertest.Account || status.Engine != "sqlite" || len(status.Warnings) == 0 {
		t.Errorf("status: %d, %+v", code, status)
	}
	var second server.Credentials
	if code := operator(t, s, http.MethodPost, "/v1/accounts", `{"account":"444455556666","name":"two"}`, &second); code != http.StatusOK {
		t.Fatalf("create account: %d", code)
	}
	if got := whoami(t, s, second); got != "arn:aws:iam::444455556666:user/admin" {
		t.Errorf("second admin is %s", got)
	}
	if code := operator(t, s, http.MethodPost, "/v1/accounts", `{"account":"444455556666"}`, nil); code != http.StatusConflict {
		t.Errorf("the same account again: %d", code)
	}
	for body, want := range map[string]int{`{"account":"12"}`: 400, `{"nonsense":1}`: 400, `{`: 400, ``: 400, `"` + strings.Repeat("x", 70<<10) + `"`: 400} {
		if code := operator(t, s, http.MethodPost, "/v1/accounts", body, nil); code != want {
			t.Errorf("body %.20q: %d, want %d", body, code, want)
		}
	}
	var accounts []struct{ ID, Name string }
	if operator(t, s, http.MethodGet, "/v1/accounts", "", &accounts); len(accounts) != 2 || accounts[1].ID != "444455556666" {
		t.Errorf("accounts: %+v", accounts)
	}
	var root server.RootCredentials
	if code := operator(t, s, http.MethodPost, "/v1/root-credentials", `{"account":"444455556666"}`, &root); code != http.StatusOK {
		t.Fatalf("root credentials: %d", code)
	}
	if got := whoami(t, s, root.Credentials); got != "arn:aws:iam::444455556666:root" {
		t.Errorf("root is %s", got)
	}
	if left := time.Until(root.Expires); left < 59*time.Minute || left > time.Hour {
		t.Errorf("root credentials live %v", left)
	}
	if code := operator(t, s, http.MethodPost, "/v1/root-credentials", `{"account":"999999999999"}`, nil); code != http.StatusNotFound {
		t.Errorf("root of an unknown account: %d", code)
	}
}

func whoami(t *testing.T, s *servertest.Server, c server.Credentials) string {
	t.Helper()
	out, err := s.STS(c).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Arn
}

func TestHealthAndMetrics(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := servertest.Start(t, servertest.Config(func(c *config.Config) { c.Operations = address }))
	whoami(t, s, s.Admin)
	for path, want := range map[string]string{
		"/healthz": "ok\n",
		"/readyz":  "ready\n",
		"/metrics": `strongroom_requests_total{code="OK",operation="GetCallerIdentity",service="sts"} 1`,
	} {
		answer, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(b), want) {
			t.Errorf("%s: %d, %v\n%s", path, answer.StatusCode, err, b)
		}
		if bytes.Contains(b, []byte(s.Admin.SecretAccessKey)) || bytes.Contains(b, []byte("admin")) {
			t.Errorf("%s tells about principals", path)
		}
	}
}

func TestInitTwice(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	cfg := s.Server().Config()
	if _, err := server.Init(t.Context(), cfg, servertest.Account, nil); !errors.Is(err, server.ErrInitialised) {
		t.Errorf("second init: %v", err)
	}
	empty := cfg
	empty.Data = t.TempDir()
	if _, err := server.Open(t.Context(), server.Options{Config: empty}); err == nil {
		t.Error("an empty directory opened")
	}
	for _, id := range []string{"1", "abcdefghijkl", "1234567890123"} {
		if _, err := server.Init(t.Context(), empty, id, nil); err == nil {
			t.Errorf("account id %q passed", id)
		}
	}
}

// TestWrongRootKey: another root key is refused by name before anything happens.
func TestWrongRootKey(t *testing.T) {
	t.Parallel()
	a, b := servertest.Start(t), servertest.Start(t)
	a.Stop()
	b.Stop()
	key, err := os.ReadFile(filepath.Join(b.Dir, server.RootKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.Dir, server.RootKeyFile), key, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = server.Open(t.Context(), server.Options{Config: a.Server().Config()})
	if err == nil || !strings.Contains(err.Error(), "wrong root key") {
		t.Errorf("opened with another root key: %v", err)
	}
}
