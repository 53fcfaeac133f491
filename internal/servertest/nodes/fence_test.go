package nodes

import (
	"context"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/store"
)

const replicationLease = "job.secretsmanager.replication"

// database opens the nodes' database beside them.
func (n *node) database() *store.DB {
	n.t.Helper()
	db, err := store.Open(n.t.Context(), store.Config{URL: n.url, Log: slog.New(slog.DiscardHandler)})
	check(n.t, err)
	n.t.Cleanup(func() { check(n.t, db.Close()) })
	return db
}

// one reads a single value.
func one[T any](t *testing.T, db *store.DB, query string, args ...any) (v T) {
	t.Helper()
	check(t, db.Get(context.Background(), query, args...).Scan(&v))
	return v
}

// await waits until done, for at most a minute.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for begun := time.Now(); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatalf("waited a minute until %s", what)
		}
	}
}

// stopped waits until the process has stopped.
func (n *node) stopped() {
	n.t.Helper()
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(n.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		if err == syscall.EINTR {
			continue
		}
		check(n.t, err)
		if !status.Stopped() {
			n.t.Fatalf("the process ended: %v %s", status, n.Log)
		}
		return
	}
}

// A node that is stopped in the middle of a job, after it has read what is to be
// done and before it changes anything, and goes on when its lease is another's,
// changes nothing: neither what that job is about nor its own note that it failed.
func TestStoppedNodeCannotWrite(t *testing.T) {
	nodes := unstarted(t)
	a, b := nodes[0], nodes[1]
	db := a.database()
	// Nobody calls it, so the first call in it is the job's own.
	a.start(stopVariable + "=" + audit.FaultAfterReserve)
	await(t, "the first node has the lease", func() bool {
		return one[int64](t, db, `SELECT COUNT(*) FROM leases WHERE name = $1`, replicationLease) == 1
	})
	holder := one[string](t, db, `SELECT holder FROM leases WHERE name = $1`, replicationLease)
	b.start()
	secrets := b.Secrets()
	_, err := secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: new("copied"), SecretString: new("first"),
		AddReplicaRegions: []types.ReplicaRegionType{{Region: new(servertest.Other)}}})
	check(t, err)
	a.stopped()
	resumed := false
	defer func() {
		if !resumed {
			_ = a.cmd.Process.Signal(syscall.SIGCONT)
		}
	}()
	// As if its time were over.
	check(t, db.Maintain(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE leases SET expires_at = 0 WHERE holder = $1`, holder)
		return err
	}))
	inSync := func() bool {
		out, err := secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: new("copied")})
		check(t, err)
		return out.ReplicationStatus[0].Status == types.StatusTypeInSync
	}
	await(t, "the other node has copied the secret", inSync)
	if now := one[string](t, db, `SELECT holder FROM leases WHERE name = $1`, replicationLease); now == holder {
		t.Fatal("the lease is still the stopped node's")
	}
	// Due again, so that a copy by either would do something; nobody's but the
	// holder's may.
	_, err = secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: new("copied"), SecretString: new("second")})
	check(t, err)
	await(t, "the other node has copied the new value", inSync)
	state := func() string {
		return one[string](t, db, `SELECT CAST(COUNT(*) AS TEXT) || ' ' || MAX(status) || ' ' || CAST(MAX(synced) AS TEXT) || ' ' || CAST(MAX(failures) AS TEXT) FROM secret_replicas`) +
			" " + one[string](t, db, `SELECT CAST(COUNT(*) AS TEXT) || ' ' || MIN(version_id) || ' ' || MAX(version_id) FROM secret_versions`)
	}
	before := state()
	check(t, a.cmd.Process.Signal(syscall.SIGCONT))
	resumed = true
	await(t, "the stopped node was refused", func() bool {
		return strings.Contains(a.Log.String(), "another node has taken it over") && strings.Contains(a.Log.String(), "job=secretsmanager.replication")
	})
	if after := state(); after != before {
		t.Errorf("%s before, %s after the stopped node went on", before, after)
	}
	out, err := b.SecretsAs(b.Admin, servertest.Other).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: new("copied")})
	if err != nil || *out.SecretString != "second" {
		t.Errorf("the copy: %v", err)
	}
	// It serves on, and its audit chain with it.
	check(t, a.create("by-a"))
	b.shipped(a, `"by-a"`)
	if v := b.verify(); !v.OK {
		t.Errorf("%+v", v)
	}
}
