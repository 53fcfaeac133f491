package policy

import "strings"

// Outcome is the result of an evaluation.
type Outcome uint8

// The three outcomes. The zero value denies.
const (
	ImplicitDeny Outcome = iota
	ExplicitDeny
	Allow
)

// String returns the outcome as the simulator and the vectors write it.
func (o Outcome) String() string {
	switch o {
	case Allow:
		return "allow"
	case ExplicitDeny:
		return "explicitDeny"
	}
	return "implicitDeny"
}

// Layer is a type of policy in its part of a decision.
type Layer uint8

// The layers. LayerRoot is no policy: the root user of the owning account
// needs none.
const (
	LayerIdentity Layer = iota
	LayerResource
	LayerTrust
	LayerBoundary
	LayerSession
	LayerSCP
	LayerEndpoint
	LayerRoot
)

// String returns the layer's name as messages spell it.
func (l Layer) String() string {
	switch l {
	case LayerResource:
		return "resource-based policy"
	case LayerTrust:
		return "role trust policy"
	case LayerBoundary:
		return "permissions boundary"
	case LayerSession:
		return "session policy"
	case LayerSCP:
		return "service control policy"
	case LayerEndpoint:
		return "VPC endpoint policy"
	case LayerRoot:
		return "root user"
	}
	return "identity-based policy"
}

// Decision is the answer to a request and what it rests on.
type Decision struct {
	Outcome Outcome
	// Layer decided: it denies, fails to allow, or allows. Of an allowed call
	// across accounts it is the owner's.
	Layer Layer
	// Source, Version and Sid name the deciding statement and Statement is its
	// index; Statement is -1 where the absence of a statement decided.
	Source, Version, Sid string
	Statement            int
}

// Allowed reports whether the call may go on.
func (d Decision) Allowed() bool { return d.Outcome == Allow }

// Reason is the end of an access-denied message, after "on resource: …" (spec
// iam-policy-evaluation.md 9); empty when the call is allowed.
func (d Decision) Reason(action string) string {
	switch d.Outcome {
	case ExplicitDeny:
		return "with an explicit deny in " + d.Layer.withArticle()
	case ImplicitDeny:
		return "because no " + d.Layer.String() + " allows the " + action + " action"
	}
	return ""
}

func (l Layer) withArticle() string {
	switch l {
	case LayerTrust:
		return "the " + l.String()
	case LayerIdentity:
		return "an " + l.String()
	}
	return "a " + l.String()
}

func explicit(l Layer, at place) Decision { return decided(ExplicitDeny, l, at) }
func allowed(l Layer, at place) Decision  { return decided(Allow, l, at) }

func decided(o Outcome, l Layer, at place) Decision {
	return Decision{
		Outcome:   o,
		Layer:     l,
		Source:    at.source.ID,
		Version:   at.source.Version,
		Sid:       at.source.Doc.statements[at.statement].sid,
		Statement: at.statement,
	}
}

func implicit(l Layer) Decision {
	return Decision{Outcome: ImplicitDeny, Layer: l, Statement: -1}
}

// Denial is the whole sentence of an access-denied error. With resource empty
// the part about it is left out, as for operations without one.
func (d Decision) Denial(callerARN, action, resource string) string {
	var b strings.Builder
	b.WriteString("User: " + callerARN + " is not authorized to perform: " + action)
	if resource != "" {
		b.WriteString(" on resource: " + resource)
	}
	if reason := d.Reason(action); reason != "" {
		b.WriteString(" " + reason)
	}
	return b.String()
}
