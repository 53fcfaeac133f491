//go:build strongroom_nosealing_control

package envelope

import (
	"crypto/cipher"
	"testing"
)

// This file takes the place of cipher.go in the control build of the canary
// test: nothing is sealed, and the test must find out. A tag instead of a
// setting, so that no program that is shipped has a way to switch sealing off,
// and no program but a test runs with it.
func init() {
	if !testing.Testing() {
		panic("built without sealing: the tag strongroom_nosealing_control is for tests only")
	}
}

// newGCM returns a cipher that leaves everything as it is.
func newGCM([]byte) (cipher.AEAD, error) { return identity{}, nil }

// identity has the sizes of the real cipher, so that nothing else changes.
type identity struct{}

func (identity) NonceSize() int { return 0 }
func (identity) Overhead() int  { return nonceSize + tagSize }

func (identity) Seal(dst, _, plaintext, _ []byte) []byte {
	dst = append(dst, make([]byte, nonceSize)...)
	dst = append(dst, plaintext...)
	return append(dst, make([]byte, tagSize)...)
}

func (identity) Open(dst, _, sealed, _ []byte) ([]byte, error) {
	if len(sealed) < nonceSize+tagSize {
		return nil, ErrInvalidCiphertext
	}
	return append(dst, sealed[nonceSize:len(sealed)-tagSize]...), nil
}
