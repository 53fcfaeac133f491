package iam

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// newAccessKey makes a key of an account for a user ("" = root) and seals its
// secret. The secret is returned once and not kept.
func newAccessKey(keys Sealer, account, userID string, now, expires time.Time) (accessKey, string, error) {
	id, err := aws.NewAccessKeyID(aws.LongTermKeyPrefix, account)
	if err != nil {
		return accessKey{}, "", err
	}
	secret := aws.NewSecretKey()
	sealed, err := keys.Seal(sealPurpose, sealContext(account, id), []byte(secret))
	if err != nil {
		return accessKey{}, "", fmt.Errorf("seal access key: %w", err)
	}
	return accessKey{Account: account, KeyID: id, UserID: userID, Active: true, Sealed: sealed, CreatedAt: now, ExpiresAt: expires}, secret, nil
}

// CreateAccessKey makes a key for a user, or the caller; its secret is shown in
// this answer only.
func (s *Service) CreateAccessKey(ctx context.Context, in *CreateAccessKeyInput) (*CreateAccessKeyOutput, error) {
	name, err := s.callerOr(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "CreateAccessKey", name)
	if err != nil {
		return nil, err
	}
	k, secret, err := newAccessKey(s.keys, u.Account, u.ID, time.Time{}, time.Time{})
	if err != nil {
		return nil, err
	}
	// Before the write, so that a record recovered after a crash names the key.
	shown := map[string]any{"userName": u.Name, "accessKeyId": k.KeyID, "status": statusOf(k)}
	wire.CallFrom(ctx).ResponseElements = map[string]any{"accessKey": shown}
	err = s.change(ctx, u, func(tx store.Tx) error {
		held, err := listAccessKeys(tx, u.Account, u.ID)
		if err != nil {
			return err
		}
		if len(held) >= s.quotas.AccessKeysPerUser {
			return ErrLimitExceeded("Cannot exceed quota for AccessKeysPerUser: %d", s.quotas.AccessKeysPerUser)
		}
		k.CreatedAt = tx.Now()
		return insertAccessKey(tx, k)
	})
	if err != nil {
		return nil, err
	}
	shown["createDate"] = recordTime(k.CreatedAt)
	return &CreateAccessKeyOutput{AccessKey: &AccessKey{
		UserName: &u.Name, AccessKeyId: &k.KeyID, Status: new(statusOf(k)),
		SecretAccessKey: new(aws.SensitiveString(secret)), CreateDate: wireTime(k.CreatedAt),
	}}, nil
}

// UpdateAccessKey switches a key on or off; the next request feels it.
func (s *Service) UpdateAccessKey(ctx context.Context, in *UpdateAccessKeyInput) (*UpdateAccessKeyOutput, error) {
	if *in.Status != StatusActive && *in.Status != StatusInactive {
		// The model knows Expired, which only AWS itself can set.
		return nil, wire.Invalid(ErrInvalidInput("Status must be Active or Inactive."))
	}
	name, err := s.callerOr(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "UpdateAccessKey", name)
	if err != nil {
		return nil, err
	}
	return &UpdateAccessKeyOutput{}, s.change(ctx, u, func(tx store.Tx) error {
		n, err := tx.Exec(`UPDATE iam_access_keys SET active = $4 WHERE account = $1 AND user_id = $2 AND key_id = $3`,
			u.Account, u.ID, *in.AccessKeyId, *in.Status == StatusActive)
		return foundKey(n, err, *in.AccessKeyId)
	})
}

// DeleteAccessKey destroys a key.
func (s *Service) DeleteAccessKey(ctx context.Context, in *DeleteAccessKeyInput) (*DeleteAccessKeyOutput, error) {
	name, err := s.callerOr(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "DeleteAccessKey", name)
	if err != nil {
		return nil, err
	}
	return &DeleteAccessKeyOutput{}, s.change(ctx, u, func(tx store.Tx) error {
		n, err := tx.Exec(`DELETE FROM iam_access_keys WHERE account = $1 AND user_id = $2 AND key_id = $3`, u.Account, u.ID, *in.AccessKeyId)
		return foundKey(n, err, *in.AccessKeyId)
	})
}

// ListAccessKeys lists a user's keys without their secrets.
func (s *Service) ListAccessKeys(ctx context.Context, in *ListAccessKeysInput) (*ListAccessKeysOutput, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	name, err := s.callerOr(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "ListAccessKeys", name)
	if err != nil {
		return nil, err
	}
	var keys []accessKey
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		keys, err = listAccessKeys(tx, u.Account, u.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	keys, marker := cut(keys, func(k accessKey) string { return k.KeyID }, after, limit)
	out := &ListAccessKeysOutput{AccessKeyMetadata: []AccessKeyMetadata{}, IsTruncated: new(marker != nil), Marker: marker}
	for _, k := range keys {
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, AccessKeyMetadata{
			UserName: &u.Name, AccessKeyId: &k.KeyID, Status: new(statusOf(k)), CreateDate: wireTime(k.CreatedAt),
		})
	}
	return out, nil
}

func statusOf(k accessKey) string {
	if k.Active {
		return StatusActive
	}
	return StatusInactive
}

func foundKey(n int64, err error, id string) error {
	if err == nil && n == 0 {
		return ErrNoSuchEntity("The Access Key with id %s cannot be found.", id)
	}
	return err
}

// CreateRootCredentials makes a key of an account's root user that ends at
// expires. It is not an AWS operation: the operator's socket calls it, inside an
// audited call.
func (s *Service) CreateRootCredentials(ctx context.Context, account string, lifetime time.Duration) (keyID, secret string, expires time.Time, err error) {
	k, secret, err := newAccessKey(s.keys, account, "", time.Time{}, time.Time{})
	if err != nil {
		return "", "", time.Time{}, err
	}
	// The record names the key, so that its later calls can be traced to this one.
	wire.CallFrom(ctx).Extra = map[string]any{"accessKeyId": k.KeyID}
	err = s.db.Write(ctx, func(tx store.Tx) error {
		k.CreatedAt, k.ExpiresAt = tx.Now(), tx.Now().Add(lifetime)
		// Root has at most one key: the one before it ends now.
		if _, err := tx.Exec(`DELETE FROM iam_access_keys WHERE account = $1 AND user_id = ''`, account); err != nil {
			return err
		}
		if err := insertAccessKey(tx, k); err != nil {
			return err
		}
		return s.db.Bump(tx, account, "", auth.IAMGeneration)
	})
	if err != nil {
		return "", "", time.Time{}, err
	}
	return k.KeyID, secret, k.ExpiresAt, nil
}

// GetAccessKeyLastUsed says when, where and with which service a key was last
// used. Of a key that is not there AWS says that the caller may not ask (recorded,
// spec iam-sts.md 3.1), and so it does here of every key that the caller may not
// ask about.
func (s *Service) GetAccessKeyLastUsed(ctx context.Context, in *GetAccessKeyLastUsedInput) (*GetAccessKeyLastUsedOutput, error) {
	call := wire.CallFrom(ctx)
	account := call.Principal.Account
	k, u, err := s.findKey(ctx, account, *in.AccessKeyId)
	missing := errors.Is(err, store.ErrNoRows)
	if err != nil && !missing {
		return nil, err
	}
	q := auth.Request{Action: "iam:GetAccessKeyLastUsed", Resource: u.arn(), Account: account, Tags: u.Tags}
	if k.UserID == "" {
		q.Resource = aws.RootARN(account)
	}
	err = s.auth.Authorize(ctx, &q)
	if e, ok := errors.AsType[*aws.Error](err); missing && err == nil || ok && e.Code == accessDenied {
		return nil, &aws.Error{Code: accessDenied, Status: http.StatusForbidden, Message: fmt.Sprintf(
			"User: %s is not authorized to perform iam:GetAccessKeyLastUsed on resource: access key %s", call.Principal.ARN, *in.AccessKeyId)}
	}
	if err != nil {
		return nil, err
	}
	out := &GetAccessKeyLastUsedOutput{AccessKeyLastUsed: &AccessKeyLastUsed{ServiceName: new("N/A"), Region: new("N/A")}}
	if k.UserID != "" {
		call.Touch(u.resource())
		out.UserName = &u.Name
	}
	if used := s.directory.uses.show(usedKey{account, k.KeyID}, k.Used); used.at != 0 {
		out.AccessKeyLastUsed = &AccessKeyLastUsed{ServiceName: &used.service, Region: &used.region, LastUsedDate: wireTime(aws.Micros(used.at))}
	}
	return out, nil
}

const accessDenied = "AccessDenied"

// findKey returns a key of the account and its user, an empty one for root's, or
// store.ErrNoRows.
func (s *Service) findKey(ctx context.Context, account, id string) (k accessKey, u user, err error) {
	err = s.db.Read(ctx, func(tx store.Tx) error {
		if k, err = getAccessKey(tx, account, id); err != nil || k.UserID == "" {
			return err
		}
		u, err = getUserByID(tx, account, k.UserID)
		return err
	})
	return k, u, err
}
