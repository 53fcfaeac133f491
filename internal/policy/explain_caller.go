package policy

import (
	"fmt"
	"strings"
)

// Asked is what the caller knows of a decision besides what its own account has.
type Asked struct {
	// Resource is the resource as the denial named it.
	Resource string
	// Bare says that the denial gave no reason. Then it is explained as if the
	// owner of a foreign resource allowed nothing, whatever he does.
	Bare bool
	// OwnEndpoint says that the endpoint belongs to the caller's account.
	OwnEndpoint bool
}

// ExplainToCaller is [Explain] for the caller's own account. Some things are not
// that account's to see, and are left out whether or not they are there, so that
// their absence tells nothing:
//
//   - the policy on a resource of another account,
//   - what is known of such a resource besides what was asked for: its full
//     name, its tags, the facts that its service gave as condition keys,
//   - the policy of another account's VPC endpoint, and service control policies,
//     which may name other accounts.
//
// Of these layers it says what the denial itself said: which of them denied, if
// one did.
func ExplainToCaller(q *Request, s *Set, asked Asked) *Explanation {
	e := &explainer{veil: veil{on: true, asked: asked}}
	e.init(q)
	e.veil.foreign = e.account != q.Principal.Account
	if e.veil.foreign && asked.Bare {
		own := *s
		own.Resource = nil
		s = &own
	}
	return e.explain(q, s)
}

// Veiled reports whether [ExplainToCaller] leaves anything out.
func Veiled(q *Request, s *Set, asked Asked) bool {
	var e evaluation
	e.init(q)
	return e.account != q.Principal.Account || s.Endpoint != nil && !asked.OwnEndpoint || len(s.SCP) > 0
}

// veil is what stands between an explanation and its reader. The zero value
// hides nothing.
type veil struct {
	on bool
	// foreign says that the resource belongs to another account than the reader.
	foreign bool
	asked   Asked
}

// covers reports whether a layer's policies are hidden.
func (v *veil) covers(l Layer) bool {
	switch l {
	case LayerIdentity, LayerBoundary, LayerSession:
		return false
	case LayerResource, LayerTrust:
		return v.foreign
	case LayerEndpoint:
		return v.on && !v.asked.OwnEndpoint
	}
	return v.on
}

// hides reports whether the request's values of a condition key, in lower case,
// are hidden: of a foreign resource, those of every key that may describe it.
// What is left are the global keys, which describe request and caller.
func (v *veil) hides(key string) bool {
	return v.foreign && (!strings.HasPrefix(key, "aws:") || strings.HasPrefix(key, "aws:resourcetag/"))
}

func (e *explainer) resourceText() string {
	if e.veil.foreign {
		return e.veil.asked.Resource
	}
	return e.q.Resource
}

// pattern is a Resource element that covers a foreign resource and says of it
// what was asked for only: a name without its random end gets wildcards, and one
// that stands for another resource, as an alias, the type of that resource.
func (v *veil) pattern(resource string) string {
	if rest, ok := strings.CutPrefix(resource, v.asked.Resource); ok && v.asked.Resource != "" {
		return v.asked.Resource + strings.Repeat("?", len(rest))
	}
	parts, ok := splitARN(resource)
	if !ok {
		return "*"
	}
	kind := parts[arnParts-1]
	if i := strings.IndexAny(kind, "/:"); i >= 0 {
		kind = kind[:i+1] + "*"
	} else {
		kind = "*"
	}
	return strings.Join(append([]string{"arn"}, append(parts[1:arnParts-1:arnParts-1], kind)...), ":")
}

// withhold takes out of a finished explanation what the veil covers, and says
// that it did.
func (e *explainer) withhold(x *Explanation) {
	if !e.veil.on {
		return
	}
	if e.veil.foreign {
		x.Withheld = append(x.Withheld, "the policy on the resource, which is for account "+show(e.account)+" to see; it must allow the call as well")
	}
	d := &x.Decision
	if d.Outcome == Allow || !e.veil.covers(d.Layer) {
		return
	}
	d.Source, d.Version, d.Sid, d.Statement = "", "", "", -1
	owner := "whoever runs this deployment"
	switch d.Layer {
	case LayerResource, LayerTrust:
		owner = "account " + show(e.account)
	case LayerEndpoint:
		owner = "the owner of the endpoint"
	}
	c := Change{Layer: d.Layer}
	if d.Outcome == ExplicitDeny {
		c.Text = fmt.Sprintf("ask %s to remove or narrow the denial in the %s", owner, d.Layer)
	} else {
		c.Text = fmt.Sprintf("ask %s to add to the %s a statement like", owner, d.Layer)
		c.Add = e.allowStatement(d.Layer)
	}
	x.Changes = append([]Change{c}, x.Changes...)
}
