package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Options change one Get; all of it may be left at zero.
type Options struct {
	// RootCAs are trusted instead of the Dialer's.
	RootCAs *x509.CertPool
	// MaxBody is the bound in bytes instead of the Dialer's.
	MaxBody int64
	// Accept is the media type asked for; application/json if empty.
	Accept string
}

// maxHeader bounds the headers of an answer.
const maxHeader = 32 << 10

// Get fetches what is at an https URL: the body of an answer with status 200, and
// of no other. A redirect is an answer of another status. Plain http is taken to
// loopback only, where loopback is allowed. Errors are of type *Error.
func (d *Dialer) Get(ctx context.Context, rawURL string, o Options) ([]byte, error) {
	u, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.c.Time)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, refused(u.Hostname(), "not a URL")
	}
	request.Header.Set("Accept", "application/json")
	if o.Accept != "" {
		request.Header.Set("Accept", o.Accept)
	}
	request.Header.Set("User-Agent", "strongroom")
	request.Close = true
	// One connection for one request, written and read here: http.Transport logs
	// what a peer says out of turn, asks the environment for a proxy unless told
	// not to, and keeps connections whose address was checked long ago.
	conn, err := d.connect(ctx, u, o)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	answer, err := exchange(ctx, conn, request)
	if err != nil {
		return nil, failed(ctx, Unreachable, u.Hostname(), "no valid answer")
	}
	// The body is not closed: that would read the rest of it. The connection is.
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, &Error{Class: Auth, Host: u.Hostname(), Status: answer.StatusCode}
	default:
		return nil, &Error{Class: Status, Host: u.Hostname(), Status: answer.StatusCode, Reason: "answered another status than 200"}
	}
	limit := d.c.MaxBody
	if o.MaxBody > 0 {
		limit = o.MaxBody
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	switch {
	case int64(len(body)) > limit:
		return nil, &Error{Class: TooLarge, Host: u.Hostname()}
	case err != nil:
		return nil, failed(ctx, Unreachable, u.Hostname(), "no whole answer")
	}
	return body, nil
}

func parse(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return nil, refused("?", "not a URL")
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return nil, refused(u.Hostname(), "not an https URL")
	}
	if u.User != nil {
		return nil, refused(u.Hostname(), "a URL with a password")
	}
	return u, nil
}

// connect opens a connection to the host of a URL, with TLS for https.
func (d *Dialer) connect(ctx context.Context, u *url.URL, o Options) (net.Conn, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	conn, err := d.dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port), u.Scheme == "http")
	if err != nil || u.Scheme == "http" {
		return conn, err
	}
	roots := d.c.RootCAs
	if o.RootCAs != nil {
		roots = o.RootCAs
	}
	secure := tls.Client(conn, &tls.Config{ServerName: u.Hostname(), RootCAs: roots, Time: d.c.Now, MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, failed(ctx, TLS, u.Hostname(), handshakeReason(err))
	}
	return secure, nil
}

// exchange sends the request and reads the answer up to its body. The end of ctx
// ends reading, also of the body.
func exchange(ctx context.Context, conn net.Conn, request *http.Request) (*http.Response, error) {
	context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	bounded := &io.LimitedReader{R: conn, N: maxHeader}
	answer, err := http.ReadResponse(bufio.NewReader(bounded), request)
	bounded.N = math.MaxInt64 // the body has a bound of its own
	return answer, err
}

// handshakeReason says in our words what was wrong: the library's name what is in
// the certificate.
func handshakeReason(err error) string {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown):
		return "certificate of an authority that is not trusted"
	case errors.As(err, &hostname):
		return "certificate for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "certificate outside its time"
	case errors.As(err, &invalid):
		return "certificate not valid"
	}
	return "no handshake"
}
