package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
)

// hmacSHA256 is HMAC-SHA-256 of a short text under a 32-byte key, in the two blocks of
// RFC 2104. It is crypto/hmac without its garbage, which would be half a kilobyte
// a request, some of it made from the key and out of our reach; what is made from the
// key here is cleared.
func hmacSHA256(key *[sha256.Size]byte, text []byte) (sum [sha256.Size]byte) {
	const block = 64
	var room [block + 192]byte
	in := append(room[:block], text...) // A longer text moves to the heap.
	for i := range block {
		in[i] = 0x36
	}
	subtle.XORBytes(in, in[:sha256.Size], key[:])
	sum = sha256.Sum256(in)
	for i := range block {
		in[i] ^= 0x36 ^ 0x5c
	}
	outer := append(room[:0], in[:block]...)
	outer = append(outer, sum[:]...)
	sum = sha256.Sum256(outer)
	clear(in[:block])
	clear(outer[:block])
	return sum
}
