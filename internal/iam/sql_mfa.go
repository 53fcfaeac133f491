package iam

import (
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// mfaDevice is a row of iam_mfa_devices.
type mfaDevice struct {
	Account, ID string
	// Serial is the ARN.
	Serial string
	// UserID is "" while the device is nobody's.
	UserID               string
	Sealed               []byte
	Tags                 []aws.Tag
	CreatedAt, EnabledAt time.Time
	// LastStep is the latest time step whose code was taken.
	LastStep int64
	tries
}

// resource is the device as audit records list it.
func (m *mfaDevice) resource() wire.Resource {
	return wire.Resource{ARN: m.Serial, Type: "AWS::IAM::VirtualMFADevice", Account: m.Account}
}

const mfaColumns = `account, id, serial, user_id, sealed, tags, created_at, enabled_at, last_step, failures, blocked_until`

func scanMFADevice(r store.Row) (m mfaDevice, err error) {
	var tags string
	var created, enabled, blocked int64
	if err = r.Scan(&m.Account, &m.ID, &m.Serial, &m.UserID, &m.Sealed, &tags, &created, &enabled, &m.LastStep, &m.failures, &blocked); err != nil {
		return m, err
	}
	m.CreatedAt, m.EnabledAt, m.blockedUntil = aws.Micros(created), microsOrZero(enabled), microsOrZero(blocked)
	m.Tags, err = tagsFromText(tags)
	return m, err
}

func getMFADevice(tx store.Tx, account, serial string) (mfaDevice, error) {
	return scanMFADevice(tx.QueryRow(`SELECT `+mfaColumns+` FROM iam_mfa_devices WHERE account = $1 AND serial = $2`, account, serial))
}

// mfaDevicesOf lists a user's devices by their serial numbers.
func mfaDevicesOf(tx store.Tx, account, userID string) ([]mfaDevice, error) {
	return collect(tx, scanMFADevice, `SELECT `+mfaColumns+` FROM iam_mfa_devices WHERE account = $1 AND user_id = $2 ORDER BY serial`, account, userID)
}

// listMFADevices returns up to limit devices behind the marker: all, those that
// are somebody's, or those that are nobody's.
func listMFADevices(tx store.Tx, account, after string, all, assigned bool, limit int) ([]mfaDevice, error) {
	return collect(tx, scanMFADevice, `SELECT `+mfaColumns+` FROM iam_mfa_devices
		WHERE account = $1 AND serial > $2 AND (CAST($3 AS BOOLEAN) OR (user_id <> '') = CAST($4 AS BOOLEAN)) ORDER BY serial LIMIT $5`,
		account, after, all, assigned, int64(limit))
}

// usersOfMFADevices maps the unique ids of the users whose devices lie between two
// serial numbers.
func usersOfMFADevices(tx store.Tx, account, from, to string) (map[string]user, error) {
	users, err := collect(tx, scanUser, `SELECT `+userColumns+` FROM iam_users WHERE account = $1 AND id IN
		(SELECT user_id FROM iam_mfa_devices WHERE account = $1 AND serial BETWEEN $2 AND $3)`, account, from, to)
	byID := make(map[string]user, len(users))
	for _, u := range users {
		byID[u.ID] = u
	}
	return byID, err
}

// saveMFADevice inserts a device, or writes it anew under its serial number.
func saveMFADevice(tx store.Tx, m mfaDevice) error {
	tags, err := tagsText(m.Tags)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO iam_mfa_devices (`+mfaColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (account, serial) DO UPDATE SET user_id = $4, enabled_at = $8, last_step = $9, failures = $10, blocked_until = $11`,
		m.Account, m.ID, m.Serial, m.UserID, m.Sealed, tags, m.CreatedAt.UnixMicro(), zeroOrMicros(m.EnabledAt), m.LastStep, m.failures,
		zeroOrMicros(m.blockedUntil))
	return err
}

func deleteMFADevice(tx store.Tx, account, serial string) error {
	_, err := tx.Exec(`DELETE FROM iam_mfa_devices WHERE account = $1 AND serial = $2`, account, serial)
	return err
}
