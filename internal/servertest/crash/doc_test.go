// Package crash kills whole servers and looks at what they leave.
//
// The server runs in a child process, which is this test binary again, and dies
// by kill -9: at a named fault point of the audit log, or at any moment. What a
// client was told must then be there, what it was not told must be there wholly
// or not at all, and every change must have exactly one audit record (design.md,
// invariants 5 and 6).
package crash
