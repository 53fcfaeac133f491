package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/endpoint"
	"github.com/strongroom/strongroom/internal/limit"
	"github.com/strongroom/strongroom/internal/panics"
	"github.com/strongroom/strongroom/internal/wire"
)

// Serve listens and answers until ctx ends, goes on for the drain time as not ready,
// and then lets the calls under way finish within the shutdown time. ready, if not nil, is called with the address of the
// API once all listeners stand: the public one's, or that of the first private
// endpoint when there is no public one.
func (s *Server) Serve(ctx context.Context, ready func(net.Addr)) error {
	errorLog := s.errorLog()
	apis, err := s.listen()
	defer closeAll(apis)
	if err != nil {
		return err
	}
	// One server for all public listeners: it takes as many as there are.
	api := s.apiServer()
	api.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		ctx = wire.WithWait(ctx, limit.Waited(c))
		if s.clients != nil {
			ctx = wire.WithDoor(ctx, s.clients.Door())
		}
		return ctx
	}
	var servers []*http.Server
	listeners := apis
	for range apis {
		servers = append(servers, api)
	}
	add := func(l net.Listener, handler http.Handler) {
		servers = append(servers, &http.Server{Handler: s.guarded(handler), ReadHeaderTimeout: 5 * time.Second, ErrorLog: errorLog})
		listeners = append(listeners, l)
	}
	socket, err := s.listenOperator()
	if err != nil {
		return err
	}
	defer socket.Close()
	add(socket, s.operatorHandler())
	if s.config.Operations != "" {
		l, err := net.Listen("tcp", s.config.Operations)
		if err != nil {
			return fmt.Errorf("listen for health and metrics: %w", err)
		}
		defer l.Close()
		add(l, s.operationsHandler())
	}
	if err := s.endpoints.Apply(&s.config); err != nil {
		return err
	}
	s.own.set(listeners)

	jobsCtx, stopJobs := context.WithCancel(context.WithoutCancel(ctx)) // They go on while the server drains.
	var wg sync.WaitGroup
	if !s.manual {
		wg.Go(func() { s.RunJobs(jobsCtx) })
	}
	wg.Go(func() { s.watchNetwork(jobsCtx) })
	if s.ship != nil {
		wg.Go(func() { s.ship.Run(jobsCtx) })
	}
	failed := make(chan error, len(servers))
	for i, server := range servers {
		wg.Go(func() {
			if err := server.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	at := s.address(apis)
	if err := s.noteEndpoint(at); err != nil {
		s.log.Warn("cannot write down the endpoint; \"strongroom env\" will print the configured one", "error", err)
	}
	if ready != nil {
		ready(at)
	}
	select {
	case <-ctx.Done():
		err = nil
		s.drain()
	case err = <-failed:
	case <-s.audit.Stopped():
		err = s.stopped()
	}
	stopJobs()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Limits.ShutdownTime)
	defer cancel()
	private := make(chan error, 1)
	go func() { private <- s.endpoints.Close(end) }()
	for _, server := range servers {
		if e := server.Shutdown(end); e != nil {
			err = errors.Join(err, e, server.Close())
		}
	}
	err = errors.Join(err, <-private)
	wg.Wait()
	return errors.Join(err, s.shipRest(end))
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

// address is where the API is reached.
func (s *Server) address(apis []net.Listener) net.Addr {
	if len(apis) > 0 {
		return apis[0].Addr()
	}
	return s.endpoints.Addr()
}

// noteEndpoint leaves the URL for "strongroom env": flags and a port of 0 make
// it another one than the configuration's.
func (s *Server) noteEndpoint(addr net.Addr) error {
	at := s.config
	if _, port, err := net.SplitHostPort(at.URLAddress()); err == nil && port == "0" {
		at.Listen, at.Network = addr.String(), config.Network{}
	}
	return writeFile(filepath.Join(s.config.Data, endpointFile), []byte(at.URL()+"\n"))
}

// errorLog is where net/http tells of connections that went wrong: anybody can make
// it speak.
func (s *Server) errorLog() *log.Logger {
	return slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
}

func (s *Server) apiServer() *http.Server {
	l := s.config.Limits
	return &http.Server{
		Handler: s.withHealth(s.api), ErrorLog: s.errorLog(), MaxHeaderBytes: l.Header,
		ReadHeaderTimeout: l.HeaderTime, ReadTimeout: l.ReadTime, WriteTimeout: l.WriteTime, IdleTimeout: l.IdleTime,
	}
}

// listen opens the API's public listeners, with TLS unless plain HTTP was asked
// for. Those that it opened are returned with an error too.
func (s *Server) listen() (out []net.Listener, err error) {
	addresses := s.config.PublicListen()
	if len(addresses) == 0 {
		return nil, nil
	}
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return out, fmt.Errorf("listen: %w", err)
		}
		out = append(out, limit.Listen(l, s.public, s.addresses))
	}
	if s.config.InsecureHTTP {
		return out, nil
	}
	var source *ca.Source
	if t := s.config.TLS; t.Certificate != "" {
		source, err = ca.Files(t.Certificate, t.Key)
	} else {
		source, err = ca.Local(s.config.Data, s.config.CertificateHosts(), s.now())
	}
	if err != nil {
		return out, err
	}
	base := &tls.Config{
		MinVersion: tls.VersionTLS13,
		// HTTP/2 would let one connection open streams without end, and AWS's own
		// endpoint for this service does not speak it either.
		NextProtos: []string{"http/1.1"},
		// An answer is one message that is of no use in part: it goes into one record and
		// one write from a connection's first on, and not only after 128 KB.
		DynamicRecordSizingDisabled: true,
		GetCertificate:              source.Certificate,
	}
	if s.clients, err = endpoint.NewClients(&s.config, base, s.now); err != nil {
		return out, err
	}
	if s.clients != nil {
		base = s.clients.Config()
	}
	for i, l := range out {
		out[i] = tls.NewListener(l, base)
	}
	return out, nil
}

// limitPrivate bounds the connections of a private listener.
func (s *Server) limitPrivate(l net.Listener) net.Listener {
	return limit.Listen(l, limit.NewSlots(connections(&s.config)), nil) // The gate asks for the address itself.
}

// operationsHandler serves health and metrics. It is on loopback and tells
// nothing about secrets, principals or names.
func (s *Server) operationsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", s.readyzOperator)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}))
	return mux
}

// listenOperator opens the operator's socket. The directory is 0700 and the
// socket 0600; who connects is checked again by the kernel's word.
func (s *Server) listenOperator() (net.Listener, error) {
	path := filepath.Join(s.config.Data, SocketFile)
	// The store holds the directory's lock, so a socket that is there was left
	// by a process that is gone.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		if strings.Contains(err.Error(), "invalid argument") {
			return nil, fmt.Errorf("listen on %s: %w (the path is too long for a socket; choose a shorter data directory)", path, err)
		}
		return nil, fmt.Errorf("listen on operator socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return &ownerOnly{Listener: l}, nil
}

// guarded answers a panic of a handler that is not the API's, which has its own
// guard. net/http would survive it as well, and tell nobody.
func (s *Server) guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.log.Error("request handling panicked", "path", r.URL.Path, "error", panics.New(p))
			writeAnswer(w, http.StatusInternalServerError, operatorError{"the server could not do it; its log says why"})
		}()
		h.ServeHTTP(w, r)
	})
}

func writeAnswer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the peer may be gone; nothing to do then
}
