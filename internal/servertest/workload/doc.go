// Package workload is a load of many clients whose every answer is remembered,
// and the proof that a deployment has kept its word to them.
//
// Each writer owns the objects that it changes, so what must be there is known
// exactly: what was answered is there, what was answered with an error, or not
// at all, is there wholly or not at all, and nothing else is. The audit log has
// one record of each change that is there, and none of those that are not. A
// suite breaks something below the server, brings it back, and calls Verify.
//
// The state of an object is a set of facts, names with values. An operation
// says when it is possible, which facts it changes, and how it is called; what
// is read back through the API is put into facts as well. The test of random
// operations has another model, which knows every refusal and the clock, and
// one caller: this one knows success only, so that hundreds of thousands of
// changes by many callers cost little to check.
//
// The one invariant: every call carries a mark of its own in its user agent, so
// each audit record belongs to one call and can be counted, even where the
// answer that would have told the request id was lost.
package workload
