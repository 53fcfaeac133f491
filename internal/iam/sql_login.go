package iam

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
)

// loginProfile is a row of iam_login_profiles: a user's password.
type loginProfile struct {
	UserID        string
	Sealed        []byte
	ResetRequired bool
	CreatedAt     time.Time
	// ChangedAt is when the password was last set.
	ChangedAt time.Time
	tries
}

const loginColumns = `user_id, sealed, reset_required, created_at, changed_at, failures, blocked_until`

func scanLoginProfile(r store.Row) (p loginProfile, err error) {
	var created, changed, blocked int64
	err = r.Scan(&p.UserID, &p.Sealed, &p.ResetRequired, &created, &changed, &p.failures, &blocked)
	p.CreatedAt, p.ChangedAt, p.blockedUntil = aws.Micros(created), aws.Micros(changed), microsOrZero(blocked)
	return p, err
}

func getLoginProfile(tx store.Tx, account, userID string) (loginProfile, error) {
	return scanLoginProfile(tx.QueryRow(`SELECT `+loginColumns+` FROM iam_login_profiles WHERE account = $1 AND user_id = $2`, account, userID))
}

// saveLoginProfile inserts a profile, or writes it anew for its user.
func saveLoginProfile(tx store.Tx, account string, p loginProfile) error {
	_, err := tx.Exec(`INSERT INTO iam_login_profiles (account, `+loginColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (account, user_id) DO UPDATE SET sealed = $3, reset_required = $4, changed_at = $6, failures = $7, blocked_until = $8`,
		account, p.UserID, p.Sealed, p.ResetRequired, p.CreatedAt.UnixMicro(), p.ChangedAt.UnixMicro(), p.failures, zeroOrMicros(p.blockedUntil))
	return err
}

// deleteLoginProfile takes the passwords before with it, and reports whether there
// was one.
func deleteLoginProfile(tx store.Tx, account, userID string) (bool, error) {
	if _, err := tx.Exec(`DELETE FROM iam_old_passwords WHERE account = $1 AND user_id = $2`, account, userID); err != nil {
		return false, err
	}
	n, err := tx.Exec(`DELETE FROM iam_login_profiles WHERE account = $1 AND user_id = $2`, account, userID)
	return n > 0, err
}

// oldPasswords are the sealed hashes of those before, the latest first.
func oldPasswords(tx store.Tx, account, userID string, limit int) ([][]byte, error) {
	return collect(tx, func(r store.Row) (sealed []byte, err error) {
		err = r.Scan(&sealed)
		return sealed, err
	}, `SELECT sealed FROM iam_old_passwords WHERE account = $1 AND user_id = $2 ORDER BY replaced_at DESC LIMIT $3`, account, userID, int64(limit))
}

// keepOldPassword remembers a password that was replaced, and forgets those that
// no policy can ask for.
func keepOldPassword(tx store.Tx, account string, p loginProfile) error {
	if _, err := tx.Exec(`INSERT INTO iam_old_passwords (account, user_id, sealed, replaced_at) VALUES ($1, $2, $3, $4)`,
		account, p.UserID, p.Sealed, tx.Now().UnixMicro()); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM iam_old_passwords WHERE account = $1 AND user_id = $2 AND replaced_at NOT IN
		(SELECT replaced_at FROM iam_old_passwords WHERE account = $1 AND user_id = $2 ORDER BY replaced_at DESC LIMIT $3)`,
		account, p.UserID, int64(maxReuse))
	return err
}

// getPasswordPolicy returns the account's own policy, or store.ErrNoRows.
func getPasswordPolicy(tx store.Tx, account string) (p passwordPolicy, err error) {
	var text string
	if err = tx.QueryRow(`SELECT policy FROM iam_password_policies WHERE account = $1`, account).Scan(&text); err == nil {
		err = json.Unmarshal([]byte(text), &p)
	}
	return p, err
}

// passwordPolicyOf returns the policy that is in force.
func passwordPolicyOf(tx store.Tx, account string) (passwordPolicy, error) {
	p, err := getPasswordPolicy(tx, account)
	if errors.Is(err, store.ErrNoRows) {
		return defaultPasswordPolicy, nil
	}
	return p, err
}

func putPasswordPolicy(tx store.Tx, account string, p passwordPolicy) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO iam_password_policies (account, policy) VALUES ($1, $2) ON CONFLICT (account) DO UPDATE SET policy = $2`, account, string(text))
	return err
}
