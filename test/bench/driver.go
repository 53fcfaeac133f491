package main

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/sigv4"
)

const region = "us-east-1"

// client is one keep-alive connection that signs each request itself.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	buf  bytes.Buffer
	key  sigv4.Key
	date string
	t    *target
}

func (t *target) dial() (*client, error) {
	conn, err := tls.Dial("tcp", t.address, &tls.Config{RootCAs: t.roots, ServerName: "localhost", MinVersion: tls.VersionTLS13})
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, r: bufio.NewReaderSize(conn, 64<<10), t: t}, nil
}

// do sends one request and reads its answer; the body is thrown away unless the
// status is not 200.
func (c *client) do(operation, body string) (status int, err error) {
	now := time.Now().UTC()
	stamp := now.Format("20060102T150405Z")
	if c.date != stamp[:8] {
		c.date = stamp[:8]
		c.key = sigv4.SigningKey([]byte(c.t.secret), c.date, region, "secretsmanager")
	}
	signed, tokenLine, tokenHeader := "content-type;host;x-amz-date;x-amz-target", "", ""
	if c.t.token != "" {
		signed = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
		tokenLine, tokenHeader = "\nx-amz-security-token:"+c.t.token, "X-Amz-Security-Token: "+c.t.token+"\r\n"
	}
	hash := sha256.Sum256([]byte(body))
	canonical := "POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:" + c.t.address + "\nx-amz-date:" + stamp + tokenLine +
		"\nx-amz-target:" + operation + "\n\n" + signed + "\n" + hex.EncodeToString(hash[:])
	scope := c.date + "/" + region + "/secretsmanager/aws4_request"
	sum := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, c.key[:])
	mac.Write([]byte("AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(sum[:])))
	c.buf.Reset()
	fmt.Fprintf(&c.buf, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Date: %s\r\nX-Amz-Target: %s\r\nContent-Length: %d\r\n%s"+
		"Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x\r\n\r\n%s",
		c.t.address, stamp, operation, len(body), tokenHeader, c.t.keyID, scope, signed, mac.Sum(nil), body)
	if _, err := c.conn.Write(c.buf.Bytes()); err != nil {
		return 0, err
	}
	return c.answer()
}

// answer reads a response without net/http's costs: this side is not under test.
func (c *client) answer() (status int, err error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, errors.New("short status line")
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, err
	}
	length := 0
	for {
		line, err = c.r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		if k, v, ok := bytes.Cut(line, []byte(": ")); ok && bytes.EqualFold(k, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return 0, err
			}
		}
	}
	if status != http.StatusOK {
		body := make([]byte, length)
		if _, err := io.ReadFull(c.r, body); err != nil {
			return 0, err
		}
		return status, fmt.Errorf("status %d: %s", status, body)
	}
	_, err = c.r.Discard(length)
	return status, err
}

// measure runs the rounds of one operation for each of the targets, and keeps the
// median one of each. The targets take turns, so that what else the machine does
// meets them alike and their ratios hold.
func measure(targets []*target, operation string, connections int, length time.Duration, rounds int, request func(worker, i int) (string, string)) ([]result, error) {
	clients := make([][]*client, len(targets))
	for i, t := range targets {
		for range connections {
			c, err := t.dial()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			defer c.conn.Close()
			clients[i] = append(clients[i], c)
		}
		if _, err := round(clients[i], length/4, request); err != nil { // warm-up
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	all := make([][]result, len(targets))
	for range rounds {
		for i, t := range targets {
			before := t.cpu()
			r, err := round(clients[i], length, request)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			r.CPU = (t.cpu() - before).Seconds() * 1e6 / (r.PerSecond * length.Seconds())
			r.Server, r.Operation, r.Connections = t.name, operation, connections
			all[i] = append(all[i], r)
		}
	}
	var medians []result
	for _, rounds := range all {
		var rates []float64
		for _, r := range rounds {
			rates = append(rates, r.PerSecond)
		}
		slices.SortFunc(rounds, func(a, b result) int { return int(a.PerSecond - b.PerSecond) })
		median := rounds[len(rounds)/2]
		median.Rounds = rates
		medians = append(medians, median)
	}
	return medians, nil
}

// round lets all connections ask as fast as they are answered.
func round(clients []*client, length time.Duration, request func(worker, i int) (string, string)) (result, error) {
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	failures := 0
	start := time.Now()
	end := start.Add(length)
	var wg sync.WaitGroup
	for w, c := range clients {
		wg.Go(func() {
			var mine []time.Duration
			var firstErr error
			bad := 0
			for i := 0; ; i++ {
				begin := time.Now()
				if begin.After(end) {
					break
				}
				if _, err := c.do(request(w, i)); err != nil {
					bad++
					firstErr = err
					break
				}
				mine = append(mine, time.Since(begin))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			failures += bad
			if firstErr != nil {
				failed = firstErr
			}
		})
	}
	wg.Wait()
	spent := time.Since(start)
	if failed != nil {
		return result{Errors: failures}, failed
	}
	if len(took) == 0 {
		return result{}, errors.New("no request was answered")
	}
	slices.Sort(took)
	micros := func(q float64) float64 {
		return float64(took[min(int(q*float64(len(took))), len(took)-1)].Nanoseconds()) / 1e3
	}
	return result{PerSecond: float64(len(took)) / spent.Seconds(), P50: micros(0.5), P99: micros(0.99), Errors: failures}, nil
}
