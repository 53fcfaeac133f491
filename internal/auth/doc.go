// Package auth says who calls and whether they may: it verifies signatures
// against the access keys of a [Directory], and decides requests with the policy
// engine under everything that is known of the call.
//
// It asks and never stores. Its one invariant: a decision is made on the
// identity as it is now. Identities are cached under their account's IAM
// generation, which every change to users, roles, keys and policies moves in its own
// transaction, so a key deactivated, a policy changed or a session voided is in force
// for the next decision on every node. What was fixed when a session was made is in
// its token (package session) and nowhere else.
package auth
