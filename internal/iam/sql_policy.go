package iam

import (
	"strconv"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
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

func scanPolicy(r store.Row) (p managedPolicy, err error) {
	var tags string
	var created, updated int64
	if err = r.Scan(&p.Account, &p.ID, &p.ARN, &p.Name, &p.Path, &p.Description, &tags, &p.DefaultVersion, &p.NextVersion, &created, &updated); err != nil {
		return p, err
	}
	p.CreatedAt, p.UpdatedAt = aws.Micros(created), aws.Micros(updated)
	p.Tags, err = tagsFromText(tags)
	return p, err
}

func getPolicy(tx store.Tx, account, arn string) (managedPolicy, error) {
	return scanPolicy(tx.QueryRow(`SELECT `+policyColumns+` FROM iam_policies WHERE account = $1 AND arn = $2`, account, arn))
}

// policyUse counts where a policy is in force: on entities, and as a boundary.
type policyUse struct{ Attached, Boundaries int64 }

func usesOf(tx store.Tx, account, arn string) (use policyUse, err error) {
	err = tx.QueryRow(`SELECT (SELECT COUNT(*) FROM iam_attachments WHERE account = $1 AND policy_arn = $2),
		(SELECT COUNT(*) FROM iam_users WHERE account = $1 AND boundary = $2 AND boundary <> '') +
		(SELECT COUNT(*) FROM iam_roles WHERE account = $1 AND boundary = $2 AND boundary <> '')`, account, arn).Scan(&use.Attached, &use.Boundaries)
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

func scanPolicyVersion(r store.Row) (v policyVersion, err error) {
	var created int64
	err = r.Scan(&v.Number, &v.Document, &created)
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
