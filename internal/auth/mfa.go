package auth

import "errors"

// What keeps a second factor from being accepted. IAM's Directory.VerifyMFA
// returns them.
var (
	// ErrMFADevice says that the caller has no such device: there is none, or it is
	// nobody's or somebody else's, which is not told apart.
	ErrMFADevice = errors.New("no such MFA device of the caller")
	// ErrMFACode is a wrong code, or one that was used before.
	ErrMFACode = errors.New("wrong MFA code")
	// ErrMFABlocked says that no code is looked at for now: there were too many
	// wrong ones.
	ErrMFABlocked = errors.New("too many wrong MFA codes")
)
