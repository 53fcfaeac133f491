// Package ship copies a SQLite store to a directory or a bucket while it works, a
// second behind it, so that it can be restored as it was at any moment.
//
// A shipper follows the store's write-ahead log (it is the store's Follower). Once
// in an interval, and before the log is folded into the database, it takes the
// frames of all new commits, each with the moment at which it was committed, seals
// them into a numbered object, puts that durably into the spool (a folder of the
// data directory), and only then lets the log be folded. A second goroutine takes
// the objects from the spool to the target, in order; a third copies the database
// file itself, a base, once in a while. So the writer never waits for the target:
// one that is slow or gone lets the spool grow to its bound, beyond which shipping
// stops, says so, and begins again with a new base.
//
// # What lies at the target
//
// Below a prefix, for each stream (a run of the shipper under one key):
//
//	<stream>/stream              the key and whose it is: age, to the recipients
//	<stream>/keys-<n>            storage keys, without the root key around them
//	<stream>/base-<n>.<part>     pages of the database file
//	<stream>/base-<n>            what the parts are, written last: from log n on,
//	                             replayed, they are the database
//	<stream>/log-<n>             commits: page images, and when
//	<stream>/audit-<n>           what was appended to the files of the audit record
//
// All but the first are age files as well, whose file key is wrapped under a key that
// is derived from the stream's and the object's own name. So an object opens under
// its name only, and only one who knows the stream's key can have made it: whoever
// holds the target can take away, but neither alter, exchange nor add. Each log and
// audit object names the SHA-256 of the one before it, so that what was taken away
// from the middle is missed. A target that ends early ends at an earlier moment, and
// a restore says at which.
//
// # Why a base may be copied while it changes
//
// The database file changes only when the log is folded into it, and the frames of
// that log were taken before. So whatever mixture of old and new pages a base holds,
// replaying all log objects from its beginning to its end makes it whole: every page
// that changed meanwhile is in them.
//
// The one invariant: what a log object holds are whole commits, in their order, none
// missing between it and the one that it names as before it, unless it says itself
// that there is a gap.
package ship
