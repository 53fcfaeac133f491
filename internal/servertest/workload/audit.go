package workload

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/server"
)

// Records calls yield for each audit record of a deployment, with the name of
// its chain and its number there, beginning in each chain behind the number in
// since.
type Records func(ctx context.Context, since map[string]uint64, yield func(chain string, seq uint64, body []byte) error) error

// Chains reads the chains of nodes by their data directories.
func Chains(dirs ...string) Records {
	return func(ctx context.Context, since map[string]uint64, yield func(string, uint64, []byte) error) error {
		for _, dir := range dirs {
			node, err := server.Node(dir)
			if err != nil {
				return err
			}
			err = audit.Scan(ctx, filepath.Join(dir, server.AuditDir), node, since[node]+1, func(e audit.Entry) error {
				return yield(node, e.Seq, e.Body)
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// trail is what was found in the audit log so far, and what must be in it.
type trail struct {
	seen map[string]uint64 // last number read, by chain
	// found are the request ids of successful calls by mark, more than one
	// separated by spaces.
	found map[string]string
	// must are the request ids of calls that have a record, "" where the answer
	// that would have told it was lost; may are calls that may have one.
	must map[string]string
	may  map[string]bool
}

func newTrail() trail {
	return trail{map[string]uint64{}, map[string]string{}, map[string]string{}, map[string]bool{}}
}

// read goes on where it stopped last.
func (t *trail) read(ctx context.Context, records Records) (n int, err error) {
	err = records(ctx, maps.Clone(t.seen), func(chain string, seq uint64, body []byte) error {
		n++
		t.seen[chain] = seq
		if !bytes.Contains(body, []byte(agent)) {
			return nil
		}
		var r struct {
			UserAgent    string `json:"userAgent"`
			RequestID    string `json:"requestID"`
			ErrorCode    string `json:"errorCode"`
			InvokedBy    string `json:"invokedBy"`
			UserIdentity struct {
				InvokedBy string `json:"invokedBy"`
			} `json:"userIdentity"`
		}
		if err := json.Unmarshal(body, &r); err != nil {
			return fmt.Errorf("record %d of %s: %w", seq, chain, err)
		}
		if mark, ours := strings.CutPrefix(r.UserAgent, agent); ours && r.ErrorCode == "" {
			t.found[mark] = strings.TrimSpace(t.found[mark] + " " + r.RequestID)
		}
		return nil
	})
	return n, err
}

// judge compares the records with what must be there, and returns what is wrong.
// What was judged once is only judged again by forget.
func (t *trail) judge() (wrong []string) {
	for mark, id := range t.must {
		found := t.found[mark]
		switch {
		case found == "":
			wrong = append(wrong, fmt.Sprintf("the change of call %s has no audit record", mark))
		case strings.Contains(found, " "):
			wrong = append(wrong, fmt.Sprintf("call %s has more than one audit record: %s", mark, found))
		case id != "" && found != id:
			wrong = append(wrong, fmt.Sprintf("call %s has request id %s, its audit record %s", mark, id, found))
		}
	}
	for mark, found := range t.found {
		if _, ok := t.must[mark]; ok {
			continue
		}
		if !t.may[mark] {
			wrong = append(wrong, fmt.Sprintf("call %s has an audit record and has changed nothing: %s", mark, found))
		} else if strings.Contains(found, " ") {
			wrong = append(wrong, fmt.Sprintf("call %s has more than one audit record: %s", mark, found))
		}
	}
	return wrong
}

// again forgets what was read, so that the log is read from its beginning.
func (t *trail) again() { t.seen, t.found = map[string]uint64{}, map[string]string{} }
