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
	// Boundary is the ARN of the permissions boundary, "" for none.
	Boundary string
	Tags     []aws.Tag
	// SessionsAfter voids the sessions issued up to it; zero voids none.
	SessionsAfter time.Time
	CreatedAt     time.Time
}

func (u *user) arn() string { return userARN(u.Account, u.Path, u.Name) }

// resource is the user as audit records list it.
func (u *user) resource() wire.Resource {
	return wire.Resource{ARN: u.arn(), Type: "AWS::IAM::User", Account: u.Account}
}

const userColumns = `account, id, name, path, boundary, tags, sessions_after, created_at`

func scanUser(r store.Row) (u user, err error) {
	var tags string
	var after, created int64
	if err = r.Scan(&u.Account, &u.ID, &u.Name, &u.Path, &u.Boundary, &tags, &after, &created); err != nil {
		return u, err
	}
	u.SessionsAfter, u.CreatedAt = microsOrZero(after), aws.Micros(created)
	u.Tags, err = tagsFromText(tags)
	return u, err
}

// microsOrZero reads a time that is 0 when it never was.
func microsOrZero(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return aws.Micros(us)
}

// zeroOrMicros is the opposite direction.
func zeroOrMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func tagsFromText(text string) (tags []aws.Tag, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &tags)
	}
	return tags, err
}

// tagsText is the form of tags in the store: ” for an entity never tagged.
func tagsText(tags []aws.Tag) (string, error) {
	if tags == nil {
		return "", nil
	}
	b, err := json.Marshal(tags)
	return string(b), err
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

// saveUser inserts a user, or writes name, path and tags anew under its id. A name
// that another one has is a store.IsUnique error.
func saveUser(tx store.Tx, u user) error {
	tags, err := tagsText(u.Tags)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO iam_users (account, id, name, name_fold, path, boundary, tags, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (account, id) DO UPDATE SET name = $3, name_fold = $4, path = $5, tags = $7`,
		u.Account, u.ID, u.Name, fold(u.Name), u.Path, u.Boundary, tags, u.CreatedAt.UnixMicro())
	return err
}

// listUsers returns up to limit users behind the marker, in name order.
func listUsers(tx store.Tx, account, after, pathPrefix string, limit int) ([]user, error) {
	// PathPrefix is a plain prefix (spec iam-sts.md 3.3). LIKE would need its
	// wildcards escaped; comparing the prefix itself does not.
	return collect(tx, scanUser, `SELECT `+userColumns+` FROM iam_users
		WHERE account = $1 AND name_fold > $2 AND substr(path, 1, length($3)) = $3
		ORDER BY name_fold LIMIT $4`, account, after, pathPrefix, int64(limit))
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
	// Used is the last use that was written down.
	Used use
}

const accessKeyColumns = `account, key_id, user_id, active, sealed, created_at, expires_at, used_at, used_service, used_region`

func scanAccessKey(r store.Row) (k accessKey, err error) {
	var created, expires int64
	if err = r.Scan(&k.Account, &k.KeyID, &k.UserID, &k.Active, &k.Sealed, &created, &expires, &k.Used.at, &k.Used.service, &k.Used.region); err != nil {
		return k, err
	}
	k.CreatedAt, k.ExpiresAt = aws.Micros(created), microsOrZero(expires)
	return k, nil
}

func getAccessKey(tx store.Tx, account, keyID string) (accessKey, error) {
	return scanAccessKey(tx.QueryRow(`SELECT `+accessKeyColumns+` FROM iam_access_keys WHERE account = $1 AND key_id = $2`, account, keyID))
}

func insertAccessKey(tx store.Tx, k accessKey) error {
	_, err := tx.Exec(`INSERT INTO iam_access_keys (`+accessKeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '', '')`,
		k.Account, k.KeyID, k.UserID, k.Active, k.Sealed, k.CreatedAt.UnixMicro(), zeroOrMicros(k.ExpiresAt))
	return err
}

func listAccessKeys(tx store.Tx, account, userID string) ([]accessKey, error) {
	return collect(tx, scanAccessKey, `SELECT `+accessKeyColumns+` FROM iam_access_keys WHERE account = $1 AND user_id = $2 ORDER BY key_id`, account, userID)
}
