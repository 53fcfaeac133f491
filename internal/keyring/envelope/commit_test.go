package envelope

import (
	"bytes"
	"testing"
)

// Whoever knows the material can make a blob that is sound but for its
// commitment: GCM itself has nothing against it. It must not open, or a blob
// could be made for two keys at once.
func TestCommitmentIsChecked(t *testing.T) {
	material := bytes.Repeat([]byte{9}, MaterialSize)
	forge := func(spoil byte) error {
		head, err := appendName(nil, Keyring, Name{})
		if err != nil {
			t.Fatal(err)
		}
		head = append(head, make([]byte, saltSize)...)
		var keys [64]byte
		derive(&keys, Keyring, material, head, []byte("aad"))
		keys[63] ^= spoil
		head = append(head, keys[32:]...)
		gcm, err := newGCM(keys[:32])
		if err != nil {
			t.Fatal(err)
		}
		b, err := Parse(Keyring, gcm.Seal(head, nil, []byte("x"), additional(head, []byte("aad"))))
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Open(material, []byte("aad"))
		return err
	}
	if err := forge(0); err != nil {
		t.Errorf("true commitment: %v", err)
	}
	if err := forge(1); err != ErrInvalidCiphertext {
		t.Errorf("false commitment: %v", err)
	}
}
