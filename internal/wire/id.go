package wire

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
)

const uuidLen = 36

// entropy hands out random bytes from a block, since asking the system for 32
// bytes at a time costs more than the rest of making an id. Ids must be unique,
// not secret, so a block may wait in memory.
type entropy struct {
	block [1024]byte
	used  int
}

var entropyPool = sync.Pool{New: func() any { return &entropy{used: len(entropy{}.block)} }}

// newIDs returns two random UUIDs (RFC 9562, version 4): a request's and its
// audit record's. They share one allocation.
func newIDs() (request, event string) {
	e := entropyPool.Get().(*entropy)
	if e.used+32 > len(e.block) {
		_, _ = rand.Read(e.block[:]) // Never fails: it ends the process instead.
		e.used = 0
	}
	var b [2 * uuidLen]byte
	putUUID(b[:uuidLen], e.block[e.used:e.used+16])
	putUUID(b[uuidLen:], e.block[e.used+16:e.used+32])
	e.used += 32
	entropyPool.Put(e)
	s := string(b[:])
	return s[:uuidLen], s[uuidLen:]
}

func putUUID(dst, random []byte) {
	random[6] = random[6]&0x0f | 0x40
	random[8] = random[8]&0x3f | 0x80
	hex.Encode(dst[0:8], random[0:4])
	hex.Encode(dst[9:13], random[4:6])
	hex.Encode(dst[14:18], random[6:8])
	hex.Encode(dst[19:23], random[8:10])
	hex.Encode(dst[24:36], random[10:16])
	dst[8], dst[13], dst[18], dst[23] = '-', '-', '-', '-'
}
