package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// verdict is what "strongroom audit verify --json" says of a chain.
type verdict struct {
	OK      bool
	Node    string
	Last    uint64
	Windows []json.RawMessage
	Copies  []verdict
}

func (s *suite) prove(h *host) (v verdict, err error) {
	out, err := h.run(s.binary, "audit", "verify", "--json", "--data", h.path("strongroom"))
	if err == nil {
		err = json.Unmarshal([]byte(out), &v)
	}
	if err == nil && !v.OK {
		err = fmt.Errorf("not proven: %s", out)
	}
	if err != nil {
		err = fmt.Errorf("audit log of %s: %w %s", h.name, err, out)
	}
	return v, err
}

// proveAll proves the chain of each node on its disk, and the copies of all chains from the first host, when they are complete.
func (s *suite) proveAll(t *testing.T) {
	t.Helper()
	for _, h := range s.hosts {
		own, err := s.prove(h)
		if err != nil {
			t.Error(err)
			continue
		}
		await(t, "the records of "+h.name+" are copied", func() error {
			all, err := s.prove(s.hosts[0])
			if err != nil {
				return err
			}
			for _, v := range all.Copies {
				if v.Node == h.node && v.OK && v.Last >= own.Last {
					return nil
				}
			}
			return fmt.Errorf("%+v, and the node has %d", all.Copies, own.Last)
		})
	}
}

// records reads the copies of all chains, each on the host after its own.
func (s *suite) records(_ context.Context, since map[string]uint64, yield func(chain string, seq uint64, body []byte) error) error {
	for i, h := range s.hosts {
		seq := since[h.node]
		reader := s.hosts[(i+1)%len(s.hosts)]
		out, err := reader.run(s.binary, "audit", "tail", "--data", reader.path("strongroom"), "--node", h.node, "--from", fmt.Sprint(seq+1), "--no-follow", "--json")
		if err != nil {
			return fmt.Errorf("records of %s: %w %s", h.name, err, out)
		}
		for line := range strings.Lines(out) {
			seq++
			if err := yield(h.node, seq, []byte(line)); err != nil {
				return err
			}
		}
	}
	return nil
}
