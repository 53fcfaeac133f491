package nodes

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/server"
)

// verdict is what "strongroom audit verify --json" says of a chain.
type verdict struct {
	OK      bool   `json:"ok"`
	Node    string `json:"node"`
	Records uint64 `json:"records"`
	Last    uint64 `json:"last"`
	Windows []struct {
		After    uint64
		From, To time.Time
	} `json:"windows"`
	Copies []verdict `json:"copies"`
}

func (n *node) verify() verdict {
	n.t.Helper()
	var v verdict
	out := n.must("audit", "verify", "--json")
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		n.t.Fatalf("%v: %s", err, out)
	}
	return v
}

// create makes a secret.
func (n *node) create(name string) error {
	_, err := n.Secrets().CreateSecret(n.t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: new("value")})
	return err
}

// shipped waits until the database has the record of a call, which is within a
// second where the machine is not busy.
func (n *node) shipped(by *node, text string) {
	n.t.Helper()
	for begun := time.Now(); ; {
		if strings.Contains(n.must("audit", "tail", "--node", by.name, "-n", "1000", "--no-follow", "--json"), text) {
			return
		}
		if time.Since(begun) > time.Minute {
			n.t.Fatalf("%q of %s has not been shipped in a minute", text, by.name)
		}
	}
}

// Each node's chain is proven on every other, its records are shown among theirs,
// and a node that loses its disk costs what it had not shipped and says so, while
// the others notice nothing.
func TestAuditOfAllNodes(t *testing.T) {
	nodes := pair(t)
	a, b := nodes[0], nodes[1]
	var wg sync.WaitGroup
	for i, n := range nodes {
		for k := range 20 {
			wg.Go(func() { check(t, n.create(fmt.Sprintf("of-%d-%d", i, k))) })
		}
	}
	wg.Wait()
	check(t, b.create("last-of-b"))
	a.shipped(b, `"last-of-b"`)
	check(t, a.create("last-of-a"))
	b.shipped(a, `"last-of-a"`)

	for _, n := range nodes {
		v := n.verify()
		if !v.OK || v.Node != n.name || len(v.Copies) != 2 {
			t.Fatalf("%s: %+v", n.name, v)
		}
	}
	// In one list, by time, with the node.
	lines := strings.Split(strings.TrimSpace(a.must("audit", "tail", "-n", "1000", "--no-follow")), "\n")
	line := regexp.MustCompile(`^(\S+)  (\d+)  (\S+Z)  `)
	last, created := "", map[string]int{}
	for _, l := range lines {
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Fatalf("line %q", l)
		}
		if m[3] < last {
			t.Errorf("%s comes behind %s", l, last)
		}
		last = m[3]
		if strings.Contains(l, "secretsmanager:CreateSecret") {
			created[m[1]]++
		}
	}
	if created[a.name] != 21 || created[b.name] != 21 {
		t.Errorf("CreateSecret of %v", created)
	}

	// The node dies, and its disk with it, but for what an operator keeps elsewhere.
	shipped := b.verify().Last
	b.kill()
	check(t, os.RemoveAll(filepath.Join(b.Dir, server.AuditDir)))
	if v := a.verify(); !v.OK || len(v.Copies) != 2 || v.Copies[1].Last < shipped {
		t.Fatalf("without %s: %+v", b.name, v)
	}
	check(t, a.create("while-b-is-gone"))
	b.start()
	check(t, b.create("back-again"))
	a.shipped(b, `"back-again"`)
	for _, v := range []verdict{b.verify(), a.verify().Copies[1]} {
		if !v.OK || v.Node != b.name || len(v.Windows) != 1 || v.Windows[0].After < shipped || !v.Windows[0].From.Before(v.Windows[0].To) {
			t.Errorf("after the loss: %+v", v)
		}
	}
	if text := a.must("audit", "verify"); !strings.Contains(text, "Window:") || strings.Count(text, "proven: everything") != 3 {
		t.Error(text)
	}
	if text := a.must("check"); !strings.Contains(text, "audit_lines") {
		t.Error(text)
	}

	// On stopped nodes the command reads the database itself.
	check(t, a.stop())
	check(t, b.stop())
	if v := a.verify(); !v.OK || len(v.Copies) != 2 || v.Copies[1].Node != b.name {
		t.Errorf("stopped: %+v", v)
	}
}
