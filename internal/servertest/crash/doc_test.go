// Package crash kills whole servers and looks at what they leave.
//
// The built program dies by kill -9 at any moment, under a load of many clients,
// while it starts, and in the middle of init and restore. At named points of a
// change it is this test binary that dies, again as a process of its own, since
// the program has no such switch. What a client was told must then be there, what
// it was not told must be there wholly or not at all, and every change must have
// exactly one audit record (design.md, invariants 5 and 6).
//
// In `make test` the package takes about a minute on two quiet cores; `make crash
// ROUNDS=n` kills as often as it is told.
package crash
