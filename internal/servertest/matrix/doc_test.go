// Package matrix asks a whole server every question of authorisation: each kind of
// caller, under each state of each layer of policies, for each operation of
// Secrets Manager and KMS, and compares the answers with a table.
//
// Its one invariant: what is expected comes from the tables of spec
// iam-policy-evaluation.md 7 to 9, written down in rules_test.go once more, by
// hand. Nothing here asks the policy engine or its reference what they think.
//
// The callers, each with credentials of its own and asked for over the network:
// the account's root user, users, users with temporary credentials
// (GetSessionToken), federated users, sessions of roles, and users, sessions and
// the root user of another account. Anonymous callers send requests without a
// signature. Services call from inside, through no network; package server's own
// tests ask the same questions for them.
//
// The whole product is asked for, some 157,000 calls; with -short a part of it that
// is pairwise complete: for each kind of caller, each value of each layer is met
// together with each value of every other layer, and with each operation.
package matrix
