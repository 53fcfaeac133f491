// Package audit is the durable, provably unaltered record of every call.
//
// Each node appends CloudTrail-shaped records (spec audit-events.md 1.2) to its
// own chain: a run of preallocated segment files of JSON lines, in which every
// line carries the hash of its record and a chain hash over all record hashes
// before it. An Ed25519 signature over the newest chain hash, the head, goes to
// the database and next to the segments every second. Whoever changes, removes,
// reorders or inserts anything behind a head is found by Verify, which is a pure
// function of the files' bytes, the heads and the public key.
//
// The chain runs over record hashes, not over records. So a record's body can
// be left out (retention, or an extract for one account) and what stays still
// proves itself: see Extract.
//
// A call passes three doors. Begin reserves room in the preallocated segments
// before anything happens, so that a full disk refuses a call instead of losing
// its record. Intent writes the record of a changing call into the change's own
// database transaction. Record appends to the chain, and returns when the
// configured durability is reached; only then may the call be answered. A crash
// between the second and the third is mended at the next Open from the row that
// Intent left.
//
// The records of nested calls (KMS on behalf of Secrets Manager) are appended
// in one step with the record of the API call that they belong to, children
// first, because nothing of theirs is disclosed before that call is answered.
// The children of background work, which has no answer, are appended as each of
// them ends.
//
// With Config.Ship the lines are copied to the database as they stand, with a head
// over them in the same transaction; Copies reads them, and a Source may have both
// files and copies. Whoever opened a node's log last may ship, see takeEpoch.
//
// What a crash may cost: with durability Written, records of the last
// Config.SyncEvery may be lost when the machine itself stops (not when only the
// process does); changes never lose theirs. Heads cover synced records only, so
// an honest power cut never looks like a removed tail. Preallocation keeps its
// promise on file systems that overwrite in place (ext4, XFS); a copy-on-write
// file system may still report a full disk on a write, which stops the log.
//
// The one invariant: a sequence number that Record has acknowledged names the
// same record hash for ever, or Verify says that it does not.
package audit
