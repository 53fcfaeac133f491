package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"time"
)

const unsignedPayload = "UNSIGNED-PAYLOAD"

// Key is a signing key: good for one access key, day, region and service. It
// never shows itself through fmt.
type Key [sha256.Size]byte

// String returns a placeholder.
func (Key) String() string { return "[redacted]" }

// GoString returns a placeholder.
func (Key) GoString() string { return "[redacted]" }

// SigningKey derives the key for a credential scope. secret is not kept.
func SigningKey(secret []byte, date, region, service string) Key {
	seed := make([]byte, 0, 4+len(secret))
	seed = append(append(seed, "AWS4"...), secret...)
	defer clear(seed)
	var k Key
	mac(&k, seed, date)
	for _, part := range [...]string{region, service, terminator} {
		mac(&k, k[:], part)
	}
	return k
}

// mac sets dst to HMAC-SHA-256 of text; key may be dst itself.
func mac(dst *Key, key []byte, text string) {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	h.Sum(dst[:0])
}

// CheckScope holds date, region, service and terminator of the signature against
// the caller's. skew is the tolerance of the clock: 5 minutes for JSON services,
// 15 for Query (spec iam-sts.md 5.1). A presigned request lives from Time to
// Time + Expires, with tolerance on the early side only. Failures are of class
// InvalidSignature; those about the scope are told all at once, as AWS does.
func (s *Signature) CheckScope(service string, validRegion func(string) bool, now time.Time, skew time.Duration) error {
	now = now.UTC().Truncate(time.Second)
	if late := now.Add(skew); s.Time.After(late) {
		return notYet(s.Time, late, now, skew)
	}
	if s.Presigned {
		if end := s.Time.Add(s.Expires); end.Before(now) {
			return expired(end, now, now, "")
		}
	} else if early := now.Add(-skew); s.Time.Before(early) {
		return expired(s.Time, early, now, " - "+minutes(skew))
	}

	var wrong string
	if !validRegion(s.Region) {
		// The older wording quotes the region; Secrets Manager's does not
		// (spec iam-sts.md 5.2).
		wrong += "Credential should be scoped to a valid region. "
	}
	if s.Service != service {
		wrong += "Credential should be scoped to correct service: '" + service + "'. "
	}
	if s.terminator != terminator {
		wrong += "Credential should be scoped with a valid terminator: '" + terminator + "', not '" + quote(s.terminator) + "'. "
	}
	if s.Date != s.stamp[:8] {
		wrong += "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" +
			quote(s.Date) + "' != '" + s.stamp[:8] + "', from '" + s.stamp + "'. "
	}
	wrong += s.unsigned()
	if wrong != "" {
		return &Error{InvalidSignature, wrong}
	}
	return nil
}

// unsigned names the headers that had to be signed and are not: the host, or the
// request could be sent to another endpoint, and every x-amz-* header, since any
// of them may change what the request means.
func (s *Signature) unsigned() string {
	var wrong string
	if !s.signs("host") && !s.signs(":authority") {
		wrong = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization. "
	}
	for name := range s.r.Header {
		if len(name) < 6 || !strings.EqualFold(name[:6], "x-amz-") || s.signs(name) {
			continue
		}
		// AWS has a sentence for the host only; this one follows it. One name is
		// enough to mend the client, and map order must not decide how many.
		return wrong + "Every 'X-Amz-*' header must be a 'SignedHeader' in the AWS Authorization. "
	}
	return wrong
}

func (s *Signature) signs(name string) bool {
	for _, signed := range s.SignedHeaders {
		if len(signed) == len(name) && strings.EqualFold(signed, name) {
			return true
		}
	}
	return false
}

// Verify proves the signature with the signing key of its scope. bodyHash is the
// SHA-256 of the whole body. UNSIGNED-PAYLOAD is accepted only with
// allowUnsigned, which belongs to TLS listeners and to operations that need it.
// The only error is ErrSignature. CheckScope comes first: Verify alone proves
// possession of the key, not that the request is fresh or meant for us.
func (s *Signature) Verify(key *Key, bodyHash *[sha256.Size]byte, allowUnsigned bool) error {
	// On the stack rather than pooled: nothing of the request, its session token
	// included, stays behind for the next one. Longer requests spill to the heap.
	var room [2048]byte
	var digest [2 * sha256.Size]byte
	payload := appendHex(digest[:0], bodyHash)
	switch s.PayloadHash {
	case "", string(payload):
	case unsignedPayload:
		if !allowUnsigned {
			return ErrSignature
		}
		payload = append(payload[:0], unsignedPayload...)
	default:
		return ErrSignature
	}
	canonical, ok := s.appendCanonical(room[:0], payload)
	if !ok {
		return ErrSignature
	}
	sum := sha256.Sum256(canonical)

	var few [192]byte
	text := append(few[:0], algorithm+"\n"...)
	text = append(text, s.stamp...)
	text = append(text, '\n')
	text = append(text, s.Date...)
	text = append(text, '/')
	text = append(text, s.Region...)
	text = append(text, '/')
	text = append(text, s.Service...)
	text = append(text, '/')
	text = append(text, s.terminator...)
	text = append(text, '\n')
	text = appendHex(text, &sum)

	want := hmacSHA256((*[sha256.Size]byte)(key), text)
	hexed := appendHex(digest[:0], &want)
	// In constant time: a comparison that stops at the first difference would let
	// a stranger find a valid signature digit by digit.
	if subtle.ConstantTimeCompare(hexed, []byte(s.signature)) != 1 {
		return ErrSignature
	}
	return nil
}
