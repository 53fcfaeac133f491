package secretsmanager

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// Bounds of the recovery window, in days (spec 4.1).
const (
	minRecoveryDays     = 7
	maxRecoveryDays     = 30
	defaultRecoveryDays = 30
)

// DeleteSecret marks a secret for deletion, or erases it at once when forced.
func (s *Service) DeleteSecret(ctx context.Context, in *DeleteSecretInput) (*DeleteSecretOutput, error) {
	// The order of these checks is part of the behaviour: spec 4.1.
	if err := checkID(*in.SecretId); err != nil {
		return nil, err
	}
	days := int64(defaultRecoveryDays)
	if in.RecoveryWindowInDays != nil {
		days = *in.RecoveryWindowInDays
	}
	if days < minRecoveryDays || days > maxRecoveryDays {
		return nil, wire.Invalid(ErrInvalidParameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."))
	}
	force := deref(in.ForceDeleteWithoutRecovery)
	if in.RecoveryWindowInDays != nil && force {
		return nil, wire.Invalid(ErrInvalidParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."))
	}
	return retry(func() (*DeleteSecretOutput, error) { return s.deleteSecret(ctx, in, days, force) })
}

func (s *Service) deleteSecret(ctx context.Context, in *DeleteSecretInput, days int64, force bool) (*DeleteSecretOutput, error) {
	var keys []auth.Key
	if in.RecoveryWindowInDays != nil {
		keys = append(keys, auth.Key{Name: "secretsmanager:RecoveryWindowInDays", Values: []string{fmt.Sprint(days)}})
	}
	if in.ForceDeleteWithoutRecovery != nil {
		keys = append(keys, auth.Key{Name: "secretsmanager:ForceDeleteWithoutRecovery", Values: []string{fmt.Sprint(force)}})
	}
	sec, err := s.open(ctx, "DeleteSecret", *in.SecretId, keys...)
	var e *aws.Error
	if force && errors.As(err, &e) && e.Code == errNotFound().Code {
		// Recorded: a forced delete of nothing succeeds, with a made-up ARN.
		return s.deletedNothing(ctx, *in.SecretId), nil
	}
	if err != nil {
		return nil, err
	}
	if sec.Replica {
		return nil, errReplica()
	}
	if !sec.DeletedAt.IsZero() && !force {
		return nil, errMarked()
	}
	replicas, err := s.replicasOf(ctx, sec)
	if err != nil {
		return nil, err
	}
	if len(replicas) > 0 {
		return nil, errHasReplicas(*in.SecretId, replicas)
	}
	out := &DeleteSecretOutput{ARN: new(sec.arn()), Name: &sec.Name}
	var versions []*version
	err = s.change(ctx, sec, func(tx store.Tx, now *secret) error {
		// A replica may have been asked for since: in the same transaction.
		held, err := listReplicas(tx, now)
		if err != nil {
			return err
		}
		if len(held) > 0 {
			return errHasReplicas(*in.SecretId, held)
		}
		if versions, err = listVersions(tx, now); err != nil {
			return err
		}
		gone := tx.Now()
		if !force {
			gone = gone.Add(time.Duration(days) * 24 * time.Hour)
		}
		out.DeletionDate = wireTime(gone)
		wire.CallFrom(ctx).ResponseElements = map[string]any{"arn": sec.arn(), "name": sec.Name, "deletionDate": gone.Format(recordedTime)}
		if force {
			return removeSecret(tx, now)
		}
		now.DeletedAt, now.PurgeAt = tx.Now(), gone
		return s.save(tx, now)
	})
	if err != nil {
		return nil, err
	}
	if force {
		s.countSecret(place{sec.Account, sec.Region}, -1)
		return out, s.versionEvents(ctx, "EndSecretVersionDelete", sec, versions)
	}
	return out, s.versionEvents(ctx, "StartSecretVersionDelete", sec, versions)
}

// recordedTime is how DeleteSecret's record writes the time (spec 14.1).
const recordedTime = "Jan 2, 2006 3:04:05 PM"

func errHasReplicas(given string, replicas []*replica) error {
	regions := make([]string, len(replicas))
	for i, r := range replicas {
		regions[i] = r.Region
	}
	return ErrInvalidParameter("You can't delete secret %s that still has replica regions [%s].", given, strings.Join(regions, ", "))
}

func (s *Service) deletedNothing(ctx context.Context, id string) *DeleteSecretOutput {
	arn := id
	if !strings.HasPrefix(id, "arn:") {
		at := here(ctx)
		arn = secretARN(at.Account, at.Region, id, aws.RandomString(suffixAlphabet, suffixLength))
	}
	return &DeleteSecretOutput{ARN: &arn, Name: &id, DeletionDate: wireTime(s.now())}
}

// RestoreSecret takes the mark off again. A secret without one is left as it is.
func (s *Service) RestoreSecret(ctx context.Context, in *RestoreSecretInput) (*RestoreSecretOutput, error) {
	return retry(func() (*RestoreSecretOutput, error) {
		sec, err := s.open(ctx, "RestoreSecret", *in.SecretId)
		if err != nil {
			return nil, err
		}
		if sec.Replica {
			return nil, errReplica()
		}
		out := &RestoreSecretOutput{ARN: new(sec.arn()), Name: &sec.Name}
		if sec.DeletedAt.IsZero() {
			return out, nil
		}
		var versions []*version
		err = s.change(ctx, sec, func(tx store.Tx, now *secret) (err error) {
			if versions, err = listVersions(tx, now); err != nil {
				return err
			}
			now.DeletedAt, now.PurgeAt = time.Time{}, time.Time{}
			return s.save(tx, now)
		})
		if err != nil {
			return nil, err
		}
		return out, s.versionEvents(ctx, "CancelSecretVersionDelete", sec, versions)
	})
}

// purgeBatch bounds the work of one run of the purge job.
const purgeBatch = 100

// PurgeDue erases the secrets whose recovery window has ended, and tells when
// the next one ends (zero: none waits). A job calls it.
func (s *Service) PurgeDue(ctx context.Context) (next time.Time, err error) {
	var due []*secret
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		due, err = scanSecrets(tx.Query(`SELECT `+secretColumns+` FROM secrets s WHERE s.purge_at > 0 ORDER BY s.purge_at LIMIT $1`, int64(purgeBatch)))
		return err
	})
	if err != nil {
		return time.Time{}, err
	}
	for _, sec := range due {
		if sec.PurgeAt.After(s.now()) {
			return sec.PurgeAt, nil
		}
		if err := s.purge(ctx, sec); err != nil {
			return time.Time{}, err
		}
	}
	if len(due) == purgeBatch {
		return s.now(), nil
	}
	return time.Time{}, nil
}

// purge erases one secret, unless it was restored meanwhile: the row decides,
// inside the transaction.
func (s *Service) purge(ctx context.Context, sec *secret) error {
	gone := false
	var versions []*version
	err := s.db.Read(ctx, func(tx store.Tx) (err error) {
		versions, err = listVersions(tx, sec)
		return err
	})
	if err != nil {
		return err
	}
	// The first version's event is the one that erases them all.
	first := ""
	if len(versions) > 0 {
		first = versions[0].ID
	}
	err = s.event(ctx, "EndSecretVersionDelete", sec, first, func(ctx context.Context) error {
		return s.db.Write(ctx, func(tx store.Tx) error {
			now, err := scanSecret(tx.QueryRow(secretByUID, sec.Account, sec.Region, sec.UID))
			if errors.Is(err, store.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			gone = !now.PurgeAt.IsZero() && !now.PurgeAt.After(tx.Now())
			if !gone {
				return nil
			}
			return removeSecret(tx, now)
		})
	})
	if err != nil || !gone {
		return err
	}
	s.countSecret(place{sec.Account, sec.Region}, -1)
	return s.versionEvents(ctx, "EndSecretVersionDelete", sec, versions[min(1, len(versions)):])
}

// versionEvents writes one service event per version (spec 14.2). The change
// itself is committed and recorded by then; the events are its echo.
func (s *Service) versionEvents(ctx context.Context, name string, sec *secret, versions []*version) error {
	for _, v := range versions {
		if err := s.event(ctx, name, sec, v.ID, nil); err != nil {
			return err
		}
	}
	return nil
}

// event records something that the service does by itself, with what it does
// inside, if anything.
func (s *Service) event(ctx context.Context, name string, sec *secret, versionID string, fn func(context.Context) error) error {
	return s.registry.Background(ctx, API.Name, name, sec.Account, sec.Region, func(ctx context.Context) error {
		call := wire.CallFrom(ctx)
		call.Extra = map[string]any{"SecretId": sec.arn()}
		if versionID != "" {
			call.Extra["SecretVersionId"] = versionID
		}
		call.BehalfOf = wire.Resource{ARN: sec.arn(), Type: resourceType, Account: sec.Account}
		call.Touch(call.BehalfOf)
		if fn == nil {
			return nil
		}
		return fn(ctx)
	})
}
