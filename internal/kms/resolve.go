package kms

import (
	"strings"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

const aliasPrefix = "alias/"

// reference is what a caller wrote to name a key, split but not looked up.
type reference struct {
	place
	// id is the key id; "" when an alias was given.
	id string
	// alias is the alias with its prefix; "" when a key was given.
	alias string
	// shown is the resource as an access-denied message names it.
	shown string
}

// parseReference reads the four forms of spec kms.md 2: key id, key ARN and,
// where an operation accepts them, alias name and alias ARN. at is the caller's
// account and the region of the call. Its errors are about the text alone.
func parseReference(text string, at place, aliases bool) (reference, error) {
	if !strings.HasPrefix(text, "arn:") {
		return at.parseResource(text, text, aliases)
	}
	arn, err := aws.ParseARN(text)
	if err != nil || arn.Partition != aws.Partition || arn.Service != "kms" || !aws.ValidAccountID(arn.Account) {
		return reference{}, wire.Invalid(errInvalidARN(text))
	}
	if arn.Region != at.region {
		return reference{}, wire.Invalid(ErrNotFound("Invalid arn %s", arn.Region))
	}
	at.account = arn.Account
	if id, ok := strings.CutPrefix(arn.Resource, "key/"); ok {
		return at.parseResource(id, text, false)
	}
	if aliases && strings.HasPrefix(arn.Resource, aliasPrefix) {
		return at.parseResource(arn.Resource, text, true)
	}
	return reference{}, wire.Invalid(errInvalidARN(text))
}

func (p place) parseResource(text, shown string, aliases bool) (reference, error) {
	if aliases && len(text) > len(aliasPrefix) && strings.HasPrefix(text, aliasPrefix) {
		return reference{place: p, alias: text, shown: p.aliasARN(text)}, nil
	}
	if !validKeyID(text) {
		return reference{}, wire.Invalid(ErrNotFound("Invalid keyId '%s'", text))
	}
	return reference{place: p, id: text, shown: p.keyARN(text)}, nil
}

// arn is the resource that a decision about a missing key or alias is made on.
func (r *reference) arn() string {
	if r.alias != "" {
		return r.aliasARN(r.alias)
	}
	return r.keyARN(r.id)
}

// missing is the answer to a permitted caller (spec kms.md 2).
func (r *reference) missing() error {
	if r.alias != "" {
		return ErrNotFound("Alias %s is not found.", r.arn())
	}
	return ErrNotFound("Key '%s' does not exist", r.arn())
}

// errInvalidARN's wording is unconfirmed in spec kms.md 2.
func errInvalidARN(text string) *aws.Error { return ErrInvalidArn("Invalid arn %s", text) }

// validKeyID accepts UUIDs and ids of multi-region keys, "mrk-" and 32
// hexadecimal digits; both in lower case, as they are made.
func validKeyID(s string) bool {
	if id, ok := strings.CutPrefix(s, "mrk-"); ok {
		return len(id) == 32 && isHex(id)
	}
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		isHex(s[:8]) && isHex(s[9:13]) && isHex(s[14:18]) && isHex(s[19:23]) && isHex(s[24:])
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
