package servertest

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"time"
)

// TOTP is what an authenticator app shows for a seed at a moment: RFC 6238, written
// a second time.
func TOTP(seed []byte, at time.Time) string {
	h := hmac.New(sha1.New, seed)
	_ = binary.Write(h, binary.BigEndian, at.Unix()/30) // A hash takes everything.
	sum := h.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]%16:])%(1<<31)%1e6)
}
