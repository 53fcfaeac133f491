package kms

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

// Handle is how another service uses keys on behalf of its caller. Each use is
// a nested call: the caller's own rights are asked, with kms:ViaService naming
// the service, and a record of its own is made. Errors about the call are
// *aws.Error with KMS's codes, for the service to put into its own words.
type Handle struct {
	s       *Service
	service string
	via     string
}

// Via returns the handle of a service, such as "secretsmanager".
func (s *Service) Via(service string) *Handle {
	return &Handle{s: s, service: service, via: service + viaSuffix}
}

// DefaultKey returns the ARN of the service's own key of an account and region,
// alias/aws/<service>, and makes the key at first use.
func (h *Handle) DefaultKey(ctx context.Context, account, region string) (arn string, err error) {
	k, err := h.s.managedKey(ctx, place{account, region}, h.service)
	if err != nil {
		return "", err
	}
	return k.arnText, nil
}

// Resolve returns the ARN of the key that keyID names: a key id, key ARN, alias
// name or alias ARN, as seen from account and region; and whether AWS manages
// it. It asks for no permission and makes no record: nothing may be told to the
// caller before the key was used on his behalf. A missing key of another account
// is denied, as one that is closed to the caller will be.
func (h *Handle) Resolve(ctx context.Context, account, region, keyID string) (arn string, managed bool, err error) {
	home := place{account, region}
	if keyID == managedPrefix+h.service || keyID == home.aliasARN(managedPrefix+h.service) {
		arn, err := h.DefaultKey(ctx, account, region)
		return arn, true, err
	}
	ref, err := parseReference(keyID, home, true)
	if err != nil {
		return "", false, unmarked(err)
	}
	k, err := h.s.find(ctx, &ref)
	if errors.Is(err, errNoKey) {
		if ref.account != account {
			return "", false, &aws.Error{Code: codeAccessDenied, Message: "The key " + ref.shown + " does not exist or does not allow access."}
		}
		return "", false, ref.missing()
	}
	if err != nil {
		return "", false, err
	}
	return k.arnText, k.managed(), nil
}

// Generate makes an AES-256 data key under a key and binds it to ec.
func (h *Handle) Generate(ctx context.Context, keyARN string, ec map[string]string) (plainKey, wrapped []byte, err error) {
	in := &GenerateDataKeyInput{KeyId: &keyARN, KeySpec: new(DataKeySpecAes256), EncryptionContext: ec}
	var out *GenerateDataKeyOutput
	err = h.nested(ctx, "GenerateDataKey", regionOf(keyARN), in, func(ctx context.Context) (err error) {
		out, err = h.s.GenerateDataKey(ctx, in)
		return err
	})
	if err != nil {
		// The record may have been lost after the key was made.
		if out != nil {
			clear(out.Plaintext)
		}
		return nil, nil, err
	}
	return out.Plaintext, out.CiphertextBlob, nil
}

// Encrypt seals at most 4096 bytes under a key and binds them to ec.
func (h *Handle) Encrypt(ctx context.Context, keyARN string, plaintext []byte, ec map[string]string) ([]byte, error) {
	in := &EncryptInput{KeyId: &keyARN, Plaintext: plaintext, EncryptionContext: ec}
	var out *EncryptOutput
	err := h.nested(ctx, "Encrypt", regionOf(keyARN), in, func(ctx context.Context) (err error) {
		out, err = h.s.Encrypt(ctx, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out.CiphertextBlob, nil
}

// Decrypt opens what Generate and Encrypt sealed, given the same ec.
func (h *Handle) Decrypt(ctx context.Context, wrapped []byte, ec map[string]string) ([]byte, error) {
	in := &DecryptInput{CiphertextBlob: wrapped, EncryptionContext: ec}
	blob, malformed := parseBlob(wrapped)
	var out *DecryptOutput
	err := h.nested(ctx, "Decrypt", blob.Name.Region, in, func(ctx context.Context) (err error) {
		if malformed != nil {
			return malformed
		}
		out, err = h.s.decrypt(ctx, in, &blob)
		return err
	})
	if err != nil {
		if out != nil {
			clear(out.Plaintext)
		}
		return nil, err
	}
	return out.Plaintext, nil
}

// nested runs fn as a nested call in the region of the key: a service asks KMS
// where the key is, which for a replica is not where it was called itself.
func (h *Handle) nested(ctx context.Context, operation, region string, in any, fn func(context.Context) error) error {
	return unmarked(h.s.registry.Nested(ctx, API.Name, operation, h.via, in, func(ctx context.Context) error {
		if region != "" {
			wire.CallFrom(ctx).Region = region
		}
		return fn(ctx)
	}))
}

// regionOf returns the region of an ARN, "" if it is none; then the operation
// itself refuses it.
func regionOf(arn string) string {
	a, _ := aws.ParseARN(arn)
	return a.Region
}

// unmarked takes the dispatcher's mark off an error: an answer that stands on
// the request alone here does not do so for the service's own caller.
func unmarked(err error) error {
	if e, ok := errors.AsType[*aws.Error](err); ok {
		return e
	}
	return err
}
