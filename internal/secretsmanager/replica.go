package secretsmanager

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// Statuses of a replica (spec 6).
const (
	replicaInProgress = "InProgress"
	replicaInSync     = "InSync"
	replicaFailed     = "Failed"

	inSyncMessage = "Replication succeeded"
)

// replica is a row of table secret_replicas: what the primary knows of one of
// its copies.
type replica struct {
	Region, KmsKeyID string
	Status, Message  string
	Overwrite        bool
	// AskedAccount and AskedBy (a unique id) name the principal whose rights the
	// copying rests on.
	AskedAccount, AskedBy string
	// Synced is the primary's revision that the copy holds.
	Synced   int64
	Failures int64
	// Due is when the job looks at it next, in microseconds; 0 = nothing to do.
	Due int64
}

const replicaColumns = `r.replica_region, r.kms_key_id, r.status, r.message, r.overwrite, r.asked_account, r.asked_by, r.synced, r.failures, r.due_at`

func (r *replica) dest(more ...any) []any {
	return append([]any{&r.Region, &r.KmsKeyID, &r.Status, &r.Message, &r.Overwrite, &r.AskedAccount, &r.AskedBy, &r.Synced, &r.Failures, &r.Due}, more...)
}

// listReplicas returns a primary's replicas in region order.
func listReplicas(tx store.Tx, sec *secret) ([]*replica, error) {
	rows, err := tx.Query(`SELECT `+replicaColumns+` FROM secret_replicas r
		WHERE r.account = $1 AND r.region = $2 AND r.secret_uid = $3 ORDER BY r.replica_region`, sec.Account, sec.Region, sec.UID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*replica
	for rows.Next() {
		var r replica
		if err := rows.Scan(r.dest()...); err != nil {
			return nil, err
		}
		out = append(out, &r)
	}
	return out, rows.Err()
}

// putReplicas adds replicas, or asks again for those that are there. A replica
// that exists keeps its key, which UpdateSecret in its region changes.
func putReplicas(tx store.Tx, sec *secret, replicas []*replica) error {
	for _, r := range replicas {
		_, err := tx.Exec(`INSERT INTO secret_replicas (account, region, secret_uid, replica_region, kms_key_id, status, message, overwrite,
				asked_account, asked_by, synced, due_at, failures)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, 0)
			ON CONFLICT (account, region, secret_uid, replica_region) DO UPDATE SET
				kms_key_id = CASE WHEN secret_replicas.synced > 0 THEN secret_replicas.kms_key_id ELSE $5 END, status = $6, message = $7, overwrite = $8,
				asked_account = $9, asked_by = $10, due_at = $11, failures = 0`,
			sec.Account, sec.Region, sec.UID, r.Region, r.KmsKeyID, r.Status, r.Message, r.Overwrite, r.AskedAccount, r.AskedBy, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

// noteReplicaKey tells the primary of a replica's new key, for the status.
func noteReplicaKey(tx store.Tx, copied *secret) error {
	primaries, err := scanSecrets(tx.Query(secretByName, copied.Account, copied.PrimaryRegion, copied.Name))
	if err != nil || len(primaries) == 0 || !isReplicaOf(copied, primaries[0]) {
		return err
	}
	_, err = tx.Exec(`UPDATE secret_replicas SET kms_key_id = $5 WHERE account = $1 AND region = $2 AND secret_uid = $3 AND replica_region = $4`,
		copied.Account, copied.PrimaryRegion, primaries[0].UID, copied.Region, copied.KmsKeyID)
	return err
}

// wakeReplicas lets the job copy a changed primary.
func wakeReplicas(tx store.Tx, sec *secret) error {
	_, err := tx.Exec(`UPDATE secret_replicas SET due_at = $4, status = $5, message = '' WHERE account = $1 AND region = $2 AND secret_uid = $3`,
		sec.Account, sec.Region, sec.UID, tx.Now().UnixMicro(), replicaInProgress)
	return err
}

func deleteReplica(tx store.Tx, sec *secret, region string) error {
	_, err := tx.Exec(`DELETE FROM secret_replicas WHERE account = $1 AND region = $2 AND secret_uid = $3 AND replica_region = $4`,
		sec.Account, sec.Region, sec.UID, region)
	return err
}

func (s *Service) replicasOf(ctx context.Context, sec *secret) (out []*replica, err error) {
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		out, err = listReplicas(tx, sec)
		return err
	})
	return out, err
}

// replicaAccess finds when each replica was last read.
func (s *Service) replicaAccess(ctx context.Context, sec *secret, replicas []*replica) map[string]time.Time {
	out := make(map[string]time.Time)
	for _, r := range replicas {
		if c, err := s.find(ctx, reference{Account: sec.Account, Region: r.Region, Name: sec.Name}); err == nil && isReplicaOf(c, sec) {
			s.accesses.show(c, nil)
			out[r.Region] = c.AccessedAt
		}
	}
	return out
}

// isReplicaOf tells a copy of a primary from another secret of the same name.
func isReplicaOf(sec, primary *secret) bool {
	return sec.Replica && sec.PrimaryRegion == primary.Region && sec.Suffix == primary.Suffix
}

func replicationStatus(replicas []*replica, accessed map[string]time.Time) []ReplicationStatusType {
	out := []ReplicationStatusType{}
	for _, r := range replicas {
		key := r.KmsKeyID
		if key == "" {
			key = defaultKeyAlias
		}
		out = append(out, ReplicationStatusType{Region: &r.Region, KmsKeyId: &key, Status: &r.Status,
			StatusMessage: optional(r.Message), LastAccessedDate: wireTime(accessed[r.Region])})
	}
	return out
}

// appendReplicaKeys fills the condition keys about replicas in a request.
func appendReplicaKeys(keys []auth.Key, regions []ReplicaRegionType, force *bool) []auth.Key {
	if len(regions) > 0 {
		names := make([]string, len(regions))
		for i, r := range regions {
			names[i] = deref(r.Region)
		}
		keys = append(keys, auth.Key{Name: "secretsmanager:AddReplicaRegions", Values: names, Multi: true})
	}
	if force != nil {
		keys = append(keys, auth.Key{Name: "secretsmanager:ForceOverwriteReplicaSecret", Values: []string{strconv.FormatBool(*force)}})
	}
	return keys
}

// checkReplicaRegions refuses what can never be a replica's region. Regions that
// this deployment does not serve count as such (spec 6 knows only AWS's).
func (s *Service) checkReplicaRegions(ctx context.Context, regions []ReplicaRegionType) error {
	seen := make(map[string]bool, len(regions))
	for _, r := range regions {
		region := deref(r.Region)
		if region == wire.CallFrom(ctx).Region || !slices.Contains(s.regions, region) || seen[region] {
			return wire.Invalid(ErrInvalidParameter("Invalid replica region."))
		}
		seen[region] = true
	}
	return nil
}

// planReplicas makes the rows for regions asked for. The caller's rights are
// checked now, on the source's key and on the target's; without them the replica
// starts out as failed, since AWS tells such failures in the status only.
func (s *Service) planReplicas(ctx context.Context, sec *secret, regions []ReplicaRegionType, force bool) ([]*replica, error) {
	p := wire.CallFrom(ctx).Principal
	var out []*replica
	for _, r := range regions {
		n := &replica{Region: deref(r.Region), KmsKeyID: deref(r.KmsKeyId), Status: replicaInProgress, Overwrite: force, AskedAccount: p.Account, AskedBy: standing(p)}
		target := *sec
		target.Region, target.KmsKeyID = n.Region, n.KmsKeyID
		for _, check := range []*secret{sec, &target} {
			err := s.validateKey(ctx, check)
			if message, told := failureMessage(err); told {
				n.Status, n.Message = replicaFailed, message
			} else if err != nil {
				return nil, err
			}
		}
		out = append(out, n)
	}
	return out, nil
}

// standing is the unique id of whom the copying rests on: the user, or the role
// of a session, which ends long before the replica does. Root has its account's.
func standing(p *aws.Principal) string {
	if p.EntityID != "" {
		return p.EntityID
	}
	return p.UserID
}

// ReplicateSecretToRegions adds replicas. The copying is a job's work.
func (s *Service) ReplicateSecretToRegions(ctx context.Context, in *ReplicateSecretToRegionsInput) (*ReplicateSecretToRegionsOutput, error) {
	if err := checkID(*in.SecretId); err != nil {
		return nil, err
	}
	if err := s.checkReplicaRegions(ctx, in.AddReplicaRegions); err != nil {
		return nil, err
	}
	return retry(func() (*ReplicateSecretToRegionsOutput, error) {
		keys := appendReplicaKeys(nil, in.AddReplicaRegions, in.ForceOverwriteReplicaSecret)
		sec, err := s.open(ctx, "ReplicateSecretToRegions", *in.SecretId, keys...)
		if err != nil {
			return nil, err
		}
		if err := sec.writable(); err != nil {
			return nil, err
		}
		asked, err := s.planReplicas(ctx, sec, in.AddReplicaRegions, deref(in.ForceOverwriteReplicaSecret))
		if err != nil {
			return nil, err
		}
		var all []*replica
		err = s.change(ctx, sec, func(tx store.Tx, now *secret) error {
			held, err := listReplicas(tx, now)
			if err != nil {
				return err
			}
			fresh := slices.DeleteFunc(slices.Clone(asked), func(a *replica) bool {
				// A region that is there already stays as it is, unless it failed.
				return slices.ContainsFunc(held, func(h *replica) bool { return h.Region == a.Region && h.Status != replicaFailed })
			})
			if len(fresh) == 0 {
				all = held
				return nil
			}
			now.PrimaryRegion = now.Region
			if err := saveSecretChanged(tx, now); err != nil {
				return err
			}
			if err := putReplicas(tx, now, fresh); err != nil {
				return err
			}
			all, err = listReplicas(tx, now)
			return err
		})
		if err != nil {
			return nil, err
		}
		return &ReplicateSecretToRegionsOutput{ARN: new(sec.arn()), ReplicationStatus: replicationStatus(all, s.replicaAccess(ctx, sec, all))}, nil
	})
}

// saveSecretChanged is save without waking the replicas.
func saveSecretChanged(tx store.Tx, sec *secret) error {
	sec.ChangedAt = tx.Now()
	return saveSecret(tx, sec)
}

// RemoveRegionsFromReplication deletes replicas at once. Regions that have none
// are ignored.
func (s *Service) RemoveRegionsFromReplication(ctx context.Context, in *RemoveRegionsFromReplicationInput) (*RemoveRegionsFromReplicationOutput, error) {
	return retry(func() (*RemoveRegionsFromReplicationOutput, error) {
		sec, err := s.open(ctx, "RemoveRegionsFromReplication", *in.SecretId)
		if err != nil {
			return nil, err
		}
		if err := sec.writable(); err != nil {
			return nil, err
		}
		var left []*replica
		err = s.change(ctx, sec, func(tx store.Tx, now *secret) error {
			held, err := listReplicas(tx, now)
			if err != nil {
				return err
			}
			for _, region := range in.RemoveReplicaRegions {
				if err := removeReplicaSecret(tx, now, region); err != nil {
					return err
				}
				if err := deleteReplica(tx, now, region); err != nil {
					return err
				}
			}
			left, err = listReplicas(tx, now)
			if err != nil || len(left) == len(held) {
				return err
			}
			if len(left) == 0 {
				now.PrimaryRegion = ""
			}
			return saveSecretChanged(tx, now)
		})
		if err != nil {
			return nil, err
		}
		return &RemoveRegionsFromReplicationOutput{ARN: new(sec.arn()), ReplicationStatus: replicationStatus(left, s.replicaAccess(ctx, sec, left))}, nil
	})
}

// removeReplicaSecret erases the copy in a region, if it is a copy of primary.
func removeReplicaSecret(tx store.Tx, primary *secret, region string) error {
	found, err := scanSecrets(tx.Query(secretByName, primary.Account, region, primary.Name))
	if err != nil || len(found) == 0 || !isReplicaOf(found[0], primary) {
		return err
	}
	return removeSecret(tx, found[0])
}

// StopReplicationToReplica makes a replica a secret of its own. It is called in
// the replica's region.
func (s *Service) StopReplicationToReplica(ctx context.Context, in *StopReplicationToReplicaInput) (*StopReplicationToReplicaOutput, error) {
	return retry(func() (*StopReplicationToReplicaOutput, error) {
		sec, err := s.open(ctx, "StopReplicationToReplica", *in.SecretId)
		if err != nil {
			return nil, err
		}
		if err := sec.live(); err != nil {
			return nil, err
		}
		if !sec.Replica {
			return nil, ErrInvalidParameter("Operation not permitted on a secret that isn't a replica.")
		}
		err = s.change(ctx, sec, func(tx store.Tx, now *secret) error {
			primaries, err := scanSecrets(tx.Query(secretByName, now.Account, now.PrimaryRegion, now.Name))
			if err != nil {
				return err
			}
			if len(primaries) > 0 && isReplicaOf(now, primaries[0]) {
				if err := forgetReplica(tx, primaries[0], now.Region); err != nil {
					return err
				}
			}
			now.Replica, now.PrimaryRegion = false, ""
			return saveSecretChanged(tx, now)
		})
		if err != nil {
			return nil, err
		}
		return &StopReplicationToReplicaOutput{ARN: new(sec.arn())}, nil
	})
}

func forgetReplica(tx store.Tx, primary *secret, region string) error {
	if err := deleteReplica(tx, primary, region); err != nil {
		return err
	}
	left, err := listReplicas(tx, primary)
	if err != nil {
		return err
	}
	if len(left) == 0 {
		primary.PrimaryRegion = ""
	}
	return saveSecret(tx, primary)
}

// failureMessage is what a replica's status says of an error that the caller can
// do something about; told is false for all others, which are tried again.
func failureMessage(err error) (message string, told bool) {
	var e *aws.Error
	if !errors.As(err, &e) || e.HTTPStatus() >= http.StatusInternalServerError {
		return "", false
	}
	message = e.Message
	if e.Code == "UnrecognizedClientException" {
		// Who asked for the replica is no more, and so are the rights.
		message = errNoKeyAccess().Message
	}
	return "Replication failed: " + message, true
}
