package kms

import (
	"encoding/base64"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

// readPage reads the paging members: the name to continue behind and how many to
// return. valid says whether a name can be one of the list, so that a marker of
// another operation is refused.
func readPage(marker *string, limit *int32, usual, most int32, valid func(string) bool) (after string, n int, err error) {
	size := usual
	if limit != nil {
		size = *limit
	}
	if size > most {
		return "", 0, wire.Invalid(ErrValidation(
			"1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value less than or equal to %d", size, most))
	}
	if marker == nil {
		return "", int(size), nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*marker)
	if err != nil || !valid(string(b)) {
		return "", 0, wire.Invalid(errInvalidMarker())
	}
	return string(b), int(size), nil
}

// cut takes one page off a list that was read one row too far, and makes the
// marker for the next.
func cut[T any](rows []T, n int, name func(*T) string) (page []T, truncated *bool, marker *string) {
	if len(rows) <= n {
		return rows, new(false), nil
	}
	rows = rows[:n]
	return rows, new(true), new(base64.RawURLEncoding.EncodeToString([]byte(name(&rows[n-1]))))
}

// errInvalidMarker's wording is unconfirmed.
func errInvalidMarker() *aws.Error { return ErrInvalidMarker("Could not deserialize marker") }
