package server_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/kms"
	"github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/sts"
	"github.com/strongroom/strongroom/internal/wire"
)

// limits changes the limits of a server.
func limits(f func(*config.Limits)) servertest.Option {
	return servertest.Config(func(c *config.Config) { f(&c.Limits) })
}

// metric reads a counter that has at most one label.
func metric(t *testing.T, s *servertest.Server, name, label string) float64 {
	t.Helper()
	families, err := s.Server().Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if len(m.GetLabel()) == 0 && label == "" || len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no metric %s of %q", name, label)
	return 0
}

// connect opens a TLS connection from an address of this machine.
func connect(t *testing.T, s *servertest.Server, from string) (net.Conn, error) {
	t.Helper()
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	// What is looked at is the server's patience, not its certificate.
	c, err := tls.DialWithDialer(d, "tcp", strings.TrimPrefix(s.URL, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c, nil
}

// TestConnectionsOfAnAddress: one address has so many connections; others are
// served meanwhile, and it is again when one of them has ended.
func TestConnectionsOfAnAddress(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, limits(func(l *config.Limits) { l.ConnectionsPerAddress = 2 }))
	var open []net.Conn
	for range 2 {
		c, err := connect(t, s, "127.0.0.2")
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	if _, err := connect(t, s, "127.0.0.2"); err == nil {
		t.Error("a third connection of the address")
	}
	if a := s.Send(t, servertest.Raw{Service: "sts", Form: identity}); a.Status != http.StatusOK {
		t.Errorf("another address: %d %s", a.Status, a.Body)
	}
	if n := metric(t, s, "strongroom_connections_refused_total", ""); n != 1 {
		t.Errorf("%v refused", n)
	}
	open[0].Close()
	// The server learns of it in its own time.
	for end := time.Now().Add(10 * time.Second); ; {
		if _, err := connect(t, s, "127.0.0.2"); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

var identity = url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}}

// TestSlowClients: who does not send its headers, its body or its next request in
// time is shown out.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, limits(func(l *config.Limits) {
		l.HeaderTime, l.ReadTime, l.IdleTime = 50*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond
	}))
	get := "POST / HTTP/1.1\r\nHost: localhost\r\n"
	for name, c := range map[string]struct {
		send string
		want []int // statuses, then the end
	}{
		"nothing":                   {"", nil},
		"half a header":             {get + "X-Amz-Tar", []int{400}},
		"half a body":               {get + "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: secretsmanager.GetSecretValue\r\nContent-Length: 100\r\n\r\n{", []int{408}},
		"no second request":         {get + "Content-Length: 0\r\n\r\n", []int{400}},
		"a header that is too long": {get + "X-Long: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", []int{431}},
	} {
		c1, err := connect(t, s, "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c1, c.send); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r := bufio.NewReader(c1)
		var got []int
		for {
			res, err := http.ReadResponse(r, nil)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: the connection is still open", name)
			}
			if err != nil {
				break
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				break
			}
			got = append(got, res.StatusCode)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestRates: a caller that asks too often is told so in the words of the service
// that it asks, is counted, and leaves no record.
func TestRates(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, limits(func(l *config.Limits) {
		// So low that no test is slow enough for a second one.
		l.Rates = config.Rates{Mode: config.RatesCustom, Operations: []config.OperationRate{
			{Names: []string{"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"}, Rate: 1e-4},
			{Names: []string{"kms:ListKeys"}, Rate: 1e-4}, {Names: []string{"iam:GetUser"}, Rate: 1e-4},
		}}
	}))
	for _, c := range []struct {
		request       servertest.Raw
		code, message string
	}{
		{servertest.Raw{Service: "secretsmanager", Target: "secretsmanager.GetSecretValue", Body: `{"SecretId":"none"}`}, "ResourceNotFoundException", ""},
		{servertest.Raw{Service: "secretsmanager", Target: "secretsmanager.DescribeSecret", Body: `{"SecretId":"none"}`}, "ThrottlingException", "Rate exceeded"},
		{servertest.Raw{Service: "secretsmanager", Target: "secretsmanager.ListSecrets", Body: `{}`}, "", ""},
		{servertest.Raw{Service: "kms", Target: "TrentService.ListKeys", Body: `{}`}, "", ""},
		{servertest.Raw{Service: "kms", Target: "TrentService.ListKeys", Body: `{}`}, "ThrottlingException", "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."},
		{servertest.Raw{Service: "kms", Region: servertest.Other, Target: "TrentService.ListKeys", Body: `{}`}, "", ""},
		{servertest.Raw{Service: "iam", Form: url.Values{"Action": {"GetUser"}, "Version": {"2010-05-08"}}}, "", ""},
		{servertest.Raw{Service: "iam", Form: url.Values{"Action": {"GetUser"}, "Version": {"2010-05-08"}}}, "Throttling", "Rate exceeded"},
	} {
		a := s.Send(t, c.request)
		code, message := a.Error()
		if code != c.code || c.message != "" && message != c.message {
			t.Errorf("%s%s: %s %s", c.request.Target, c.request.Form.Get("Action"), code, message)
		}
		if throttled := strings.HasPrefix(code, "Throttling"); throttled != (a.Header.Get("Retry-After") != "") || throttled && a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d, Retry-After %q", code, a.Status, a.Header.Get("Retry-After"))
		}
	}
	if n := metric(t, s, "strongroom_throttled_total", "operation"); n != 3 {
		t.Errorf("%v are counted", n)
	}
	if n := strings.Count(s.Log.String(), "requests are refused because they are too many"); n != 1 {
		t.Errorf("the log tells of them %d times", n)
	}
	if r := records(t, s); strings.Contains(r, "DescribeSecret") || !strings.Contains(r, "GetSecretValue") {
		t.Error("a request that was one too many is recorded, or one that was not is not")
	}
}

// records is the whole audit log as it is on disk.
func records(t *testing.T, s *servertest.Server) string {
	t.Helper()
	var all strings.Builder
	segments, err := filepath.Glob(filepath.Join(s.Dir, server.AuditDir, "*"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("%d segments, %v", len(segments), err)
	}
	for _, path := range segments {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}

// TestRatesOfAWS: the preset names operations that there are, and those of the
// configuration stand in its place.
func TestRatesOfAWS(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Limits.Rates = config.Rates{Mode: config.RatesAWS, Account: 7, Operations: []config.OperationRate{{Names: []string{"kms:Decrypt"}, Rate: 3}}}
	r, err := server.Rates(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	rate := make(map[string]float64)
	for _, g := range r.Groups {
		for _, o := range g.Operations {
			rate[o] = g.Rate
		}
	}
	known := make(map[string]bool)
	for _, s := range []*wire.Service{&secretsmanager.API, &kms.API, &iam.API, &sts.API} {
		for _, o := range s.Operations {
			known[s.Name+":"+o.Name] = true
			if _, bound := rate[s.Name+":"+o.Name]; !bound && (s.Name == "secretsmanager" || s.Name == "kms") {
				t.Errorf("%s:%s has no bound", s.Name, o.Name)
			}
		}
	}
	for o := range rate {
		if !known[o] {
			t.Errorf("%s is no operation", o)
		}
	}
	if r.Account != 7 || rate["kms:Decrypt"] != 3 || rate["secretsmanager:GetSecretValue"] != 10_000 || rate["kms:UpdateAlias"] != 5 || rate["sts:AssumeRole"] != 600 {
		t.Errorf("%v, %v", r.Account, rate)
	}
	cfg.Limits.Rates.Operations[0].Names = []string{"kms:Decypt"}
	if _, err := server.Rates(&cfg); err == nil || !strings.Contains(err.Error(), `no operation "kms:Decypt"`) {
		t.Error(err)
	}
}

// TestEveryBoundIsForEach: principals and accounts are apart.
func TestEveryBoundIsForEach(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, limits(func(l *config.Limits) { l.Rates = config.Rates{Mode: config.RatesCustom, Principal: 1e-4} }))
	root := s.RootCredentials(t, servertest.Account)
	for _, key := range []server.Credentials{s.Admin, root.Credentials} {
		for i, want := range []int{http.StatusOK, http.StatusBadRequest} {
			if a := s.Send(t, servertest.Raw{Service: "sts", Key: key, Form: identity}); a.Status != want {
				t.Errorf("%s, request %d: %d %s", key.User, i+1, a.Status, a.Body)
			}
		}
	}
}
