package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

// readiness says whether a load balancer should send calls here.
type readiness struct {
	draining atomic.Bool

	mu      sync.Mutex
	checked time.Time
	err     error
}

const (
	// readyTime is how long the database may take to answer the question.
	readyTime = 2 * time.Second
	// readyFor is how long an answer is good for, so that asking costs nothing: at
	// the API anybody may ask.
	readyFor = 250 * time.Millisecond
)

var (
	errDraining = errors.New("the server is about to end")
	errSilent   = errors.New("database does not answer")
	errOlder    = errors.New("a newer release has changed the database: end this one")
	errStopped  = errors.New("the audit log has stopped")
	errNoRoom   = errors.New("there is no room for audit records")
)

// Ready returns why calls should go elsewhere, or nil.
func (s *Server) Ready(ctx context.Context) error {
	if s.readiness.draining.Load() {
		return errDraining
	}
	r := &s.readiness
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) < readyFor {
		return r.err
	}
	// Whoever asks meanwhile waits for this answer, so that a silent database is
	// asked by one at a time.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTime)
	defer cancel()
	r.err = nil
	record := s.audit.Stats()
	switch err := s.db.Fit(ctx); {
	case errors.Is(err, store.ErrNewer):
		r.err = errOlder
	case err != nil:
		r.err = errSilent
	case record.Failed:
		r.err = errStopped
	case record.NoRoom:
		r.err = errNoRoom
	}
	r.checked = time.Now()
	return r.err
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if err := s.Ready(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// readyzOperator also tells of changes that are refused while reads are answered,
// which elsewhere they would not be.
func (s *Server) readyzOperator(w http.ResponseWriter, r *http.Request) {
	if _, changes := s.trouble(); changes != "" && s.Ready(r.Context()) == nil {
		fmt.Fprintln(w, "ready, but changes are refused: "+changes)
		return
	}
	s.readyz(w, r)
}

func healthz(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// withHealth answers a load balancer at the API's own listeners: the one for
// operations is on loopback. No service of AWS has these paths, and nothing is told
// but one word. While the server drains, answers ask clients for new connections,
// which the load balancer takes elsewhere.
func (s *Server) withHealth(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.readiness.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		if r.Method == http.MethodGet && r.URL.RawQuery == "" {
			switch r.URL.Path {
			case "/healthz":
				healthz(w, r)
				return
			case "/readyz":
				s.readyz(w, r)
				return
			}
		}
		api.ServeHTTP(w, r)
	})
}

// drain has the load balancer send calls elsewhere before the listeners close.
func (s *Server) drain() {
	s.readiness.draining.Store(true)
	if d := s.config.Limits.DrainTime; d > 0 {
		s.log.Info("draining: not ready any more, calls are still answered", "time", d)
		time.Sleep(d)
	}
}
