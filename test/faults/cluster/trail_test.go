package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// replication is the job that has most to do under the load, and the name of its lease.
const replication = "job.secretsmanager.replication"

// trail makes the store tell who did what, each line in the transaction of what it tells of: which node's connection took or
// renewed the job's lease and in which epoch, and which one noted that a replica is in step, which the job alone does.
const trail = `
CREATE TABLE cluster_trail (
	n        BIGINT GENERATED ALWAYS AS IDENTITY,
	at       TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
	node     INET NOT NULL DEFAULT inet_client_addr(),
	xact     XID8 NOT NULL DEFAULT pg_current_xact_id(),
	snapshot PG_SNAPSHOT NOT NULL DEFAULT pg_current_snapshot(),
	epoch    BIGINT -- of a lease; NULL for a replica
);
CREATE FUNCTION cluster_lease() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER AS
	'BEGIN INSERT INTO public.cluster_trail (epoch) VALUES (NEW.epoch); RETURN NULL; END';
CREATE FUNCTION cluster_copy() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER AS
	'BEGIN INSERT INTO public.cluster_trail DEFAULT VALUES; RETURN NULL; END';
CREATE TRIGGER cluster_lease AFTER INSERT OR UPDATE ON leases FOR EACH ROW WHEN (NEW.name = '` + replication + `') EXECUTE FUNCTION cluster_lease();
CREATE TRIGGER cluster_copy AFTER UPDATE ON secret_replicas FOR EACH ROW WHEN (NEW.synced IS DISTINCT FROM OLD.synced) EXECUTE FUNCTION cluster_copy();
`

// strangers are changes by a node that did not have the lease: of all that their transaction could see, the newest epoch was
// another's. A transaction that began before the lease passed on is none: it could see nothing of that, and the database lets it be
// committed only if it fits in before.
const strangers = `
SELECT COUNT(*) FROM cluster_trail c WHERE c.epoch IS NULL AND c.node IS DISTINCT FROM (
	SELECT l.node FROM cluster_trail l WHERE l.epoch IS NOT NULL AND pg_visible_in_snapshot(l.xact, c.snapshot) ORDER BY l.epoch DESC, l.n DESC LIMIT 1)`

// holder is the host that has the job's lease, and its epoch.
func (s *suite) holder() (*host, int64, error) {
	var node netip.Prefix
	var epoch int64
	if err := s.sql("strongroom", `SELECT node, epoch FROM cluster_trail WHERE epoch IS NOT NULL ORDER BY epoch DESC, n DESC LIMIT 1`, &node, &epoch); err != nil {
		return nil, 0, err
	}
	for _, h := range s.hosts {
		if h.ip == node.Addr().String() {
			return h, epoch, nil
		}
	}
	return nil, 0, fmt.Errorf("%s is no host", node)
}

// stops is how often a node is stopped.
const stops = 3

// stoppedNode stops the node that runs a job, in the middle of the load, until another one has taken the job over, and lets it go
// on: it must do nothing more of the job's.
func (s *suite) stoppedNode(t *testing.T) {
	if err := s.sql("strongroom", trail); err != nil {
		t.Fatal(err)
	}
	for range stops {
		var h *host
		var epoch int64
		await(t, "the job has run", func() (err error) {
			h, epoch, err = s.holder()
			return err
		})
		var stopped time.Time
		s.under(t, fmt.Sprintf("node of %s stopped, which has the lease (epoch %d)", h.name, epoch),
			func() {
				stopped = time.Now()
				h.signal(syscall.SIGSTOP, strongroom)
			},
			func() error {
				by, now, err := s.holder()
				if err == nil && (by == h || now <= epoch) {
					err = fmt.Errorf("%s has epoch %d", by.name, now)
				}
				return err
			},
			func() {
				t.Logf("another node has the job after %.1f s", time.Since(stopped).Seconds())
				h.signal(syscall.SIGCONT, strongroom)
			})
		if t.Failed() {
			return
		}
	}
	s.checkTrail(t)
	s.findsStrangers(t)
}

func (s *suite) checkTrail(t *testing.T) {
	t.Helper()
	var leases, copies, epochs, wrong int64
	for statement, n := range map[string]*int64{
		`SELECT COUNT(*) FROM cluster_trail WHERE epoch IS NOT NULL`: &leases,
		`SELECT COUNT(DISTINCT epoch) FROM cluster_trail`:            &epochs,
		`SELECT COUNT(*) FROM cluster_trail WHERE epoch IS NULL`:     &copies,
		strangers: &wrong,
	} {
		if err := s.sql("strongroom", statement, n); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the job's lease: %d epochs, renewed %d times; %d replicas brought in step, %d of them by a node without the lease", epochs, leases, copies, wrong)
	if wrong > 0 || copies == 0 {
		t.Error("the job ran on a node that had lost its lease")
	}
}

// findsStrangers is the proof that the query finds a change by somebody without the lease.
func (s *suite) findsStrangers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.databaseURL("postgres", "strongroom"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx)
	var before, after int64
	if err := tx.QueryRow(ctx, strangers).Scan(&before); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO cluster_trail DEFAULT VALUES`); err != nil { // From the clients' address.
		t.Fatal(err)
	}
	if err := tx.QueryRow(ctx, strangers).Scan(&after); err != nil || after != before+1 {
		t.Errorf("%d strangers, then %d: %v", before, after, err)
	}
}
