package kms

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/keyring/envelope"
	"github.com/strongroom/strongroom/internal/wire"
)

// maxContext bounds the names and values of an encryption context together, in
// bytes (unconfirmed in spec kms.md 5.1).
const maxContext = 8192

// Encrypt seals up to 4096 bytes under a key.
func (s *Service) Encrypt(ctx context.Context, in *EncryptInput) (*EncryptOutput, error) {
	if err := checkCrypto(in.GrantTokens, nil, in.EncryptionContext); err != nil {
		return nil, err
	}
	k, err := s.open(ctx, &access{
		action: "kms:Encrypt", keyID: *in.KeyId, aliases: true, crossAccount: true,
		crypto: true, algorithm: in.EncryptionAlgorithm, ec: in.EncryptionContext,
	})
	if err != nil {
		return nil, err
	}
	if err := k.mayEncrypt(in.EncryptionAlgorithm); err != nil {
		return nil, err
	}
	if isTrue(in.DryRun) {
		return nil, errDryRun()
	}
	blob, _, err := s.seal(ctx, k, in.Plaintext, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	return &EncryptOutput{CiphertextBlob: blob, KeyId: &k.arnText, EncryptionAlgorithm: new(EncryptionAlgorithmSpecSymmetricDefault)}, nil
}

// GenerateDataKey returns a new random key, in the clear and sealed.
func (s *Service) GenerateDataKey(ctx context.Context, in *GenerateDataKeyInput) (*GenerateDataKeyOutput, error) {
	size, err := dataKeySize(in)
	if err != nil {
		return nil, err
	}
	if err := checkCrypto(in.GrantTokens, in.Recipient, in.EncryptionContext); err != nil {
		return nil, err
	}
	k, err := s.open(ctx, &access{
		action: "kms:GenerateDataKey", keyID: *in.KeyId, aliases: true, crossAccount: true,
		crypto: true, ec: in.EncryptionContext,
	})
	if err != nil {
		return nil, err
	}
	if err := k.mayEncrypt(nil); err != nil {
		return nil, err
	}
	if isTrue(in.DryRun) {
		return nil, errDryRun()
	}
	plain := make([]byte, size)
	_, _ = rand.Read(plain)
	blob, material, err := s.seal(ctx, k, plain, in.EncryptionContext)
	if err != nil {
		clear(plain)
		return nil, err
	}
	return &GenerateDataKeyOutput{CiphertextBlob: blob, Plaintext: plain, KeyId: &k.arnText, KeyMaterialId: &material}, nil
}

// dataKeySize reads the two ways to say how long a data key is. The sentence is
// an emulator's (spec kms.md 5).
func dataKeySize(in *GenerateDataKeyInput) (int, error) {
	switch {
	case (in.KeySpec == nil) == (in.NumberOfBytes == nil):
		return 0, wire.Invalid(ErrValidation("Please specify either number of bytes or key spec."))
	case in.NumberOfBytes != nil:
		return int(*in.NumberOfBytes), nil
	case *in.KeySpec == DataKeySpecAes128:
		return 16, nil
	}
	return 32, nil
}

// Decrypt opens what Encrypt and GenerateDataKey sealed.
func (s *Service) Decrypt(ctx context.Context, in *DecryptInput) (*DecryptOutput, error) {
	if err := checkCrypto(in.GrantTokens, in.Recipient, in.EncryptionContext); err != nil {
		return nil, err
	}
	if isTrue(in.DryRun) && slices.Contains(in.DryRunModifiers, DryRunModifierIgnoreCiphertext) {
		return nil, s.dryRunWithoutBlob(ctx, in)
	}
	if in.CiphertextBlob == nil {
		// The text is unconfirmed.
		return nil, wire.Invalid(ErrValidation("1 validation error detected: Value at 'ciphertextBlob' failed to satisfy constraint: Member must not be null"))
	}
	blob, err := parseBlob(in.CiphertextBlob)
	if err != nil {
		return nil, err
	}
	return s.decrypt(ctx, in, &blob)
}

func parseBlob(raw []byte) (envelope.Blob, error) {
	blob, err := envelope.Parse(envelope.KMS, raw)
	if err != nil {
		return blob, wire.Invalid(ErrInvalidCiphertext())
	}
	return blob, nil
}

func (s *Service) decrypt(ctx context.Context, in *DecryptInput, blob *envelope.Blob) (*DecryptOutput, error) {
	k, err := s.openFor(ctx, in, &blob.Name)
	if err != nil {
		return nil, err
	}
	if err := k.mayEncrypt(in.EncryptionAlgorithm); err != nil {
		return nil, err
	}
	if blob.Name.KeyID != k.ID || blob.Name.Account != k.account || blob.Name.Region != k.region {
		return nil, ErrIncorrectKey("The key ID in the request does not identify a CMK that can perform this operation.")
	}
	plain, material, err := s.unseal(ctx, k, blob, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	if isTrue(in.DryRun) {
		clear(plain)
		return nil, errDryRun()
	}
	return &DecryptOutput{
		KeyId: &k.arnText, Plaintext: plain, KeyMaterialId: &material, EncryptionAlgorithm: new(EncryptionAlgorithmSpecSymmetricDefault),
	}, nil
}

// openFor finds the key that a call of Decrypt is about and decides: the one
// named in the request, else the one named in the blob.
func (s *Service) openFor(ctx context.Context, in *DecryptInput, name *envelope.Name) (*loadedKey, error) {
	a := &access{
		action: "kms:Decrypt", aliases: true, crossAccount: true,
		crypto: true, algorithm: in.EncryptionAlgorithm, ec: in.EncryptionContext,
	}
	if in.KeyId != nil {
		a.keyID = *in.KeyId
		return s.open(ctx, a)
	}
	call := wire.CallFrom(ctx)
	ref := reference{place: place{name.Account, name.Region}, id: name.KeyID}
	err := errNoKey
	var k *loadedKey
	if ref.region == call.Region {
		k, err = s.find(ctx, &ref)
	}
	if errors.Is(err, errNoKey) {
		// Denied whatever the caller's rights, since no policy allows it: so a key
		// that is gone cannot be told from one that is closed to him.
		err = s.auth.Authorize(ctx, &auth.Request{
			Action: "kms:Decrypt", Resource: ref.arn(), Shown: ref.arn(), Account: ref.account,
			Mandatory: true, Keys: a.facts(call, &ref),
		})
		if err == nil {
			err = errCiphertextKey()
		}
	} else if err == nil {
		err = s.decide(ctx, a, &ref, k)
	}
	if e, ok := errors.AsType[*aws.Error](err); ok && e.Code == codeAccessDenied {
		return nil, errCiphertextKey().With(err)
	}
	return k, err
}

// dryRunWithoutBlob answers the dry run that asks about permission alone; it
// needs to name the key.
func (s *Service) dryRunWithoutBlob(ctx context.Context, in *DecryptInput) error {
	if in.KeyId == nil {
		return wire.Invalid(ErrValidation("1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null"))
	}
	k, err := s.openFor(ctx, in, nil)
	if err != nil {
		return err
	}
	if err := k.mayEncrypt(in.EncryptionAlgorithm); err != nil {
		return err
	}
	return errDryRun()
}

const codeAccessDenied = "AccessDeniedException"

// errCiphertextKey is the one answer for a blob whose key is closed to the
// caller, in another region, or gone (spec kms.md 5).
func errCiphertextKey() *aws.Error {
	return &aws.Error{Code: codeAccessDenied, Message: "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."}
}

func errDryRun() *aws.Error {
	return ErrDryRunOperation("The request would have succeeded, but the DryRun option is set.")
}

// mayEncrypt checks state, then usage (order of spec kms.md 5).
func (k *key) mayEncrypt(algorithm *string) error {
	if err := k.mayCrypt(); err != nil {
		return err
	}
	return k.checkAlgorithm(algorithm)
}

// seal encrypts under the current material and returns its id.
func (s *Service) seal(ctx context.Context, k *loadedKey, plain []byte, ec map[string]string) (blob []byte, material string, err error) {
	err = k.withMaterial(ctx, s.db, s.sealer, k.seals, func(m *openMaterial) (err error) {
		material = m.id
		name := envelope.Name{Account: k.account, Region: k.region, KeyID: k.ID, Material: k.seals}
		blob, err = envelope.Seal(envelope.KMS, name, m.bytes, envelope.Context(ec), plain)
		return err
	})
	return blob, material, err
}

// unseal opens a blob under the material it names and returns that one's id. A
// material that the key does not have makes the blob a foreign one.
func (s *Service) unseal(ctx context.Context, k *loadedKey, blob *envelope.Blob, ec map[string]string) (plain []byte, material string, err error) {
	err = k.withMaterial(ctx, s.db, s.sealer, blob.Name.Material, func(m *openMaterial) (err error) {
		material = m.id
		if plain, err = blob.Open(m.bytes, envelope.Context(ec)); err != nil {
			// Told apart here from sealed material that does not open, which
			// is damage of ours and has the same error.
			return ErrInvalidCiphertext()
		}
		return nil
	})
	if errors.Is(err, errNoKey) {
		return nil, "", ErrInvalidCiphertext()
	}
	return plain, material, err
}

// checkCrypto refuses what the request alone shows to be wrong.
func checkCrypto(tokens []string, recipient *RecipientInfo, ec map[string]string) error {
	if err := checkGrantTokens(tokens); err != nil {
		return err
	}
	if recipient != nil {
		return wire.Invalid(ErrUnsupportedOperation("Recipient is not supported."))
	}
	size := 0
	for name, value := range ec {
		size += len(name) + len(value)
	}
	if size > maxContext {
		return wire.Invalid(ErrValidation("EncryptionContext exceeds the maximum size of %d bytes.", maxContext))
	}
	return nil
}

// checkGrantTokens refuses all tokens: none was ever handed out, so each is
// unknown (spec kms.md 9; the text is unconfirmed).
func checkGrantTokens(tokens []string) error {
	if len(tokens) > 0 {
		return wire.Invalid(ErrInvalidGrantToken("Invalid grant token"))
	}
	return nil
}

func isTrue(b *bool) bool { return b != nil && *b }
