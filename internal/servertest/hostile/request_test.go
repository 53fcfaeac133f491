package hostile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/strongroom/strongroom/internal/servertest"
)

// attack is one hostile request.
type attack struct {
	kind   string
	signed bool
	// request is sent by net/http; else raw is written as it is, on a connection of its
	// own, under TLS unless plain.
	request *http.Request
	raw     string
	plain   bool
	slow    bool // byte by byte, and never whole
}

// arsenal makes attacks.
type arsenal struct {
	url    string
	host   string
	seed   uint64
	creds  aws.Credentials
	models []*model
	signer *signer.Signer

	operations []operation
}

type operation struct {
	m    *model
	name string
}

// make makes the nth attack.
func (a *arsenal) make(n int) attack {
	r := rand.New(rand.NewPCG(a.seed, uint64(n)))
	switch p := r.IntN(1000); {
	case p < 620:
		return a.signed(r)
	case p < 800:
		return a.forged(r)
	case p < 998:
		return a.malformed(r)
	}
	return attack{kind: "slowloris", slow: true, raw: "POST / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 400)}
}

// sketch is a request before it is signed.
type sketch struct {
	m         *model
	operation string
	method    string
	target    string
	query     string
	body      string
	headers   [][2]string
	kind      string
}

// sketch makes a call of some operation, more or less broken.
func (a *arsenal) sketch(r *rand.Rand) sketch {
	// Each service as often as each operation: IAM has most of those.
	m := pick(r, a.models)
	s := sketch{m: m, operation: pick(r, m.names), method: http.MethodPost}
	if r.IntN(2) == 0 {
		o := pick(r, a.operations)
		m, s.m, s.operation = o.m, o.m, o.name
	}
	if m.Metadata.Protocol == "json" {
		s.target = m.Metadata.TargetPrefix + "." + s.operation
	}
	input := m.make(r, "", m.Operations[s.operation].Input.Shape, 0)
	if m.Operations[s.operation].Input.Shape == "" {
		input = &node{object: true}
	}
	s.kind = "as modelled"
	broken := r.IntN(10)
	if broken >= 4 && broken < 8 {
		s.kind = "broken values"
		shatter(r, input)
	}
	if m.Metadata.Protocol == "json" {
		var b strings.Builder
		input.json(&b)
		s.body = b.String()
		if broken >= 8 {
			s.kind, s.body = "broken JSON", bruise(r, s.body)
		}
		return s
	}
	all := input.query("", nil)
	if broken >= 8 || s.kind == "broken values" && r.IntN(2) == 0 {
		s.kind, all = "broken parameters", warp(r, all)
	}
	all = append([]pair{{"Action", s.operation}, {"Version", m.Metadata.APIVersion}}, all...)
	var b strings.Builder
	for i, p := range all {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(p.name) + "=" + url.QueryEscape(p.value))
	}
	s.body = b.String()
	if broken == 9 {
		s.kind, s.body = "broken form", bruise(r, s.body)
	}
	if len(s.body) < 2000 && r.IntN(12) == 0 {
		s.method, s.query, s.body, s.kind = http.MethodGet, s.body, "", s.kind+", GET"
	}
	return s
}

// request makes a net/http request of it, or nil if that refuses to.
func (a *arsenal) request(s sketch) *http.Request {
	r, err := http.NewRequest(s.method, a.url+"/", strings.NewReader(s.body))
	if err != nil {
		return nil
	}
	r.URL.RawQuery = s.query
	if strings.ContainsFunc(s.query, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' }) {
		return nil // net/http would not send it
	}
	if s.m.Metadata.Protocol == "json" {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", s.target)
	} else if s.method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	for _, h := range s.headers {
		r.Header[h[0]] = append(r.Header[h[0]], h[1])
	}
	return r
}

func (a *arsenal) sign(r *http.Request, s sketch, body string, at time.Time) error {
	hash := sha256.Sum256([]byte(body))
	return a.signer.SignHTTP(context.Background(), a.creds, r, hex.EncodeToString(hash[:]), s.m.Metadata.SigningName, servertest.Region, at)
}

// signed is an attack by somebody whom the server knows.
func (a *arsenal) signed(r *rand.Rand) attack {
	for {
		s := a.sketch(r)
		how := r.IntN(100)
		switch {
		case how < 3:
			s.kind = "unknown target"
			s.target, s.body = s.m.Metadata.TargetPrefix+"."+pick(r, []string{"", "Nothing", "getsecretvalue", s.operation + " ", strings.Repeat("A", 3000)}), strings.Replace(s.body, s.operation, "Nothing", 1)
		case how < 8:
			s.kind = "odd headers"
			for range 1 + r.IntN(4) {
				s.headers = append(s.headers, pick(r, [][2]string{
					{"User-Agent", strings.Repeat("u", 5000)}, {"Referer", "\xff\xfe"}, {"Content-Encoding", "gzip"}, {"Content-Encoding", "amz-1.0"},
					{"Accept", "text/html"}, {"X-Forwarded-For", "1.2.3.4"}, {"X-Amz-Security-Token", "AAAA"}, {"X-Amz-Target", "Second.One"},
					{"X-Amz-Date", "tomorrow"}, {"Expect", "100-continue"}, {"Range", "bytes=0-"}, {"Cookie", strings.Repeat("a=b; ", 500)},
					{"X-Amzn-Trace-Id", "Root=1-\t"}, {"Content-Type", "application/json"}, {"Te", "trailers"}, {"X-" + strings.Repeat("H", 500), "v"},
				}))
			}
		case how < 11 && s.method == http.MethodPost:
			s.kind = "compressed body"
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			z.Write(bytes.Repeat([]byte{0}, 1<<20))
			z.Close()
			s.body, s.headers = b.String(), [][2]string{{"Content-Encoding", "gzip"}}
		}
		q := a.request(s)
		if q == nil {
			continue
		}
		if s.method == http.MethodPost && s.body != "" && r.IntN(20) == 0 {
			s.kind, q.ContentLength = s.kind+", chunked", -1
		}
		if a.sign(q, s, s.body, time.Now()) != nil {
			continue
		}
		return attack{kind: s.kind, signed: true, request: q}
	}
}

// forged is an attack whose signature is not one.
func (a *arsenal) forged(r *rand.Rand) attack {
	for {
		s := a.sketch(r)
		q := a.request(s)
		if q == nil {
			continue
		}
		at, body := time.Now(), s.body
		how := r.IntN(12)
		switch how {
		case 0:
			at = at.Add(pick(r, []time.Duration{-20 * time.Minute, 20 * time.Minute, -24 * time.Hour, 240 * 365 * time.Hour}))
		case 1:
			body += " "
		}
		if a.sign(q, s, body, at) != nil {
			continue
		}
		set := func(name, value string) { q.Header[name] = []string{value} }
		authorization := q.Header.Get("Authorization")
		switch how {
		case 2:
			set("Authorization", bruisePrintable(r, authorization))
		case 3:
			set("Authorization", pick(r, []string{"", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f/g, SignedHeaders=;;;, Signature=",
				"Basic dTpw", "Bearer eyJ", "AWS AKIA:xx", "AWS4-ECDSA-P256-SHA256 Credential=x", "AWS4-HMAC-SHA256 " + strings.Repeat("Credential=a,", 2000)}))
		case 4:
			q.Header["Authorization"] = []string{authorization, authorization}
		case 5:
			q.Header.Del("Authorization")
		case 6:
			q.Header.Del("X-Amz-Date")
		case 7:
			set("X-Amz-Date", pick(r, []string{"20260101T000000Z", "2026", "99999999T999999Z", "-0010101T000000Z", strings.Repeat("2", 9000)}))
		case 8:
			set("X-Amz-Security-Token", pick(r, []string{"", "AAAA", strings.Repeat("QUJD", 4000)}))
		case 9:
			q.Header.Del("Authorization")
			q.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + pick(r, []string{"", "a%2Fb%2Fc", a.creds.AccessKeyID + "%2F20260101%2Fus-east-1%2Fiam%2Faws4_request"}) +
				"&X-Amz-Date=" + pick(r, []string{"20260101T000000Z", "x"}) + "&X-Amz-Expires=" + pick(r, []string{"-1", "0", "900", "99999999999999999999", "1e3"}) + "&X-Amz-SignedHeaders=host&X-Amz-Signature=" + strings.Repeat("0", 64)
		case 10:
			set("Authorization", strings.Replace(authorization, a.creds.AccessKeyID, pick(r, []string{"AKIA" + strings.Repeat("A", 16), "ASIA" + strings.Repeat("7", 16), "x", strings.Repeat("A", 2000)}), 1))
		case 11:
			set("Authorization", strings.Replace(authorization, "us-east-1", pick(r, []string{"eu-north-1", "", "us-east-1/x"}), 1))
		}
		if !sendable(q) {
			continue
		}
		return attack{kind: "forged signature", request: q}
	}
}

// bruisePrintable is bruise that leaves what a header may hold.
func bruisePrintable(r *rand.Rand, s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == 0xfffd {
			return '_'
		}
		return c
	}, bruise(r, s))
}

// sendable reports whether net/http would send it: it refuses control characters.
func sendable(r *http.Request) bool {
	for _, values := range r.Header {
		for _, v := range values {
			if strings.ContainsFunc(v, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
				return false
			}
		}
	}
	return true
}

const unsigned = "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: secretsmanager.GetSecretValue\r\n"

// malformed is an attack that net/http would not make.
func (a *arsenal) malformed(r *rand.Rand) attack {
	head := "POST / HTTP/1.1\r\nHost: " + a.host + "\r\n" + unsigned
	garbage := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.IntN(256))
		}
		return string(b)
	}
	whole := head + "Content-Length: 2\r\n\r\n{}"
	all := []attack{
		{kind: "garbage before TLS", plain: true, raw: garbage(1 + r.IntN(600))},
		{kind: "HTTP before TLS", plain: true, raw: whole},
		{kind: "half a TLS handshake", plain: true, raw: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + garbage(r.IntN(500))},
		{kind: "garbage", raw: garbage(1 + r.IntN(3000))},
		{kind: "broken request", raw: bruise(r, whole)},
		{kind: "broken request", raw: bruise(r, whole+whole)},
		{kind: "chunks that lie", raw: head + "Transfer-Encoding: chunked\r\n\r\n" + pick(r, []string{"zz\r\n{}\r\n0\r\n\r\n", "ffffffffffffffff\r\n{}", "-1\r\n", "2\r\n{}", "2\r\n{}xx0\r\n\r\n", "0x2\r\n{}\r\n0\r\n\r\n",
			"2;" + strings.Repeat("x", 10_000) + "\r\n{}\r\n0\r\n\r\n", strings.Repeat("1\r\n{\r\n", 2000), "2\r\n{}\r\n0\r\nTrailer: " + strings.Repeat("t", 10_000) + "\r\n\r\n", "\r\n\r\n"})},
		{kind: "lengths that lie", raw: head + pick(r, []string{"Content-Length: 1000\r\n\r\n{}", "Content-Length: 1\r\n\r\n{}", "Content-Length: -1\r\n\r\n", "Content-Length: 99999999999999999999\r\n\r\n", "Content-Length: 1000000000\r\n\r\n{}",
			"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "Content-Length: 2, 2\r\n\r\n{}", "Content-Length: 0x2\r\n\r\n{}", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"})},
		{kind: "encodings nobody has", raw: head + "Transfer-Encoding: " + pick(r, []string{"gzip", "identity", "chunked, chunked", "\x0bchunked", "xchunked"}) + "\r\n\r\n{}"},
		{kind: "pipelining", raw: strings.Repeat(whole, 2+r.IntN(60))},
		{kind: "old HTTP", raw: pick(r, []string{"GET /\r\n", "POST / HTTP/1.0\r\n" + unsigned + "Content-Length: 2\r\n\r\n{}", "GET / HTTP/0.9\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/9.9\r\nHost: x\r\n\r\n"})},
		{kind: "odd request lines", raw: pick(r, []string{"CONNECT x:443", "OPTIONS *", "TRACE /", "DELETE /", "PUT /../../x", "GET http://169.254.169.254/latest/meta-data/", "GET /" + strings.Repeat("a", 40_000), "GET /%zz", "GET //", "G\x00T /", strings.Repeat("G", 20_000) + " /", "POST /?Action=GetUser&Version=2010-05-08&" + strings.Repeat("a=b&", 5000)}) + " HTTP/1.1\r\nHost: x\r\n\r\n"},
		{kind: "header flood", raw: head + strings.Repeat(fmt.Sprintf("X-%d: y\r\n", r.IntN(1000)), 5000) + "\r\n"},
		{kind: "header flood", raw: head + "X: " + strings.Repeat("y", 300_000) + "\r\n\r\n"},
		{kind: "broken headers", raw: "POST / HTTP/1.1\r\nHost: " + a.host + "\r\n" + pick(r, []string{": x", "A B: c", "X", " folded", "X\x00: y", "X: \x00", "X: y\rZ: w", "Host: y", "\xff: y"}) + "\r\n" + unsigned + "Content-Length: 2\r\n\r\n{}"},
		{kind: "upgrade", raw: head + "Connection: Upgrade\r\nUpgrade: " + pick(r, []string{"websocket", "h2c"}) + "\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"},
		{kind: "half a request", raw: whole[:1+r.IntN(len(whole)-1)]},
	}
	return pick(r, all)
}

// outcome is what came of an attack: statuses in order, or none.
type outcome struct {
	statuses []int
	body     string
	err      error
}

// gunner sends attacks from an address of its own, so that the bounds on one address
// do not meet the healthy.
type gunner struct {
	host   string
	dialer *net.Dialer
	client *http.Client
}

func newGunner(host string) *gunner {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 10 * time.Second}
	return &gunner{host: host, dialer: d, client: &http.Client{
		Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		// Whom the attacker speaks to is no matter of his.
		Transport: &http.Transport{DialContext: d.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 64},
	}}
}

func (g *gunner) send(a attack) outcome {
	if a.request != nil {
		res, err := g.client.Do(a.request)
		if err != nil {
			return outcome{err: err}
		}
		defer res.Body.Close()
		b, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
		return outcome{[]int{res.StatusCode}, string(b), err}
	}
	conn, err := g.dialer.Dial("tcp", g.host)
	if err != nil {
		return outcome{err: err}
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if !a.plain {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	}
	if a.slow {
		for i := range len(a.raw) {
			if _, err := io.WriteString(conn, a.raw[i:i+1]); err != nil {
				return outcome{} // Shown out.
			}
			time.Sleep(20 * time.Millisecond)
		}
		return outcome{err: errors.New("a slow client was let be")}
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		io.WriteString(conn, a.raw)
		if c, ok := conn.(interface{ CloseWrite() error }); ok {
			c.CloseWrite()
		}
	}()
	out := outcome{}
	in := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			break
		}
		b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		out.statuses, out.body = append(out.statuses, res.StatusCode), string(b)
		if err != nil || res.Close {
			break
		}
	}
	conn.Close()
	<-written
	return out
}
