package policy

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Explanation is a decision with everything that was compared to reach it.
type Explanation struct {
	// Caller, Action, Resource and Account (the resource's owner) are what was
	// asked.
	Caller, Action, Resource, Account string
	// Decision is what [Evaluate] answers for the same request.
	Decision Decision
	// Policies are all policies of the set, in the order in which they count.
	Policies []PolicyTrace
	// Changes are, together, enough to have the call allowed; none when it is.
	Changes []Change
	// Withheld says what counted, or may have, and is not for the reader to see
	// (see [ExplainToCaller]).
	Withheld []string
}

// PolicyTrace is what one policy had to say.
type PolicyTrace struct {
	Layer       Layer
	ID, Version string
	Statements  []StatementTrace
}

// StatementTrace is what became of one statement.
type StatementTrace struct {
	Index      int
	Sid        string
	Effect     Effect
	Start, End Position
	// Matched is true when Misses is empty.
	Matched bool
	// Misses are the elements that did not match.
	Misses []Miss
	// Conditions are all conditions of the statement, held or not.
	Conditions []ConditionTrace
	// Absent are the context keys that the request does not have and that could
	// decide whether the statement matches: those of its conditions, as written, and
	// of its variables. There are none where principal, action or resource keep it
	// from matching whatever they are.
	Absent []string
	// Elements are the Principal, Action and Resource elements as they are
	// written, of a statement that matched.
	Elements []Element

	named grant
}

// Element is an element of a statement with its values.
type Element struct {
	Name   string // "Action", "NotResource", …
	Values []string
}

// Miss is an element that kept a statement from matching.
type Miss struct {
	Element string // "Action", "NotResource", "Condition", …
	Detail  string
}

// ConditionTrace is one condition with the values that were compared.
type ConditionTrace struct {
	Operator, Key string
	// Want are the policy's values, with variables replaced.
	Want []string
	// Got are the request's values; Present is false when the key is missing.
	Got     []string
	Present bool
	Held    bool
	// Hidden says that the request's values are not for the reader to see: Got
	// and Present tell nothing.
	Hidden bool
}

// Change is one thing to do to have a call allowed.
type Change struct {
	Layer Layer
	// Text says what to do.
	Text string
	// Add is a statement to add, as JSON, where adding one helps.
	Add string
	// Nearest names the statement that comes closest and what it lacks, where
	// one element alone keeps it from matching.
	Nearest string
}

// Explain decides a request as [Evaluate] does, looking at every statement of
// every policy and keeping what it saw. It is for people: simulators, command
// lines, support.
func Explain(q *Request, s *Set) *Explanation {
	e := &explainer{}
	return e.explain(q, s)
}

// explainer is an evaluation that keeps what it saw, for a reader from whom some
// of it may be veiled.
type explainer struct {
	evaluation
	veil veil
}

func (e *explainer) explain(q *Request, s *Set) *Explanation {
	e.init(q)
	x := &Explanation{Caller: q.Principal.name(), Action: q.Action, Resource: e.resourceText(), Account: e.account}
	var f findings
	trace := func(layer Layer, note func(place, *StatementTrace), sources ...Source) {
		for i := range sources {
			p := e.trace(layer, &sources[i])
			for j := range p.Statements {
				if st := &p.Statements[j]; st.Matched {
					note(place{true, &sources[i], j}, st)
				}
			}
			if !e.veil.covers(layer) {
				x.Policies = append(x.Policies, p)
			}
		}
	}
	trace(LayerSCP, f.scp.note, s.SCP...)
	if s.Resource != nil {
		trace(resourceLayer(s), f.resource.note, *s.Resource)
	}
	trace(LayerIdentity, f.identity.note, s.Identity...)
	if s.Boundary != nil {
		trace(LayerBoundary, f.boundary.note, *s.Boundary)
	}
	trace(LayerSession, f.session.note, s.Session...)
	if s.Endpoint != nil {
		trace(LayerEndpoint, f.endpoint.note, *s.Endpoint)
	}
	x.Decision = settle(&e.evaluation, s, &f)
	x.changes(e, s, f)
	e.withhold(x)
	return x
}

// note keeps the first matching statement of each effect.
func (f *finding) note(at place, st *StatementTrace) {
	slot := &f.allow
	if st.Effect == EffectDeny {
		slot = &f.deny
	}
	if !slot.found {
		*slot = at
	}
}

func (f *resourceFinding) note(at place, st *StatementTrace) {
	slot := &f.allow[st.named]
	if st.Effect == EffectDeny {
		slot = &f.deny
	}
	if !slot.found {
		*slot = at
	}
}

// denied lists the layers' explicit denials in the order in which they are
// named (spec iam-policy-evaluation.md 9; the endpoint's place is ours).
func (f *findings) denied(s *Set) []struct {
	layer Layer
	at    place
} {
	return []struct {
		layer Layer
		at    place
	}{
		{LayerSCP, f.scp.deny},
		{resourceLayer(s), f.resource.deny},
		{LayerIdentity, f.identity.deny},
		{LayerBoundary, f.boundary.deny},
		{LayerSession, f.session.deny},
		{LayerEndpoint, f.endpoint.deny},
	}
}

func settle(e *evaluation, s *Set, f *findings) Decision {
	for _, denied := range f.denied(s) {
		if denied.at.found {
			return explicit(denied.layer, denied.at)
		}
	}
	return decide(e, s, f)
}

// name is how messages and explanations speak of a caller.
func (p *Principal) name() string {
	switch {
	case p.ARN != "":
		return p.ARN
	case p.Type == Service:
		return p.Service
	case p.Type == WebIdentity:
		return p.Federated
	}
	return string(p.Type)
}

// named is name with the unique id, by which stored policies know users and
// roles.
func (p *Principal) named() string {
	text := show(p.name())
	if id := p.entityID(); id != "" {
		text += " (" + show(id) + ")"
	}
	return text
}

func (e *explainer) trace(layer Layer, source *Source) PolicyTrace {
	p := PolicyTrace{Layer: layer, ID: source.ID, Version: source.Version}
	if source.Doc == nil {
		return p
	}
	for i := range source.Doc.statements {
		p.Statements = append(p.Statements, e.traceStatement(layer, source.Kind, &source.Doc.statements[i]))
	}
	return p
}

func (e *explainer) traceStatement(layer Layer, kind Kind, st *statement) StatementTrace {
	t := StatementTrace{Index: st.index, Sid: st.sid, Effect: st.effect(), Start: st.start, End: st.end}
	miss := func(negated bool, element, format string, args ...any) {
		if negated {
			element = "Not" + element
		}
		t.Misses = append(t.Misses, Miss{element, fmt.Sprintf(format, args...)})
	}
	view := Statement{st}
	if layer == LayerResource || layer == LayerTrust || layer == LayerEndpoint {
		if t.named = e.named(st); t.named == notNamed {
			refs, _ := view.Principals()
			miss(st.principal.negated, "Principal", "%s, for caller %s", listPrincipals(refs), e.q.Principal.named())
		}
	}
	if !e.matchesAction(st) {
		actions, _ := view.Actions()
		miss(st.notAction, "Action", "%s, for %s", list(actions), show(e.q.Action))
	}
	if !e.matchesResource(st, kind) {
		resources, _ := view.Resources()
		for i := range resources {
			resources[i] = e.resolvedText(resources[i], &st.resources[i].parts[arnParts-1])
		}
		miss(st.notResource, "Resource", "%s, for %s", list(resources), show(e.resourceText()))
	}
	for i := range st.conditions {
		c := e.traceCondition(&st.conditions[i])
		t.Conditions = append(t.Conditions, c)
		if !c.Held {
			miss(false, "Condition", "%s", c.String())
		}
	}
	if t.Matched = len(t.Misses) == 0; t.Matched {
		t.Elements = view.elements()
	}
	if !e.veil.foreign { // whose resource it is knows which facts it lacks
		t.Absent = e.absent(st, t.Misses)
	}
	return t
}

// absent lists the context keys that a statement asks for in vain.
func (e *evaluation) absent(st *statement, misses []Miss) []string {
	for _, miss := range misses {
		switch miss.Element {
		case "Condition":
		case "Resource", "NotResource":
			if !e.couldBeResource(st) {
				return nil
			}
		default:
			return nil
		}
	}
	var keys []string
	noted := map[string]bool{}
	note := func(key string) {
		folded := strings.ToLower(key)
		if _, present := e.lookup(folded); !present && !noted[folded] {
			noted[folded] = true
			keys = append(keys, key)
		}
	}
	variables := func(p *pattern) {
		for _, v := range p.pieces() {
			if v.isVariable && !v.hasDefault {
				note(v.key)
			}
		}
	}
	for i := range st.resources {
		variables(&st.resources[i].parts[arnParts-1])
	}
	for i := range st.conditions {
		note(st.conditions[i].written)
		for j := range st.conditions[i].values {
			variables(&st.conditions[i].values[j].text)
		}
	}
	return keys
}

// couldBeResource reports whether a statement might be about the resource if the
// variables had values: what stands before them fits.
func (e *evaluation) couldBeResource(st *statement) bool {
	for i := range st.resources {
		a := &st.resources[i]
		if !e.hasARN || a.resolved(e) {
			continue
		}
		fits := true
		for j := range arnParts - 1 {
			fits = fits && a.parts[j].matches(e.arn[j])
		}
		if fits {
			return true
		}
	}
	return false
}

func (e *explainer) traceCondition(c *condition) ConditionTrace {
	v, present := e.lookup(c.key)
	t := ConditionTrace{Operator: c.name, Key: c.written, Present: present, Held: c.decide(&e.evaluation, &v, present)}
	for i := range c.values {
		t.Want = append(t.Want, e.resolvedText(c.values[i].written, &c.values[i].text))
	}
	switch {
	case e.veil.hides(c.key):
		t.Hidden, t.Present = true, false
	case v.Multi:
		t.Got = append(t.Got, v.Many...)
	case present:
		t.Got = []string{v.One}
	}
	return t
}

// maxShown bounds how much of a request's values an explanation repeats in one text.
const maxShown = 4096

// resolvedText is a text of a policy with what its variables stand for.
func (e *explainer) resolvedText(written string, p *pattern) string {
	if p.shape != shapeTemplate || e.veil.foreign {
		return written
	}
	if !p.resolved(&e.evaluation) {
		return written + " (a variable without value)"
	}
	text, ok := p.expand(nil, &e.evaluation, maxShown)
	if !ok {
		return written + " (longer than can be shown)"
	}
	return written + " (= …" + decode(text) + ")"
}

// elements are what a statement says of whom, what and where.
func (s Statement) elements() []Element {
	var out []Element
	add := func(name string, values []string, negated bool) {
		if len(values) == 0 {
			return
		}
		if negated {
			name = "Not" + name
		}
		out = append(out, Element{name, values})
	}
	refs, negated := s.Principals()
	principals := make([]string, 0, len(refs))
	for _, ref := range refs {
		principals = append(principals, ref.Value)
	}
	add("Principal", principals, negated)
	actions, negated := s.Actions()
	add("Action", actions, negated)
	resources, negated := s.Resources()
	add("Resource", resources, negated)
	return out
}

// decode writes an encoded text as a policy would.
func decode(encoded []byte) string {
	return strings.NewReplacer("\xff", "*", "\xfe", "?").Replace(string(encoded))
}

// changes looks for what would have the call allowed: it lifts every explicit
// denial, then grants in the layer that stands in the way until none does.
func (x *Explanation) changes(e *explainer, s *Set, f findings) {
	for i := range x.Policies {
		p := &x.Policies[i]
		for j := range p.Statements {
			st := &p.Statements[j]
			if st.Matched && st.Effect == EffectDeny {
				x.Changes = append(x.Changes, Change{
					Layer: p.Layer,
					Text:  fmt.Sprintf("remove or narrow %s of %s", st.label(), p.label()),
				})
			}
		}
	}
	for _, deny := range []*place{
		&f.scp.deny, &f.resource.deny, &f.identity.deny, &f.boundary.deny, &f.session.deny, &f.endpoint.deny,
	} {
		*deny = place{}
	}
	assumed := place{true, &Source{Doc: &Document{statements: make([]statement, 1)}}, 0}
	for {
		d := decide(&e.evaluation, s, &f)
		if d.Outcome == Allow {
			return
		}
		switch d.Layer {
		case LayerSCP:
			f.scp.allow = assumed
		case LayerBoundary:
			f.boundary.allow = assumed
		case LayerSession:
			f.session.allow = assumed
		case LayerEndpoint:
			f.endpoint.allow = assumed
		case LayerIdentity:
			f.identity.allow = assumed
		default:
			g := direct
			if p := e.q.Principal; p.Type == AssumedRole {
				g = limited // the statement names the role, not one session of it
			}
			f.resource.allow[g] = assumed
		}
		if e.veil.covers(d.Layer) {
			continue // withhold says what may be said of it
		}
		x.Changes = append(x.Changes, x.grant(e, s, d.Layer))
	}
}

// grant words the change that makes a layer allow the call.
func (x *Explanation) grant(e *explainer, s *Set, layer Layer) Change {
	c := Change{Layer: layer, Add: e.allowStatement(layer), Nearest: x.nearest(layer)}
	switch {
	case layer == LayerSession && !s.SessionPassed:
		c.Text = "pass a session policy to GetFederationToken with a statement like"
	default:
		c.Text = fmt.Sprintf("add to %s a statement like", layer.withArticle())
	}
	return c
}

func (e *explainer) allowStatement(layer Layer) string {
	statement := struct {
		Effect    string
		Principal map[string]string `json:",omitempty"`
		Action    string
		Resource  string `json:",omitempty"`
	}{Effect: string(EffectAllow), Action: e.q.Action, Resource: e.resourceText()}
	if e.veil.foreign {
		statement.Resource = e.veil.pattern(e.q.Resource)
	}
	p := e.q.Principal
	switch layer {
	case LayerTrust:
		statement.Resource = ""
		statement.Principal = p.element()
	case LayerResource:
		statement.Resource = "*"
		statement.Principal = p.element()
	case LayerEndpoint:
		statement.Principal = map[string]string{"AWS": "*"}
	}
	text, err := json.Marshal(statement)
	if err != nil {
		return "" // strings always marshal
	}
	return string(text)
}

// element is the Principal element that names a caller, or its role.
func (p *Principal) element() map[string]string {
	switch p.Type {
	case Service:
		return map[string]string{"Service": p.Service}
	case WebIdentity:
		return map[string]string{"Federated": p.Federated}
	case Anonymous:
		return map[string]string{"AWS": "*"}
	}
	return map[string]string{"AWS": p.policyARN()}
}

// nearest finds an Allow of the layer that fails for one reason only.
func (x *Explanation) nearest(layer Layer) string {
	for i := range x.Policies {
		p := &x.Policies[i]
		if p.Layer != layer {
			continue
		}
		for j := range p.Statements {
			st := &p.Statements[j]
			if st.Effect == EffectAllow && len(st.Misses) == 1 {
				return fmt.Sprintf("%s of %s fails only by %s: %s", st.label(), p.label(), st.Misses[0].Element, st.Misses[0].Detail)
			}
		}
	}
	return ""
}
