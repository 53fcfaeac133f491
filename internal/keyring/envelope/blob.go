package envelope

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// Kind is the format byte of a blob. The high digit is the kind, the low one its
// version.
type Kind byte

// The kinds of blobs. FormatValue, in value.go, shares their number space.
const (
	// KMS blobs are customers' ciphertexts (spec kms.md 5.1).
	KMS Kind = 0x11
	// Keyring blobs are Strongroom's own stored secrets.
	Keyring Kind = 0x21
	// Root blobs are keyring keys wrapped by a root key.
	Root Kind = 0x31
)

const (
	// MaterialSize is the size in bytes of the long-lived key of a blob.
	MaterialSize = 32

	saltSize   = 16
	commitSize = sha256.Size
	nonceSize  = 12
	tagSize    = 16

	// bodySize is what follows the name of a blob of an empty plaintext.
	bodySize = saltSize + commitSize + nonceSize + tagSize

	maxRegion = 32
	maxKeyID  = 64
	// maxName bounds format and name: what a blob has before its salt.
	maxName = 1 + 5 + 1 + maxRegion + 1 + maxKeyID + len(MaterialID{})
)

// ErrInvalidCiphertext is the only error about a blob or value: malformed,
// foreign, altered, or opened with another key or other additional data. Which
// of them it was would help nobody but a forger.
var ErrInvalidCiphertext = errors.New("invalid ciphertext")

// MaterialID names one generation of a key.
type MaterialID [16]byte

// Name says which key seals a blob. It is readable by whoever has the blob, and
// authenticated when the blob is opened.
type Name struct {
	// Account (12 digits), Region and KeyID are set for KMS blobs and empty for
	// all others.
	Account, Region, KeyID string
	Material               MaterialID
}

// label separates the kinds in the derivation; maxPlaintext bounds what is
// sealed and what is accepted to be opened.
func (k Kind) traits() (label string, maxPlaintext int, ok bool) {
	switch k {
	case KMS:
		// The limit of Encrypt (spec kms.md 5).
		return "strongroom kms blob v1", 4096, true
	case Keyring:
		// Room for private keys and documents of settings.
		return "strongroom keyring blob v1", 64 << 10, true
	case Root:
		return "strongroom root blob v1", 1 << 10, true
	}
	return "", 0, false
}

// Seal encrypts plaintext under material, which must be MaterialSize bytes and
// is not kept, and binds it to name and aad. The bounds are 4096 bytes of
// plaintext for KMS, 64 KiB for Keyring, 1 KiB for Root. Errors are mistakes of
// the calling code and name none of the bytes.
func Seal(k Kind, name Name, material, aad, plaintext []byte) ([]byte, error) {
	_, limit, ok := k.traits()
	if !ok {
		return nil, fmt.Errorf("seal: unknown kind %#x", byte(k))
	}
	if len(material) != MaterialSize {
		return nil, fmt.Errorf("seal: material of %d bytes, want %d", len(material), MaterialSize)
	}
	if len(plaintext) > limit {
		return nil, fmt.Errorf("seal: plaintext of %d bytes, at most %d", len(plaintext), limit)
	}
	blob := make([]byte, 0, maxName+bodySize+len(plaintext))
	blob, err := appendName(blob, k, name)
	if err != nil {
		return nil, err
	}
	salted := len(blob) + saltSize
	blob = blob[:salted]
	// Read never fails: the runtime ends the process rather than hand out weak
	// bytes (crypto/rand).
	_, _ = rand.Read(blob[salted-saltSize:])

	var keys [64]byte
	derive(&keys, k, material, blob, aad)
	defer clear(keys[:])
	blob = append(blob, keys[32:]...)
	gcm, err := newGCM(keys[:32])
	if err != nil {
		return nil, err
	}
	return gcm.Seal(blob, nil, plaintext, additional(blob, aad)), nil
}

// Blob is a blob that has been split but not verified: what it says of itself
// may only serve to find the key.
type Blob struct {
	// Name is the key that the blob asks for.
	Name Name

	kind Kind
	raw  []byte
	name int // length of format and name
}

// Parse splits a blob of kind k. It keeps raw, which must not change before
// Open. It accepts exactly the names that Seal writes, and no blob longer than
// the largest plaintext of its kind makes it.
func Parse(k Kind, raw []byte) (Blob, error) {
	_, limit, ok := k.traits()
	if !ok || len(raw) < 1 || Kind(raw[0]) != k || len(raw) > maxName+bodySize+limit {
		return Blob{}, ErrInvalidCiphertext
	}
	b := Blob{kind: k, raw: raw}
	rest := raw[1:]
	if k == KMS {
		if rest, ok = b.parseKey(rest); !ok {
			return Blob{}, ErrInvalidCiphertext
		}
	}
	if len(rest) < len(b.Name.Material)+bodySize {
		return Blob{}, ErrInvalidCiphertext
	}
	copy(b.Name.Material[:], rest)
	b.name = len(raw) - len(rest) + len(b.Name.Material)
	if len(raw)-b.name-bodySize > limit {
		return Blob{}, ErrInvalidCiphertext
	}
	return b, nil
}

// Open decrypts the blob. material is the key that b.Name asks for, aad what Seal
// was given. The only error is ErrInvalidCiphertext.
func (b Blob) Open(material, aad []byte) ([]byte, error) {
	if b.name == 0 || len(material) != MaterialSize {
		return nil, ErrInvalidCiphertext
	}
	salted := b.name + saltSize
	sealed := salted + commitSize

	var keys [64]byte
	derive(&keys, b.kind, material, b.raw[:salted], aad)
	defer clear(keys[:])
	// In constant time: otherwise a forger could learn the commitment byte by
	// byte, and with it a correct half of a blob.
	if subtle.ConstantTimeCompare(keys[32:], b.raw[salted:sealed]) != 1 {
		return nil, ErrInvalidCiphertext
	}
	gcm, err := newGCM(keys[:32])
	if err != nil {
		return nil, ErrInvalidCiphertext
	}
	plaintext, err := gcm.Open(nil, nil, b.raw[sealed:], additional(b.raw[:sealed], aad))
	if err != nil {
		return nil, ErrInvalidCiphertext
	}
	return plaintext, nil
}

// derive fills keys with message key and commitment: the KDF in counter mode of
// NIST SP 800-108r1, section 4.1. head is format, name and salt.
func derive(keys *[64]byte, k Kind, material, head, aad []byte) {
	label, _, _ := k.traits()
	// The hash keeps the input short however long an encryption context is; it
	// also gives the context a fixed size, so that its fields cannot run into
	// each other.
	bound := sha256.Sum256(aad)

	var room [4 + 32 + 1 + maxName + saltSize + sha256.Size + 4]byte
	in := append(room[:4], label...)
	in = append(in, 0)
	in = append(in, head...)
	in = append(in, bound[:]...)
	in = binary.BigEndian.AppendUint32(in, uint32(len(keys)*8))

	key := [MaterialSize]byte(material)
	defer clear(key[:])
	for i := range 2 {
		binary.BigEndian.PutUint32(in, uint32(i+1))
		sum := hmacSHA256(&key, in)
		copy(keys[i*sha256.Size:], sum[:])
		clear(sum[:])
	}
}

// deriveLabel keeps derived secrets apart from every message key.
const deriveLabel = "strongroom keyring secret v1"

// Derive makes n bytes (1 to 32) from long-lived material: one round of the KDF of
// derive above, with a label of its own and blob and aad, both hashed, as context.
func Derive(material, blob, aad []byte, n int) ([]byte, error) {
	if len(material) != MaterialSize || n < 1 || n > sha256.Size {
		return nil, errors.New("derive: material or length does not fit")
	}
	of, bound := sha256.Sum256(blob), sha256.Sum256(aad)
	in := binary.BigEndian.AppendUint32(nil, 1)
	in = append(in, deriveLabel...)
	in = append(in, 0)
	in = append(in, of[:]...)
	in = append(in, bound[:]...)
	in = binary.BigEndian.AppendUint32(in, uint32(n*8))
	prf := hmac.New(sha256.New, material)
	prf.Write(in)
	return prf.Sum(nil)[:n], nil
}

// additional is what GCM authenticates beside the plaintext. The length keeps
// the two parts apart.
func additional(head, aad []byte) []byte {
	out := make([]byte, 0, len(head)+8+len(aad))
	out = append(out, head...)
	out = binary.BigEndian.AppendUint64(out, uint64(len(aad)))
	return append(out, aad...)
}
