package iam

import (
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

// RevivedKey is an access key that worked when a backup was made, and that may
// have been taken away since.
type RevivedKey struct {
	Account string `json:"account"`
	KeyID   string `json:"accessKeyId"`
	// User is the name, "" for the account's root user.
	User    string    `json:"user"`
	Created time.Time `json:"created"`
}

// Revived lists the active access keys of a restored store.
func Revived(tx store.Tx) ([]RevivedKey, error) {
	return collect(tx, func(r store.Row) (k RevivedKey, err error) {
		var created int64
		err = r.Scan(&k.Account, &k.KeyID, &k.User, &created)
		k.Created = time.UnixMicro(created).UTC()
		return k, err
	}, `SELECT k.account, k.key_id, COALESCE(u.name, ''), k.created_at FROM iam_access_keys k
		LEFT JOIN iam_users u ON u.account = k.account AND u.id = k.user_id WHERE k.active ORDER BY k.account, k.key_id`)
}

// Quiet deactivates every access key and voids every session of users and roles: a
// backup has forgotten what was revoked since. Passwords stay; root's sessions,
// which cannot be voided, live an hour.
func Quiet(tx store.Tx) error {
	if _, err := tx.Exec(`UPDATE iam_access_keys SET active = FALSE`); err != nil {
		return err
	}
	for _, table := range []string{"iam_users", "iam_roles"} {
		// Sessions carry the moment that was in force when they were made, so it
		// has to grow even where the clock is behind.
		_, err := tx.Exec(`UPDATE `+table+` SET sessions_after = CASE WHEN sessions_after >= $1 THEN sessions_after + 1 ELSE CAST($1 AS BIGINT) END`,
			tx.Now().UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}
