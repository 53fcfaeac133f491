package aws

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// Key id prefixes (spec iam-sts.md 2).
const (
	LongTermKeyPrefix  = "AKIA"
	TemporaryKeyPrefix = "ASIA"
)

const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// NewUniqueID makes an IAM unique id: a four-letter prefix such as AIDA and 17
// random characters of [A-Z0-9] (about 88 bits).
func NewUniqueID(prefix string) string {
	return prefix + RandomString(idAlphabet, 17)
}

// RandomString returns n characters drawn uniformly from alphabet, which holds
// at most 256 single-byte characters. Bytes beyond the largest multiple of its
// length are thrown away: a plain modulus would favour the first characters.
func RandomString(alphabet string, n int) string {
	out := make([]byte, 0, n)
	limit := 256 - 256%len(alphabet)
	var buf [64]byte
	for len(out) < n {
		rand.Read(buf[:]) // crypto/rand.Read never fails: it aborts the process
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	clear(buf[:])
	return string(out)
}

// NewUUID returns a random (version 4) UUID, RFC 9562.
func NewUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	s[8] = '-'
	hex.Encode(s[9:13], b[4:6])
	s[13] = '-'
	hex.Encode(s[14:18], b[6:8])
	s[18] = '-'
	hex.Encode(s[19:23], b[8:10])
	s[23] = '-'
	hex.Encode(s[24:36], b[10:16])
	return string(s[:])
}

// NewAccessKeyID makes an access key id that carries its account, as AWS's do:
// of the ten bytes behind the prefix the first six hold the account id shifted
// by seven bits, the rest is random (spec iam-sts.md 2). So a look-up by key id
// starts with the account, as every key in the store does.
func NewAccessKeyID(prefix, account string) (string, error) {
	n, err := strconv.ParseUint(account, 10, 64)
	if err != nil || len(account) != 12 {
		return "", ErrInvalidARN
	}
	var b [16]byte
	rand.Read(b[:])
	random := binary.BigEndian.Uint64(b[:8])
	const mask = 0x7fffffffff80
	head := n<<7&mask | random&^mask&(1<<48-1)
	var raw [10]byte
	var wide [8]byte
	binary.BigEndian.PutUint64(wide[:], head)
	copy(raw[:6], wide[2:])
	copy(raw[6:], b[8:12])
	return prefix + base32.StdEncoding.EncodeToString(raw[:]), nil
}

// AccessKeyAccount reads the account out of an access key id. ok is false for
// text that no key of ours can look like. It is on the way of every call and of
// anybody's guesses.
func AccessKeyAccount(id string) (account string, ok bool) {
	if len(id) != 20 || id[:4] != LongTermKeyPrefix && id[:4] != TemporaryKeyPrefix {
		return "", false
	}
	var n uint64
	for i := 4; i < len(id); i++ {
		var v byte
		switch c := id[i]; {
		case 'A' <= c && c <= 'Z':
			v = c - 'A'
		case '2' <= c && c <= '7':
			v = c - '2' + 26
		default:
			return "", false
		}
		if i < 4+10 {
			n = n<<5 | uint64(v)
		}
	}
	// Ten characters are 50 bits, two more than the six bytes.
	n = n >> 2 & 0x7fffffffff80 >> 7
	if n > 999999999999 {
		return "", false
	}
	var digits [12]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i], n = byte('0'+n%10), n/10
	}
	return string(digits[:]), true
}

// NewSecretKey makes the secret of an access key: 240 random bits in 40
// characters of base64.
func NewSecretKey() string {
	var b [30]byte
	rand.Read(b[:])
	s := base64.StdEncoding.EncodeToString(b[:])
	clear(b[:])
	return s
}

// NewAccountID makes a random 12-digit account id. The first digit is not zero,
// so that tools which treat it as a number keep all twelve.
func NewAccountID() string {
	return RandomString("123456789", 1) + RandomString("0123456789", 11)
}

// ValidAccountID reports whether s is a 12-digit account id.
func ValidAccountID(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
