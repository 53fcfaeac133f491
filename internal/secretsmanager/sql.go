package secretsmanager

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
)

// secret is a row of table secrets.
type secret struct {
	Account, Region, UID, Name, Suffix string
	Description, KmsKeyID              string
	Type, OwningService                string
	// Tags is nil when never tagged and empty when no longer tagged (spec 2.8).
	Tags          []aws.Tag
	Policy        string
	PolicyVersion int64
	Labels        labels
	CreateToken   string
	CreatedAt     time.Time
	ChangedAt     time.Time
	AccessedAt    time.Time // zero: never
	DeletedAt     time.Time // zero: live
	PurgeAt       time.Time
	PrimaryRegion string
	Replica       bool
	Revision      int64

	// arnText is the ARN of a secret in the cache of rows, which nobody changes; ""
	// for all others.
	arnText string
}

func (s *secret) arn() string {
	if s.arnText != "" {
		return s.arnText
	}
	return secretARN(s.Account, s.Region, s.Name, s.Suffix)
}

const secretColumns = `s.account, s.region, s.uid, s.name, s.suffix, s.description, s.kms_key_id, s.type, s.owning_service,
	s.tags, s.policy, s.policy_version, s.labels, s.create_token, s.created_at, s.changed_at, s.accessed_at,
	s.deleted_at, s.purge_at, s.primary_region, s.replica, s.revision`

// secretScan holds the columns that need a second look after Scan.
type secretScan struct {
	secret
	tags, labels                                 string
	created, changed, accessed, deleted, purgeAt int64
}

func (x *secretScan) dest(more ...any) []any {
	s := &x.secret
	return append([]any{&s.Account, &s.Region, &s.UID, &s.Name, &s.Suffix, &s.Description, &s.KmsKeyID, &s.Type, &s.OwningService,
		&x.tags, &s.Policy, &s.PolicyVersion, &x.labels, &s.CreateToken, &x.created, &x.changed, &x.accessed,
		&x.deleted, &x.purgeAt, &s.PrimaryRegion, &s.Replica, &s.Revision}, more...)
}

func (x *secretScan) finish() (*secret, error) {
	s := &x.secret
	s.CreatedAt, s.ChangedAt = aws.Micros(x.created), aws.Micros(x.changed)
	s.AccessedAt, s.DeletedAt, s.PurgeAt = microsOrZero(x.accessed), microsOrZero(x.deleted), microsOrZero(x.purgeAt)
	var err error
	if s.Labels, err = decodeLabels(x.labels); err != nil {
		return nil, err
	}
	s.Tags, err = decodeTags(x.tags)
	return s, err
}

func scanSecret(r store.Row) (*secret, error) {
	var x secretScan
	if err := r.Scan(x.dest()...); err != nil {
		return nil, err
	}
	return x.finish()
}

func scanSecrets(rows store.Rows, err error) ([]*secret, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*secret
	// One place to scan into serves all rows.
	var x secretScan
	dest := x.dest()
	for rows.Next() {
		x.secret = secret{}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		s, err := x.finish()
		if err != nil {
			return nil, err
		}
		out = append(out, new(*s))
	}
	return out, rows.Err()
}

const secretByName = `SELECT ` + secretColumns + ` FROM secrets s WHERE s.account = $1 AND s.region = $2 AND s.name = $3`

const secretByUID = `SELECT ` + secretColumns + ` FROM secrets s WHERE s.account = $1 AND s.region = $2 AND s.uid = $3`

func insertSecret(tx store.Tx, s *secret) error {
	_, err := tx.Exec(`INSERT INTO secrets (account, region, uid, name, suffix, description, kms_key_id, type, owning_service,
			tags, policy, policy_version, labels, current_version, create_token, created_at, changed_at, accessed_at,
			deleted_at, purge_at, primary_region, replica, revision)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`,
		s.Account, s.Region, s.UID, s.Name, s.Suffix, s.Description, s.KmsKeyID, s.Type, s.OwningService,
		encodeTags(s.Tags), s.Policy, s.PolicyVersion, encodeLabels(s.Labels), s.Labels.versionOf(stageCurrent), s.CreateToken,
		s.CreatedAt.UnixMicro(), s.ChangedAt.UnixMicro(), zeroOrMicros(s.AccessedAt),
		zeroOrMicros(s.DeletedAt), zeroOrMicros(s.PurgeAt), s.PrimaryRegion, s.Replica, s.Revision)
	return err
}

// saveSecret writes what operations may change. The last read is not among it:
// the access log owns that column.
func saveSecret(tx store.Tx, s *secret) error {
	s.Revision++
	_, err := tx.Exec(`UPDATE secrets SET description = $4, kms_key_id = $5, type = $6, tags = $7, policy = $8, policy_version = $9,
			labels = $10, current_version = $11, changed_at = $12, deleted_at = $13, purge_at = $14,
			primary_region = $15, replica = $16, revision = $17
		WHERE account = $1 AND region = $2 AND uid = $3`,
		s.Account, s.Region, s.UID, s.Description, s.KmsKeyID, s.Type, encodeTags(s.Tags), s.Policy, s.PolicyVersion,
		encodeLabels(s.Labels), s.Labels.versionOf(stageCurrent), s.ChangedAt.UnixMicro(), zeroOrMicros(s.DeletedAt), zeroOrMicros(s.PurgeAt),
		s.PrimaryRegion, s.Replica, s.Revision)
	return errors.Join(err, touched(tx, s))
}

// saveSecretLabels writes the labels of a secret whose row is still of the
// revision that was read, or returns errMoved.
func saveSecretLabels(tx store.Tx, s *secret) error {
	n, err := tx.Exec(`UPDATE secrets SET labels = $4, current_version = $5, changed_at = $6, revision = $7
		WHERE account = $1 AND region = $2 AND uid = $3 AND revision = $8`,
		s.Account, s.Region, s.UID, encodeLabels(s.Labels), s.Labels.versionOf(stageCurrent), s.ChangedAt.UnixMicro(), s.Revision+1, s.Revision)
	if err == nil && n == 0 {
		return errMoved
	}
	s.Revision++
	return errors.Join(err, touched(tx, s))
}

// removeSecret erases a secret with everything that hangs on it.
func removeSecret(tx store.Tx, s *secret) error {
	for _, q := range []string{
		`DELETE FROM secret_versions WHERE account = $1 AND region = $2 AND secret_uid = $3`,
		`DELETE FROM secret_replicas WHERE account = $1 AND region = $2 AND secret_uid = $3`,
		`DELETE FROM secrets WHERE account = $1 AND region = $2 AND uid = $3`,
	} {
		if _, err := tx.Exec(q, s.Account, s.Region, s.UID); err != nil {
			return err
		}
	}
	return touched(tx, s)
}

// version is a row of table secret_versions. DataKey and Sealed are what the
// value rests as.
type version struct {
	ID         string
	CreatedAt  time.Time
	AccessedAt time.Time
	Kind       valueKind
	KeyARN     string // "" = the default key
	DataKey    []byte
	Sealed     []byte
}

const versionColumns = `v.version_id, v.created_at, v.accessed_at, v.kind, v.kms_key_arn, v.data_key, v.sealed`

func scanVersion(r store.Row) (*version, error) {
	var v version
	var created, accessed int64
	var kind string
	if err := r.Scan(&v.ID, &created, &accessed, &kind, &v.KeyARN, &v.DataKey, &v.Sealed); err != nil {
		return nil, err
	}
	v.CreatedAt, v.AccessedAt, v.Kind = aws.Micros(created), microsOrZero(accessed), valueKind(kind)
	return &v, nil
}

const versionByID = `SELECT ` + versionColumns + ` FROM secret_versions v
	WHERE v.account = $1 AND v.region = $2 AND v.secret_uid = $3 AND v.version_id = $4`

func insertVersion(tx store.Tx, s *secret, v *version) error {
	_, err := tx.Exec(`INSERT INTO secret_versions (account, region, secret_uid, version_id, created_at, accessed_at, kind, kms_key_arn, data_key, sealed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		s.Account, s.Region, s.UID, v.ID, v.CreatedAt.UnixMicro(), zeroOrMicros(v.AccessedAt), string(v.Kind), v.KeyARN, v.DataKey, v.Sealed)
	return errors.Join(err, touched(tx, s))
}

// insertVersionBelow inserts a version if the secret has fewer than limit and none
// of that id, and says whether it did. The index alone answers both.
func insertVersionBelow(tx store.Tx, s *secret, v *version, limit int) (added bool, err error) {
	n, err := tx.Exec(`INSERT INTO secret_versions (account, region, secret_uid, version_id, created_at, accessed_at, kind, kms_key_arn, data_key, sealed)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
		WHERE (SELECT COUNT(*) FROM secret_versions WHERE account = $1 AND region = $2 AND secret_uid = $3) < $11
		ON CONFLICT (account, region, secret_uid, version_id) DO NOTHING`,
		s.Account, s.Region, s.UID, v.ID, v.CreatedAt.UnixMicro(), zeroOrMicros(v.AccessedAt), string(v.Kind), v.KeyARN, v.DataKey, v.Sealed, int64(limit))
	return n == 1, errors.Join(err, touched(tx, s))
}

func deleteVersion(tx store.Tx, s *secret, id string) error {
	_, err := tx.Exec(`DELETE FROM secret_versions WHERE account = $1 AND region = $2 AND secret_uid = $3 AND version_id = $4`,
		s.Account, s.Region, s.UID, id)
	return errors.Join(err, touched(tx, s))
}

// listVersions returns all versions of a secret without their values, newest
// first. There are about a hundred at most (spec 3.4).
func listVersions(tx store.Tx, s *secret) ([]*version, error) {
	rows, err := tx.Query(`SELECT v.version_id, v.created_at, v.accessed_at, v.kms_key_arn FROM secret_versions v
		WHERE v.account = $1 AND v.region = $2 AND v.secret_uid = $3 ORDER BY v.created_at DESC, v.version_id`, s.Account, s.Region, s.UID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*version
	for rows.Next() {
		var v version
		var created, accessed int64
		if err := rows.Scan(&v.ID, &created, &accessed, &v.KeyARN); err != nil {
			return nil, err
		}
		v.CreatedAt, v.AccessedAt = aws.Micros(created), microsOrZero(accessed)
		out = append(out, &v)
	}
	return out, rows.Err()
}

func microsOrZero(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return aws.Micros(us)
}

func zeroOrMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// encodeLabels writes [["AWSCURRENT","id"],…].
func encodeLabels(l labels) string {
	pairs := make([][2]string, len(l))
	for i, x := range l {
		pairs[i] = [2]string{x.Stage, x.Version}
	}
	b, _ := json.Marshal(pairs) // strings always marshal
	return string(b)
}

// decodeLabels reads what encodeLabels wrote. Every read of a secret does, so the
// usual text, without escapes, is cut at its quotes: all odd pieces are strings.
func decodeLabels(text string) (labels, error) {
	if !strings.Contains(text, `\`) {
		pieces := strings.Split(text, `"`)
		out := make(labels, 0, len(pieces)/4)
		for i := 3; i < len(pieces); i += 4 {
			out = append(out, label{pieces[i-2], pieces[i]})
		}
		return out, nil
	}
	var pairs [][2]string
	if err := json.Unmarshal([]byte(text), &pairs); err != nil {
		return nil, err
	}
	out := make(labels, len(pairs))
	for i, p := range pairs {
		out[i] = label{p[0], p[1]}
	}
	return out, nil
}

func encodeTags(tags []aws.Tag) string {
	if tags == nil {
		return ""
	}
	b, _ := json.Marshal(tags) // strings always marshal
	return string(b)
}

func decodeTags(text string) (tags []aws.Tag, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &tags)
	}
	return tags, err
}
