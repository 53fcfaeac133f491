package server

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/config"
)

// TestGuard: a handler that panics answers, is logged, and tells no value.
func TestGuard(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := &Server{log: slog.New(slog.NewTextHandler(&log, nil))}
	rec := httptest.NewRecorder()
	s.guarded(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("canary") })).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusInternalServerError || !strings.Contains(rec.Body.String(), "its log says why") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if text := log.String(); !strings.Contains(text, "path=/metrics") || !strings.Contains(text, "TestGuard") || strings.Contains(text, "canary") {
		t.Error(text)
	}
}

// TestFewFiles: each listener counts, the public ones together.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Limits.Connections = 1000
	for _, have := range []uint64{1256, 1255} {
		if w := fewFiles(&cfg, have); (w == "") != (have == 1256) {
			t.Errorf("%d files: %q", have, w)
		}
	}
	cfg.Network.Public.Listen = []string{"127.0.0.1:1", "127.0.0.1:2"}
	cfg.Network.Endpoints = []config.Endpoint{{Listen: []string{"10.0.0.1:1", "unix:/run/a"}}}
	if w := fewFiles(&cfg, 3255); !strings.Contains(w, "3255 files") || !strings.Contains(w, "3256") {
		t.Error(w)
	}
	cfg.Network.Public.Enabled = new(false)
	if w := fewFiles(&cfg, 2256); w != "" {
		t.Error(w)
	}
}
