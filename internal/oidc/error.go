package oidc

import (
	"errors"
	"fmt"
	"time"
)

// What is wrong with a token. Errors of this package wrap one of these; their
// texts say more for the operator's log, in words that repeat nothing of the token.
var (
	// ErrMalformed: no JWT that could be an ID token: cut, too large, of another
	// algorithm, or without a claim that is needed.
	ErrMalformed = errors.New("not a valid JWT")
	// ErrIssuer: the token is of another issuer than the provider.
	ErrIssuer = errors.New("token of another issuer")
	// ErrAudience: the token is for none of the provider's client ids.
	ErrAudience = errors.New("incorrect token audience")
	// ErrNoKeys: the provider has no key for the token, or what it publishes is
	// not usable. Trying again changes nothing soon.
	ErrNoKeys = errors.New("no verification key")
	// ErrUnreachable: the provider does not answer; trying again may help.
	ErrUnreachable = errors.New("identity provider not reachable")
	// ErrSignature: the signature is not by the provider's key.
	ErrSignature = errors.New("signature does not verify")
	// ErrExpired: the token is over; the error is an *ExpiredError.
	ErrExpired = errors.New("token expired")
	// ErrNotYetValid: the token begins, or was issued, in the future.
	ErrNotYetValid = errors.New("token not yet valid")
)

// ExpiredError is ErrExpired with both times.
type ExpiredError struct{ Now, Expires time.Time }

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("%v: it is %d and was valid until %d", ErrExpired, e.Now.Unix(), e.Expires.Unix())
}

// Is makes errors.Is(err, ErrExpired) true.
func (e *ExpiredError) Is(target error) bool { return target == ErrExpired }

func malformed(why string) error { return fmt.Errorf("%w: %s", ErrMalformed, why) }
func noKeys(why string) error    { return fmt.Errorf("%w: %s", ErrNoKeys, why) }
