// Package secretsmanager answers the operations of AWS Secrets Manager: secrets,
// their versions and labels, deletion and restore, tags, resource policies,
// replicas in other regions, lists and passwords. What AWS does in each case, and
// how that is known, is in spec secretsmanager.md, whose sections the comments
// name.
//
// A change decides first and writes second. The caller is authorised on the secret
// as it was read, and all that takes time (keys, sealing) happens before the
// transaction. The transaction reads the secret again; if what the decision rests
// on has moved, the operation starts over. Whatever follows a change by itself
// (copying to replicas, purging, pruning) is a job's or a service event's, with
// a record of its own.
//
// The one invariant: a value is stored and returned only through a data key that
// the caller was allowed to use for it, so no value is in the database in the
// clear and none leaves on the word of this package alone.
package secretsmanager
