package envelope

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"testing"
)

// TestHMAC: it is the standard library's, for every length around the blocks and
// beyond the room on the stack.
func TestHMAC(t *testing.T) {
	t.Parallel()
	var key [sha256.Size]byte
	for n := range 600 {
		_, _ = rand.Read(key[:])
		text := make([]byte, n)
		_, _ = rand.Read(text)
		given := bytes.Clone(text)
		h := hmac.New(sha256.New, key[:])
		h.Write(text)
		if got := hmacSHA256(&key, text); !bytes.Equal(got[:], h.Sum(nil)) || !bytes.Equal(text, given) {
			t.Fatalf("%d bytes: %x", n, got)
		}
	}
}

// FuzzHMAC: the same for any text.
func FuzzHMAC(f *testing.F) {
	f.Add([]byte("key"), []byte("text"))
	f.Fuzz(func(t *testing.T, k, text []byte) {
		key := sha256.Sum256(k)
		h := hmac.New(sha256.New, key[:])
		h.Write(text)
		if got := hmacSHA256(&key, text); !hmac.Equal(got[:], h.Sum(nil)) {
			t.Fatalf("%x", got)
		}
	})
}
