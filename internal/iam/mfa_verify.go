package iam

import (
	"context"
	"errors"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/store"
)

// VerifyMFA takes a code of a user's device: a right one once, and none again that
// is as old or older. It returns one of auth's ErrMFA… when it does not. userID is
// the unique id of the user that calls.
func (d *Directory) VerifyMFA(ctx context.Context, account, userID, serial, code string) error {
	m, err := d.ownMFADevice(ctx, account, userID, serial)
	if err != nil {
		return err
	}
	seed, err := openSeed(d.keys, &m)
	if err != nil {
		return err
	}
	defer clear(seed)
	var refused error
	// Not Write: the call itself is what the audit records.
	err = d.db.Maintain(ctx, func(tx store.Tx) error {
		now, err := getMFADevice(tx, account, serial)
		if errors.Is(err, store.ErrNoRows) || err == nil && (now.ID != m.ID || now.UserID != userID) {
			refused = auth.ErrMFADevice
			return nil
		}
		if err != nil {
			return err
		}
		if refused = try(&now, seed, code, tx.Now()); errors.Is(refused, auth.ErrMFABlocked) {
			return nil
		}
		return saveMFADevice(tx, now)
	})
	if err != nil {
		return err
	}
	return refused
}

// ownMFADevice returns a device that is the user's and takes codes. A flood of
// codes for a blocked one ends here, before anything is written.
func (d *Directory) ownMFADevice(ctx context.Context, account, userID, serial string) (m mfaDevice, err error) {
	var now time.Time
	err = d.db.Read(ctx, func(tx store.Tx) error {
		now = tx.Now()
		m, err = getMFADevice(tx, account, serial)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNoRows):
		return m, auth.ErrMFADevice
	case err != nil:
		return m, err
	case userID == "" || m.UserID != userID:
		return m, auth.ErrMFADevice
	case m.blocked(now):
		return m, auth.ErrMFABlocked
	}
	return m, nil
}

// try compares a code and notes the outcome in m.
func try(m *mfaDevice, seed []byte, code string, now time.Time) error {
	if m.blocked(now) {
		return auth.ErrMFABlocked
	}
	step, ok := matchStep(seed, code, now, m.LastStep)
	if ok {
		m.LastStep, m.tries = step, tries{}
		return nil
	}
	m.fail(now)
	return auth.ErrMFACode
}
