// Package nodes runs two whole servers, each a process of its own, over one
// PostgreSQL, and takes rights away through one of them.
//
// Its one invariant is design.md's "Consistency": what was acknowledged by one
// node is in force for the very next request to another, every time. Nothing here
// waits or tries again.
package nodes
