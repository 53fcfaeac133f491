// Package sts hands out temporary credentials and tells callers who they are. A
// session is a token that holds all that was fixed when it was made (package
// auth/session); nothing of it is stored.
//
// Its one invariant: nobody gets a session who was not identified by a signature, or
// by a token of a provider that the role's account has named, and then allowed by
// the role's trust policy. Who may not have a role does not learn whether there is
// one.
package sts
