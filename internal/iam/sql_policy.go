package iam

import (
	"fmt"
	"strconv"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/iam/awsmanaged"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// inlinePolicy is a row of iam_inline_policies.
type inlinePolicy struct {
	EntityID, Name, Document string
	Version                  int64
}

const inlineColumns = `entity_id, name, document, version`

func scanInlinePolicy(r store.Row) (p inlinePolicy, err error) {
	err = r.Scan(&p.EntityID, &p.Name, &p.Document, &p.Version)
	return p, err
}

// listInlinePolicies lists those of one user, group or role, in name order.
func listInlinePolicies(tx store.Tx, account, entityID string) ([]inlinePolicy, error) {
	return collect(tx, scanInlinePolicy, `SELECT `+inlineColumns+` FROM iam_inline_policies WHERE account = $1 AND entity_id = $2 ORDER BY name`,
		account, entityID)
}

func getInlinePolicy(tx store.Tx, account, entityID, name string) (inlinePolicy, error) {
	return scanInlinePolicy(tx.QueryRow(`SELECT `+inlineColumns+` FROM iam_inline_policies WHERE account = $1 AND entity_id = $2 AND name = $3`,
		account, entityID, name))
}

func putInlinePolicy(tx store.Tx, account, entityID, name, document string) error {
	_, err := tx.Exec(`INSERT INTO iam_inline_policies (account, entity_id, name, document, version, updated_at) VALUES ($1, $2, $3, $4, 1, $5)
		ON CONFLICT (account, entity_id, name) DO UPDATE SET document = $4, version = iam_inline_policies.version + 1, updated_at = $5`,
		account, entityID, name, document, tx.Now().UnixMicro())
	return err
}

// deleteInlinePolicy reports whether there was one.
func deleteInlinePolicy(tx store.Tx, account, entityID, name string) (bool, error) {
	n, err := tx.Exec(`DELETE FROM iam_inline_policies WHERE account = $1 AND entity_id = $2 AND name = $3`, account, entityID, name)
	return n > 0, err
}

// managedPolicy is a row of iam_policies.
type managedPolicy struct {
	Account, ID, ARN, Name, Path, Description string
	Tags                                      []aws.Tag
	DefaultVersion, NextVersion               int64
	CreatedAt, UpdatedAt                      time.Time
}

// resource is the policy as audit records list it.
func (p *managedPolicy) resource() wire.Resource {
	return wire.Resource{ARN: p.ARN, Type: "AWS::IAM::Policy", Account: p.Account}
}

const policyColumns = `account, id, arn, name, path, description, tags, default_version, next_version, created_at, updated_at`

func scanPolicy(r store.Row) (managedPolicy, error) { return scanPolicyAnd(r) }

// scanPolicyAnd scans further columns behind those of the policy.
func scanPolicyAnd(r store.Row, more ...any) (p managedPolicy, err error) {
	var tags string
	var created, updated int64
	if err = r.Scan(append([]any{&p.Account, &p.ID, &p.ARN, &p.Name, &p.Path, &p.Description, &tags, &p.DefaultVersion, &p.NextVersion,
		&created, &updated}, more...)...); err != nil {
		return p, err
	}
	p.CreatedAt, p.UpdatedAt = aws.Micros(created), aws.Micros(updated)
	p.Tags, err = tagsFromText(tags)
	return p, err
}

func getPolicy(tx store.Tx, account, arn string) (managedPolicy, error) {
	return scanPolicy(tx.QueryRow(`SELECT `+policyColumns+` FROM iam_policies WHERE account = $1 AND arn = $2`, account, arn))
}

// The ways in which a policy p can be in use. The comparison with ” is what lets
// the index of boundaries be used.
const (
	isAttached = `EXISTS (SELECT 1 FROM iam_attachments WHERE account = p.account AND policy_arn = p.arn)`
	isBoundary = `(EXISTS (SELECT 1 FROM iam_users WHERE account = p.account AND boundary = p.arn AND boundary <> '') OR
		EXISTS (SELECT 1 FROM iam_roles WHERE account = p.account AND boundary = p.arn AND boundary <> ''))`
)

// listPolicies returns up to limit of the account's own policies behind the
// marker, in name order, with their use. Only those in use are listed when used is
// set, and only those in a use when usage is.
func listPolicies(tx store.Tx, account, after, pathPrefix string, used bool, usage string, limit int) ([]usedPolicy, error) {
	condition := ""
	switch {
	case usage == PolicyUsagePermissionsPolicy:
		condition = ` AND ` + isAttached
	case usage == PolicyUsagePermissionsBoundary:
		condition = ` AND ` + isBoundary
	case used:
		condition = ` AND (` + isAttached + ` OR ` + isBoundary + `)`
	}
	return collect(tx, scanUsedPolicy, `SELECT `+policyColumns+`, `+countUses+` FROM iam_policies p
		WHERE account = $1 AND name_fold > $2 AND substr(path, 1, length($3)) = $3`+condition+`
		ORDER BY name_fold LIMIT $4`, account, after, pathPrefix, int64(limit))
}

// usedPolicy is a policy with its use.
type usedPolicy struct {
	managedPolicy
	policyUse
}

// policyUse counts where a policy is in force: on entities, and as a boundary.
type policyUse struct{ Attached, Boundaries int64 }

// countUses are the columns of a policyUse of a policy p.
const countUses = `(SELECT COUNT(*) FROM iam_attachments WHERE account = p.account AND policy_arn = p.arn),
	(SELECT COUNT(*) FROM iam_users WHERE account = p.account AND boundary = p.arn AND boundary <> '') +
	(SELECT COUNT(*) FROM iam_roles WHERE account = p.account AND boundary = p.arn AND boundary <> '')`

func scanUsedPolicy(r store.Row) (p usedPolicy, err error) {
	p.managedPolicy, err = scanPolicyAnd(r, &p.Attached, &p.Boundaries)
	return p, err
}

// usesOf counts the use of any policy, AWS's included.
func usesOf(tx store.Tx, account, arn string) (use policyUse, err error) {
	err = tx.QueryRow(`SELECT `+countUses+` FROM (SELECT CAST($1 AS TEXT) AS account, CAST($2 AS TEXT) AS arn) p`, account, arn).
		Scan(&use.Attached, &use.Boundaries)
	return use, err
}

func deletePolicy(tx store.Tx, account, id string) error {
	if _, err := tx.Exec(`DELETE FROM iam_policy_versions WHERE account = $1 AND policy_id = $2`, account, id); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM iam_policies WHERE account = $1 AND id = $2`, account, id)
	return err
}

// deletePolicyVersion reports whether there was one.
func deletePolicyVersion(tx store.Tx, account, policyID string, number int64) (bool, error) {
	n, err := tx.Exec(`DELETE FROM iam_policy_versions WHERE account = $1 AND policy_id = $2 AND version = $3`, account, policyID, number)
	return n > 0, err
}

func insertPolicy(tx store.Tx, p managedPolicy) error {
	tags, err := tagsText(p.Tags)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO iam_policies (`+policyColumns+`, name_fold) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		p.Account, p.ID, p.ARN, p.Name, p.Path, p.Description, tags, p.DefaultVersion, p.NextVersion,
		p.CreatedAt.UnixMicro(), p.UpdatedAt.UnixMicro(), fold(p.Name))
	return err
}

// updatePolicy writes what can change of a policy.
func updatePolicy(tx store.Tx, p managedPolicy) error {
	tags, err := tagsText(p.Tags)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE iam_policies SET tags = $3, default_version = $4, next_version = $5, updated_at = $6 WHERE account = $1 AND id = $2`,
		p.Account, p.ID, tags, p.DefaultVersion, p.NextVersion, p.UpdatedAt.UnixMicro())
	return err
}

// policyVersion is a row of iam_policy_versions. Versions are never changed.
type policyVersion struct {
	Number    int64
	Document  string
	CreatedAt time.Time
}

// id is the version as the API spells it.
func (v *policyVersion) id() string { return versionID(v.Number) }

func versionID(number int64) string { return "v" + strconv.FormatInt(number, 10) }

func scanPolicyVersion(r store.Row) (policyVersion, error) { return scanPolicyVersionAnd(r) }

// scanPolicyVersionAnd scans further columns behind those of the version.
func scanPolicyVersionAnd(r store.Row, more ...any) (v policyVersion, err error) {
	var created int64
	err = r.Scan(append([]any{&v.Number, &v.Document, &created}, more...)...)
	v.CreatedAt = aws.Micros(created)
	return v, err
}

func getPolicyVersion(tx store.Tx, account, policyID string, number int64) (policyVersion, error) {
	return scanPolicyVersion(tx.QueryRow(`SELECT version, document, created_at FROM iam_policy_versions
		WHERE account = $1 AND policy_id = $2 AND version = $3`, account, policyID, number))
}

// listPolicyVersions lists the newest first.
func listPolicyVersions(tx store.Tx, account, policyID string) ([]policyVersion, error) {
	return collect(tx, scanPolicyVersion, `SELECT version, document, created_at FROM iam_policy_versions
		WHERE account = $1 AND policy_id = $2 ORDER BY version DESC`, account, policyID)
}

func insertPolicyVersion(tx store.Tx, account, policyID string, v policyVersion) error {
	_, err := tx.Exec(`INSERT INTO iam_policy_versions (account, policy_id, version, document, created_at) VALUES ($1, $2, $3, $4, $5)`,
		account, policyID, v.Number, v.Document, v.CreatedAt.UnixMicro())
	return err
}

// attachedPolicies lists the ARNs attached to one user, group or role, in order.
func attachedPolicies(tx store.Tx, account, entityID string) ([]string, error) {
	return collect(tx, scanText, `SELECT policy_arn FROM iam_attachments WHERE account = $1 AND entity_id = $2 ORDER BY policy_arn`, account, entityID)
}

// attachPolicy is idempotent, as AWS's operation is.
func attachPolicy(tx store.Tx, account, entityID, arn string) error {
	_, err := tx.Exec(`INSERT INTO iam_attachments (account, entity_id, policy_arn, attached_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account, entity_id, policy_arn) DO NOTHING`, account, entityID, arn, tx.Now().UnixMicro())
	return err
}

// detachPolicy reports whether it was attached.
func detachPolicy(tx store.Tx, account, entityID, arn string) (bool, error) {
	n, err := tx.Exec(`DELETE FROM iam_attachments WHERE account = $1 AND entity_id = $2 AND policy_arn = $3`, account, entityID, arn)
	return n > 0, err
}

// listPolicyEntities returns up to limit entities of a kind that a policy is in use
// on, behind the marker, in name order; usage "" means any. The cross join makes
// SQLite begin with the policy's own rows, so that the number of all entities does
// not matter.
func listPolicyEntities(tx store.Tx, k kind, account, arn, usage, after, pathPrefix string, limit int) ([]holder, error) {
	table := map[kind]string{userKind: "iam_users", groupKind: "iam_groups", roleKind: "iam_roles"}[k]
	attached := `SELECT entity_id AS id FROM iam_attachments WHERE account = $1 AND policy_arn = $2`
	bounded := `SELECT id FROM ` + table + ` b WHERE account = $1 AND boundary = $2 AND boundary <> ''`
	// UNION would sort by id, for which SQLite walks through all ids.
	of := attached + ` UNION ALL ` + bounded +
		` AND NOT EXISTS (SELECT 1 FROM iam_attachments WHERE account = $1 AND entity_id = b.id AND policy_arn = $2)`
	switch {
	case k == groupKind && usage == PolicyUsagePermissionsBoundary:
		return nil, nil // groups have no boundaries
	case k == groupKind, usage == PolicyUsagePermissionsPolicy:
		of = attached
	case usage == PolicyUsagePermissionsBoundary:
		of = bounded
	}
	return collect(tx, func(r store.Row) (h holder, err error) {
		h.kind, h.account = k, account
		err = r.Scan(&h.id, &h.name, &h.path)
		return h, err
	}, `SELECT e.id, e.name, e.path FROM (`+of+`) u CROSS JOIN `+table+` e
		WHERE e.account = $1 AND e.id = u.id AND e.name_fold > $3 AND substr(e.path, 1, length($4)) = $4
		ORDER BY e.name_fold LIMIT $5`, account, arn, after, pathPrefix, int64(limit))
}

// ofEntity selects the ids of an entity ($2) and, if it is a user, of its groups.
const ofEntity = `(SELECT CAST($2 AS TEXT) UNION ALL SELECT group_id FROM iam_group_members WHERE account = $1 AND user_id = $2)`

// inlineInForce returns the inline policies of an entity and its groups, by the ids
// of their holders, each in name order.
func inlineInForce(tx store.Tx, account, entityID string) (map[string][]inlinePolicy, error) {
	all, err := collect(tx, scanInlinePolicy, `SELECT `+inlineColumns+` FROM iam_inline_policies
		WHERE account = $1 AND entity_id IN `+ofEntity+` ORDER BY entity_id, name`, account, entityID)
	return byKey(all, func(p inlinePolicy) string { return p.EntityID }), err
}

// attachedInForce returns the versions in force of the policies attached to an
// entity and its groups, by the ids of their holders, each in the order of ARNs.
func attachedInForce(tx store.Tx, account, entityID string) (map[string][]boundPolicy, error) {
	type row struct {
		entity string
		number int64
		boundPolicy
	}
	all, err := collect(tx, func(r store.Row) (v row, err error) {
		if err = r.Scan(&v.entity, &v.id, &v.number, &v.document); err != nil {
			return v, err
		}
		if v.number == 0 {
			p, ok := awsmanaged.Get(v.id)
			if !ok {
				// Damage: leaving it out could drop a Deny.
				return v, fmt.Errorf("policy %s is attached to %s and does not exist", v.id, v.entity)
			}
			v.number, v.document = versionNumber(p.Version), p.Text
		}
		v.version = versionID(v.number)
		return v, nil
	}, `SELECT a.entity_id, a.policy_arn, COALESCE(v.version, 0), COALESCE(v.document, '') FROM iam_attachments a
		LEFT JOIN iam_policies p ON p.account = a.account AND p.arn = a.policy_arn
		LEFT JOIN iam_policy_versions v ON v.account = p.account AND v.policy_id = p.id AND v.version = p.default_version
		WHERE a.account = $1 AND a.entity_id IN `+ofEntity+` ORDER BY a.entity_id, a.policy_arn`, account, entityID)
	out := make(map[string][]boundPolicy)
	for _, v := range all {
		out[v.entity] = append(out[v.entity], v.boundPolicy)
	}
	return out, err
}
