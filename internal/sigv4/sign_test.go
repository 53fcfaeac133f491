package sigv4_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/strongroom/strongroom/internal/sigv4"
)

const (
	accessKey = "AKIDEXAMPLE"
	secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var signedAt = time.Date(2026, 2, 19, 18, 34, 51, 0, time.UTC)

// received is a request as the server sees it, with its body read.
type received struct {
	*http.Request
	body []byte
}

// overTheWire writes r as a client does and reads it as the server does.
func overTheWire(t testing.TB, r *http.Request) received {
	t.Helper()
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatal(err)
	}
	in, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatalf("%v\n%s", err, wire.Bytes())
	}
	body, err := io.ReadAll(in.Body)
	if err != nil {
		t.Fatal(err)
	}
	return received{in, body}
}

func newRequest(t testing.TB, method, target, body string, headers http.Header) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		r.Header[k] = v
	}
	return r
}

func hexHash(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// signed returns a request signed in the header by the official signer.
func signed(t testing.TB, method, target, body, token string, headers http.Header) received {
	t.Helper()
	r := newRequest(t, method, target, body, headers)
	creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey, SessionToken: token}
	hash := r.Header.Get("X-Amz-Content-Sha256")
	if hash == "" {
		hash = hexHash(body)
	}
	err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hash, "secretsmanager", "eu-west-1", signedAt)
	if err != nil {
		t.Fatal(err)
	}
	return overTheWire(t, r)
}

// presigned returns a request signed in the query by the official signer.
func presigned(t testing.TB, target, expires, token string, headers http.Header) received {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("X-Amz-Expires", expires)
	u.RawQuery = q.Encode()
	r := newRequest(t, "GET", u.String(), "", headers)
	creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey, SessionToken: token}
	uri, withHeaders, err := v4.NewSigner().PresignHTTP(context.Background(), creds, r, hexHash(""), "sts", "eu-west-1", signedAt)
	if err != nil {
		t.Fatal(err)
	}
	delete(withHeaders, "Host")
	out := newRequest(t, "GET", uri, "", nil)
	for k, v := range withHeaders {
		out.Header[http.CanonicalHeaderKey(k)] = v
	}
	return overTheWire(t, out)
}

func anyRegion(string) bool { return true }

// check runs the three steps as the server does.
func check(r received, service string, now time.Time) error {
	s, err := sigv4.Parse(r.Request)
	if err != nil {
		return err
	}
	regions := func(region string) bool { return region == "eu-west-1" }
	if err := s.CheckScope(service, regions, now, 5*time.Minute); err != nil {
		return err
	}
	key := sigv4.SigningKey([]byte(secretKey), s.Date, s.Region, s.Service)
	sum := sha256.Sum256(r.body)
	return s.Verify(&key, &sum, false)
}

func text(rnd *rand.Rand, alphabet string, most int) string {
	runes := []rune(alphabet)
	out := make([]rune, rnd.IntN(most+1))
	for i := range out {
		out[i] = runes[rnd.IntN(len(runes))]
	}
	return string(out)
}

const (
	wild  = "abcXYZ019-._~ +&=?/%#:;,@!$'()*[]\"<>|{}^`\\é世\x01"
	plain = "abcdefXYZ 019-._~+=/,;:()\""
)

// randomRequest draws method, path, query, headers, body and token. Paths have
// no dot segments and no repeated slashes: the Go signer leaves those alone, and
// TestPath covers them.
func randomRequest(t testing.TB, rnd *rand.Rand) (method, target, body, token string, headers http.Header) {
	t.Helper()
	method = []string{"POST", "GET", "PUT", "DELETE"}[rnd.IntN(4)]
	u := url.URL{Scheme: "https", Host: []string{"localhost:4766", "127.0.0.1", "secrets.example.com"}[rnd.IntN(3)], Path: "/"}
	for range rnd.IntN(3) {
		u.Path += "x" + strings.ReplaceAll(text(rnd, wild, 8), "/", "-") + "/"
	}
	if rnd.IntN(2) == 0 {
		u.Path += "end"
	}
	q := url.Values{}
	for range rnd.IntN(5) {
		q.Add(text(rnd, wild, 4), text(rnd, wild, 8))
	}
	u.RawQuery = q.Encode()
	headers = http.Header{}
	for range rnd.IntN(5) {
		name := http.CanonicalHeaderKey("X-Amz-T" + text(rnd, "abc-9", 6))
		headers[name] = append(headers[name], text(rnd, plain, 12)+"  "+text(rnd, plain, 12))
	}
	if rnd.IntN(2) == 0 {
		headers.Set("Content-Type", "application/x-amz-json-1.1")
	}
	if method != "GET" {
		body = text(rnd, wild, 200)
	}
	if rnd.IntN(3) == 0 {
		headers.Set("X-Amz-Content-Sha256", hexHash(body))
	}
	if rnd.IntN(2) == 0 {
		token = "IQoJ" + text(rnd, "abcXYZ019+/=", 400) + "="
	}
	return method, u.String(), body, token, headers
}

func TestOfficialSignerVerifies(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		method, target, body, token, headers := randomRequest(t, rnd)
		r := signed(t, method, target, body, token, headers)
		if err := check(r, "secretsmanager", signedAt); err != nil {
			t.Fatalf("%d: %s %s %q: %v", i, method, target, headers, err)
		}
		s, _ := sigv4.Parse(r.Request)
		if s.AccessKeyID != accessKey || s.Region != "eu-west-1" || s.SessionToken != token || s.Presigned || !s.Time.Equal(signedAt) {
			t.Fatalf("%d: parsed %+v", i, s)
		}
	}
}

func TestOfficialPresignerVerifies(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range 1000 {
		_, target, _, token, headers := randomRequest(t, rnd)
		headers.Del("X-Amz-Content-Sha256")
		headers.Set("X-K8s-Aws-Id", "cluster  one")
		r := presigned(t, target, "60", token, headers)
		if err := check(r, "sts", signedAt.Add(time.Minute)); err != nil {
			t.Fatalf("%d: %s %q: %v", i, r.URL, headers, err)
		}
		s, _ := sigv4.Parse(r.Request)
		if !s.Presigned || s.Expires != time.Minute || s.SessionToken != token {
			t.Fatalf("%d: parsed %+v", i, s)
		}
	}
}

// mutate changes one thing that the signature must cover, and says what. It
// returns "" when the draw does not apply to the request.
func mutate(rnd *rand.Rand, r *received, presigned bool) string {
	flip := func(s string) string {
		if s == "" {
			return "x"
		}
		b := []byte(s)
		i := rnd.IntN(len(b))
		if b[i] == 'q' {
			b[i] = 'r'
		} else {
			b[i] = 'q'
		}
		return string(b)
	}
	switch rnd.IntN(11) {
	case 0:
		r.Method = "PATCH"
		return "method"
	case 1:
		r.URL.Path, r.URL.RawPath = r.URL.Path+"q", ""
		return "path"
	case 2:
		r.URL.RawQuery = strings.Trim(r.URL.RawQuery+"&added=", "&")
		return "added parameter"
	case 3:
		pairs := strings.Split(r.URL.RawQuery, "&")
		if r.URL.RawQuery == "" {
			return ""
		}
		r.URL.RawQuery = strings.Join(pairs[1:], "&")
		return "removed parameter " + pairs[0]
	case 4:
		r.Host = flip(r.Host)
		return "host"
	case 5:
		r.body = append(bytes.Clone(r.body), 0)
		return "body"
	case 6, 7:
		for name, values := range r.Header {
			if (strings.HasPrefix(name, "X-") && name != "X-Amz-Date") || name == "Content-Type" {
				r.Header[name] = append([]string{flip(values[0]) + "q"}, values[1:]...)
				return "header " + name
			}
		}
		return ""
	case 8:
		for name := range r.Header {
			if strings.HasPrefix(name, "X-") || name == "Content-Type" {
				delete(r.Header, name)
				return "removed header " + name
			}
		}
		return ""
	case 9:
		r.Header["X-Amz-Added"] = []string{""}
		return "added header"
	default:
		if presigned {
			q := r.URL.Query()
			names := []string{"X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Algorithm"}
			name := names[rnd.IntN(len(names))]
			q.Set(name, flip(q.Get(name)))
			r.URL.RawQuery = q.Encode()
			return "parameter " + name
		}
		if rnd.IntN(2) == 0 {
			at := signedAt.Add(time.Duration(1+rnd.IntN(200)) * time.Second)
			r.Header.Set("X-Amz-Date", at.Format("20060102T150405Z"))
			return "date"
		}
		// Anything in the Authorization header but the access key id, which only
		// chooses the secret, and the separators.
		auth := r.Header.Get("Authorization")
		at := strings.Index(auth, accessKey) + len(accessKey)
		r.Header.Set("Authorization", auth[:at]+flip(auth[at:]))
		return "authorization: " + r.Header.Get("Authorization")
	}
}

func TestMutationsAreRefused(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	seen := map[string]int{}
	for range 4000 {
		method, target, body, token, headers := randomRequest(t, rnd)
		var r received
		service := "secretsmanager"
		query := rnd.IntN(2) == 0
		if query {
			headers.Del("X-Amz-Content-Sha256")
			headers.Set("X-K8s-Aws-Id", "cluster")
			r, service = presigned(t, target, "300", token, headers), "sts"
		} else {
			r = signed(t, method, target, body, token, headers)
		}
		before := fmt.Sprint(r.URL, r.Header)
		what := mutate(rnd, &r, query)
		if what == "" {
			continue
		}
		kind, _, _ := strings.Cut(what, " ")
		seen[kind]++
		if err := check(r, service, signedAt); err == nil {
			t.Fatalf("accepted after a change of %s\n%s\n%s", what, before, fmt.Sprint(r.URL, r.Header))
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %v were tried", seen)
	}
}

func TestUnsignedPayload(t *testing.T) {
	r := signed(t, "POST", "https://localhost/", "body", "", http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}})
	s, err := sigv4.Parse(r.Request)
	if err != nil {
		t.Fatal(err)
	}
	key := sigv4.SigningKey([]byte(secretKey), s.Date, s.Region, s.Service)
	sum := sha256.Sum256(r.body)
	if err := s.Verify(&key, &sum, false); err != sigv4.ErrSignature {
		t.Errorf("without leave: %v", err)
	}
	if err := s.Verify(&key, &sum, true); err != nil {
		t.Errorf("with leave: %v", err)
	}
	for _, hash := range []string{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"} {
		r := signed(t, "POST", "https://localhost/", "body", "", http.Header{"X-Amz-Content-Sha256": {hash}})
		if _, err := sigv4.Parse(r.Request); err != sigv4.ErrSignature {
			t.Errorf("%s: %v", hash, err)
		}
	}
	// A hash that is signed but is not the body's.
	for _, hash := range []string{hexHash("other"), strings.ToUpper(hexHash("body")), "body"} {
		r := signed(t, "POST", "https://localhost/", "body", "", http.Header{"X-Amz-Content-Sha256": {hash}})
		if err := check(r, "secretsmanager", signedAt); err != sigv4.ErrSignature {
			t.Errorf("hash %s: %v", hash, err)
		}
	}
}
