package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/store"
)

// record is what the tests look at of an audit record.
type record struct {
	EventID   string `json:"eventID"`
	EventName string `json:"eventName"`
	ErrorCode string `json:"errorCode"`

	body []byte
}

// records reads the deployment's whole chain. The server may be running.
func (p place) records(t *testing.T) []record {
	t.Helper()
	var out []record
	err := audit.Scan(t.Context(), filepath.Join(p.dir, server.AuditDir), p.node(t), 1, func(e audit.Entry) error {
		var r record
		if err := json.Unmarshal(e.Body, &r); err != nil {
			return err
		}
		r.body = bytes.Clone(e.Body)
		out = append(out, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (p place) node(t *testing.T) string {
	t.Helper()
	node, err := server.Node(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// successes counts the records of successful calls of an operation that hold
// mark, and fails when two records have one id.
func successes(t *testing.T, all []record, operation, mark string) int {
	t.Helper()
	n := 0
	seen := make(map[string]bool)
	for _, r := range all {
		if seen[r.EventID] {
			t.Errorf("two records have the id %s: %s", r.EventID, r.body)
		}
		seen[r.EventID] = true
		if r.EventName == operation && r.ErrorCode == "" && bytes.Contains(r.body, []byte(mark)) {
			n++
		}
	}
	return n
}

// source is the chain of a stopped server, judged by the heads in its database.
func (p place) source(t *testing.T) audit.Source {
	t.Helper()
	node := p.node(t)
	return audit.Source{Dir: filepath.Join(p.dir, server.AuditDir), Node: node, Heads: func(ctx context.Context) ([]audit.Head, error) {
		c := store.Config{Dir: p.dir}
		if p.url != "" {
			c = store.Config{URL: p.url}
		}
		db, err := store.Open(ctx, c)
		if err != nil {
			return nil, err
		}
		defer db.Close()
		return audit.StoredHeads(ctx, db, node)
	}}
}

// verify proves the chain; running says that the database is in use.
func (p place) verify(t *testing.T, running bool) *audit.Report {
	t.Helper()
	s := p.source(t)
	if running {
		s.Heads = nil
	}
	r, err := audit.Verify(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sound fails when the chain does not hold.
func (p place) sound(t *testing.T, running bool) {
	t.Helper()
	if r := p.verify(t, running); !r.OK() {
		t.Errorf("the audit chain does not hold: %v, gaps %v", r.Broken, r.Gaps)
	}
}
