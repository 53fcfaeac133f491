package iam

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/strongroom/strongroom/internal/aws"
)

// Passwords are kept as Argon2id hashes, and those sealed by the keyring: a stolen
// database is nothing to guess against without the root key, too. The hash makes
// guesses slow for whoever has both. Memory and passes are the first of OWASP's
// equivalent choices (Password Storage Cheat Sheet); more memory would make the
// check against 24 old passwords, some 20 ms each, a way to keep the server busy.
// Each hash says what it was made with, so these may change.
const (
	argonMemory  = 19 << 10 // KiB
	argonPasses  = 2
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
	argonFormat  = "$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s"
)

// maxHashing is how many passwords are hashed at the same time. Others wait: a
// flood of passwords takes maxHashing times argonMemory and no more.
const maxHashing = 4

// hasher hashes passwords, a few at a time.
type hasher chan struct{}

func newHasher() hasher { return make(hasher, maxHashing) }

// turn waits for a place; the function it returns gives it back.
func (h hasher) turn(ctx context.Context) (func(), error) {
	select {
	case h <- struct{}{}:
		return func() { <-h }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hash returns the text that a password is kept as, before it is sealed.
func (h hasher) hash(ctx context.Context, password aws.SensitiveString) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, argonPasses, argonMemory, argonThreads, argonKey)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf(argonFormat, argonMemory, argonPasses, argonThreads, b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

// matches says whether password is the one behind a hash.
func (h hasher) matches(ctx context.Context, hash string, password aws.SensitiveString) (bool, error) {
	var memory, passes uint32
	var threads uint8
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != "v=19" {
		return false, fmt.Errorf("password hash of another kind")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &threads); err != nil {
		return false, fmt.Errorf("parameters of password hash: %w", err)
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, fmt.Errorf("salt of password hash: %w", err)
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil {
		return false, fmt.Errorf("key of password hash: %w", err)
	}
	done, err := h.turn(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	got := argon2.IDKey([]byte(password), salt, passes, memory, threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// passwordPurpose separates password hashes from all else the keyring seals.
const passwordPurpose = "iam.password"

// passwordContext binds a sealed hash to its user.
func passwordContext(account, userID string) []byte { return []byte(account + "/" + userID) }

// sealPassword hashes a password and seals the hash.
func (s *Service) sealPassword(ctx context.Context, u user, password aws.SensitiveString) ([]byte, error) {
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return nil, err
	}
	sealed, err := s.keys.Seal(passwordPurpose, passwordContext(u.Account, u.ID), []byte(hash))
	if err != nil {
		return nil, fmt.Errorf("seal password: %w", err)
	}
	return sealed, nil
}

// isPassword says whether password is the one that was sealed.
func (s *Service) isPassword(ctx context.Context, u user, sealed []byte, password aws.SensitiveString) (bool, error) {
	hash, err := s.keys.Open(passwordPurpose, passwordContext(u.Account, u.ID), sealed)
	if err != nil {
		return false, fmt.Errorf("open password of user %s: %w", u.ID, err)
	}
	defer clear(hash)
	return s.hasher.matches(ctx, string(hash), password)
}
