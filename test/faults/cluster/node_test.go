package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/servertest/program"
)

// cluster is all that runs.
type cluster struct {
	t      testing.TB
	binary string // the program under test
	hosts  []*host
	admin  server.Credentials
}

func (c *cluster) host(name string) *host {
	for _, h := range c.hosts {
		if h.name == name {
			return h
		}
	}
	c.t.Fatalf("no host is %q", name)
	return nil
}

// others are the hosts but one.
func (c *cluster) others(but *host) (out []*host) {
	for _, h := range c.hosts {
		if h != but {
			out = append(out, h)
		}
	}
	return out
}

// newCluster starts three hosts and waits until they are one deployment.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{t: t, binary: filepath.Join(root, "strongroom"), hosts: newHosts(t, "a", "b", "c")}
	b, err := os.ReadFile(program.Path(t))
	if err == nil {
		err = os.WriteFile(c.binary, b, 0o755) // Where every account gets at it.
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			c.keepLogs()
		}
	})
	for _, h := range c.hosts {
		c.startEtcd(h, "new")
	}
	for _, h := range c.hosts {
		c.startPatroni(h)
	}
	await(t, "the database is whole", func() error { return c.whole(len(c.hosts)) })
	for _, statement := range []string{"CREATE ROLE strongroom LOGIN PASSWORD '" + password + "'", "CREATE DATABASE strongroom OWNER strongroom"} {
		if err := c.sql("postgres", statement); err != nil {
			t.Fatal(err)
		}
	}
	c.initNodes()
	for _, h := range c.hosts {
		c.startNode(h)
	}
	for _, h := range c.hosts {
		c.awaitNode(h)
	}
	return c
}

// keepLogs copies what the programs said to where it outlives the namespaces.
func (c *cluster) keepLogs() {
	dir, err := os.MkdirTemp("", "cluster-logs-")
	if err != nil {
		c.t.Error(err)
		return
	}
	logs, _ := filepath.Glob(filepath.Join(root, "*.log"))
	for _, log := range logs {
		b, err := os.ReadFile(log)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(log)), b, 0o600)
		}
		if err != nil {
			c.t.Error(err)
		}
	}
	c.t.Logf("the programs' logs are in %s", dir)
}

func (c *cluster) initNodes() {
	c.t.Helper()
	first := c.hosts[0]
	first.mkdir("strongroom")
	dir := first.path("strongroom")
	out, err := first.run(c.binary, "init", "--data", dir, "--account-id", servertest.Account, "--database", c.databaseURL("strongroom", "strongroom"),
		"--region", servertest.Region, "--regions", servertest.Region+","+servertest.Other)
	if err != nil {
		c.t.Fatalf("init: %v %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, server.CredentialsFile))
	if err == nil {
		err = json.Unmarshal(b, &c.admin)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	if first.node, err = server.Node(dir); err != nil {
		c.t.Fatal(err)
	}
	for _, h := range c.hosts[1:] {
		h.node = "node-" + h.name
		c.joinNode(h)
	}
}

// joinNode makes the data directory of a further node, or again that of one which lost it. The root key comes from another host.
func (c *cluster) joinNode(h *host) {
	c.t.Helper()
	key, err := os.ReadFile(filepath.Join(c.others(h)[0].path("strongroom"), server.RootKeyFile))
	if err != nil {
		c.t.Fatal(err)
	}
	h.write("root.key", string(key))
	out, err := h.run(c.binary, "node", "join", "--data", h.path("strongroom"), "--root-key", h.path("root.key"), "--name", h.node,
		"--database", c.databaseURL("strongroom", "strongroom"), "--listen", h.ip+":4766")
	if err != nil {
		c.t.Fatalf("node join: %v %s", err, out)
	}
}

func (h *host) url() string { return "https://" + h.ip + ":4766" }

func (c *cluster) startNode(h *host) {
	c.t.Helper()
	h.start("strongroom", c.binary, "server", "--data", h.path("strongroom"), "--listen", h.ip+":4766")
}

// awaitNode waits until a node is ready.
func (c *cluster) awaitNode(h *host) {
	c.t.Helper()
	await(c.t, "node "+h.name+" is ready", func() error {
		select {
		case <-h.processes["strongroom"].gone:
			// As a service manager does: one that starts during a failover finds no primary.
			c.startNode(h)
		default:
		}
		status, body, err := h.operations("/readyz")
		if err == nil && status != 200 {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	})
}
