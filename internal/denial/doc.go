// Package denial keeps why calls were denied, so that it can be asked about
// afterwards. The decision is explained from the evidence it was made on, which
// is immutable: what a policy says today does not matter.
//
// A call hands its refused decisions over when it ends, before its answer
// leaves. From then on they are found in memory, and within a second in the
// database, where every node finds them. Explaining and writing happen off the
// path of calls. What a crash takes is at most that second, and never the audit
// record, which is not kept here.
//
// Its one invariant: an account is told of its own callers' denials, and of
// another account's resource only what the denial itself said. The operator is
// told everything.
//
// An explanation holds policies and condition keys: names, tags, addresses. No
// secret value is a condition key, and nothing else of a call comes here.
package denial
