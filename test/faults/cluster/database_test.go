package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// password is of every role: the network is ours alone.
const password = "cluster"

// patroniConfig is the configuration that docs/guide/postgresql-ha.md explains.
const patroniConfig = `
scope: strongroom
name: %[1]s
restapi: {listen: '%[2]s:8008', connect_address: '%[2]s:8008'}
etcd3: {hosts: '%[3]s'}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 8
    maximum_lag_on_failover: 1048576
    primary_start_timeout: 0
    synchronous_mode: true
    synchronous_mode_strict: true
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        max_connections: 200
        shared_buffers: 32MB
        wal_level: replica
        wal_log_hints: 'on'
        max_wal_size: 256MB
        wal_keep_size: 64MB
        password_encryption: scram-sha-256
        log_min_messages: warning
  initdb: [{encoding: UTF8}, {locale: C.UTF-8}, data-checksums, no-sync]
  pg_hba:
    - local all postgres scram-sha-256
    - host replication replicator 10.77.0.0/24 scram-sha-256
    - host all all 10.77.0.0/24 scram-sha-256
postgresql:
  listen: '%[2]s:5432'
  connect_address: '%[2]s:5432'
  use_unix_socket: true
  data_dir: '%[4]s/data'
  bin_dir: '%[5]s'
  pgpass: '%[4]s/pgpass'
  parameters: {unix_socket_directories: '%[4]s'}
  authentication:
    superuser: {username: postgres, password: cluster}
    replication: {username: replicator, password: cluster}
    rewind: {username: rewinder, password: cluster}
watchdog: {mode: 'off'}
`

// members are the hosts as etcd wants them.
func members(hosts []*host, form string) string {
	var out []string
	for _, h := range hosts {
		out = append(out, strings.NewReplacer("NAME", h.name, "IP", h.ip).Replace(form))
	}
	return strings.Join(out, ",")
}

func (c *cluster) startEtcd(h *host, state string) {
	c.t.Helper()
	h.mkdir("etcd")
	h.start("etcd", filepath.Join(os.Getenv(programsVariable), "etcd"), "--name", h.name, "--data-dir", h.path("etcd"),
		"--listen-peer-urls", "http://"+h.ip+":2380", "--initial-advertise-peer-urls", "http://"+h.ip+":2380",
		"--listen-client-urls", "http://"+h.ip+":2379", "--advertise-client-urls", "http://"+h.ip+":2379",
		"--initial-cluster", members(c.hosts, "NAME=http://IP:2380"), "--initial-cluster-state", state,
		"--heartbeat-interval", "250", "--election-timeout", "2500", "--log-level", "warn")
}

// etcdctl asks the members that are not left out.
func (c *cluster) etcdctl(without *host, args ...string) string {
	c.t.Helper()
	var up []*host
	for _, h := range c.hosts {
		if h != without {
			up = append(up, h)
		}
	}
	out, err := up[0].run(filepath.Join(os.Getenv(programsVariable), "etcdctl"), append([]string{"--endpoints", members(up, "http://IP:2379")}, args...)...)
	if err != nil {
		c.t.Fatalf("etcdctl %s: %v %s", args, err, out)
	}
	return out
}

func (c *cluster) startPatroni(h *host) {
	c.t.Helper()
	h.mkdir("postgresql")
	h.write("patroni.yml", fmt.Sprintf(patroniConfig, h.name, h.ip, members(c.hosts, "IP:2379"), h.path("postgresql"), os.Getenv(postgresVariable)))
	h.start("patroni", filepath.Join(os.Getenv(programsVariable), "patroni"), h.path("patroni.yml"))
}

// member is what Patroni tells of a server.
type member struct {
	Name, Role, State string
	Timeline          int
}

var patroniClient = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// view is the cluster as the Patroni of some host has it.
func (c *cluster) view() ([]member, error) {
	var failed error
	for _, h := range c.hosts {
		res, err := patroniClient.Get("http://" + h.ip + ":8008/cluster")
		if err != nil {
			failed = err
			continue
		}
		var v struct{ Members []member }
		err = json.NewDecoder(res.Body).Decode(&v)
		res.Body.Close()
		if err == nil {
			return v.Members, nil
		}
		failed = err
	}
	return nil, failed
}

// whole says what a cluster of so many servers lacks.
func (c *cluster) whole(servers int) error {
	all, err := c.view()
	if err != nil {
		return err
	}
	leaders, syncs, running := 0, 0, 0
	for _, m := range all {
		if m.State == "running" || m.State == "streaming" {
			running++
		}
		switch m.Role {
		case "leader":
			leaders++
		case "sync_standby":
			syncs++
		}
	}
	if leaders != 1 || syncs != 1 || running < servers {
		return fmt.Errorf("%d leaders, %d synchronous standbys, %d running: %+v", leaders, syncs, running, all)
	}
	return nil
}

// primary is the host of the primary.
func (c *cluster) primary() *host {
	c.t.Helper()
	var found *host
	await(c.t, "there is a primary", func() error {
		all, err := c.view()
		if err != nil {
			return err
		}
		for _, m := range all {
			if m.Role == "leader" {
				found = c.host(m.Name)
				return nil
			}
		}
		return fmt.Errorf("no leader: %+v", all)
	})
	return found
}

// databaseURL is what an operator gives to every node.
func (c *cluster) databaseURL(user, database string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable&target_session_attrs=read-write", user, password, members(c.hosts, "IP:5432"), database)
}

// sql runs a statement on the primary as the superuser.
func (c *cluster) sql(database, statement string, dest ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.databaseURL("postgres", database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if len(dest) == 0 {
		_, err = conn.Exec(ctx, statement)
		return err
	}
	return conn.QueryRow(ctx, statement).Scan(dest...)
}
