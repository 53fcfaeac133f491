//go:build !strongroom_nosealing_control

package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// newGCM makes the cipher that draws its own nonces and writes them in front of
// the ciphertext, which is the layout that the package promises. The schedule
// inside it cannot be wiped; it is garbage after the call.
func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return gcm, nil
}
