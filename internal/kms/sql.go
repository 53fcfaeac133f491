package kms

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
)

const keyColumns = `account, region, id, managed_by, state, spec, key_usage, origin, description,
	policy, policy_version, tags, material, created_at, delete_at`

func scanKey(r store.Row) (key, error) {
	var k key
	var tags string
	var created, deleted int64
	err := r.Scan(&k.account, &k.region, &k.ID, &k.ManagedBy, &k.State, &k.Spec, &k.Usage, &k.Origin, &k.Description,
		&k.Policy, &k.PolicyVersion, &tags, &k.Material, &created, &deleted)
	if err != nil {
		return key{}, err
	}
	if tags != "" {
		if err := json.Unmarshal([]byte(tags), &k.Tags); err != nil {
			return key{}, fmt.Errorf("tags of key %s: %w", k.ID, err)
		}
	}
	k.CreatedAt = aws.Micros(created)
	if deleted != 0 {
		k.DeleteAt = aws.Micros(deleted)
	}
	return k, nil
}

func selectKey(tx store.Tx, p place, id string) (key, error) {
	return scanKey(tx.QueryRow(`SELECT `+keyColumns+` FROM kms_keys WHERE account = $1 AND region = $2 AND id = $3`,
		p.account, p.region, id))
}

func insertKey(tx store.Tx, k *key) error {
	tags := ""
	if len(k.Tags) > 0 {
		b, err := json.Marshal(k.Tags)
		if err != nil {
			return err
		}
		tags = string(b)
	}
	_, err := tx.Exec(`INSERT INTO kms_keys (`+keyColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0)`,
		k.account, k.region, k.ID, k.ManagedBy, k.State, k.Spec, k.Usage, k.Origin, k.Description,
		k.Policy, k.PolicyVersion, tags, k.Material, micros(k.CreatedAt))
	return err
}

func updateState(tx store.Tx, k *key) error {
	_, err := tx.Exec(`UPDATE kms_keys SET state = $4, delete_at = $5 WHERE account = $1 AND region = $2 AND id = $3`,
		k.account, k.region, k.ID, k.State, micros(k.DeleteAt))
	return err
}

func updatePolicy(tx store.Tx, k *key) error {
	_, err := tx.Exec(`UPDATE kms_keys SET policy = $4, policy_version = $5 WHERE account = $1 AND region = $2 AND id = $3`,
		k.account, k.region, k.ID, k.Policy, k.PolicyVersion)
	return err
}

// deleteKey destroys a key with its material and aliases.
func deleteKey(tx store.Tx, p place, id string) error {
	for _, statement := range [...]string{
		`DELETE FROM kms_material WHERE account = $1 AND region = $2 AND key_id = $3`,
		`DELETE FROM kms_aliases WHERE account = $1 AND region = $2 AND key_id = $3`,
		`DELETE FROM kms_keys WHERE account = $1 AND region = $2 AND id = $3`,
	} {
		if _, err := tx.Exec(statement, p.account, p.region, id); err != nil {
			return err
		}
	}
	return nil
}

// countKeys counts the keys that customers made; those of services are outside
// the quota.
func countKeys(tx store.Tx, p place) (n int64, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM kms_keys WHERE account = $1 AND region = $2 AND managed_by = ''`,
		p.account, p.region).Scan(&n)
	return n, err
}

// listKeyIDs returns up to limit ids behind after, in their order.
func listKeyIDs(tx store.Tx, p place, after string, limit int) ([]string, error) {
	rows, err := tx.Query(`SELECT id FROM kms_keys WHERE account = $1 AND region = $2 AND id > $3 ORDER BY id LIMIT $4`,
		p.account, p.region, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// due is a key whose waiting period has passed.
type due struct {
	place
	id string
}

func listDue(tx store.Tx, limit int) ([]due, error) {
	rows, err := tx.Query(`SELECT account, region, id FROM kms_keys WHERE delete_at > 0 AND delete_at <= $1
		ORDER BY delete_at LIMIT $2`, micros(tx.Now()), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []due
	for rows.Next() {
		var d due
		if err := rows.Scan(&d.account, &d.region, &d.id); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

// nextDeletion returns when the next key is due, the zero time if none is.
func nextDeletion(tx store.Tx) (time.Time, error) {
	var at int64
	err := tx.QueryRow(`SELECT delete_at FROM kms_keys WHERE delete_at > 0 ORDER BY delete_at LIMIT 1`).Scan(&at)
	if errors.Is(err, store.ErrNoRows) {
		return time.Time{}, nil
	}
	return aws.Micros(at), err
}

func insertMaterial(tx store.Tx, k *key, sealed []byte) error {
	_, err := tx.Exec(`INSERT INTO kms_material (account, region, key_id, id, sealed, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		k.account, k.region, k.ID, k.Material, sealed, micros(k.CreatedAt))
	return err
}

// materialSQL finds the material whose id begins with the half that blobs
// carry. A key has few, so that the index on the key is enough.
const materialSQL = `SELECT id, sealed FROM kms_material WHERE account = $1 AND region = $2 AND key_id = $3 AND substr(id, 1, 32) = $4`

// alias is a row of kms_aliases.
type alias struct {
	place
	Name      string
	KeyID     string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// insertAlias reports false when the name is taken.
func insertAlias(tx store.Tx, a *alias) (bool, error) {
	n, err := tx.Exec(`INSERT INTO kms_aliases (account, region, name, key_id, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, region, name) DO NOTHING`,
		a.account, a.region, a.Name, a.KeyID, micros(a.CreatedAt), micros(a.UpdatedAt))
	return n == 1, err
}

func aliasNames(tx store.Tx, p place, keyID string) ([]string, error) {
	rows, err := tx.Query(`SELECT name FROM kms_aliases WHERE account = $1 AND region = $2 AND key_id = $3 ORDER BY name`,
		p.account, p.region, keyID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

const aliasTargetSQL = `SELECT key_id FROM kms_aliases WHERE account = $1 AND region = $2 AND name = $3`

// listAliases returns up to limit aliases behind after, in the order of their
// names; those of one key when keyID is not empty.
func listAliases(tx store.Tx, p place, keyID, after string, limit int) ([]alias, error) {
	const columns = `SELECT account, region, name, key_id, created_at, updated_at FROM kms_aliases WHERE account = $1 AND region = $2`
	query, args := columns+` AND name > $3 ORDER BY name LIMIT $4`, []any{p.account, p.region, after, limit}
	if keyID != "" {
		query, args = columns+` AND name > $3 AND key_id = $5 ORDER BY name LIMIT $4`, append(args, keyID)
	}
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []alias
	for rows.Next() {
		var a alias
		var created, updated int64
		if err := rows.Scan(&a.account, &a.region, &a.Name, &a.KeyID, &created, &updated); err != nil {
			return nil, err
		}
		a.CreatedAt, a.UpdatedAt = aws.Micros(created), aws.Micros(updated)
		all = append(all, a)
	}
	return all, rows.Err()
}

// micros is the store's form of a time; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// selectNamed returns the keys whose policies contain something like the ARN of a
// user or role.
func selectNamed(tx store.Tx) ([]key, error) {
	rows, err := tx.Query(`SELECT ` + keyColumns + ` FROM kms_keys WHERE policy LIKE '%:user/%' OR policy LIKE '%:role/%'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []key
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, k)
	}
	return found, rows.Err()
}
