package server

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
