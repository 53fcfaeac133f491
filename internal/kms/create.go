package kms

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/keyring/envelope"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// sealPurpose separates key material from all else the keyring seals.
const sealPurpose = "kms.material"

// sealContext binds sealed material to its row: moved to another key, account or
// region, or under another id, it does not open.
func sealContext(k *key, materialID string) []byte {
	b := envelope.AppendText(nil, k.account)
	b = envelope.AppendText(b, k.region)
	b = envelope.AppendText(b, k.ID)
	return envelope.AppendText(b, materialID)
}

// CreateKey makes a symmetric encryption key. Other kinds of key are not offered
// and are refused as unsupported.
func (s *Service) CreateKey(ctx context.Context, in *CreateKeyInput) (*CreateKeyOutput, error) {
	if err := checkKind(in); err != nil {
		return nil, err
	}
	tags, err := tagsFromWire(in.Tags, s.quotas.TagsPerKey)
	if err != nil {
		return nil, err
	}
	if in.Policy != nil {
		if err := s.checkPolicySize(*in.Policy); err != nil {
			return nil, err
		}
	}
	call := wire.CallFrom(ctx)
	k, err := newKey(place{call.Principal.Account, call.Region})
	if err != nil {
		return nil, err
	}
	k.Tags = tags
	if in.Description != nil {
		k.Description = *in.Description
	}
	if err := s.authorizeCreate(ctx, in, k); err != nil {
		return nil, err
	}
	k.Policy = defaultPolicy(k.account)
	if in.Policy != nil {
		k.Policy = *in.Policy
		if err := s.checkPolicy(ctx, k, k.keyFacts(nil), k.Policy, in.BypassPolicyLockoutSafetyCheck); err != nil {
			return nil, err
		}
		if k.Policy, err = s.storedPolicy(ctx, k.Policy); err != nil {
			return nil, err
		}
	}
	sealed, err := s.newMaterial(k)
	if err != nil {
		return nil, err
	}
	err = s.db.Write(ctx, func(tx store.Tx) error {
		n, err := countKeys(tx, k.place)
		if err != nil {
			return err
		}
		if n >= int64(s.quotas.Keys) {
			return ErrLimitExceeded("You have reached the maximum number of KMS keys: %d.", s.quotas.Keys)
		}
		return s.insert(tx, k, sealed)
	})
	if err != nil {
		return nil, err
	}
	call.Touch(wire.Resource{ARN: k.arn(), Type: resourceType, Account: k.account})
	call.ResponseElements = map[string]any{"keyMetadata": map[string]any{
		"aWSAccountId": k.account, "arn": k.arn(), "keyId": k.ID, "description": k.Description, "keyManager": k.manager(),
		"keySpec": k.Spec, "keyState": k.State, "keyUsage": k.Usage, "origin": k.Origin, "multiRegion": false,
		"enabled": true, "creationDate": aws.NewTime(k.CreatedAt).ISO(),
	}}
	return &CreateKeyOutput{KeyMetadata: k.metadata()}, nil
}

// checkKind refuses what a key cannot be (spec kms.md 3).
func checkKind(in *CreateKeyInput) error {
	spec := in.KeySpec
	if spec == nil {
		spec = in.CustomerMasterKeySpec
	} else if in.CustomerMasterKeySpec != nil && *in.CustomerMasterKeySpec != *spec {
		// The text is unconfirmed.
		return wire.Invalid(ErrValidation("You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated."))
	}
	if spec != nil && *spec != KeySpecSymmetricDefault {
		if in.KeyUsage == nil {
			return wire.Invalid(ErrValidation("You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."))
		}
		return wire.Invalid(ErrUnsupportedOperation("KeySpec %s is not supported.", *spec))
	}
	if in.KeyUsage != nil && *in.KeyUsage != KeyUsageEncryptDecrypt {
		return wire.Invalid(ErrValidation("KeyUsage %s is not compatible with KeySpec %s", *in.KeyUsage, KeySpecSymmetricDefault))
	}
	switch {
	case in.Origin != nil && *in.Origin != OriginAwsKms:
		return wire.Invalid(ErrUnsupportedOperation("Origin %s is not supported.", *in.Origin))
	case in.MultiRegion != nil && *in.MultiRegion:
		return wire.Invalid(ErrUnsupportedOperation("Multi-Region keys are not supported."))
	case in.CustomKeyStoreId != nil || in.XksKeyId != nil:
		return wire.Invalid(ErrUnsupportedOperation("Custom key stores are not supported."))
	}
	return nil
}

// authorizeCreate decides on identity policies alone, since the key has no policy
// yet. Tags need a permission of their own on the key to be (spec kms.md 7, 8.2).
func (s *Service) authorizeCreate(ctx context.Context, in *CreateKeyInput, k *key) error {
	call := wire.CallFrom(ctx)
	tags := auth.RequestTags(k.Tags)
	facts := slices.Concat(callFacts(call), k.keyFacts(nil), tags)
	facts = append(facts, auth.Key{Name: keyLockoutBypass, Values: []string{boolText(in.BypassPolicyLockoutSafetyCheck)}})
	if err := s.auth.Authorize(ctx, &auth.Request{
		Action: "kms:CreateKey", Resource: "*", Shown: "*", Account: k.account, Tags: k.Tags, Keys: facts,
	}); err != nil {
		return err
	}
	if len(k.Tags) == 0 {
		return nil
	}
	return s.auth.Authorize(ctx, &auth.Request{
		Action: "kms:TagResource", Resource: k.arn(), Shown: k.arn(), Account: k.account, Tags: k.Tags,
		Keys: append(callFacts(call), tags...),
	})
}

// newKey makes an enabled key with fresh ids and nothing else.
func newKey(p place) (*key, error) {
	var id [32]byte
	// Read never fails: the runtime ends the process rather than hand out weak
	// bytes (crypto/rand).
	_, _ = rand.Read(id[:])
	return &key{
		place:         p,
		ID:            aws.NewUUID(),
		State:         KeyStateEnabled,
		Spec:          KeySpecSymmetricDefault,
		Usage:         KeyUsageEncryptDecrypt,
		Origin:        OriginAwsKms,
		PolicyVersion: 1,
		Material:      hex.EncodeToString(id[:]),
	}, nil
}

// newMaterial makes the 32 bytes that k's messages are derived from, sealed.
func (s *Service) newMaterial(k *key) ([]byte, error) {
	var material [envelope.MaterialSize]byte
	defer clear(material[:])
	_, _ = rand.Read(material[:])
	sealed, err := s.sealer.Seal(sealPurpose, sealContext(k, k.Material), material[:])
	if err != nil {
		return nil, fmt.Errorf("seal key material: %w", err)
	}
	return sealed, nil
}

// insert stores a key and its first material, dated by the transaction.
func (s *Service) insert(tx store.Tx, k *key, sealed []byte) error {
	k.CreatedAt = tx.Now()
	if err := insertKey(tx, k); err != nil {
		return err
	}
	if err := insertMaterial(tx, k, sealed); err != nil {
		return err
	}
	return s.db.Bump(tx, k.account, k.region, generationKind)
}

// DescribeKey returns a key's metadata. Describing the predefined alias of a
// service's managed key makes that key if it is missing, as AWS does.
func (s *Service) DescribeKey(ctx context.Context, in *DescribeKeyInput) (*DescribeKeyOutput, error) {
	if err := checkGrantTokens(in.GrantTokens); err != nil {
		return nil, err
	}
	call := wire.CallFrom(ctx)
	a := &access{action: "kms:DescribeKey", keyID: *in.KeyId, aliases: true, crossAccount: true}
	if service, ok := predefined(*in.KeyId); ok {
		home := place{call.Principal.Account, call.Region}
		if err := s.preparePredefined(ctx, a, home, service); err != nil {
			return nil, err
		}
	}
	k, err := s.open(ctx, a)
	if err != nil {
		return nil, err
	}
	return &DescribeKeyOutput{KeyMetadata: k.metadata()}, nil
}

// ListKeys lists all keys of the account and region, whatever their state and
// manager, in the order of their ids.
func (s *Service) ListKeys(ctx context.Context, in *ListKeysInput) (*ListKeysOutput, error) {
	after, n, err := readPage(in.Marker, in.Limit, 100, 1000, validKeyID)
	if err != nil {
		return nil, err
	}
	if err := s.authorizeList(ctx, "kms:ListKeys"); err != nil {
		return nil, err
	}
	call := wire.CallFrom(ctx)
	p := place{call.Principal.Account, call.Region}
	var ids []string
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		ids, err = listKeyIDs(tx, p, after, n+1)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	out := &ListKeysOutput{Keys: []KeyListEntry{}}
	ids, out.Truncated, out.NextMarker = cut(ids, n, func(id *string) string { return *id })
	for _, id := range ids {
		out.Keys = append(out.Keys, KeyListEntry{KeyId: new(id), KeyArn: new(p.keyARN(id))})
	}
	return out, nil
}
