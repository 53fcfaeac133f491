package secretsmanager

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// replicateBatch bounds the work of one run of the job.
const replicateBatch = 50

// Backoff of a replica that could not be copied for reasons of ours: doubling
// from a second to five minutes.
const (
	replicaFirstRetry = time.Second
	replicaLastRetry  = 5 * time.Minute
)

// ReplicateDue copies primaries to the replicas that are behind, and tells when
// the next is due (zero: none). A job calls it, on one node at a time.
func (s *Service) ReplicateDue(ctx context.Context) (next time.Time, err error) {
	type task struct {
		primary place
		uid     string
		replica replica
	}
	var tasks []task
	err = s.db.Read(ctx, func(tx store.Tx) error {
		tasks = nil
		rows, err := tx.Query(`SELECT r.account, r.region, r.secret_uid, `+replicaColumns+` FROM secret_replicas r
			WHERE r.due_at > 0 ORDER BY r.due_at LIMIT $1`, int64(replicateBatch))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var t task
			dest := append([]any{&t.primary.Account, &t.primary.Region, &t.uid}, t.replica.dest()...)
			if err := rows.Scan(dest...); err != nil {
				return err
			}
			tasks = append(tasks, t)
		}
		return rows.Err()
	})
	if err != nil {
		return time.Time{}, err
	}
	for _, t := range tasks {
		// A time further off than any pause was noted while the clock was ahead.
		if due := aws.Micros(t.replica.Due); due.After(s.now()) && due.Sub(s.now()) <= replicaLastRetry {
			return due, nil
		}
		if err := s.replicate(ctx, t.primary, t.uid, &t.replica); err != nil {
			return time.Time{}, err
		}
	}
	if len(tasks) == replicateBatch {
		return s.now(), nil
	}
	return time.Time{}, nil
}

// replicate brings one replica up to date, between the service events
// ReplicationStarted and ReplicationSucceeded or ReplicationFailed (spec 14.2).
func (s *Service) replicate(ctx context.Context, at place, uid string, r *replica) error {
	primary, err := scanSecret(s.db.Get(ctx, secretByUID, at.Account, at.Region, uid))
	if errors.Is(err, store.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	err = s.event(ctx, "ReplicationStarted", primary, "", func(ctx context.Context) error {
		wire.CallFrom(ctx).Extra["ReplicaRegion"] = r.Region
		return nil
	})
	if err != nil {
		return err
	}
	var failure error
	err = s.event(ctx, "ReplicationSucceeded", primary, "", func(ctx context.Context) error {
		call := wire.CallFrom(ctx)
		call.Extra["ReplicaRegion"] = r.Region
		if failure = s.copyTo(ctx, primary, r); failure == nil {
			return nil
		}
		call.Operation = "ReplicationFailed"
		return s.noteFailure(ctx, primary, r, failure)
	})
	if failure != nil && err == nil {
		if _, told := failureMessage(failure); !told {
			s.log.WarnContext(ctx, "cannot replicate secret, will try again", "secret", primary.arn(), "region", r.Region, "error", failure)
		}
	}
	return err
}

// noteFailure says in the status what the caller must mend, or plans another try,
// unless the replica was woken or asked for again meanwhile.
func (s *Service) noteFailure(ctx context.Context, primary *secret, r *replica, failure error) error {
	status, due := replicaInProgress, s.now().Add(backoff(r.Failures)).UnixMicro()
	message, told := failureMessage(failure)
	if told {
		status, due = replicaFailed, 0
	}
	return s.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE secret_replicas SET status = $5, message = $6, due_at = $7, failures = failures + 1
			WHERE account = $1 AND region = $2 AND secret_uid = $3 AND replica_region = $4 AND due_at = $8`,
			primary.Account, primary.Region, primary.UID, r.Region, status, message, due, r.Due)
		return err
	})
}

func backoff(failures int64) time.Duration {
	d := replicaFirstRetry
	for range min(failures, 16) {
		d *= 2
	}
	return min(d, replicaLastRetry)
}

// copyTo seals the primary's versions for the replica's place and stores them
// with everything else that follows the primary.
func (s *Service) copyTo(ctx context.Context, primary *secret, r *replica) error {
	held, err := s.find(ctx, reference{Account: primary.Account, Region: r.Region, Name: primary.Name})
	missing := errors.Is(err, store.ErrNoRows)
	if err != nil && !missing {
		return err
	}
	if !missing && !isReplicaOf(held, primary) {
		if !r.Overwrite {
			return errReplicaNameTaken(primary.Name, r.Region)
		}
		missing = true
	}
	next := s.replicaRow(primary, r, held, missing)
	versions, err := s.copyVersions(ctx, primary, next, r)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx store.Tx) error { return s.storeReplica(tx, primary, next, r, versions) })
}

func errReplicaNameTaken(name, region string) error {
	return ErrResourceExists("Secret name %s already exists in region %s.", name, region)
}

// replicaRow is the replica as it shall be: its own identity, dates and key, and
// the primary's everything else.
func (s *Service) replicaRow(primary *secret, r *replica, held *secret, fresh bool) *secret {
	next := *primary
	next.Region, next.Replica, next.PrimaryRegion, next.KmsKeyID = r.Region, true, primary.Region, r.KmsKeyID
	next.UID, next.AccessedAt, next.Revision = aws.NewUUID(), time.Time{}, 0
	next.CreatedAt = time.Time{}
	if !fresh {
		next.UID, next.CreatedAt, next.KmsKeyID, next.Revision = held.UID, held.CreatedAt, held.KmsKeyID, held.Revision
		// Compiled policies are kept by version, so one version is one text.
		next.PolicyVersion = held.PolicyVersion
		if next.Policy != held.Policy {
			next.PolicyVersion++
		}
	}
	return &next
}

// copyVersions opens what the replica lacks and seals it anew, as the principal
// that asked for the replica: if it has lost its rights, the copying fails.
func (s *Service) copyVersions(ctx context.Context, primary, next *secret, r *replica) (map[string]*version, error) {
	asker := &aws.Principal{Type: aws.PrincipalUser, Account: r.AskedAccount, UserID: r.AskedBy}
	if strings.HasPrefix(r.AskedBy, "AROA") {
		asker.Type = aws.PrincipalAssumedRole
	}
	ctx = actAs(ctx, asker)
	var all []*version
	have := map[string]time.Time{}
	err := s.db.Read(ctx, func(tx store.Tx) (err error) {
		if all, err = listVersions(tx, primary); err != nil {
			return err
		}
		held, err := listVersions(tx, next)
		for _, v := range held {
			have[v.ID] = v.CreatedAt
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make(map[string]*version)
	for _, meta := range all {
		// A token may come again, with another value, once its version was pruned.
		if made, held := have[meta.ID]; held && made.Equal(meta.CreatedAt) {
			out[meta.ID] = nil
			continue
		}
		v, err := scanVersion(s.db.Get(ctx, versionByID, primary.Account, primary.Region, primary.UID, meta.ID))
		if errors.Is(err, store.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if out[v.ID], err = s.copyVersion(ctx, primary, next, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Service) copyVersion(ctx context.Context, primary, next *secret, v *version) (*version, error) {
	held, err := s.unseal(ctx, primary, v)
	if err != nil {
		return nil, err
	}
	defer clear(held.Bytes)
	copied, err := s.seal(ctx, next, v.ID, held)
	if err != nil {
		return nil, err
	}
	copied.CreatedAt = v.CreatedAt
	return copied, nil
}

// actAs returns a context in which nested calls are those of p. The identity of
// p, and so its policies, are looked up at each decision.
func actAs(ctx context.Context, p *aws.Principal) context.Context {
	call := *wire.CallFrom(ctx)
	call.Principal = p
	return wire.NewContext(ctx, &call)
}

// storeReplica writes a copied replica. If the primary or the replica moved
// while the values were being sealed, it stays due and is copied again.
func (s *Service) storeReplica(tx store.Tx, primary, next *secret, r *replica, versions map[string]*version) error {
	now, err := scanSecret(tx.QueryRow(secretByUID, primary.Account, primary.Region, primary.UID))
	if err != nil || now.Revision != primary.Revision {
		return ignoreNoRows(err)
	}
	asked, err := listReplicas(tx, now)
	if err != nil {
		return err
	}
	if !containsRegion(asked, r.Region) {
		return nil
	}
	found, err := scanSecrets(tx.Query(secretByName, next.Account, next.Region, next.Name))
	if err != nil {
		return err
	}
	exists := len(found) > 0 && found[0].UID == next.UID
	if exists && found[0].Revision != next.Revision {
		return nil
	}
	if len(found) > 0 && !exists {
		if isReplicaOf(found[0], primary) || !r.Overwrite {
			return errReplicaNameTaken(next.Name, next.Region)
		}
		if err := removeSecret(tx, found[0]); err != nil {
			return err
		}
	}
	row := *next // The transaction may run again.
	if exists {
		err = saveSecret(tx, &row)
	} else {
		row.CreatedAt, row.Revision = tx.Now(), 1
		err = insertSecret(tx, &row)
	}
	if err != nil {
		return err
	}
	if err := storeReplicaVersions(tx, next, versions); err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE secret_replicas SET status = $5, message = $6, synced = $7, due_at = 0, failures = 0
		WHERE account = $1 AND region = $2 AND secret_uid = $3 AND replica_region = $4`,
		primary.Account, primary.Region, primary.UID, r.Region, replicaInSync, inSyncMessage, primary.Revision)
	return err
}

// storeReplicaVersions adds the sealed versions and removes those that the
// primary no longer has, or has made anew. A nil version is one that is there
// already.
func storeReplicaVersions(tx store.Tx, next *secret, versions map[string]*version) error {
	held, err := listVersions(tx, next)
	if err != nil {
		return err
	}
	have := make(map[string]bool, len(held))
	for _, v := range held {
		if fresh, wanted := versions[v.ID]; wanted && fresh == nil {
			have[v.ID] = true
			continue
		}
		if err := deleteVersion(tx, next, v.ID); err != nil {
			return err
		}
	}
	for id, v := range versions {
		if v == nil && !have[id] {
			return fmt.Errorf("version %s vanished from the replica", id)
		}
		if v != nil {
			if err := insertVersion(tx, next, v); err != nil {
				return err
			}
		}
	}
	return nil
}

func ignoreNoRows(err error) error {
	if errors.Is(err, store.ErrNoRows) {
		return nil
	}
	return err
}

func containsRegion(replicas []*replica, region string) bool {
	for _, r := range replicas {
		if r.Region == region {
			return true
		}
	}
	return false
}
