package secretsmanager

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// errNoToken is the answer to a caller without the idempotency token that SDKs
// fill in (spec 1.8).
func errNoToken() error {
	return wire.Invalid(ErrInvalidRequest("You must provide a ClientRequestToken value. We recommend a UUID-type value."))
}

func errTokenUsed(token, arn string) error {
	return ErrResourceExists("You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token, arn)
}

// CreateSecret makes a secret, with a first version when a value is given.
func (s *Service) CreateSecret(ctx context.Context, in *CreateSecretInput) (*CreateSecretOutput, error) {
	if in.ClientRequestToken == nil {
		return nil, errNoToken()
	}
	if !validName(*in.Name) {
		return nil, errInvalidName()
	}
	v, given, err := valueOf(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	tags, err := s.newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	if err := s.checkReplicaRegions(ctx, in.AddReplicaRegions); err != nil {
		return nil, err
	}
	return retry(func() (*CreateSecretOutput, error) { return s.createSecret(ctx, in, v, given, tags) })
}

func (s *Service) createSecret(ctx context.Context, in *CreateSecretInput, v value, given bool, tags []aws.Tag) (*CreateSecretOutput, error) {
	at := here(ctx)
	sec := &secret{
		Account: at.Account, Region: at.Region, UID: aws.NewUUID(), Name: *in.Name, Suffix: aws.RandomString(suffixAlphabet, suffixLength),
		Description: deref(in.Description), KmsKeyID: deref(in.KmsKeyId), Type: deref(in.Type), Tags: tags,
		CreateToken: *in.ClientRequestToken, Revision: 1,
	}
	if err := s.authorizeCreate(ctx, in, sec); err != nil {
		return nil, err
	}
	existing, err := s.find(ctx, reference{Account: at.Account, Region: at.Region, Name: sec.Name})
	if err == nil {
		return s.createAgain(ctx, in, existing, v, given)
	}
	if !errors.Is(err, store.ErrNoRows) {
		return nil, err
	}
	if err := s.checkSecretQuota(ctx, at); err != nil {
		return nil, err
	}
	if sec.KmsKeyID != "" {
		if err := s.validateKey(ctx, sec); err != nil {
			return nil, err
		}
	}
	var first *version
	if given {
		if first, err = s.seal(ctx, sec, *in.ClientRequestToken, v); err != nil {
			return nil, err
		}
		sec.Labels = sec.Labels.withNewVersion(first.ID, nil)
	}
	replicas, err := s.planReplicas(ctx, sec, in.AddReplicaRegions, deref(in.ForceOverwriteReplicaSecret))
	if err != nil {
		return nil, err
	}
	call := wire.CallFrom(ctx)
	call.ResponseElements = map[string]any{"arn": sec.arn()}
	err = s.db.Write(ctx, func(tx store.Tx) error {
		sec.CreatedAt, sec.ChangedAt = tx.Now(), tx.Now()
		if len(replicas) > 0 {
			sec.PrimaryRegion = sec.Region
		}
		if err := insertSecret(tx, sec); err != nil {
			return err
		}
		if first != nil {
			first.CreatedAt = tx.Now()
			if err := insertVersion(tx, sec, first); err != nil {
				return err
			}
		}
		return putReplicas(tx, sec, replicas)
	})
	if store.IsUnique(err) {
		// Somebody made it meanwhile: look at theirs.
		call.ResponseElements = nil
		return nil, errChanged
	}
	if err != nil {
		call.ResponseElements = nil
		return nil, err
	}
	s.countSecret(at, 1)
	out := &CreateSecretOutput{ARN: new(sec.arn()), Name: &sec.Name}
	if first != nil {
		out.VersionId = &first.ID
	}
	if len(replicas) > 0 {
		out.ReplicationStatus = replicationStatus(replicas, nil)
	}
	return out, nil
}

// authorizeCreate decides on the ARN that the secret would have. Tags and
// replicas need their own permissions (spec 10.2).
func (s *Service) authorizeCreate(ctx context.Context, in *CreateSecretInput, sec *secret) error {
	keys := []auth.Key{{Name: "secretsmanager:Name", Values: []string{sec.Name}}}
	keys = appendKey(keys, "secretsmanager:Description", in.Description)
	keys = appendKey(keys, "secretsmanager:Type", in.Type)
	keys = s.appendKmsKeys(ctx, keys, sec, in.KmsKeyId)
	tagged := auth.RequestTags(sec.Tags)
	replicated := appendReplicaKeys(nil, in.AddReplicaRegions, in.ForceOverwriteReplicaSecret)
	arn := sec.arn()
	wire.CallFrom(ctx).Touch(wire.Resource{ARN: arn, Type: resourceType, Account: sec.Account})
	// The two further permissions see the condition keys that are theirs.
	for _, part := range []struct {
		action string
		asked  bool
		keys   []auth.Key
	}{
		{"CreateSecret", true, slices.Concat(keys, replicated, tagged)},
		{"TagResource", len(sec.Tags) > 0, tagged},
		{"ReplicateSecretToRegions", len(in.AddReplicaRegions) > 0, replicated},
	} {
		if !part.asked {
			continue
		}
		if err := s.auth.Authorize(ctx, &auth.Request{
			Action: "secretsmanager:" + part.action, Resource: arn, Shown: sec.Name, Account: sec.Account, Tags: sec.Tags, Keys: part.keys,
		}); err != nil {
			return err
		}
	}
	return nil
}

// createAgain answers CreateSecret for a name in use: the same request again
// gets the same answer, any other is refused (spec 2.3).
func (s *Service) createAgain(ctx context.Context, in *CreateSecretInput, sec *secret, v value, given bool) (*CreateSecretOutput, error) {
	if !sec.DeletedAt.IsZero() {
		return nil, ErrInvalidRequest("You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	token := *in.ClientRequestToken
	old, err := scanVersion(s.db.Get(ctx, versionByID, sec.Account, sec.Region, sec.UID, token))
	switch {
	case errors.Is(err, store.ErrNoRows):
		if !given && sec.CreateToken == token {
			out := &CreateSecretOutput{ARN: new(sec.arn()), Name: &sec.Name}
			return out, s.addReplicaStatus(ctx, in, sec, out)
		}
		return nil, ErrResourceExists("The operation failed because the secret %s already exists.", sec.Name)
	case err != nil:
		return nil, err
	case !given:
		return nil, ErrResourceExists("The operation failed because the secret %s already exists.", sec.Name)
	}
	if err := s.sameValue(ctx, sec, old, v); err != nil {
		return nil, err
	}
	out := &CreateSecretOutput{ARN: new(sec.arn()), Name: &sec.Name, VersionId: &old.ID}
	return out, s.addReplicaStatus(ctx, in, sec, out)
}

// addReplicaStatus completes the answer to a repeated request that asked for
// replicas, so that it has the members of the first one.
func (s *Service) addReplicaStatus(ctx context.Context, in *CreateSecretInput, sec *secret, out *CreateSecretOutput) error {
	if len(in.AddReplicaRegions) == 0 {
		return nil
	}
	replicas, err := s.replicasOf(ctx, sec)
	if err == nil && len(replicas) > 0 {
		out.ReplicationStatus = replicationStatus(replicas, s.replicaAccess(ctx, sec, replicas))
	}
	return err
}

// sameValue refuses a token that was used for another value.
func (s *Service) sameValue(ctx context.Context, sec *secret, old *version, v value) error {
	held, err := s.unseal(ctx, sec, old)
	if err != nil {
		return err
	}
	defer clear(held.Bytes)
	if !held.equal(v) {
		return errTokenUsed(old.ID, sec.arn())
	}
	return nil
}

// UpdateSecret changes description, key, type or value.
func (s *Service) UpdateSecret(ctx context.Context, in *UpdateSecretInput) (*UpdateSecretOutput, error) {
	if in.ClientRequestToken == nil && (in.SecretString != nil || in.SecretBinary != nil) {
		return nil, errNoToken()
	}
	if err := checkID(*in.SecretId); err != nil {
		return nil, err
	}
	v, given, err := valueOf(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	return retry(func() (*UpdateSecretOutput, error) { return s.updateSecret(ctx, in, v, given) })
}

func (s *Service) updateSecret(ctx context.Context, in *UpdateSecretInput, v value, given bool) (*UpdateSecretOutput, error) {
	sec, err := s.openWith(ctx, "UpdateSecret", *in.SecretId, func(sec *secret) []auth.Key {
		keys := appendKey(nil, "secretsmanager:Description", in.Description)
		keys = appendKey(keys, "secretsmanager:Type", in.Type)
		if sec == nil {
			return appendKey(keys, "secretsmanager:KmsKeyId", in.KmsKeyId)
		}
		// The key is one of the secret's account, whoever asks: a condition on it
		// must see the key that will be used.
		return s.appendKmsKeys(ctx, keys, sec, in.KmsKeyId)
	})
	if err != nil {
		return nil, err
	}
	onlyKey := in.KmsKeyId != nil && in.Description == nil && in.Type == nil && !given
	if err := sec.live(); err != nil {
		return nil, err
	}
	if sec.Replica && !onlyKey {
		return nil, errReplica()
	}
	out := &UpdateSecretOutput{ARN: new(sec.arn()), Name: &sec.Name}
	var rewrapped []*version
	next := *sec
	if given || in.KmsKeyId != nil {
		if err := s.ownOrCustomerKey(ctx, sec); err != nil {
			return nil, err
		}
	}
	if in.KmsKeyId != nil {
		next.KmsKeyID = *in.KmsKeyId
		if err := s.ownOrCustomerKey(ctx, &next); err != nil {
			return nil, err
		}
		if rewrapped, err = s.rewrap(ctx, sec, &next); err != nil {
			return nil, err
		}
	}
	var added *version
	if given {
		// The value comes last: a token seen before ends the call, and by then
		// nothing has been changed.
		done, fresh, err := s.prepareVersion(ctx, &next, *in.ClientRequestToken, v)
		if err != nil {
			return nil, err
		}
		out.VersionId = in.ClientRequestToken
		if done && in.KmsKeyId == nil && in.Description == nil && in.Type == nil {
			return out, nil
		}
		added = fresh
	}
	if in.KmsKeyId == nil && in.Description == nil && in.Type == nil && !given {
		return out, nil
	}
	var full bool
	err = s.change(ctx, sec, func(tx store.Tx, now *secret) (err error) {
		if in.KmsKeyId != nil && now.Revision != sec.Revision {
			// A version may have come under the old key meanwhile.
			return errChanged
		}
		if in.Description != nil {
			now.Description = *in.Description
		}
		if in.Type != nil {
			now.Type = *in.Type
		}
		now.KmsKeyID = next.KmsKeyID
		for _, r := range rewrapped {
			if err := updateDataKey(tx, now, r); err != nil {
				return err
			}
		}
		if in.KmsKeyId != nil && now.Replica {
			if err := noteReplicaKey(tx, now); err != nil {
				return err
			}
		}
		if added != nil {
			full, err = s.addVersion(tx, now, added, nil, s.save)
			return err
		}
		return s.save(tx, now)
	})
	if err != nil {
		return nil, err
	}
	if full {
		s.prune(ctx, sec)
	}
	return out, nil
}

// rewrap moves the data keys of the versions with a label of the service under
// the new key, which the caller must be allowed to open the old one for (spec
// 13.3). A version whose old key is disabled or gone stays as it is: the change
// must not fail on a value that nobody can read.
func (s *Service) rewrap(ctx context.Context, old, next *secret) ([]*version, error) {
	arn, managed, err := s.keyOf(ctx, next)
	if err != nil {
		return nil, err
	}
	if err := s.validateKey(ctx, next); err != nil {
		return nil, err
	}
	var out []*version
	for id, stages := range old.Labels.byVersion() {
		if !isServiceLabelled(stages) {
			continue
		}
		v, err := scanVersion(s.db.Get(ctx, versionByID, old.Account, old.Region, old.UID, id))
		if errors.Is(err, store.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		ec := encryptionContext(old.arn(), id)
		plain, err := s.keys.Decrypt(ctx, v.DataKey, ec)
		if err != nil {
			err = keyError(s.reason(ctx, old, v, err), onRead)
			if e, ok := errors.AsType[*aws.Error](err); ok && e.Code == ErrDecryptionFailure("").Code {
				continue
			}
			return nil, err
		}
		wrapped, err := s.keys.Encrypt(ctx, arn, plain, ec)
		clear(plain)
		if e, ok := errors.AsType[*aws.Error](err); ok && e.Code == "AccessDeniedException" {
			// No kms:Encrypt on the new key: old versions stay under the old one.
			continue
		}
		if err != nil {
			return nil, keyError(err, onWrite)
		}
		v.DataKey, v.KeyARN = wrapped, arn
		if managed {
			v.KeyARN = ""
		}
		out = append(out, v)
	}
	return out, nil
}

func isServiceLabelled(stages []string) bool {
	for _, stage := range stages {
		if stage == stageCurrent || stage == stagePending || stage == stagePrevious {
			return true
		}
	}
	return false
}

func updateDataKey(tx store.Tx, sec *secret, v *version) error {
	_, err := tx.Exec(`UPDATE secret_versions SET data_key = $5, kms_key_arn = $6
		WHERE account = $1 AND region = $2 AND secret_uid = $3 AND version_id = $4`, sec.Account, sec.Region, sec.UID, v.ID, v.DataKey, v.KeyARN)
	return errors.Join(err, touched(tx, sec))
}

// DescribeSecret tells everything about a secret but its value.
func (s *Service) DescribeSecret(ctx context.Context, in *DescribeSecretInput) (*DescribeSecretOutput, error) {
	sec, err := s.open(ctx, "DescribeSecret", *in.SecretId)
	if err != nil {
		return nil, err
	}
	s.accesses.show(sec, nil)
	out := &DescribeSecretOutput{
		ARN: new(sec.arn()), Name: &sec.Name, Description: optional(sec.Description), KmsKeyId: shownKey(sec), Type: optional(sec.Type),
		OwningService: optional(sec.OwningService), PrimaryRegion: optional(sec.PrimaryRegion),
		CreatedDate: wireTime(sec.CreatedAt), LastChangedDate: wireTime(sec.ChangedAt),
		LastAccessedDate: wireTime(sec.AccessedAt), DeletedDate: wireTime(sec.DeletedAt),
		Tags: wireTags(sec.Tags), VersionIdsToStages: sec.Labels.byVersion(),
	}
	if sec.PrimaryRegion != "" && !sec.Replica {
		replicas, err := s.replicasOf(ctx, sec)
		if err != nil {
			return nil, err
		}
		out.ReplicationStatus = replicationStatus(replicas, s.replicaAccess(ctx, sec, replicas))
	}
	return out, nil
}

// shownKey: the default key is left out, but replicas show its alias (recorded,
// spec 2.8).
func shownKey(sec *secret) *string {
	if sec.KmsKeyID == "" && sec.Replica {
		return new(defaultKeyAlias)
	}
	return optional(sec.KmsKeyID)
}

const defaultKeyAlias = "alias/aws/secretsmanager"

func wireTime(t time.Time) *aws.Time {
	if t.IsZero() {
		return nil
	}
	return aws.NewTime(t)
}

func appendKey(keys []auth.Key, name string, value *string) []auth.Key {
	if value == nil {
		return keys
	}
	return append(keys, auth.Key{Name: name, Values: []string{*value}})
}

// appendKmsKeys fills the two keys about the KMS key in a request: as given, and
// as the ARN it means, when it means one.
func (s *Service) appendKmsKeys(ctx context.Context, keys []auth.Key, sec *secret, given *string) []auth.Key {
	keys = appendKey(keys, "secretsmanager:KmsKeyId", given)
	if given == nil || *given == "" {
		return keys
	}
	if arn, _, err := s.keys.Resolve(ctx, sec.Account, sec.Region, *given); err == nil {
		keys = append(keys, auth.Key{Name: "secretsmanager:KmsKeyArn", Values: []string{arn}})
	}
	return keys
}

// estimate is a count of secrets that is good enough to stop at a quota of half
// a million: counting exactly would cost every CreateSecret a walk over all.
type estimate struct {
	n  int
	at time.Time
}

const (
	countFar  = time.Minute // between exact counts while the quota is far off
	countNear = time.Second // and once nine tenths of it are used
)

func (s *Service) checkSecretQuota(ctx context.Context, at place) error {
	s.countsMu.Lock()
	e := s.counts[at]
	age := countFar
	if e != nil && e.n >= s.quotas.SecretsPerRegion/10*9 {
		age = countNear
	}
	var since time.Duration
	if e != nil {
		since = s.now().Sub(e.at)
	}
	fresh := e != nil && since >= 0 && since < age // A clock that was set back makes nothing fresh.
	n := 0
	if fresh {
		n = e.n
	}
	s.countsMu.Unlock()
	if !fresh {
		if err := s.db.Get(ctx, `SELECT COUNT(*) FROM secrets WHERE account = $1 AND region = $2`, at.Account, at.Region).Scan(&n); err != nil {
			return err
		}
		s.countsMu.Lock()
		s.counts[at] = &estimate{n, s.now()}
		s.countsMu.Unlock()
	}
	if n >= s.quotas.SecretsPerRegion {
		return ErrLimitExceeded("You can't create this secret because the account already has %d secrets in this Region, the quota.", s.quotas.SecretsPerRegion)
	}
	return nil
}

func (s *Service) countSecret(at place, by int) {
	s.countsMu.Lock()
	defer s.countsMu.Unlock()
	if e := s.counts[at]; e != nil {
		e.n += by
	}
}
