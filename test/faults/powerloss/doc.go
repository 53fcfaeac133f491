// Package powerloss cuts the power of the built server under load and looks at what its disk holds.
//
// The data directory is on a disk of package faultfs. Clients write and read; at the n-th write or flush everything stops,
// the process is killed, and the server starts again on the disk as a seed says it was found: with any part of what had not
// been flushed, torn and out of order. Then every acknowledged change must be there exactly, what was not acknowledged
// wholly or not at all, every change with one audit record, the chain whole, and `strongroom check` content. Of reads,
// records that were acknowledged survive with audit.durability: synced; with written all up to the last flush of the audit
// log do, and the record of the next start says that the log was not closed.
//
// The control run is the same with one thing changed: the disk lies about flushes of the database files, which is what
// SQLite's synchronous=OFF does to them. It must lose something, or the suite could not tell.
//
// On PostgreSQL the database is elsewhere; the node's directory, with its audit spool, is what loses power.
//
// `make test` runs a few rounds, some 15 seconds on a quiet machine; `make powerloss ROUNDS=n` runs n of each. Skipped
// where no file system can be mounted.
package powerloss
