package policy

// Source is a policy that takes part in a decision, with what is needed to
// name it later.
type Source struct {
	// ID says which policy this is, in the caller's words: an ARN, or a name
	// such as "user/alice: inline". Version is its version, if it has any.
	ID, Version string
	Doc         *Document
	// Kind matters for Set.Resource only: KindTrust makes a statement without
	// Resource match, and words the decision as one of a role trust policy.
	Kind Kind
}

// Set holds every policy that applies to a request.
type Set struct {
	// Identity are the caller's own: inline, attached, and by group or role.
	Identity []Source
	// Resource is the policy on the resource: resource policy, key policy or
	// trust policy.
	Resource *Source
	// Boundary is the caller's permissions boundary.
	Boundary *Source
	// Session are the policies passed when the session was made, which permit
	// what any of them permits. SessionPassed says that there were some; only
	// then do they limit a role session. A federated user without them may do
	// nothing of its own.
	Session       []Source
	SessionPassed bool
	// SCP are the service control policies; none at all do not limit. Leave
	// them out for an organisation's management account.
	SCP []Source
	// Endpoint is the policy of the VPC endpoint that the request came through.
	Endpoint *Source
}

// Request is what is asked.
type Request struct {
	// Principal is the caller, never nil.
	Principal *Principal
	// Action is the IAM action, such as "secretsmanager:GetSecretValue".
	Action string
	// Resource is an ARN, or "*" for an operation without resource.
	Resource string
	// ResourceAccount is the account that owns the resource. Empty, it is the
	// ARN's account, or the caller's own where the ARN has none. It must be
	// given where an ARN does not name its owner, as arn:aws:iam::aws:policy/…
	ResourceAccount string
	// Context holds the condition keys; nil is an empty one.
	Context *Context
	// Mandatory marks a resource whose policy must allow, whatever IAM says:
	// KMS keys and, for sts:AssumeRole…, roles (spec
	// iam-policy-evaluation.md 7.1).
	Mandatory bool
}

// Evaluate decides a request (spec iam-policy-evaluation.md 7 and 8). It does
// not change its arguments, which may be shared.
func Evaluate(q *Request, s *Set) Decision {
	var e evaluation
	e.init(q)
	var f findings
	// The order in which explicit denials are named, so that the first found
	// is the one to report (spec iam-policy-evaluation.md 9).
	e.many(&f.scp, s.SCP)
	if f.scp.deny.found {
		return explicit(LayerSCP, f.scp.deny)
	}
	if s.Resource != nil {
		e.resource(&f.resource, s.Resource)
		if f.resource.deny.found {
			return explicit(resourceLayer(s), f.resource.deny)
		}
	}
	e.many(&f.identity, s.Identity)
	if f.identity.deny.found {
		return explicit(LayerIdentity, f.identity.deny)
	}
	if s.Boundary != nil {
		e.one(&f.boundary, s.Boundary, false)
		if f.boundary.deny.found {
			return explicit(LayerBoundary, f.boundary.deny)
		}
	}
	e.many(&f.session, s.Session)
	if f.session.deny.found {
		return explicit(LayerSession, f.session.deny)
	}
	if s.Endpoint != nil {
		e.one(&f.endpoint, s.Endpoint, true)
		if f.endpoint.deny.found {
			return explicit(LayerEndpoint, f.endpoint.deny)
		}
	}
	return decide(&e, s, &f)
}

// evaluation is a request made ready for matching. It lives on the stack of
// Evaluate.
type evaluation struct {
	q       *Request
	account string // owner of the resource
	arn     [arnParts]string
	hasARN  bool
	bits    gate // what a gate must have at least one each of

	// The action in lower case: the first length bytes of room, or long when
	// it does not fit. A slice of room kept here would move the whole
	// evaluation to the heap.
	room   [64]byte
	length int
	long   []byte
	known  string // the action once more, as a policy spells it; "" before the first match

	// seen are the condition keys looked up last: many statements ask for few keys.
	seen [4]seenKey
	next int
}

// seenKey is a context key with what the request said about it.
type seenKey struct {
	key     string // "" for none
	value   Value
	present bool
}

func (e *evaluation) init(q *Request) {
	e.q = q
	if len(q.Action) > len(e.room) {
		e.long = make([]byte, len(q.Action))
	}
	e.length = len(q.Action)
	action := e.action()
	for i := range len(q.Action) {
		c := q.Action[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		action[i] = c
	}
	e.arn, e.hasARN = splitARN(q.Resource)
	e.bits.services, e.bits.actions = actionBits(action)
	e.bits.resources = resourceBits(e.arn[arnParts-1])
	switch {
	case q.ResourceAccount != "":
		e.account = q.ResourceAccount
	case e.hasARN && e.arn[4] != "" && e.arn[4] != "*":
		e.account = e.arn[4]
	default:
		e.account = q.Principal.Account
	}
}

func (e *evaluation) action() []byte {
	if e.long != nil {
		return e.long
	}
	return e.room[:e.length]
}

// place is a statement of a source.
type place struct {
	found     bool
	source    *Source
	statement int
}

// finding is what one layer says: its first matching Deny and Allow.
type finding struct{ deny, allow place }

// resourceFinding is what a resource policy says. Its Allows count by how they
// name the caller.
type resourceFinding struct {
	deny  place
	allow [direct + 1]place // by grant; notNamed stays empty
}

// best is the strongest grant given.
func (f *resourceFinding) best() grant {
	for g := direct; g > notNamed; g-- {
		if f.allow[g].found {
			return g
		}
	}
	return notNamed
}

type findings struct {
	scp, identity, boundary, session, endpoint finding
	resource                                   resourceFinding
}

func (e *evaluation) many(f *finding, sources []Source) {
	for i := range sources {
		e.one(f, &sources[i], false)
		if f.deny.found {
			return
		}
	}
}

// one looks for a matching Deny and, unless one is known, a matching Allow.
func (e *evaluation) one(f *finding, source *Source, withPrincipal bool) {
	if source.Doc == nil || source.Doc.services&e.bits.services == 0 {
		return
	}
	for i := range source.Doc.gates {
		if !source.Doc.gates[i].open(e) {
			continue
		}
		st := &source.Doc.statements[i]
		if !st.deny && f.allow.found || !e.matchesAction(st) {
			continue
		}
		if withPrincipal && e.named(st) == notNamed {
			continue
		}
		if !e.matchesResource(st, source.Kind) || !e.matchesConditions(st) {
			continue
		}
		if st.deny {
			f.deny = place{true, source, i}
			return
		}
		f.allow = place{true, source, i}
	}
}

func (e *evaluation) resource(f *resourceFinding, source *Source) {
	if source.Doc == nil || source.Doc.services&e.bits.services == 0 {
		return
	}
	for i := range source.Doc.gates {
		if !source.Doc.gates[i].open(e) {
			continue
		}
		st := &source.Doc.statements[i]
		if !e.matchesAction(st) {
			continue
		}
		g := e.named(st)
		if g == notNamed || !st.deny && f.allow[g].found {
			continue
		}
		if !e.matchesResource(st, source.Kind) || !e.matchesConditions(st) {
			continue
		}
		if st.deny {
			f.deny = place{true, source, i}
			return
		}
		f.allow[g] = place{true, source, i}
	}
}

func (e *evaluation) matchesAction(st *statement) bool {
	for i := range st.actions {
		if e.asks(&st.actions[i]) {
			return !st.notAction
		}
	}
	return st.notAction
}

// asks says whether a pattern is one of the action asked for. Equal texts of a
// process share their bytes, so comparing with the one that matched last mostly
// compares two addresses.
func (e *evaluation) asks(a *actionPattern) bool {
	if a.shape == shapeExact && a.text == e.known && e.known != "" {
		return true
	}
	if !a.matches(e.action()) {
		return false
	}
	if a.shape == shapeExact {
		e.known = a.text
	}
	return true
}

// named says how a statement of a resource policy names the caller.
func (e *evaluation) named(st *statement) grant {
	switch {
	case !st.hasPrincipal:
		return notNamed
	case !st.principal.negated:
		return st.principal.grants(e.q.Principal)
	case !st.deny || st.principal.spares(e.q.Principal):
		// Allow with NotPrincipal would grant to everyone on earth but a few;
		// services refuse it, and here it grants nothing.
		return notNamed
	}
	return direct
}

func (e *evaluation) matchesResource(st *statement, kind Kind) bool {
	if !st.hasResource {
		return kind == KindTrust
	}
	if !st.notResource {
		if st.everything {
			return true
		}
		for i := range st.resources {
			if st.resources[i].matches(e) {
				return true
			}
		}
		return false
	}
	for i := range st.resources {
		if st.resources[i].matches(e) || !st.resources[i].resolved(e) {
			return false
		}
	}
	return true
}

func (e *evaluation) matchesConditions(st *statement) bool {
	for i := range st.conditions {
		if !st.conditions[i].holds(e) {
			return false
		}
	}
	return true
}

// decide joins the layers when none of them denies explicitly.
func decide(e *evaluation, s *Set, f *findings) Decision {
	if len(s.SCP) > 0 && !f.scp.allow.found {
		return implicit(LayerSCP)
	}
	d := decideAccounts(e, s, f)
	if d.Outcome == Allow && s.Endpoint != nil && !f.endpoint.allow.found {
		return implicit(LayerEndpoint)
	}
	return d
}

func decideAccounts(e *evaluation, s *Set, f *findings) Decision {
	p := e.q.Principal
	given := f.resource.best()
	granted := f.resource.allow[given]
	onResource := resourceLayer(s)
	switch {
	case p.outsider():
		if given == notNamed {
			return implicit(onResource)
		}
		return allowed(onResource, granted)
	case p.Account != e.account:
		// Two accounts, two consents (spec iam-policy-evaluation.md 8).
		if given == notNamed {
			return implicit(onResource)
		}
		if p.Type != Root {
			if d := decideCaller(p, s, f); d.Outcome != Allow {
				return d
			}
		}
		return allowed(onResource, granted)
	case given == direct:
		return allowed(onResource, granted)
	case given == limited:
		if d, ok := withinLimits(p, s, f); !ok {
			return d
		}
		return allowed(onResource, granted)
	case e.q.Mandatory && given == notNamed:
		return implicit(onResource)
	case p.Type == Root:
		return Decision{Outcome: Allow, Layer: LayerRoot, Statement: -1}
	}
	return decideCaller(p, s, f)
}

// decideCaller asks the caller's own policies: identity, boundary, session.
func decideCaller(p *Principal, s *Set, f *findings) Decision {
	if !f.identity.allow.found {
		return implicit(LayerIdentity)
	}
	if d, ok := withinLimits(p, s, f); !ok {
		return d
	}
	return allowed(LayerIdentity, f.identity.allow)
}

// withinLimits asks the policies that never grant.
func withinLimits(p *Principal, s *Set, f *findings) (Decision, bool) {
	if s.Boundary != nil && !f.boundary.allow.found {
		return implicit(LayerBoundary), false
	}
	if (s.SessionPassed || p.Type == FederatedUser) && !f.session.allow.found {
		return implicit(LayerSession), false
	}
	return Decision{}, true
}

func resourceLayer(s *Set) Layer {
	if s.Resource != nil && s.Resource.Kind == KindTrust {
		return LayerTrust
	}
	return LayerResource
}
