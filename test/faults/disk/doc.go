// Package disk breaks the disk under the built server in each way that a disk breaks, and proves what docs/reliability.md says
// of it: what callers get, that a refused change has no effect, what the operator sees in the log, in `strongroom status`, at
// /readyz and in the metrics, and that the server recovers, by itself where it can.
//
// The data directory is on a disk of package faultfs, mounted so that every read meets it. Each test has a server of its own.
// Some 15 seconds in `make test` on a quiet machine. Skipped where no file system can be mounted.
package disk
