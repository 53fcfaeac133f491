package servertest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/strongroom/strongroom/internal/server"
)

// Raw is a request below the SDK's clients: what they would never send is sent
// with it. It is signed by the SDK's signer unless Unsigned.
type Raw struct {
	// Service is the signing name, such as "kms".
	Service string
	// Region is "" for the default one.
	Region string
	// Key signs; the zero value is the admin's. Token is a session token,
	// instead of the key's own.
	Key   server.Credentials
	Token string
	// Method is "" for POST, URL "" for the server's root; a URL that begins with
	// a slash or a question mark is put behind the server's.
	Method, URL string
	// Target makes a JSON request, Form a Query request.
	Target string
	Form   url.Values
	// Body is the body; with Form it may stay empty.
	Body string
	// PayloadHash is signed instead of the body's hash, unless "".
	PayloadHash string
	// At is when it is signed; zero is now.
	At       time.Time
	Unsigned bool
	// Before changes the request before it is signed, After behind that.
	Before, After func(*http.Request)
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Request makes and signs the request.
func (s *Server) Request(tb testing.TB, q Raw) *http.Request {
	tb.Helper()
	if q.Method == "" {
		q.Method = http.MethodPost
	}
	if q.URL == "" {
		q.URL = "/"
	}
	if q.Form != nil && q.Body == "" && q.Method == http.MethodPost {
		q.Body = q.Form.Encode()
	}
	r, err := http.NewRequestWithContext(tb.Context(), q.Method, s.URL+q.URL, strings.NewReader(q.Body))
	if err != nil {
		tb.Fatal(err)
	}
	switch {
	case q.Target != "":
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", q.Target)
	case q.Form != nil && q.Method == http.MethodPost:
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	case q.Form != nil:
		r.URL.RawQuery = q.Form.Encode()
	}
	if q.Before != nil {
		q.Before(r)
	}
	if !q.Unsigned {
		s.sign(tb, r, q)
	}
	if q.After != nil {
		q.After(r)
	}
	return r
}

func (s *Server) sign(tb testing.TB, r *http.Request, q Raw) {
	tb.Helper()
	if q.PayloadHash == "" {
		hash := sha256.Sum256([]byte(q.Body))
		q.PayloadHash = hex.EncodeToString(hash[:])
	}
	if err := signer.NewSigner().SignHTTP(context.Background(), s.credentials(q), r, q.PayloadHash, q.Service, regionOr(q.Region), timeOr(q.At)); err != nil {
		tb.Fatal(err)
	}
}

// Presign returns the URL of a presigned GET with an empty body.
func (s *Server) Presign(tb testing.TB, q Raw) string {
	tb.Helper()
	q.Unsigned, q.Method = true, http.MethodGet
	r := s.Request(tb, q)
	empty := sha256.Sum256(nil)
	signed, _, err := signer.NewSigner().PresignHTTP(context.Background(), s.credentials(q), r, hex.EncodeToString(empty[:]), q.Service, regionOr(q.Region), timeOr(q.At))
	if err != nil {
		tb.Fatal(err)
	}
	return signed
}

func (s *Server) credentials(q Raw) aws.Credentials {
	if q.Key == (server.Credentials{}) {
		q.Key = s.Admin
	}
	return aws.Credentials{AccessKeyID: q.Key.AccessKeyID, SecretAccessKey: q.Key.SecretAccessKey, SessionToken: cmp.Or(q.Token, q.Key.SessionToken)}
}

func regionOr(region string) string {
	if region == "" {
		return Region
	}
	return region
}

func timeOr(t time.Time) time.Time {
	if t.IsZero() {
		return time.Now()
	}
	return t
}

// Send makes, signs and sends the request.
func (s *Server) Send(tb testing.TB, q Raw) Answer {
	tb.Helper()
	return s.Do(tb, s.Request(tb, q))
}

// Do sends a request as it is.
func (s *Server) Do(tb testing.TB, r *http.Request) Answer {
	tb.Helper()
	return exchange(tb, s.HTTP, r)
}

func exchange(tb testing.TB, client *http.Client, r *http.Request) Answer {
	tb.Helper()
	res, err := client.Do(r)
	if err != nil {
		tb.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatalf("read answer: %v", err)
	}
	return Answer{res.StatusCode, res.Header, body}
}

// Error reads code and message of an error of either protocol; both are empty
// for a success.
func (a Answer) Error() (code, message string) {
	if bytes.HasPrefix(a.Body, []byte("<")) {
		var e struct {
			Code    string `xml:"Error>Code"`
			Message string `xml:"Error>Message"`
		}
		if xml.Unmarshal(a.Body, &e) != nil {
			return "", ""
		}
		return e.Code, e.Message
	}
	var e map[string]any // Exact case: a struct would read either spelling.
	if a.Status == http.StatusOK || json.Unmarshal(a.Body, &e) != nil {
		return "", ""
	}
	code, _ = e["__type"].(string)
	message, ok := e["message"].(string)
	if !ok {
		message, _ = e["Message"].(string)
	}
	return code, message
}

// RootCredentials asks the operator's socket for a key of an account's root
// user, as the command does.
func (s *Server) RootCredentials(tb testing.TB, account string) server.RootCredentials {
	tb.Helper()
	res := s.Operator(tb, http.MethodPost, "/v1/root-credentials", map[string]string{"account": account})
	var out server.RootCredentials
	if res.Status != http.StatusOK || json.Unmarshal(res.Body, &out) != nil {
		tb.Fatalf("root credentials: status %d: %s", res.Status, res.Body)
	}
	return out
}

// Operator sends a request to the operator's socket.
func (s *Server) Operator(tb testing.TB, method, path string, in any) Answer {
	tb.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		tb.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.Dir, server.SocketFile))
	}}}
	r, err := http.NewRequestWithContext(tb.Context(), method, "http://operator"+path, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	return exchange(tb, client, r)
}

// ReplaceBody gives a request another body and the length that goes with it.
func ReplaceBody(r *http.Request, body string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}
