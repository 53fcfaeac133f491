package secretsmanager

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/keyring/envelope"
	"github.com/strongroom/strongroom/internal/wire"
)

// valueKind tells text from binary; it is bound into the sealed value, so a row
// whose kind was changed does not open.
type valueKind string

const (
	kindString valueKind = "s"
	kindBinary valueKind = "b"
)

// value is a secret value in the clear, on its way through one call.
type value struct {
	Kind  valueKind
	Bytes []byte
}

// valueOf reads the two members a caller may give. given is false when neither is.
func valueOf(text *aws.SensitiveString, binary aws.SensitiveBytes) (v value, given bool, err error) {
	if text != nil && binary != nil {
		return value{}, true, wire.Invalid(ErrInvalidParameter("You can't specify both a binary secret value and a string secret value in the same secret."))
	}
	if text != nil {
		return value{kindString, []byte(*text)}, true, nil
	}
	return value{kindBinary, binary}, binary != nil, nil
}

// equal compares in constant time, so that a caller who may write but not read
// learns nothing about the value from how long a repeated token takes.
func (v value) equal(other value) bool {
	return v.Kind == other.Kind && subtle.ConstantTimeCompare(v.Bytes, other.Bytes) == 1
}

// encryptionContext binds a version's data key to its place (spec 13.1).
func encryptionContext(arn, versionID string) map[string]string {
	return map[string]string{"SecretARN": arn, "SecretVersionId": versionID}
}

func valueName(s *secret, versionID string, kind valueKind) envelope.ValueName {
	return envelope.ValueName{Account: s.Account, ARN: s.arn(), VersionID: versionID, Purpose: "secretsmanager.value." + string(kind)}
}

// seal makes a new version of s with a fresh data key. It runs before the
// transaction: nothing slow happens while the writer waits.
func (s *Service) seal(ctx context.Context, sec *secret, versionID string, v value) (*version, error) {
	keyARN, managed, err := s.keyOf(ctx, sec)
	if err != nil {
		return nil, err
	}
	plain, wrapped, err := s.keys.Generate(ctx, keyARN, encryptionContext(sec.arn(), versionID))
	if err != nil {
		return nil, keyError(err, onWrite)
	}
	defer clear(plain)
	sealed, err := envelope.SealValue(plain, valueName(sec, versionID, v.Kind), v.Bytes)
	if err != nil {
		return nil, fmt.Errorf("seal value: %w", err)
	}
	out := &version{ID: versionID, Kind: v.Kind, KeyARN: keyARN, DataKey: wrapped, Sealed: sealed}
	if managed {
		out.KeyARN = ""
	}
	return out, nil
}

// unseal opens a version's value as the current principal.
func (s *Service) unseal(ctx context.Context, sec *secret, v *version) (value, error) {
	plain, err := s.keys.Decrypt(ctx, v.DataKey, encryptionContext(sec.arn(), v.ID))
	if err != nil {
		return value{}, keyError(s.reason(ctx, sec, v, err), onRead)
	}
	defer clear(plain)
	b, err := envelope.OpenValue(plain, valueName(sec, v.ID, v.Kind), v.Sealed)
	if err != nil {
		return value{}, ErrDecryptionFailure("Secrets Manager can't decrypt the protected secret text using the provided KMS key.").With(err)
	}
	return value{v.Kind, b}, nil
}

// reason looks behind a denial: KMS answers so for a key that is gone, too, and
// whoever may read the secret is told that its key is no more (spec 13.5).
func (s *Service) reason(ctx context.Context, sec *secret, v *version, denial error) error {
	if e, ok := errors.AsType[*aws.Error](denial); !ok || e.Code != "AccessDeniedException" || v.KeyARN == "" {
		return denial
	}
	_, _, err := s.keys.Resolve(ctx, sec.Account, sec.Region, v.KeyARN)
	if e, ok := errors.AsType[*aws.Error](err); ok && e.Code == "NotFoundException" {
		return err
	}
	return denial
}

// keyOf finds the key that new versions of a secret are sealed under now.
func (s *Service) keyOf(ctx context.Context, sec *secret) (arn string, managed bool, err error) {
	if sec.KmsKeyID == "" {
		arn, err = s.keys.DefaultKey(ctx, sec.Account, sec.Region)
		managed = true
	} else {
		arn, managed, err = s.keys.Resolve(ctx, sec.Account, sec.Region, sec.KmsKeyID)
	}
	if err != nil {
		return "", false, keyError(err, onWrite)
	}
	return arn, managed, nil
}

// validateKey proves that the caller may use a key it names, with a data key
// that is thrown away (spec 13.2).
func (s *Service) validateKey(ctx context.Context, sec *secret) error {
	arn, _, err := s.keyOf(ctx, sec)
	if err != nil {
		return err
	}
	ec := encryptionContext(sec.arn(), "RequestToValidateKeyAccess")
	plain, wrapped, err := s.keys.Generate(ctx, arn, ec)
	if err != nil {
		return keyError(err, onWrite)
	}
	clear(plain)
	again, err := s.keys.Decrypt(ctx, wrapped, ec)
	clear(again)
	if err != nil {
		return keyError(err, onWrite)
	}
	return nil
}

// direction says what a failing key was wanted for.
type direction int

const (
	onWrite direction = iota
	onRead
)

func errNoKeyAccess() *aws.Error {
	return &aws.Error{Code: "AccessDeniedException", Message: "Access to KMS is not allowed"}
}

// keyError turns KMS's failures into this service's (spec 13.5). Where the
// service's wording is not known, KMS's own sentence is passed on: it names the
// key and its state, which is what an operator needs.
func keyError(err error, d direction) error {
	var e *aws.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case "AccessDeniedException":
		return errNoKeyAccess().With(err)
	case "NotFoundException", "InvalidArnException":
		if d == onWrite {
			return ErrInvalidParameter("The operation failed because of an invalid KMS key: Invalid keyId").With(err)
		}
	case "InvalidKeyUsageException", "UnsupportedOperationException":
		return ErrInvalidParameter("The operation failed because of an invalid KMS key: %s", e.Message).With(err)
	case "DisabledException", "KMSInvalidStateException", "InvalidCiphertextException":
	default:
		return err
	}
	if d == onWrite {
		return ErrEncryptionFailure("Secrets Manager can't encrypt the protected secret text using the provided KMS key. %s", e.Message).With(err)
	}
	return ErrDecryptionFailure("Secrets Manager can't decrypt the protected secret text using the provided KMS key. %s", e.Message).With(err)
}
