package iam

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// user is a row of iam_users.
type user struct {
	Account, ID, Name, Path string
	Tags                    []aws.Tag
	CreatedAt               time.Time
}

func (u *user) arn() string { return userARN(u.Account, u.Path, u.Name) }

// resource is the user as audit records list it.
func (u *user) resource() wire.Resource {
	return wire.Resource{ARN: u.arn(), Type: "AWS::IAM::User", Account: u.Account}
}

const userColumns = `account, id, name, path, tags, created_at`

func scanUser(r store.Row) (u user, err error) {
	var tags string
	var created int64
	if err = r.Scan(&u.Account, &u.ID, &u.Name, &u.Path, &tags, &created); err != nil {
		return u, err
	}
	u.CreatedAt = aws.Micros(created)
	if tags != "" {
		err = json.Unmarshal([]byte(tags), &u.Tags)
	}
	return u, err
}

// fold makes a name comparable: names of IAM entities are unique without regard
// to case. They are ASCII by their pattern, so ToLower is the whole rule.
func fold(name string) string { return strings.ToLower(name) }

func getUser(tx store.Tx, account, name string) (user, error) {
	return scanUser(tx.QueryRow(`SELECT `+userColumns+` FROM iam_users WHERE account = $1 AND name_fold = $2`, account, fold(name)))
}

func getUserByID(tx store.Tx, account, id string) (user, error) {
	return scanUser(tx.QueryRow(`SELECT `+userColumns+` FROM iam_users WHERE account = $1 AND id = $2`, account, id))
}

func insertUser(tx store.Tx, u user) error {
	tags := ""
	if u.Tags != nil {
		b, err := json.Marshal(u.Tags)
		if err != nil {
			return err
		}
		tags = string(b)
	}
	_, err := tx.Exec(`INSERT INTO iam_users (account, id, name, name_fold, path, tags, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		u.Account, u.ID, u.Name, fold(u.Name), u.Path, tags, u.CreatedAt.UnixMicro())
	return err
}

// listUsers returns up to limit users behind the marker, in name order.
func listUsers(tx store.Tx, account, after, pathPrefix string, limit int) ([]user, error) {
	// PathPrefix is a plain prefix (spec iam-sts.md 3.3). LIKE would need its
	// wildcards escaped; comparing the prefix itself does not.
	rows, err := tx.Query(`SELECT `+userColumns+` FROM iam_users
		WHERE account = $1 AND name_fold > $2 AND substr(path, 1, length($3)) = $3
		ORDER BY name_fold LIMIT $4`, account, after, pathPrefix, int64(limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []user
	for rows.Next() {
		u, err := scanUser(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, rows.Err()
}

func deleteUser(tx store.Tx, account, id string) error {
	_, err := tx.Exec(`DELETE FROM iam_users WHERE account = $1 AND id = $2`, account, id)
	return err
}

// accessKey is a row of iam_access_keys.
type accessKey struct {
	Account, KeyID, UserID string
	Active                 bool
	Sealed                 []byte
	CreatedAt, ExpiresAt   time.Time
}

const accessKeyColumns = `account, key_id, user_id, active, sealed, created_at, expires_at`

func scanAccessKey(r store.Row) (k accessKey, err error) {
	var created, expires int64
	if err = r.Scan(&k.Account, &k.KeyID, &k.UserID, &k.Active, &k.Sealed, &created, &expires); err != nil {
		return k, err
	}
	k.CreatedAt = aws.Micros(created)
	if expires != 0 {
		k.ExpiresAt = aws.Micros(expires)
	}
	return k, nil
}

func getAccessKey(tx store.Tx, account, keyID string) (accessKey, error) {
	return scanAccessKey(tx.QueryRow(`SELECT `+accessKeyColumns+` FROM iam_access_keys WHERE account = $1 AND key_id = $2`, account, keyID))
}

func insertAccessKey(tx store.Tx, k accessKey) error {
	var expires int64
	if !k.ExpiresAt.IsZero() {
		expires = k.ExpiresAt.UnixMicro()
	}
	_, err := tx.Exec(`INSERT INTO iam_access_keys (`+accessKeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		k.Account, k.KeyID, k.UserID, k.Active, k.Sealed, k.CreatedAt.UnixMicro(), expires)
	return err
}

func listAccessKeys(tx store.Tx, account, userID string) ([]accessKey, error) {
	rows, err := tx.Query(`SELECT `+accessKeyColumns+` FROM iam_access_keys WHERE account = $1 AND user_id = $2 ORDER BY key_id`, account, userID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []accessKey
	for rows.Next() {
		k, err := scanAccessKey(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, rows.Err()
}

// inlinePolicy is a row of iam_user_policies.
type inlinePolicy struct {
	Name, Document string
	Version        int64
}

func listInlinePolicies(tx store.Tx, account, userID string) ([]inlinePolicy, error) {
	rows, err := tx.Query(`SELECT name, document, version FROM iam_user_policies WHERE account = $1 AND user_id = $2 ORDER BY name`, account, userID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []inlinePolicy
	for rows.Next() {
		var p inlinePolicy
		if err := rows.Scan(&p.Name, &p.Document, &p.Version); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

func putInlinePolicy(tx store.Tx, account, userID, name, document string) error {
	_, err := tx.Exec(`INSERT INTO iam_user_policies (account, user_id, name, document, version, updated_at) VALUES ($1, $2, $3, $4, 1, $5)
		ON CONFLICT (account, user_id, name) DO UPDATE SET document = $4, version = iam_user_policies.version + 1, updated_at = $5`,
		account, userID, name, document, tx.Now().UnixMicro())
	return err
}
