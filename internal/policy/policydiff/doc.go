// Package policydiff holds the two implementations of the IAM policy language
// against each other: the engine that serves requests (package policy) and the
// slow, obvious one (package reference). Its tests give both the same random
// vectors and compare what they decide and what they refuse.
//
// The one invariant: for every vector the engine refuses a policy exactly when
// the reference does, and decides as the reference does otherwise. Only checks
// of form that IAM makes at its door and the reference leaves to it (ARN formats,
// action vendors, minimum versions) may make the engine stricter; policies that
// fail those alone are still evaluated by both.
//
// A disagreement is printed with the smallest vector that shows it, with both
// answers and with the engine's explanation. Which side is right is for spec
// iam-policy-evaluation.md to say; where that is silent, for the choices in the
// documentation of the two packages, which must then say the same.
package policydiff
