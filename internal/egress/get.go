package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
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
	transport := d.transport(o)
	defer transport.CloseIdleConnections()
	// The transport alone, without http.Client: no redirects, no cookies.
	answer, err := transport.RoundTrip(request)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			return nil, e
		}
		return nil, failed(ctx, Unreachable, u.Hostname(), "no valid answer")
	}
	defer answer.Body.Close()
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

// transport serves one request: with nothing kept open, each request has its
// address checked. Proxy is nil, so the environment is not asked; HTTP/2 is off
// as it has more to bound; compression is off because the bound is on what is
// sent.
func (d *Dialer) transport(o Options) *http.Transport {
	roots := d.c.RootCAs
	if o.RootCAs != nil {
		roots = o.RootCAs
	}
	return &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return d.dial(ctx, network, address, true)
		},
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return d.dialTLS(ctx, network, address, &tls.Config{RootCAs: roots, Time: d.c.Now, MinVersion: tls.VersionTLS12})
		},
	}
}

func (d *Dialer) dialTLS(ctx context.Context, network, address string, c *tls.Config) (net.Conn, error) {
	host, _, err := split(network, address)
	if err != nil {
		return nil, err
	}
	raw, err := d.dial(ctx, network, address, false)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.c.Time)
	defer cancel()
	c.ServerName = host
	conn := tls.Client(raw, c)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, failed(ctx, TLS, host, handshakeReason(err))
	}
	return conn, nil
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
