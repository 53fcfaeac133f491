package secretsmanager

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

func errNoStage(stage string) error {
	return ErrResourceNotFound("Secrets Manager can't find the specified secret value for staging label: %s", stage)
}

func errNoVersion(id string) error {
	return ErrResourceNotFound("Secrets Manager can't find the specified secret value for VersionId: %s", id)
}

// errForeignDefaultKey: other accounts can never use the default key (spec 7.5).
func errForeignDefaultKey() error {
	return ErrInvalidRequest("You can't access a secret from a different AWS account if you encrypt the secret with the default KMS service key.")
}

// secretWithVersion reads a secret and one of its versions in one statement: the
// one asked for, or the current one.
const secretWithVersion = `SELECT ` + secretColumns + `, COALESCE(v.version_id, ''), COALESCE(v.created_at, 0), COALESCE(v.accessed_at, 0),
		COALESCE(v.kind, ''), COALESCE(v.kms_key_arn, ''), v.data_key, v.sealed
	FROM secrets s LEFT JOIN secret_versions v ON v.account = s.account AND v.region = s.region AND v.secret_uid = s.uid
		AND v.version_id = CASE WHEN $4 = '' THEN s.current_version ELSE $4 END
	WHERE s.account = $1 AND s.region = $2 AND s.name = $3`

// keyGeneration is the kind under which KMS counts its changes.
const keyGeneration = "kms"

// secretWithVersionAndGenerations returns the caller's IAM generation ($5) and
// that of the keys beside the secret as well: all that the decisions of a read
// may be cached under, in one round trip.
var secretWithVersionAndGenerations = strings.Replace(secretWithVersion, "v.sealed",
	"v.sealed, "+store.GenerationSQL("$5", "''", auth.IAMGeneration)+", "+store.GenerationSQL("s.account", "s.region", keyGeneration), 1)

// findWithVersion is find together with the version; nil when there is none. The
// context it returns knows the generations that came with them. What it returns
// may be shared with other calls and must not be changed.
func (s *Service) findWithVersion(ctx context.Context, ref reference, versionID string) (context.Context, *secret, *version, error) {
	name := rowName{ref.Account, ref.Region, ref.Name}
	sec, v, cached, epoch := s.rows.get(name, versionID)
	if !cached {
		var err error
		if ctx, sec, v, err = s.loadWithVersion(ctx, ref, versionID); err != nil {
			return ctx, nil, nil, err
		}
		// Versions that are not there are not kept: anybody could ask for any.
		if s.rows.on && (v != nil || versionID == "") {
			s.rows.put(epoch, name, versionID, sec, v)
		}
	}
	if ref.Suffix != "" && ref.Suffix != sec.Suffix {
		return ctx, nil, nil, store.ErrNoRows
	}
	return ctx, sec, v, nil
}

// loadWithVersion asks the database.
func (s *Service) loadWithVersion(ctx context.Context, ref reference, versionID string) (context.Context, *secret, *version, error) {
	var x secretScan
	var v version
	var created, accessed int64
	var kind string
	dest := x.dest(&v.ID, &created, &accessed, &kind, &v.KeyARN, &v.DataKey, &v.Sealed)
	caller := here(ctx).Account
	if _, free := s.db.Known(ctx, caller, "", auth.IAMGeneration); free {
		row := s.db.Get(ctx, secretWithVersion, ref.Account, ref.Region, ref.Name, versionID)
		if err := row.Scan(dest...); err != nil {
			return ctx, nil, nil, err
		}
	} else {
		var iam, keys int64
		row := s.db.Get(ctx, secretWithVersionAndGenerations, ref.Account, ref.Region, ref.Name, versionID, caller)
		if err := row.Scan(append(dest, &iam, &keys)...); err != nil {
			return ctx, nil, nil, err
		}
		ctx = store.Observed(ctx, store.Seen{Account: caller, Kind: auth.IAMGeneration, Value: iam},
			store.Seen{Account: ref.Account, Region: ref.Region, Kind: keyGeneration, Value: keys})
	}
	sec, err := x.finish()
	if err != nil {
		return ctx, nil, nil, err
	}
	if v.ID == "" {
		return ctx, sec, nil, nil
	}
	v.CreatedAt, v.AccessedAt, v.Kind = aws.Micros(created), microsOrZero(accessed), valueKind(kind)
	return ctx, sec, &v, nil
}

// GetSecretValue opens one version of a secret.
func (s *Service) GetSecretValue(ctx context.Context, in *GetSecretValueInput) (*GetSecretValueOutput, error) {
	at := here(ctx)
	ref, err := resolve(*in.SecretId, at.Account, at.Region)
	if err != nil {
		return nil, err
	}
	ctx, sec, v, err := s.findWithVersion(ctx, ref, deref(in.VersionId))
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return nil, err
	}
	// A label left out stays out of the context: AWS does not fill in the
	// default (spec 10.2).
	keys := make([]auth.Key, 0, 4)
	keys = appendKey(keys, "secretsmanager:VersionId", in.VersionId)
	keys = appendKey(keys, "secretsmanager:VersionStage", in.VersionStage)
	if err := s.decide(ctx, "GetSecretValue", ref, sec, keys); err != nil {
		return nil, err
	}
	if err := sec.live(); err != nil {
		return nil, err
	}
	if v, err = s.pick(ctx, sec, v, in.VersionId, in.VersionStage); err != nil {
		return nil, err
	}
	if sec.Account != at.Account && v.KeyARN == "" {
		return nil, errForeignDefaultKey()
	}
	held, err := s.unseal(ctx, sec, v)
	if err != nil {
		return nil, err
	}
	s.accesses.note(sec, v, s.today())
	out := &GetSecretValueOutput{ARN: new(sec.arn()), Name: &sec.Name, VersionId: &v.ID, VersionStages: sec.Labels.of(v.ID), CreatedDate: wireTime(v.CreatedAt)}
	out.SecretString, out.SecretBinary = held.wire()
	return out, nil
}

// wire splits a value into the two members of an answer.
func (v value) wire() (*aws.SensitiveString, aws.SensitiveBytes) {
	if v.Kind == kindString {
		// The same bytes as text: a copy would be one more of a secret in memory.
		// Nobody writes to them any more.
		return new(aws.SensitiveString(unsafe.String(unsafe.SliceData(v.Bytes), len(v.Bytes)))), nil
	}
	return nil, aws.SensitiveBytes(v.Bytes)
}

// pick applies the table of spec 2.6. loaded is what findWithVersion found.
func (s *Service) pick(ctx context.Context, sec *secret, loaded *version, id, stage *string) (*version, error) {
	switch {
	case id != nil && loaded == nil:
		return nil, errNoVersion(*id)
	case id != nil && stage != nil && sec.Labels.versionOf(*stage) != *id:
		return nil, ErrInvalidRequest("You provided a VersionStage that is not associated to the provided VersionId.")
	case id != nil:
		return loaded, nil
	case stage == nil || *stage == stageCurrent:
		if loaded == nil {
			return nil, errNoStage(stageCurrent)
		}
		return loaded, nil
	}
	holder := sec.Labels.versionOf(*stage)
	if holder == "" {
		return nil, errNoStage(*stage)
	}
	v, err := scanVersion(s.db.Get(ctx, versionByID, sec.Account, sec.Region, sec.UID, holder))
	if errors.Is(err, store.ErrNoRows) {
		// A label on a version without a value: rotation's placeholder.
		return nil, errNoStage(*stage)
	}
	return v, err
}

// PutSecretValue adds a version.
func (s *Service) PutSecretValue(ctx context.Context, in *PutSecretValueInput) (*PutSecretValueOutput, error) {
	if in.ClientRequestToken == nil {
		return nil, errNoToken()
	}
	if err := checkID(*in.SecretId); err != nil {
		return nil, err
	}
	v, given, err := valueOf(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	if !given {
		return nil, wire.Invalid(ErrInvalidRequest("You must provide either SecretString or SecretBinary."))
	}
	return retry(func() (*PutSecretValueOutput, error) { return s.putSecretValue(ctx, in, v) })
}

func (s *Service) putSecretValue(ctx context.Context, in *PutSecretValueInput, v value) (*PutSecretValueOutput, error) {
	token := *in.ClientRequestToken
	ctx, sec, old, err := s.openWithVersion(ctx, "PutSecretValue", *in.SecretId, token)
	if err != nil {
		return nil, err
	}
	if err := sec.writable(); err != nil {
		return nil, err
	}
	if err := s.ownOrCustomerKey(ctx, sec); err != nil {
		return nil, err
	}
	out := &PutSecretValueOutput{ARN: new(sec.arn()), Name: &sec.Name, VersionId: &token}
	if old != nil {
		// The same statement has returned the labels, so they are not older.
		out.VersionStages = sec.Labels.of(token)
		if err := s.sameValue(ctx, sec, old, v); err != nil {
			return nil, err
		}
		return out, nil
	}
	added, err := s.seal(ctx, sec, token, v)
	if err != nil {
		return nil, err
	}
	var full bool
	err = s.db.Write(ctx, func(tx store.Tx) (err error) {
		now := new(*sec)
		full, err = s.addVersion(tx, now, added, in.VersionStages, s.saveLabels)
		if errors.Is(err, errMoved) {
			if now, err = unchanged(tx, sec); err != nil {
				return err
			}
			full, err = s.addVersion(tx, now, added, in.VersionStages, s.saveLabels)
		}
		out.VersionStages = now.Labels.of(token)
		return err
	})
	if err != nil {
		return nil, err
	}
	if full {
		s.prune(ctx, sec)
	}
	return out, nil
}

// ownOrCustomerKey refuses callers of other accounts where the default key
// would have to be used for them.
func (s *Service) ownOrCustomerKey(ctx context.Context, sec *secret) error {
	if here(ctx).Account == sec.Account {
		return nil
	}
	if sec.KmsKeyID == "" {
		return errForeignDefaultKey()
	}
	_, managed, err := s.keyOf(ctx, sec)
	if err == nil && managed {
		err = errForeignDefaultKey()
	}
	return err
}

// prepareVersion seals a value under a token, or finds that it is stored under
// that token already (done). It runs before the transaction.
func (s *Service) prepareVersion(ctx context.Context, sec *secret, token string, v value) (done bool, added *version, err error) {
	old, err := scanVersion(s.db.Get(ctx, versionByID, sec.Account, sec.Region, sec.UID, token))
	if err == nil {
		return true, nil, s.sameValue(ctx, sec, old, v)
	}
	if !errors.Is(err, store.ErrNoRows) {
		return false, nil, err
	}
	added, err = s.seal(ctx, sec, token, v)
	return false, added, err
}

// addVersion moves the labels to a sealed version, saves the secret and inserts
// the version. A token that was taken meanwhile starts the operation again, which
// then compares the values. full says that the secret has as many versions as it
// may have, so that older ones may have to go.
func (s *Service) addVersion(tx store.Tx, sec *secret, v *version, stages []string, save func(store.Tx, *secret) error) (full bool, err error) {
	sec.Labels = sec.Labels.withNewVersion(v.ID, stages)
	// Saving comes first: it may find that sec is not the secret of now, and then
	// nothing else is to be said about it.
	if err := save(tx, sec); err != nil {
		return false, err
	}
	if len(sec.Labels) > s.quotas.LabelsPerSecret {
		return false, ErrLimitExceeded("You can't have more than %d staging labels attached to the versions of a secret.", s.quotas.LabelsPerSecret)
	}
	v.CreatedAt = tx.Now()
	if added, err := insertVersionBelow(tx, sec, v, s.quotas.VersionsPerSecret); err != nil || added {
		return false, err
	}
	held, err := listVersions(tx, sec)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(held, func(h *version) bool { return h.ID == v.ID }) {
		return false, errChanged
	}
	room := s.quotas.VersionsPerSecret + len(prunable(held, sec.Labels, tx.Now()))
	if len(held) >= room {
		return false, ErrLimitExceeded("You've exceeded the quota of %d versions for the secret.", s.quotas.VersionsPerSecret)
	}
	return true, insertVersion(tx, sec, v)
}

// minPruneAge: no version younger than a day is ever removed (spec 3.4).
const minPruneAge = 24 * time.Hour

// prunable returns the versions that may be removed: without a label and old
// enough. versions are sorted newest first, so is the result.
func prunable(versions []*version, l labels, now time.Time) []*version {
	var out []*version
	for _, v := range versions {
		if len(l.of(v.ID)) == 0 && now.Sub(v.CreatedAt) >= minPruneAge {
			out = append(out, v)
		}
	}
	return out
}

// prune removes the oldest versions without a label once there are more than
// the quota, each as a service event of its own. The caller's change is
// committed by now: a failure here is logged and mended by the next change.
func (s *Service) prune(ctx context.Context, seen *secret) {
	var surplus []*version
	var sec *secret
	err := s.db.Read(ctx, func(tx store.Tx) (err error) {
		surplus = nil
		if sec, err = scanSecret(tx.QueryRow(secretByUID, seen.Account, seen.Region, seen.UID)); err != nil {
			return err
		}
		held, err := listVersions(tx, sec)
		if err != nil {
			return err
		}
		if excess := len(held) - s.quotas.VersionsPerSecret; excess > 0 {
			old := prunable(held, sec.Labels, tx.Now())
			surplus = old[max(0, len(old)-excess):]
		}
		return nil
	})
	for _, v := range surplus {
		err = errors.Join(err, s.event(ctx, "SecretVersionDeletion", sec, v.ID, func(ctx context.Context) error {
			return s.db.Write(ctx, func(tx store.Tx) error {
				now, err := scanSecret(tx.QueryRow(secretByUID, sec.Account, sec.Region, sec.UID))
				if err != nil || len(now.Labels.of(v.ID)) > 0 {
					return err
				}
				return deleteVersion(tx, sec, v.ID)
			})
		}))
	}
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		s.log.WarnContext(ctx, "cannot remove old versions", "secret", seen.arn(), "error", err)
	}
}

// ListSecretVersionIds lists the versions with labels, and all others on
// request, newest first.
func (s *Service) ListSecretVersionIds(ctx context.Context, in *ListSecretVersionIdsInput) (*ListSecretVersionIdsOutput, error) {
	sec, err := s.open(ctx, "ListSecretVersionIds", *in.SecretId)
	if err != nil {
		return nil, err
	}
	var after versionCursor
	if in.NextToken != nil {
		if err := decodeToken(*in.NextToken, &after); err != nil {
			return nil, err
		}
		if after.ID == "" {
			return nil, errBadToken()
		}
	}
	var held []*version
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		held, err = listVersions(tx, sec)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.accesses.show(sec, held)
	limit := int(deref(in.MaxResults))
	if in.MaxResults == nil {
		limit = defaultPage
	}
	out := &ListSecretVersionIdsOutput{ARN: new(sec.arn()), Name: &sec.Name, Versions: []SecretVersionsListEntry{}}
	for _, v := range held {
		stages := sec.Labels.of(v.ID)
		if stages == nil && !deref(in.IncludeDeprecated) || !after.before(v) {
			continue
		}
		if len(out.Versions) == limit {
			out.NextToken = new(encodeToken(after))
			break
		}
		key := "DefaultEncryptionKey"
		if v.KeyARN != "" {
			key = v.KeyARN
		}
		out.Versions = append(out.Versions, SecretVersionsListEntry{VersionId: &v.ID, VersionStages: stages,
			LastAccessedDate: wireTime(v.AccessedAt), CreatedDate: wireTime(v.CreatedAt), KmsKeyIds: []string{key}})
		after = versionCursor{Created: v.CreatedAt.UnixMicro(), ID: v.ID}
	}
	return out, nil
}

// versionCursor is the last version of a page.
type versionCursor struct {
	Created int64  `json:"c"`
	ID      string `json:"i"`
}

// before reports whether v comes behind the cursor in a list newest first.
func (c versionCursor) before(v *version) bool {
	at := v.CreatedAt.UnixMicro()
	return c.ID == "" || at < c.Created || at == c.Created && v.ID > c.ID
}

// defaultPage is the page size of lists when none is asked for.
const defaultPage = 100

// Tokens only say where to go on in a list that is authorised on each page, so
// they need no secrecy and no signature; what does not decode is refused.
func encodeToken(cursor any) string {
	b, _ := json.Marshal(cursor) // cursors are plain structs
	return base64.RawURLEncoding.EncodeToString(b)
}

func decodeToken(token string, cursor any) error {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(b, cursor)
	}
	if err != nil {
		return errBadToken()
	}
	return nil
}

func errBadToken() error { return ErrInvalidNextToken("The NextToken value is invalid.") }

// UpdateSecretVersionStage moves one label by the table of spec 3.3.
func (s *Service) UpdateSecretVersionStage(ctx context.Context, in *UpdateSecretVersionStageInput) (*UpdateSecretVersionStageOutput, error) {
	if err := checkID(*in.SecretId); err != nil {
		return nil, err
	}
	if in.MoveToVersionId == nil && in.RemoveFromVersionId == nil {
		return nil, wire.Invalid(ErrInvalidParameter("You must provide either MoveToVersionId or RemoveFromVersionId."))
	}
	return retry(func() (*UpdateSecretVersionStageOutput, error) {
		sec, err := s.open(ctx, "UpdateSecretVersionStage", *in.SecretId, auth.Key{Name: "secretsmanager:VersionStage", Values: []string{*in.VersionStage}})
		if err != nil {
			return nil, err
		}
		if err := sec.writable(); err != nil {
			return nil, err
		}
		err = s.change(ctx, sec, func(tx store.Tx, now *secret) error {
			next, err := s.moveLabel(tx, now, in)
			if err != nil || slices.Equal(next, now.Labels) {
				return err
			}
			now.Labels = next
			return s.save(tx, now)
		})
		if err != nil {
			return nil, err
		}
		return &UpdateSecretVersionStageOutput{ARN: new(sec.arn()), Name: &sec.Name}, nil
	})
}

func (s *Service) moveLabel(tx store.Tx, sec *secret, in *UpdateSecretVersionStageInput) (labels, error) {
	stage, holder := *in.VersionStage, sec.Labels.versionOf(*in.VersionStage)
	for _, id := range []*string{in.MoveToVersionId, in.RemoveFromVersionId} {
		if id == nil || len(sec.Labels.of(*id)) > 0 {
			continue
		}
		if _, err := scanVersion(tx.QueryRow(versionByID, sec.Account, sec.Region, sec.UID, *id)); errors.Is(err, store.ErrNoRows) {
			return nil, errNoVersion(*id)
		} else if err != nil {
			return nil, err
		}
	}
	if in.MoveToVersionId == nil {
		if holder != *in.RemoveFromVersionId {
			return nil, errNotHolder(stage)
		}
		if stage == stageCurrent {
			return nil, ErrInvalidParameter("You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.")
		}
		return sec.Labels.detach(stage), nil
	}
	switch {
	case holder == *in.MoveToVersionId && (in.RemoveFromVersionId == nil || *in.RemoveFromVersionId == holder):
		return sec.Labels, nil
	case holder != "" && in.RemoveFromVersionId == nil:
		return nil, ErrInvalidParameter("The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", stage, holder)
	case in.RemoveFromVersionId != nil && *in.RemoveFromVersionId != holder:
		return nil, errNotHolder(stage)
	}
	next := sec.Labels.attach(stage, *in.MoveToVersionId)
	if stage == stageCurrent {
		next = sec.Labels.promote(*in.MoveToVersionId)
	}
	if len(next) > s.quotas.LabelsPerSecret {
		return nil, ErrLimitExceeded("You can't have more than %d staging labels attached to the versions of a secret.", s.quotas.LabelsPerSecret)
	}
	return next, nil
}

func errNotHolder(stage string) error {
	return ErrInvalidParameter("When you move staging label %s, if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label %s.", stage, stage)
}
