package egress

import (
	"bufio"
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// keepIdle is how long a connection is kept between two requests: what was checked
// before it was made is not to be relied on for long.
const keepIdle = 10 * time.Second

// Session sends one request after another to one host, over a connection that is
// kept while they follow each other closely. It is safe for concurrent use.
type Session struct {
	d *Dialer
	u *url.URL
	o Options

	mu   sync.Mutex
	conn net.Conn
	// in bounds what is read of the connection through buffered.
	in       *io.LimitedReader
	buffered *bufio.Reader
	used     time.Time
}

// Answer is a whole answer, of any status: the caller judges it.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Session returns a session with the host of an https URL. Plain http is taken to
// loopback only. Options.Accept means nothing here.
func (d *Dialer) Session(rawURL string, o Options) (*Session, error) {
	u, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	if o.MaxBody == 0 {
		o.MaxBody = d.c.MaxBody
	}
	return &Session{d: d, u: u, o: o}, nil
}

// Do sends a request to the session's host, whatever host its URL names, and reads
// the answer. The request must be one that may be sent twice: where a kept connection
// turns out to be closed it is. A redirect is an answer like another. Errors are of
// type *Error. ctx bounds the exchange, and should.
func (s *Session) Do(ctx context.Context, request *http.Request) (*Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.conn != nil
	if kept && s.d.c.Now().Sub(s.used) > keepIdle {
		s.drop()
		kept = false
	}
	answer, err := s.attempt(ctx, request)
	if kept && ClassOf(err) == Unreachable && ctx.Err() == nil {
		if request.GetBody != nil {
			body, e := request.GetBody()
			if e != nil {
				return nil, refused(s.u.Hostname(), "its body cannot be sent again")
			}
			request.Body = body
		}
		answer, err = s.attempt(ctx, request)
	}
	return answer, err
}

// attempt sends the request once; after any failure the connection is gone.
func (s *Session) attempt(ctx context.Context, request *http.Request) (_ *Answer, err error) {
	defer func() {
		if err != nil {
			s.drop()
		}
	}()
	if s.conn == nil {
		connecting, cancel := context.WithTimeout(ctx, s.d.c.Time)
		conn, err := s.d.connect(connecting, s.u, s.o)
		cancel()
		if err != nil {
			return nil, err
		}
		s.conn, s.in = conn, &io.LimitedReader{R: conn}
		s.buffered = bufio.NewReader(s.in)
	}
	conn := s.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && err == nil {
			s.drop() // It may end any moment now.
		}
	}()
	if err := request.Write(conn); err != nil {
		return nil, failed(ctx, Unreachable, s.u.Hostname(), "the request could not be sent")
	}
	s.in.N = maxHeader
	answer, err := http.ReadResponse(s.buffered, request)
	if err != nil {
		return nil, failed(ctx, Unreachable, s.u.Hostname(), "no valid answer")
	}
	s.in.N = math.MaxInt64 // The body has a bound of its own.
	body, err := io.ReadAll(io.LimitReader(answer.Body, s.o.MaxBody+1))
	switch {
	case int64(len(body)) > s.o.MaxBody:
		return nil, &Error{Class: TooLarge, Host: s.u.Hostname()}
	case err != nil:
		return nil, failed(ctx, Unreachable, s.u.Hostname(), "no whole answer")
	}
	s.used = s.d.c.Now()
	if answer.Close || s.buffered.Buffered() > 0 { // What nobody asked for is not the next answer.
		s.drop()
	}
	return &Answer{answer.StatusCode, answer.Header, body}, nil
}

func (s *Session) drop() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.conn, s.in, s.buffered = nil, nil, nil
}

// Close ends the connection; the session may be used again.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
}
