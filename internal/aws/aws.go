// Package aws is the vocabulary that every part of Strongroom shares: resource
// names, principals, wire errors, tags, times and values that must not be shown.
//
// It holds words, not behaviour: no package here knows a service, a database or
// the network. Its one invariant: a value of a Sensitive type that fmt, slog or
// encoding/json asks for its form shows a placeholder; only the wire codec
// reveals it.
//
// They ask every value and every exported member, with one exception: package fmt
// asks nobody below a value whose verb does not fit, and nobody in an unexported
// field. The generated structures that hold sensitive members therefore have a
// Format method of their own (see [FormatName]), and so has the call that carries
// them. What is left: a sensitive value, or a structure that holds one, must not
// stand in an unexported field of something that is printed.
package aws

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Partition is the only partition a deployment answers for. ARNs of other
// partitions parse, but name nothing here.
const Partition = "aws"

// ARN is an Amazon Resource Name split at its first five colons; Resource keeps
// all the rest, colons and slashes included.
type ARN struct {
	Partition, Service, Region, Account, Resource string
}

// ErrInvalidARN is returned by ParseARN for text that is not an ARN.
var ErrInvalidARN = errors.New("invalid ARN")

// ParseARN splits s. It checks the shape only (six parts, prefix "arn", and
// non-empty partition, service and resource), not that the parts exist.
func ParseARN(s string) (ARN, error) {
	p := strings.SplitN(s, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[1] == "" || p[2] == "" || p[5] == "" {
		return ARN{}, ErrInvalidARN
	}
	return ARN{p[1], p[2], p[3], p[4], p[5]}, nil
}

// String joins the parts again: ParseARN(a.String()) == a.
func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// Tag is a key and a value attached to a resource or a principal.
type Tag struct {
	Key   string `json:"k"`
	Value string `json:"v"`
}

// SameTagKey reports whether two keys of tags are one where case does not matter.
// It folds as condition keys do when policies ask for a tag, letter by letter to
// lower case, and not as strings.EqualFold does: under that, "tİer" is another key
// than "tier", which policies would take it for, and "ſtage" the same as "stage",
// which they tell apart.
func SameTagKey(a, b string) bool {
	for _, r := range a {
		other, size := utf8.DecodeRuneInString(b)
		if size == 0 || unicode.ToLower(r) != unicode.ToLower(other) {
			return false
		}
		b = b[size:]
	}
	return b == ""
}

// RootARN is the ARN of an account's root user, which in policies stands for
// the whole account.
func RootARN(account string) string {
	return "arn:" + Partition + ":iam::" + account + ":root"
}
