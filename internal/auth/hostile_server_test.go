package auth_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

// good requests of the two protocols.
func listSecrets() servertest.Raw {
	return servertest.Raw{Service: "secretsmanager", Target: "secretsmanager.ListSecrets", Body: "{}"}
}

func listUsers() servertest.Raw {
	return servertest.Raw{Service: "iam", Form: url.Values{"Action": {"ListUsers"}, "Version": {"2010-05-08"}}}
}

// What no client sends is answered in AWS's words, with the headers of every
// answer, and never as a fault of ours.
func TestHostileRequests(t *testing.T) {
	s := servertest.Start(t)
	json, query := listSecrets, listUsers
	with := func(q servertest.Raw, change func(q *servertest.Raw)) servertest.Raw {
		change(&q)
		return q
	}
	before := func(f func(r *http.Request)) func(q *servertest.Raw) {
		return func(q *servertest.Raw) { q.Before = f }
	}
	header := func(name, value string) func(q *servertest.Raw) {
		return before(func(r *http.Request) { r.Header.Set(name, value) })
	}
	form := func(text string) servertest.Raw {
		return servertest.Raw{Service: "iam", Form: url.Values{}, Body: text}
	}
	for _, c := range []struct {
		name   string
		q      servertest.Raw
		status int
		code   string
	}{
		{"no target", with(json(), before(func(r *http.Request) { r.Header.Del("X-Amz-Target") })), 400, "UnknownOperationException"},
		{"two targets", with(json(), before(func(r *http.Request) { r.Header.Add("X-Amz-Target", "secretsmanager.ListSecrets") })), 400, "UnknownOperationException"},
		{"unknown target", with(json(), header("X-Amz-Target", "secretsmanager.Nothing")), 400, "UnknownOperationException"},
		{"operation of another issue", with(json(), header("X-Amz-Target", "secretsmanager.RotateSecret")), 400, "UnknownOperationException"},
		{"target of another case", with(json(), header("X-Amz-Target", "SecretsManager.ListSecrets")), 400, "UnknownOperationException"},
		{"content type of another protocol", with(json(), header("Content-Type", "application/json")), 400, "UnknownOperationException"},
		{"JSON 1.0", with(json(), header("Content-Type", "application/x-amz-json-1.0")), 400, "UnknownOperationException"},
		{"content type with a parameter", with(json(), header("Content-Type", "application/x-amz-json-1.1; charset=utf-8")), 200, ""},
		{"no content type", with(json(), before(func(r *http.Request) { r.Header.Del("Content-Type") })), 400, "UnknownOperationException"},
		{"compressed body", with(json(), header("Content-Encoding", "gzip")), 415, "UnsupportedMediaTypeException"},
		{"GET", with(json(), func(q *servertest.Raw) { q.Method = http.MethodGet }), 404, "UnknownOperationException"},
		{"PUT", with(json(), func(q *servertest.Raw) { q.Method = http.MethodPut }), 404, "UnknownOperationException"},
		{"DELETE", with(json(), func(q *servertest.Raw) { q.Method = http.MethodDelete }), 404, "UnknownOperationException"},
		{"OPTIONS", with(json(), func(q *servertest.Raw) { q.Method = http.MethodOptions }), 404, "UnknownOperationException"},
		{"method of nobody", with(json(), func(q *servertest.Raw) { q.Method = "BREW" }), 404, "UnknownOperationException"},
		{"another path", with(json(), func(q *servertest.Raw) { q.URL = "/secretsmanager" }), 404, "UnknownOperationException"},
		{"path encoded twice", with(json(), func(q *servertest.Raw) { q.URL = "/%252e%252e/" }), 404, "UnknownOperationException"},
		{"path of dots", with(json(), func(q *servertest.Raw) { q.URL = "/./" }), 404, "UnknownOperationException"},
		{"two slashes", with(json(), func(q *servertest.Raw) { q.URL = "//" }), 404, "UnknownOperationException"},
		{"query beside JSON", with(json(), func(q *servertest.Raw) { q.URL = "/?a=b&a=b&%20=%C3%BC" }), 200, ""},
		{"query that does not decode", with(json(), func(q *servertest.Raw) {
			q.After = func(r *http.Request) { r.URL.RawQuery = "a=%zz" }
		}), 400, "InvalidSignatureException"},
		{"query beside Query", with(query(), func(q *servertest.Raw) { q.URL = "/?PathPrefix=/" }), 200, ""},
		{"parameter in query and body", with(query(), func(q *servertest.Raw) { q.URL = "/?Action=ListUsers" }), 404, "MalformedQueryString"},
		{"parameter twice", form("Action=ListUsers&Version=2010-05-08&MaxItems=1&MaxItems=2"), 404, "MalformedQueryString"},
		{"parameter twice in disguise", form("Action=ListUsers&Version=2010-05-08&%4daxItems=1&MaxItems=2"), 404, "MalformedQueryString"},
		{"bad escape", form("Action=ListUsers&Version=2010-05-08&MaxItems=%zz"), 404, "MalformedQueryString"},
		{"not UTF-8", form("Action=ListUsers&Version=2010-05-08&Marker=%ff"), 404, "MalformedQueryString"},
		{"2,000 parameters", form("Action=ListUsers&Version=2010-05-08" + many(2000, "&p%d=x")), 404, "MalformedQueryString"},
		{"list index of a billion", form("Action=CreateUser&Version=2010-05-08&UserName=a&Tags.member.1000000000.Key=k&Tags.member.1000000000.Value=v&Tags.member.01.Key=k"), 400, "MalformedInput"},
		{"name of a thousand parts", form("Action=ListUsers&Version=2010-05-08&a" + strings.Repeat(".a", 1000) + "=x"), 404, "MalformedQueryString"},
		{"number that is none", form("Action=ListUsers&Version=2010-05-08&MaxItems=x"), 400, "MalformedInput"},
		{"unknown parameter", form("Action=ListUsers&Version=2010-05-08&Unknown=x"), 200, ""},
		{"action of nobody", form("Action=Dance&Version=2010-05-08"), 400, "InvalidAction"},
		{"action with markup", form("Action=%3C%2FError%3E%26%00&Version=2010-05-08"), 400, "InvalidAction"},
		{"no action", form("Version=2010-05-08"), 400, "MissingAction"},
		{"Query body under a JSON target", with(json(), func(q *servertest.Raw) { q.Body = "Action=ListUsers&Version=2010-05-08" }), 400, "SerializationException"},
		{"JSON target under Query's content type", with(json(), header("Content-Type", "application/x-www-form-urlencoded")), 400, "UnknownOperationException"},
		{"body of 2 MiB", with(json(), func(q *servertest.Raw) { q.Body = strings.Repeat(" ", 2<<20) }), 413, "RequestEntityTooLargeException"},
		{"Query body of 2 MiB", form("Action=ListUsers&Version=2010-05-08&x=" + strings.Repeat("x", 2<<20)), 413, "RequestEntityTooLarge"},
		{"chunked body", with(json(), func(q *servertest.Raw) {
			q.Before = func(r *http.Request) { r.ContentLength = -1 }
		}), 200, ""},
		{"chunked body of 2 MiB", with(json(), func(q *servertest.Raw) {
			q.Body = strings.Repeat(" ", 2<<20)
			q.Before = func(r *http.Request) { r.ContentLength = -1 }
		}), 413, "RequestEntityTooLargeException"},
		{"deep nesting", with(json(), func(q *servertest.Raw) { q.Body = strings.Repeat(`{"Filters":[`, 50_000) }), 400, "SerializationException"},
		{"unknown member", with(json(), func(q *servertest.Raw) { q.Body = `{"Unknown":{"a":[1,{}]}}` }), 200, ""},
		{"x-amz header that is not signed", with(json(), func(q *servertest.Raw) {
			q.After = func(r *http.Request) { r.Header.Set("X-Amz-Meta", "x") }
		}), 400, "InvalidSignatureException"},
		{"signed header of two values", with(json(), before(func(r *http.Request) {
			r.Header["X-Amz-Meta"] = []string{"  a   b ", "c"}
		})), 200, ""},
		{"bearer token", with(json(), func(q *servertest.Raw) {
			q.After = func(r *http.Request) { r.Header.Set("Authorization", "Bearer hunter2") }
		}), 400, "IncompleteSignatureException"},
		{"two Authorization headers", with(json(), func(q *servertest.Raw) {
			q.After = func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }
		}), 400, "IncompleteSignatureException"},
		{"Authorization of 5,000 characters", with(json(), func(q *servertest.Raw) {
			q.After = func(r *http.Request) {
				r.Header.Set("Authorization", r.Header.Get("Authorization")+strings.Repeat("x", 5000))
			}
		}), 400, "IncompleteSignatureException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.Send(t, c.q)
			code, _ := a.Error()
			if a.Status != c.status || code != c.code {
				t.Errorf("answered %d %s, want %d %s", a.Status, a.Body[:min(len(a.Body), 500)], c.status, c.code)
			}
			if bytes.Contains(a.Body, []byte("hunter2")) {
				t.Error("a credential of another kind is repeated")
			}
			if a.Header.Get("x-amzn-RequestId") == "" || a.Header.Get("Date") == "" || a.Header.Get("Content-Type") == "" {
				t.Errorf("headers are %v", a.Header)
			}
		})
	}
	// After all that it still works, and nothing was a fault of ours.
	if a := s.Send(t, listSecrets()); a.Status != http.StatusOK {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if log := s.Log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "hunter2") {
		t.Errorf("the log holds errors or credentials:\n%s", log)
	}
}

func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// dial opens a connection for bytes that no HTTP client would send.
func dial(t *testing.T, s *servertest.Server) conn {
	t.Helper()
	u, _ := url.Parse(s.URL)
	c, err := tls.Dial("tcp", u.Host, trust(t, s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return conn{c, bufio.NewReader(c)}
}

// trust is a client's configuration that knows the server's certificate.
func trust(t *testing.T, s *servertest.Server) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(s.Dir, ca.CertificateFile))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool}
}

type conn struct {
	*tls.Conn
	in *bufio.Reader
}

// ended waits until the server has answered or hung up, and returns the status
// line.
func (n conn) ended(t *testing.T, within time.Duration) string {
	t.Helper()
	began := time.Now()
	line, err := n.in.ReadString('\n')
	if took := time.Since(began); took > within {
		t.Errorf("it took %v", took)
	}
	if err != nil && err != io.EOF && !strings.Contains(err.Error(), "reset") {
		t.Errorf("%v", err)
	}
	return strings.TrimSpace(line)
}

// Who sends slowly is cut off, and who sends too much is too.
func TestSlowAndLargeClients(t *testing.T) {
	s := servertest.Start(t, servertest.Config(func(c *config.Config) {
		c.Limits.HeaderTime, c.Limits.ReadTime = 300*time.Millisecond, 600*time.Millisecond
	}))
	const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: secretsmanager.ListSecrets\r\n"
	t.Run("half a header", func(t *testing.T) {
		t.Parallel()
		c := dial(t, s)
		io.WriteString(c, head)
		if got := c.ended(t, 5*time.Second); strings.HasPrefix(got, "HTTP/1.1 2") || strings.HasPrefix(got, "HTTP/1.1 5") {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("half a body", func(t *testing.T) {
		t.Parallel()
		c := dial(t, s)
		io.WriteString(c, head+"Content-Length: 100\r\n\r\n{")
		if got := c.ended(t, 5*time.Second); got != "HTTP/1.1 408 Request Timeout" {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("body by drops", func(t *testing.T) {
		t.Parallel()
		c := dial(t, s)
		io.WriteString(c, head+"Transfer-Encoding: chunked\r\n\r\n")
		go func() {
			for range 100 {
				if _, err := io.WriteString(c, "1\r\n \r\n"); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		}()
		if got := c.ended(t, 5*time.Second); got != "HTTP/1.1 408 Request Timeout" {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("headers without end", func(t *testing.T) {
		t.Parallel()
		c := dial(t, s)
		io.WriteString(c, head+"X-Long: "+strings.Repeat("x", 256<<10)+"\r\n\r\n")
		if got := c.ended(t, 5*time.Second); !strings.HasPrefix(got, "HTTP/1.1 431") && got != "" {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("two lengths", func(t *testing.T) {
		t.Parallel()
		c := dial(t, s)
		io.WriteString(c, head+"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}")
		if got := c.ended(t, 5*time.Second); !strings.HasPrefix(got, "HTTP/1.1 400") {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("no TLS", func(t *testing.T) {
		t.Parallel()
		res, err := http.Get("http" + strings.TrimPrefix(s.URL, "https"))
		if err == nil {
			res.Body.Close()
			if res.StatusCode != http.StatusBadRequest {
				t.Errorf("answered %d", res.StatusCode)
			}
		}
	})
	t.Run("old TLS", func(t *testing.T) {
		t.Parallel()
		u, _ := url.Parse(s.URL)
		old := trust(t, s)
		old.MaxVersion = tls.VersionTLS12
		if c, err := tls.Dial("tcp", u.Host, old); err == nil {
			c.Close()
			t.Error("TLS 1.2 is spoken")
		}
	})
}
