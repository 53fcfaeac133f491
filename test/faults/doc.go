// Package faults is the root of a module of its own for tests that break what lies below the server: the disk, the network,
// the database, the machine. Their dependencies, such as a file system in user space, stay out of the product's.
//
// Its one invariant: faults come from below the product, never through a switch inside it, so what a suite finds is what an
// operator would. Each suite states its time budget in its own package comment, and runs a few rounds in `make test`; the
// Makefile's targets of the same names run as many as are asked for.
package faults
