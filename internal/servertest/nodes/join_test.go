package nodes

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// directory makes the node of a directory that no server has used yet.
func (n *node) directory(name string) *node {
	dir := filepath.Join(filepath.Dir(n.Dir), name)
	return &node{t: n.t, url: n.url, Server: &servertest.Server{Admin: n.Admin, Dir: dir, HTTP: n.HTTP, Log: &servertest.Buffer{}}}
}

// One command makes a further node, given the root key. It serves under a
// certificate of the same authority, and nothing is left behind by a wrong key.
func TestJoin(t *testing.T) {
	nodes := pair(t)
	a, b := nodes[0], nodes[1]

	c := a.directory("c")
	if out, code := c.strongroom("node", "join"); code != 1 || !strings.Contains(out, "root.key") {
		t.Errorf("without a root key: %d %s", code, out)
	}
	other := filepath.Join(filepath.Dir(a.Dir), "other")
	wrong := configuration(other, "")
	if _, err := server.Init(t.Context(), wrong, servertest.Account, quiet(c.Log)); err != nil {
		t.Fatal(err)
	}
	if out, code := c.strongroom("node", "join", "--root-key", filepath.Join(other, server.RootKeyFile)); code != 1 || !strings.Contains(out, "keyring") {
		t.Errorf("with another root key: %d %s", code, out)
	}
	if out, code := c.strongroom("node", "join", "--database", "", "--root-key", filepath.Join(a.Dir, server.RootKeyFile)); code != 1 || !strings.Contains(out, "PostgreSQL") {
		t.Errorf("without a database: %d %s", code, out)
	}
	if server.Initialised(c.Dir) {
		t.Fatal("joined")
	}

	out := c.must("node", "join", "--root-key", filepath.Join(a.Dir, server.RootKeyFile), "--listen", "127.0.0.1:0")
	if !strings.Contains(out, "server --data") {
		t.Error(out)
	}
	if out, code := c.strongroom("node", "join"); code != 1 || !strings.Contains(out, "initialised already") {
		t.Errorf("again: %d %s", code, out)
	}
	var err error
	c.name, err = server.Node(c.Dir)
	check(t, err)
	if _, err := os.Stat(filepath.Join(c.Dir, server.CredentialsFile)); err == nil {
		t.Error("a further node has a key of the admin")
	}
	c.start()
	t.Cleanup(func() { check(t, c.stop()) })
	check(t, c.create("by-c")) // HTTP trusts the first node's authority.
	a.shipped(c, `"by-c"`)

	var rows []struct {
		Node string
		Here bool
		Last uint64 `json:"lastRecord"`
	}
	check(t, json.Unmarshal([]byte(b.must("node", "list", "--json")), &rows))
	if len(rows) != 3 || !rows[0].Here || rows[0].Node != b.name {
		t.Errorf("%+v", rows)
	}
	for _, r := range rows {
		if r.Last == 0 {
			t.Errorf("%s has signed nothing", r.Node)
		}
	}
}

// A node that is gone for good, with what it had not shipped, is retired from
// another: its chain is closed, says what may be missing, and has the records of
// its changes. Were it alive, it would be refused.
func TestRetire(t *testing.T) {
	nodes := pair(t)
	a, b := nodes[0], nodes[1]
	check(t, b.create("before"))
	a.shipped(b, `"before"`)
	check(t, b.create("last"))
	b.kill()
	check(t, os.RemoveAll(b.Dir))
	if out, code := a.strongroom("node", "retire", "nobody"); code != 1 || !strings.Contains(out, "no such node") {
		t.Errorf("%d %s", code, out)
	}
	if out, code := a.strongroom("node", "retire", a.name); code != 1 || !strings.Contains(out, "this directory") {
		t.Errorf("%d %s", code, out)
	}
	if out := a.must("node", "retire", b.name); !strings.Contains(out, "is closed behind record") {
		t.Error(out)
	}
	v := a.verify()
	if !v.OK || len(v.Copies) != 2 || len(v.Copies[1].Windows) != 1 {
		t.Errorf("%+v", v)
	}
	tail := a.must("audit", "tail", "--node", b.name, "-n", "100", "--no-follow", "--json")
	if strings.Count(tail, `"eventName":"CreateSecret"`) != 2 {
		t.Error(tail)
	}

	// It comes back after all, under its name, on a new disk.
	b.must("node", "join", "--root-key", filepath.Join(a.Dir, server.RootKeyFile), "--listen", "127.0.0.1:0", "--name", b.name)
	b.start()
	check(t, b.create("back"))
	a.shipped(b, `"back"`)
	if v := a.verify(); !v.OK || len(v.Copies[1].Windows) != 2 {
		t.Errorf("%+v", v)
	}

	// The other way about: retired by mistake.
	c := a.directory("c")
	c.must("node", "join", "--root-key", filepath.Join(a.Dir, server.RootKeyFile), "--listen", "127.0.0.1:0", "--name", "c")
	c.name = "c"
	c.start()
	a.must("node", "retire", "c")
	await(t, "the retired node refuses calls", func() bool { return c.create("late") != nil })
	check(t, a.create("fine"))
	c.kill()
	c.start()
	check(t, c.create("started-again"))
	a.shipped(c, `"started-again"`)
	check(t, c.stop())
	if v := a.verify(); !v.OK || len(v.Copies) != 3 {
		t.Errorf("%+v", v)
	}
}
