package kms

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

const (
	// The waiting period in days (spec kms.md 4). The model's own bounds are
	// wider; the live ones hold.
	minWindow     = 7
	maxWindow     = 30
	defaultWindow = 30

	// purgeBatch bounds one run of PurgeDue, so that a backlog does not keep
	// other jobs waiting.
	purgeBatch = 1000
)

// EnableKey makes a key usable again.
func (s *Service) EnableKey(ctx context.Context, in *EnableKeyInput) (*EnableKeyOutput, error) {
	return &EnableKeyOutput{}, s.switchTo(ctx, "kms:EnableKey", *in.KeyId, KeyStateEnabled)
}

// DisableKey makes a key unusable: the next call feels it.
func (s *Service) DisableKey(ctx context.Context, in *DisableKeyInput) (*DisableKeyOutput, error) {
	return &DisableKeyOutput{}, s.switchTo(ctx, "kms:DisableKey", *in.KeyId, KeyStateDisabled)
}

func (s *Service) switchTo(ctx context.Context, action, keyID, state string) error {
	k, err := s.open(ctx, &access{action: action, keyID: keyID, changes: true})
	if err != nil {
		return err
	}
	_, err = s.change(ctx, k, func(tx store.Tx, now *key) error {
		if err := now.mayChange(); err != nil {
			return err
		}
		now.State = state
		return updateState(tx, now)
	})
	return err
}

// ScheduleKeyDeletion starts the waiting period after which PurgeDue destroys
// the key. Until then it can be cancelled and nothing can be decrypted.
func (s *Service) ScheduleKeyDeletion(ctx context.Context, in *ScheduleKeyDeletionInput) (*ScheduleKeyDeletionOutput, error) {
	window := int32(defaultWindow)
	if in.PendingWindowInDays != nil {
		window = *in.PendingWindowInDays
	}
	if err := checkWindow(window); err != nil {
		return nil, err
	}
	k, err := s.open(ctx, &access{
		action: "kms:ScheduleKeyDeletion", keyID: *in.KeyId, changes: true,
		keys: []auth.Key{{Name: keyPendingWindow, Values: []string{strconv.Itoa(int(window))}}},
	})
	if err != nil {
		return nil, err
	}
	changed, err := s.change(ctx, k, func(tx store.Tx, now *key) error {
		if err := now.mayChange(); err != nil {
			return err
		}
		now.State = KeyStatePendingDeletion
		now.DeleteAt = tx.Now().Add(time.Duration(window) * 24 * time.Hour)
		return updateState(tx, now)
	})
	if err != nil {
		return nil, err
	}
	wire.CallFrom(ctx).ResponseElements = map[string]any{
		"keyId": k.arnText, "keyState": changed.State, "deletionDate": aws.NewTime(changed.DeleteAt).ISO(), "pendingWindowInDays": window,
	}
	return &ScheduleKeyDeletionOutput{
		KeyId: new(k.arnText), DeletionDate: aws.NewTime(changed.DeleteAt), KeyState: new(changed.State), PendingWindowInDays: &window,
	}, nil
}

// checkWindow's sentences are unconfirmed in spec kms.md 4.
func checkWindow(days int32) error {
	constraint := ""
	switch {
	case days < minWindow:
		constraint = fmt.Sprintf("Member must have value greater than or equal to %d", minWindow)
	case days > maxWindow:
		constraint = fmt.Sprintf("Member must have value less than or equal to %d", maxWindow)
	default:
		return nil
	}
	return wire.Invalid(ErrValidation(
		"1 validation error detected: Value '%d' at 'pendingWindowInDays' failed to satisfy constraint: %s", days, constraint))
}

// CancelKeyDeletion ends the waiting period. The key comes back disabled.
func (s *Service) CancelKeyDeletion(ctx context.Context, in *CancelKeyDeletionInput) (*CancelKeyDeletionOutput, error) {
	k, err := s.open(ctx, &access{action: "kms:CancelKeyDeletion", keyID: *in.KeyId, changes: true})
	if err != nil {
		return nil, err
	}
	_, err = s.change(ctx, k, func(tx store.Tx, now *key) error {
		if err := now.mayCancelDeletion(); err != nil {
			return err
		}
		now.State, now.DeleteAt = KeyStateDisabled, time.Time{}
		return updateState(tx, now)
	})
	if err != nil {
		return nil, err
	}
	wire.CallFrom(ctx).ResponseElements = map[string]any{"keyId": k.arnText}
	return &CancelKeyDeletionOutput{KeyId: new(k.arnText)}, nil
}

// change runs fn on the row of a key as it is now and counts a new generation in
// the same transaction: the next call, on any node, sees the change. It returns
// the row as fn left it.
func (s *Service) change(ctx context.Context, k *loadedKey, fn func(tx store.Tx, now *key) error) (key, error) {
	var now key
	err := s.db.Write(ctx, func(tx store.Tx) (err error) {
		if now, err = selectKey(tx, k.place, k.ID); err != nil {
			return err
		}
		if err := fn(tx, &now); err != nil {
			return err
		}
		return s.db.Bump(tx, k.account, k.region, generationKind)
	})
	if errors.Is(err, store.ErrNoRows) {
		return key{}, ErrNotFound("Key '%s' does not exist", k.arnText)
	}
	return now, err
}

// PurgeDue destroys the keys whose waiting period has passed, each with its
// material and aliases, and returns how many it destroyed and when the next one
// is due (the zero time if none is). Every destruction is a service event of its
// own. Keys that could not be destroyed are in err; the others are gone.
func (s *Service) PurgeDue(ctx context.Context) (n int, next time.Time, err error) {
	var overdue []due
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		overdue, err = listDue(tx, purgeBatch)
		return err
	})
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("list keys to delete: %w", err)
	}
	var failed error
	for _, d := range overdue {
		gone, err := s.purge(ctx, d)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("delete key %s: %w", d.id, err))
			continue
		}
		if gone {
			n++
		}
	}
	// The first run of a process scrubs too: an earlier one may have ended
	// between a deletion and its scrub.
	if n > 0 {
		s.scrubbed.Store(false)
	}
	if !s.scrubbed.Load() {
		if err := s.db.Scrub(ctx); err != nil {
			failed = errors.Join(failed, fmt.Errorf("scrub deleted key material: %w", err))
		} else {
			s.scrubbed.Store(true)
		}
	}
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		next, err = nextDeletion(tx)
		return err
	})
	return n, next, errors.Join(failed, err)
}

// purge destroys one key and reports whether it did: a deletion that was
// cancelled after the key had been listed is left alone.
func (s *Service) purge(ctx context.Context, d due) (gone bool, err error) {
	var stands bool
	err = s.registry.Background(ctx, API.Name, "DeleteKey", d.account, d.region, func(ctx context.Context) error {
		call := wire.CallFrom(ctx)
		call.Touch(wire.Resource{ARN: d.keyARN(d.id), Type: resourceType, Account: d.account})
		call.Extra = map[string]any{"keyId": d.id}
		return s.db.Write(ctx, func(tx store.Tx) error {
			k, err := selectKey(tx, d.place, d.id)
			if err != nil && !errors.Is(err, store.ErrNoRows) {
				return err
			}
			if stands = err != nil || k.State != KeyStatePendingDeletion || k.DeleteAt.After(tx.Now()); stands {
				return ErrKMSInvalidState("%s is not pending deletion.", d.keyARN(d.id))
			}
			if err := deleteKey(tx, d.place, d.id); err != nil {
				return err
			}
			return s.db.Bump(tx, d.account, d.region, generationKind)
		})
	})
	if stands {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.cache.forget(d.place)
	return true, nil
}
