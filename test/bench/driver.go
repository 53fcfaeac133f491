package main

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/sigv4"
)

const region = "us-east-1"

// client is one keep-alive connection that signs each request itself. It is lean,
// since where both cores are shared its time is missing at the server.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	buf  []byte
	text []byte
	mac  hash.Hash
	date string
	t    *target
}

func (t *target) dial() (*client, error) {
	conn, err := net.Dial("tcp", t.address)
	if err != nil {
		return nil, err
	}
	if !t.plain {
		secure := tls.Client(conn, &tls.Config{RootCAs: t.roots, ServerName: "localhost", MinVersion: tls.VersionTLS13})
		if err := secure.Handshake(); err != nil {
			conn.Close()
			return nil, err
		}
		conn = secure
	}
	return &client{conn: conn, r: bufio.NewReaderSize(conn, 16<<10), t: t}, nil
}

// do sends one request and reads its answer, whose body it throws away. A status
// other than 200 is an error.
func (c *client) do(operation, body string) (status int, err error) {
	status, said, err := c.ask(operation, body)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, said)
	}
	return status, err
}

// ask sends one request and reads its answer. The body is returned unless the
// status is 200.
func (c *client) ask(operation, body string) (status int, said []byte, err error) {
	stamp := time.Now().UTC().Format("20060102T150405Z")
	if c.date != stamp[:8] {
		c.date = stamp[:8]
		key := sigv4.SigningKey([]byte(c.t.secret), c.date, region, "secretsmanager")
		c.mac = hmac.New(sha256.New, key[:])
	}
	signed, tokenLine, tokenHeader := "content-type;host;x-amz-date;x-amz-target", "", ""
	if c.t.token != "" {
		signed = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
		tokenLine, tokenHeader = "\nx-amz-security-token:"+c.t.token, "X-Amz-Security-Token: "+c.t.token+"\r\n"
	}
	sum := sha256.Sum256([]byte(body))
	b := c.text[:0]
	b = append(b, "POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:"...)
	b = append(b, c.t.address...)
	b = append(b, "\nx-amz-date:"...)
	b = append(b, stamp...)
	b = append(b, tokenLine...)
	b = append(b, "\nx-amz-target:"...)
	b = append(b, operation...)
	b = append(b, "\n\n"...)
	b = append(b, signed...)
	b = append(b, '\n')
	b = hex.AppendEncode(b, sum[:])
	sum = sha256.Sum256(b)
	scope := c.date + "/" + region + "/secretsmanager/aws4_request"
	b = append(b[:0], "AWS4-HMAC-SHA256\n"...)
	b = append(b, stamp...)
	b = append(b, '\n')
	b = append(b, scope...)
	b = append(b, '\n')
	b = hex.AppendEncode(b, sum[:])
	c.mac.Reset()
	c.mac.Write(b)
	signature := c.mac.Sum(sum[:0])
	c.text = b

	b = append(c.buf[:0], "POST / HTTP/1.1\r\nHost: "...)
	b = append(b, c.t.address...)
	b = append(b, "\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Date: "...)
	b = append(b, stamp...)
	b = append(b, "\r\nX-Amz-Target: "...)
	b = append(b, operation...)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n"...)
	b = append(b, tokenHeader...)
	b = append(b, "Authorization: AWS4-HMAC-SHA256 Credential="...)
	b = append(b, c.t.keyID...)
	b = append(b, '/')
	b = append(b, scope...)
	b = append(b, ", SignedHeaders="...)
	b = append(b, signed...)
	b = append(b, ", Signature="...)
	b = hex.AppendEncode(b, signature)
	b = append(b, "\r\n\r\n"...)
	b = append(b, body...)
	c.buf = b
	if _, err := c.conn.Write(b); err != nil {
		return 0, nil, err
	}
	return c.answer()
}

// answer reads a response without net/http's costs: this side is not under test.
func (c *client) answer() (status int, body []byte, err error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 12 {
		return 0, nil, errors.New("short status line")
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, err
	}
	length := 0
	for {
		line, err = c.r.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		if len(line) <= 2 {
			break
		}
		if k, v, ok := bytes.Cut(line, []byte(": ")); ok && bytes.EqualFold(k, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return 0, nil, err
			}
		}
	}
	if status != http.StatusOK {
		body = make([]byte, length)
		_, err = io.ReadFull(c.r, body)
		return status, body, err
	}
	_, err = c.r.Discard(length)
	return status, nil, err
}

// request makes the next request of a connection.
type request func(worker, i int) (operation, body string)

// plan is what measure does with the targets.
type plan struct {
	operation   string
	connections int
	request     request
}

// measure runs the rounds of one operation for each of the targets, and keeps the
// median one of each. The targets take turns, so that what else the machine does
// meets them alike and their ratios hold.
func (b *bench) measure(targets []*target, p plan) ([]result, error) {
	requests := make([]request, len(targets))
	for i := range requests {
		requests[i] = p.request
	}
	return b.measureEach(targets, requests, p)
}

// measureEach is measure where each target is asked for something else.
func (b *bench) measureEach(targets []*target, requests []request, p plan) ([]result, error) {
	clients := make([][]*client, len(targets))
	for i, t := range targets {
		for range p.connections {
			c, err := t.dial()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			defer c.conn.Close()
			clients[i] = append(clients[i], c)
		}
		if _, err := round(clients[i], b.length/4, requests[i]); err != nil { // warm-up
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	all := make([][]result, len(targets))
	for range b.rounds {
		for i, t := range targets {
			before := t.cpu()
			r, err := round(clients[i], b.length, requests[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			r.CPU = (t.cpu() - before).Seconds() * 1e6 / float64(r.answered)
			r.Server, r.Operation, r.Connections = t.name, p.operation, p.connections
			all[i] = append(all[i], r)
		}
	}
	var medians []result
	for _, rounds := range all {
		medians = append(medians, middle(rounds))
	}
	return medians, nil
}

// round lets all connections ask as fast as they are answered.
func round(clients []*client, length time.Duration, next request) (result, error) {
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	start := time.Now()
	end := start.Add(length)
	var wg sync.WaitGroup
	for w, c := range clients {
		wg.Go(func() {
			var mine []time.Duration
			var wrong error
			for i := 0; ; i++ {
				begin := time.Now()
				if begin.After(end) {
					break
				}
				status, said, err := c.ask(next(w, i))
				if err == nil && throttled(status, said) {
					// Clients wait before they try again: SDKs up to a second, longer each time.
					time.Sleep(rand.N(100 * time.Millisecond))
					continue
				}
				if err == nil && status != http.StatusOK {
					err = fmt.Errorf("status %d: %s", status, said)
				}
				if wrong = err; wrong != nil {
					break
				}
				mine = append(mine, time.Since(begin))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			failed = cmp.Or(failed, wrong)
		})
	}
	wg.Wait()
	spent := time.Since(start)
	if failed != nil {
		return result{}, failed
	}
	if len(took) == 0 {
		return result{}, errors.New("no request was answered")
	}
	r := result{PerSecond: float64(len(took)) / spent.Seconds(), answered: len(took)}
	r.P50, r.P99 = percentiles(took)
	return r, nil
}

func throttled(status int, said []byte) bool {
	return status == http.StatusBadRequest && bytes.Contains(said, []byte("ThrottlingException"))
}

// percentiles sorts took.
func percentiles(took []time.Duration) (p50, p99 float64) {
	slices.Sort(took)
	micros := func(q float64) float64 {
		return float64(took[min(int(q*float64(len(took))), len(took)-1)].Nanoseconds()) / 1e3
	}
	return micros(0.5), micros(0.99)
}
