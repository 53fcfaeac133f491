package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/strongroom/strongroom/internal/audit"
)

// AuditHeads are what the database holds to prove a node's audit chain with.
type AuditHeads struct {
	Node  string      `json:"node"`
	Heads []AuditHead `json:"heads"`
}

// AuditHead is an audit.Head of that node.
type AuditHead struct {
	Segment   uint64    `json:"segment"`
	Seq       uint64    `json:"seq"`
	Chain     string    `json:"chain"` // hexadecimal
	Time      time.Time `json:"time"`
	Signature []byte    `json:"signature"`
}

// AuditLines is a run of a shipped segment; none when the byte that was asked for
// has not been shipped.
type AuditLines struct {
	From  uint64 `json:"from"`
	Lines []byte `json:"lines"`
}

// handleAudit lets "strongroom audit" read what the database has of all chains while
// this process keeps everybody else out of it, or alone knows its password.
func (s *Server) handleAudit(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/audit/chains", func(w http.ResponseWriter, r *http.Request) {
		chains, err := audit.Chains(r.Context(), s.db)
		s.operatorAnswer(w, chains, err)
	})
	mux.HandleFunc("GET /v1/audit/chains/{node}/heads", func(w http.ResponseWriter, r *http.Request) {
		heads, err := s.auditHeads(r.Context(), r.PathValue("node"))
		s.operatorAnswer(w, heads, err)
	})
	copies := audit.Copied(s.db)
	mux.HandleFunc("GET /v1/audit/chains/{node}/segments", func(w http.ResponseWriter, r *http.Request) {
		segments, err := copies.Segments(r.Context(), r.PathValue("node"))
		s.operatorAnswer(w, segments, err)
	})
	mux.HandleFunc("GET /v1/audit/chains/{node}/segments/{segment}/{place}", func(w http.ResponseWriter, r *http.Request) {
		segment, err := strconv.ParseUint(r.PathValue("segment"), 10, 63)
		place, placeErr := strconv.ParseUint(r.PathValue("place"), 10, 63)
		if err != nil || placeErr != nil {
			writeAnswer(w, http.StatusBadRequest, operatorError{"request is not understood"})
			return
		}
		var out AuditLines
		out.Lines, out.From, err = copies.Lines(r.Context(), r.PathValue("node"), segment, place)
		s.operatorAnswer(w, out, err)
	})
}

func (s *Server) auditHeads(ctx context.Context, node string) (AuditHeads, error) {
	heads, err := audit.StoredHeads(ctx, s.db, node)
	out := AuditHeads{Node: node, Heads: make([]AuditHead, 0, len(heads))}
	for _, h := range heads {
		out.Heads = append(out.Heads, AuditHead{h.Segment, h.Seq, h.Chain.String(), h.Time, h.Signature})
	}
	return out, err
}
