package iam

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
)

// Sealer keeps access-key secrets: the keyring.
type Sealer interface {
	Seal(purpose string, aad, plaintext []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}

// sealPurpose separates access-key secrets from all else the keyring seals.
const sealPurpose = "iam.access-key"

// sealContext binds a sealed secret to its account and key id, so that a row
// moved to another key does not open.
func sealContext(account, keyID string) []byte { return []byte(account + "/" + keyID) }

// Directory answers auth's question who an access key belongs to. It needs only
// the store and the keyring, so it exists before auth does.
type Directory struct {
	db   *store.DB
	keys Sealer
}

// NewDirectory makes the look-up side of IAM.
func NewDirectory(db *store.DB, keys Sealer) *Directory { return &Directory{db: db, keys: keys} }

// Identity loads an access key's holder with the secret opened and the policies
// compiled. Inactive keys are unknown (spec iam-sts.md 3.4); expired ones are
// returned, since their holder may be told so.
func (d *Directory) Identity(ctx context.Context, keyID string) (*auth.Identity, error) {
	account, ok := aws.AccessKeyAccount(keyID)
	if !ok {
		return nil, auth.ErrUnknownKey
	}
	var k accessKey
	var u user
	var policies []inlinePolicy
	err := d.db.Read(ctx, func(tx store.Tx) error {
		policies = nil
		var err error
		if k, err = getAccessKey(tx, account, keyID); err != nil {
			return err
		}
		if k.UserID == "" {
			return nil
		}
		if u, err = getUserByID(tx, account, k.UserID); err != nil {
			return err
		}
		policies, err = listInlinePolicies(tx, account, k.UserID)
		return err
	})
	if errors.Is(err, store.ErrNoRows) || err == nil && !k.Active {
		return nil, auth.ErrUnknownKey
	}
	if err != nil {
		return nil, fmt.Errorf("load access key: %w", err)
	}
	secret, err := d.keys.Open(sealPurpose, sealContext(account, keyID), k.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open secret of access key %s: %w", keyID, err)
	}
	defer clear(secret)
	id := rootIdentity(account)
	if k.UserID != "" {
		if id, err = userIdentity(u, policies); err != nil {
			return nil, err
		}
	}
	id.Secret, id.Expires, id.Principal.AccessKeyID = string(secret), k.ExpiresAt, keyID
	return id, nil
}

// Entity loads a user by unique id, or the root user by the account's.
func (d *Directory) Entity(ctx context.Context, account, uniqueID string) (*auth.Identity, error) {
	if uniqueID == account {
		return rootIdentity(account), nil
	}
	var u user
	var policies []inlinePolicy
	err := d.db.Read(ctx, func(tx store.Tx) (err error) {
		if u, err = getUserByID(tx, account, uniqueID); err != nil {
			return err
		}
		policies, err = listInlinePolicies(tx, account, uniqueID)
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return nil, auth.ErrUnknownKey
	}
	if err != nil {
		return nil, fmt.Errorf("load user: %w", err)
	}
	return userIdentity(u, policies)
}

func rootIdentity(account string) *auth.Identity {
	return &auth.Identity{Principal: &aws.Principal{Type: aws.PrincipalRoot, Account: account, ARN: aws.RootARN(account), UserID: account}}
}

func userIdentity(u user, policies []inlinePolicy) (*auth.Identity, error) {
	id := &auth.Identity{Principal: &aws.Principal{
		Type: aws.PrincipalUser, Account: u.Account, ARN: u.arn(), UserID: u.ID, UserName: u.Name, Tags: u.Tags,
	}}
	for _, p := range policies {
		doc, err := policy.Parse([]byte(p.Document))
		if err != nil {
			// Put checks every text, so this is damage. Leaving the policy out
			// could drop a Deny: refuse the caller instead.
			return nil, fmt.Errorf("policy %s of user %s: %w", p.Name, u.Name, err)
		}
		id.Policies.Identity = append(id.Policies.Identity, policy.Source{
			ID: "inline/" + u.Name + "/" + p.Name, Version: fmt.Sprint(p.Version), Doc: doc,
		})
	}
	return id, nil
}

// PrincipalExists tells slices whether a policy may name arn: an account of
// this deployment, or a user of one. Roles come with a later release; until
// then no role exists.
func (d *Directory) PrincipalExists(ctx context.Context, arn string) (bool, error) {
	if aws.ValidAccountID(arn) {
		return d.accountExists(ctx, arn)
	}
	if a, ok := entity(arn); ok && a.Resource == "root" {
		return d.accountExists(ctx, a.Account)
	}
	id, err := d.PrincipalID(ctx, arn)
	return id != "", err
}

// entity reads the ARN of something that belongs to IAM.
func entity(arn string) (a aws.ARN, ok bool) {
	a, err := aws.ParseARN(arn)
	return a, err == nil && a.Partition == aws.Partition && a.Service == "iam" && a.Region == "" && aws.ValidAccountID(a.Account)
}

// PrincipalID returns the unique id of the user that arn names, by which
// policies are stored: "" when there is no such user.
func (d *Directory) PrincipalID(ctx context.Context, arn string) (id string, err error) {
	a, ok := entity(arn)
	rest, isUser := strings.CutPrefix(a.Resource, "user/")
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	if !ok || !isUser || !validName(name, maxUserName) {
		// A policy may say anything here, NUL characters included.
		return "", nil
	}
	var u user
	err = d.db.Read(ctx, func(tx store.Tx) (err error) {
		u, err = getUser(tx, a.Account, name)
		return err
	})
	// Principal ARNs compare with case and path (iam-policy-evaluation.md 4).
	if errors.Is(err, store.ErrNoRows) || err == nil && u.arn() != arn {
		return "", nil
	}
	return u.ID, err
}

// PrincipalARN returns the ARN of the user with a unique id, "" when it is gone.
func (d *Directory) PrincipalARN(ctx context.Context, id string) (arn string, err error) {
	u, err := scanUser(d.db.Get(ctx, `SELECT `+userColumns+` FROM iam_users WHERE id = $1`, id))
	if errors.Is(err, store.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return u.arn(), nil
}

func (d *Directory) accountExists(ctx context.Context, account string) (bool, error) {
	var n int64
	err := d.db.Get(ctx, `SELECT COUNT(*) FROM accounts WHERE account = $1`, account).Scan(&n)
	return n > 0, err
}
