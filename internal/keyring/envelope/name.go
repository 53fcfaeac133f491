package envelope

import (
	"errors"
	"fmt"
)

// accounts is the number of account ids of twelve digits. It fits in five bytes.
const accounts = 1_000_000_000_000

// appendName writes format and name, or says which part of the name cannot be
// written. What it accepts is exactly what parseKey accepts.
func appendName(dst []byte, k Kind, n Name) ([]byte, error) {
	dst = append(dst, byte(k))
	if k != KMS {
		if n.Account != "" || n.Region != "" || n.KeyID != "" {
			return nil, fmt.Errorf("seal: kind %#x has no key name", byte(k))
		}
		return append(dst, n.Material[:]...), nil
	}
	account, ok := packAccount(n.Account)
	if !ok {
		return nil, errors.New("seal: account is not twelve digits")
	}
	if !plain([]byte(n.Region), maxRegion) {
		return nil, errors.New("seal: region does not fit the format")
	}
	if !plain([]byte(n.KeyID), maxKeyID) {
		return nil, errors.New("seal: key id does not fit the format")
	}
	dst = append(dst, byte(account>>32), byte(account>>24), byte(account>>16), byte(account>>8), byte(account))
	dst = append(dst, byte(len(n.Region)))
	dst = append(dst, n.Region...)
	dst = append(dst, byte(len(n.KeyID)))
	dst = append(dst, n.KeyID...)
	return append(dst, n.Material[:]...), nil
}

// parseKey reads account, region and key id and returns what follows them.
func (b *Blob) parseKey(in []byte) (rest []byte, ok bool) {
	if len(in) < 5 {
		return nil, false
	}
	account := uint64(in[0])<<32 | uint64(in[1])<<24 | uint64(in[2])<<16 | uint64(in[3])<<8 | uint64(in[4])
	if account >= accounts {
		return nil, false
	}
	region, rest, ok := short(in[5:], maxRegion)
	if !ok {
		return nil, false
	}
	key, rest, ok := short(rest, maxKeyID)
	if !ok {
		return nil, false
	}
	b.Name.Account = unpackAccount(account)
	b.Name.Region = string(region)
	b.Name.KeyID = string(key)
	return rest, true
}

// short reads a text after its length in one byte.
func short(in []byte, limit int) (text, rest []byte, ok bool) {
	if len(in) < 1 || len(in) < 1+int(in[0]) {
		return nil, nil, false
	}
	text, rest = in[1:1+int(in[0])], in[1+int(in[0]):]
	return text, rest, plain(text, limit)
}

// plain reports whether text is made of the characters of regions and key ids.
// Refusing all others keeps bytes chosen by a stranger out of queries and logs.
func plain(text []byte, limit int) bool {
	if len(text) == 0 || len(text) > limit {
		return false
	}
	for _, c := range text {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func packAccount(s string) (n uint64, ok bool) {
	if len(s) != 12 {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

func unpackAccount(n uint64) string {
	var s [12]byte
	for i := len(s) - 1; i >= 0; i-- {
		s[i], n = byte('0'+n%10), n/10
	}
	return string(s[:])
}
