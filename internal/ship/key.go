package ship

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"
)

// streamKey is what all objects of a stream are sealed under.
type streamKey []byte

const streamKeySize = 32

func newStreamKey() streamKey {
	k := make(streamKey, streamKeySize)
	rand.Read(k)
	return k
}

// stanzaType names our way of wrapping a file key in the header of an age file.
const stanzaType = "strongroom-ship"

// named is the recipient and the identity of one object: the stream's key, for the
// one name.
type named struct {
	key  streamKey
	name string
}

// aead returns the cipher for the name. The names begin with the stream's own.
func (n named) aead() (interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}, error) {
	k, err := hkdf.Key(sha256.New, n.key, nil, "strongroom ship v1 "+n.name, chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	// With the long nonce a random one never repeats, also where an object is made
	// again under its name.
	return chacha20poly1305.NewX(k)
}

// Wrap makes a named an age.Recipient.
func (n named) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	a, err := n.aead()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	rand.Read(nonce)
	return []*age.Stanza{{Type: stanzaType, Args: []string{base64.RawStdEncoding.EncodeToString(nonce)}, Body: a.Seal(nil, nonce, fileKey, nil)}}, nil
}

// Unwrap makes a named an age.Identity.
func (n named) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != stanzaType || len(stanzas[0].Args) != 1 {
		return nil, age.ErrIncorrectIdentity
	}
	nonce, err := base64.RawStdEncoding.Strict().DecodeString(stanzas[0].Args[0])
	if err != nil || len(nonce) != chacha20poly1305.NonceSizeX {
		return nil, age.ErrIncorrectIdentity
	}
	a, err := n.aead()
	if err != nil {
		return nil, err
	}
	fileKey, err := a.Open(nil, nonce, stanzas[0].Body, nil)
	if err != nil {
		return nil, age.ErrIncorrectIdentity
	}
	return fileKey, nil
}

// seal encrypts what write writes into an object of the name.
func (k streamKey) seal(name string, write func(io.Writer) error) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, named{k, name})
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", name, err)
	}
	if err := write(w); err != nil {
		return nil, fmt.Errorf("seal %s: %w", name, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// open decrypts a whole object, which proves all of it.
func (k streamKey) open(name string, object []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(object), named{k, name})
	if no := new(age.NoIdentityMatchError); errors.As(err, &no) {
		return nil, fmt.Errorf("%w: %s belongs to another stream or place", ErrDamaged, name)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
	}
	return plain, nil
}
