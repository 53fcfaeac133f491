package iam

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"time"
)

// Codes of virtual MFA devices are those of RFC 6238 with SHA-1, six digits and
// steps of thirty seconds, which is what every authenticator app takes for
// granted. SHA-1 is only used inside HMAC here, where its collisions do not help.
const (
	totpStep = 30 * time.Second
	// totpWindow is how many steps a clock may be off in each direction. One step
	// is what RFC 6238 (5.2) recommends; each more gives a guess another chance.
	totpWindow = 1
	// seedBytes make a base32 seed of 64 characters, as long as AWS's.
	seedBytes = 40
)

// stepAt is the time step that t is in.
func stepAt(t time.Time) int64 { return t.Unix() / int64(totpStep/time.Second) }

// totp is the code of one time step (RFC 4226, 5.3).
func totp(seed []byte, step int64) string {
	h := hmac.New(sha1.New, seed)
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step))
	h.Write(counter[:])
	sum := h.Sum(nil)
	at := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1_000_000)
}

// matchStep returns the step near now, behind last, that code belongs to. Its time
// tells nothing of how near a guess was.
//
// A last step that is yet to come was taken while the clock was ahead. Codes up to it
// would not be taken for as long, and the one that was is of another time.
func matchStep(seed []byte, code string, now time.Time, last int64) (step int64, ok bool) {
	if last > stepAt(now)+totpWindow {
		last = 0
	}
	for s := stepAt(now) - totpWindow; s <= stepAt(now)+totpWindow; s++ {
		if subtle.ConstantTimeCompare([]byte(totp(seed, s)), []byte(code)) == 1 && s > last {
			step, ok = s, true
		}
	}
	return step, ok
}

// matchPair is matchStep for two codes in a row, of which the second is the one
// that is current.
func matchPair(seed []byte, first, second string, now time.Time, last int64) (step int64, ok bool) {
	step, ok = matchStep(seed, second, now, last)
	before := subtle.ConstantTimeCompare([]byte(totp(seed, step-1)), []byte(first)) == 1
	return step, ok && before && (step-1 > last || last > stepAt(now)+totpWindow)
}
