// Package policy is the IAM policy language: parse, validate, evaluate,
// explain. It is pure: no clock, no store, no service, only text and values
// in and a decision out, so that it can be fuzzed, shown in a terminal and
// run in a simulator exactly as it runs in front of a secret.
//
// A policy is compiled once by [Parse] into a [Document] that never changes
// and may be shared by any number of goroutines. A call is a [Request] against
// a [Set] of documents; [Evaluate] answers it without allocating on the usual
// path and [Explain] answers it again, slowly, with everything that was
// compared on the way.
//
// The one invariant: nothing is allowed unless a statement that a person wrote
// says so (or the caller is the root user of the account that owns the
// resource), and a matching Deny in any document outweighs every Allow.
// What the engine cannot read or resolve is no error at evaluation time: it
// equals nothing and matches nothing (so a negated operator holds, as the
// specification has it).
//
// # Where the specification is silent
//
// Facts come from spec iam-policy-evaluation.md. The following were marked
// unconfirmed there, or left open, and are decided here:
//
//   - Text put in for a policy variable, and its default, is literal: a
//     wildcard or colon inside a value is not a wildcard. In ARN conditions a
//     colon inside such a value does separate parts, or a variable holding a
//     whole ARN could never match one.
//   - A variable may name a multivalued key only in vain: it counts as absent,
//     so its default, when there is one, applies. So does a value that is not
//     UTF-8.
//   - NotResource with a variable that has no value: the statement does not
//     match, whatever the other patterns of the list say.
//   - An ARN pattern of fewer than six parts is filled up with "*", as IAM's
//     own partition message prints it ("arn:b:*:*:*:*"). A Deny on
//     "arn:aws:secretsmanager:*" must not be void.
//   - Action patterns run over the whole "service:Name" text.
//   - Negated operators are the exact negation of their positive twin for a
//     present key: a value that does not parse differs from everything.
//   - A default follows its comma after at most one blank and holds no quote.
//     What is written otherwise is a key that no request has.
//   - ARNs of other partitions than "aws" are no principals: their accounts are
//     not the accounts here.
//   - BinaryEquals compares decoded bytes; unused bits of the last character do
//     not count.
//   - Numbers are a sign, digits and a point, compared exactly, no exponent.
//     Dates of digits alone are epoch seconds, whatever their length.
//   - A multivalued key without a set operator is read like ForAnyValue by
//     positive and like ForAllValues by negated operators.
//   - Empty strings are left out by ForAllValues and by what is read like it,
//     and are values everywhere else.
//   - Null takes neither IfExists nor a set operator.
//   - "*" as a principal includes services and web identities.
//   - NotPrincipal spares a federated user only when its own ARN, its user's
//     ARN and its account are all listed. Allow with NotPrincipal grants
//     nothing.
//   - Cross-account denials name the resource policy first. The VPC endpoint's
//     policy is named last.
//   - A missing Resource matches in trust policies and nowhere else.
package policy
