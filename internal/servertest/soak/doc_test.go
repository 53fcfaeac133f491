// Package soak runs the built program under everything at once for a long time,
// and fails when it grows.
//
// Readers, listers, writers whose objects come and go, callers who are denied,
// sign wrongly, take sessions or connect anew for each call: each knows what must
// be answered. Meanwhile the process is measured. The law: over the last two
// thirds, behind the time in which caches fill, the straight line through the
// samples of resident memory, of descriptors, of goroutines and of the
// database's write-ahead log rises by no more than stated beside each in
// sample_test.go; the database does not grow, since what is stored does not; and
// the audit log grows by a bounded number of bytes for each call.
//
// `make test` soaks for 20 seconds, `make soak MINUTES=30` as long as it is told.
package soak
