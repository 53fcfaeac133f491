// Package iam is AWS Identity and Access Management: users, groups, roles, their
// credentials and their policies, and who each of them is when somebody calls.
//
// It has two sides. [Directory] answers package auth: who holds an access key, what
// a user or role may do, whom a policy names. It needs only the store and the
// keyring, so it exists before auth does. [Service] performs the operations of the
// API, and needs auth to decide them.
//
// Rows hang on unique ids (AIDA…, AROA…, …) and never on names, so that an entity
// made again under an old name inherits nothing. The one invariant: whatever
// changes what somebody may do counts a generation of the account in the same
// transaction, so the next decision on every node is made on it.
//
// Differences from AWS are in docs/divergences.md.
package iam
