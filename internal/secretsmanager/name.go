package secretsmanager

import (
	"strings"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

// suffixAlphabet and suffixLength make the random end of a secret's ARN (spec
// secretsmanager.md 2.1).
const (
	suffixAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	suffixLength   = 6
)

// errInvalidName is the service's own character check; it has no count of
// errors in front (spec 1.7).
func errInvalidName() error {
	return wire.Invalid(&aws.Error{Code: "ValidationException", Framework: true,
		Message: "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"})
}

func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && !strings.ContainsRune("-/_+=.@!", rune(c)) {
			return false
		}
	}
	return s != ""
}

// checkID is the character check of a SecretId, which comes before the other
// checks of a request (spec 2.2).
func checkID(id string) error {
	if !strings.HasPrefix(id, "arn:") && !validName(id) {
		return errInvalidName()
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// reference is a SecretId understood: where to look, and what must be true of
// what is found there.
type reference struct {
	// Given is the SecretId exactly as the caller wrote it.
	Given string
	// Account, Region and Name are the key. Name "" can match nothing.
	Account, Region, Name string
	// Suffix must equal the secret's when not "".
	Suffix string
	// ARN says that the caller wrote an ARN.
	ARN bool
}

// resolve reads a SecretId by the rules of spec 2.1: a name, a full ARN, or an
// ARN without its random end. An ARN that ends in a hyphen and six characters
// is always taken as a full one, also when these belong to the name: recorded.
func resolve(id, account, region string) (reference, error) {
	if err := checkID(id); err != nil {
		return reference{}, err
	}
	if !strings.HasPrefix(id, "arn:") {
		return reference{Given: id, Account: account, Region: region, Name: id}, nil
	}
	a, err := aws.ParseARN(id)
	name, ok := strings.CutPrefix(a.Resource, "secret:")
	if err != nil || !ok || a.Partition != aws.Partition || a.Service != "secretsmanager" || a.Region != region || !aws.ValidAccountID(a.Account) {
		// Malformed, of another service or of another region: nothing of that
		// name is here (spec 2.1.6 and 2.1.7, unconfirmed).
		return reference{Given: id, Account: account, Region: region, ARN: true}, nil
	}
	ref := reference{Given: id, Account: a.Account, Region: region, Name: name, ARN: true}
	if at := len(name) - suffixLength - 1; at > 0 && name[at] == '-' && allAlphanumeric(name[at+1:]) {
		ref.Name, ref.Suffix = name[:at], name[at+1:]
	}
	if !validName(ref.Name) {
		ref.Name = ""
	}
	return ref, nil
}

func allAlphanumeric(s string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) {
			return false
		}
	}
	return true
}

// arn is what a decision is made on when nothing was found: the ARN asked for.
// Policies name secrets as "name-??????", so a bare name gets six placeholder
// characters, or no such policy would ever cover a missing secret.
func (r reference) arn() string {
	if r.ARN && r.Name == "" {
		return r.Given
	}
	suffix := r.Suffix
	if suffix == "" {
		suffix = "000000"
	}
	return secretARN(r.Account, r.Region, r.Name, suffix)
}

func secretARN(account, region, name, suffix string) string {
	return "arn:" + aws.Partition + ":secretsmanager:" + region + ":" + account + ":secret:" + name + "-" + suffix
}
