// Package simulate answers "what if" about policies, as IAM's SimulateCustomPolicy
// and SimulatePrincipalPolicy do (spec iam-sts.md 3.5): for each action on each
// resource the decision, the statements it rests on, and the condition keys that
// would have been needed to tell. It is pure.
//
// The one invariant: decisions are those of [policy.Explain], which are those of the
// engine in front of every secret. Nothing is decided here.
package simulate

import (
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/internal/policy"
)

// Input is what to simulate.
type Input struct {
	// Principal is the imagined caller, never nil. A simulation of policies alone has
	// one without names, of the account in whose name it runs.
	Principal *policy.Principal
	// Policies are those that apply. Their IDs come back in the results.
	Policies policy.Set
	// Actions are full names such as "secretsmanager:GetSecretValue".
	Actions []string
	// Resources are ARNs; none stands for "*".
	Resources []string
	// Owner is the account of resources whose ARN names none, the caller's if empty.
	Owner string
	// Context are the condition keys of the request.
	Context []Entry
}

// Entry is one condition key.
type Entry struct {
	Key    string
	Values []string
	// Type is string, numeric, boolean, ip, binary or date, or one of them with
	// "List" appended for a key that can have several values.
	Type string
}

// InputError is why an input cannot be simulated.
type InputError struct{ Message string }

// Error implements error and returns Message.
func (e *InputError) Error() string { return e.Message }

func invalid(format string, args ...any) error {
	return &InputError{fmt.Sprintf(format, args...)}
}

// Simulation is a checked input. It never changes. Its results are those of every
// action on every resource, in the order of the actions, and computed when asked
// for: a caller who pages through a million combinations pays for the page.
type Simulation struct {
	in        Input
	resources []string
	context   policy.Context
}

// New checks an input. Errors are of type *[InputError].
func New(in Input) (*Simulation, error) {
	s := &Simulation{in: in, resources: in.Resources}
	for _, action := range in.Actions {
		if !validAction(action) {
			return nil, invalid("Invalid Action name: %s", action)
		}
	}
	for _, resource := range in.Resources {
		if resource != "*" && (strings.Count(resource, ":") < 5 || !strings.HasPrefix(resource, "arn:")) {
			return nil, invalid("Invalid Resource ARN: %s", resource)
		}
	}
	if len(in.Resources) == 0 {
		s.resources = []string{"*"}
	}
	size := 0
	for _, e := range in.Context {
		size += len(e.Key)
		for _, v := range e.Values {
			size += len(v)
		}
		if err := s.set(e); err != nil {
			return nil, err
		}
	}
	if len(in.Context) > maxEntries || size > maxContext {
		return nil, invalid("More than %d context keys, or more than %d bytes of keys and values", maxEntries, maxContext)
	}
	return s, nil
}

// The bounds on an imagined request, which no real one reaches: its headers come to
// 32 KiB and it names at most 50 tags. They keep policies made of thousands of
// conditions from meeting values of megabytes.
const (
	maxEntries = 500
	maxContext = 64 << 10
)

// validAction asks for one colon between two names. A wildcard is no action: as one
// it would equal a pattern that looks like it, and say nothing about what that
// pattern grants.
func validAction(action string) bool {
	prefix, name, found := strings.Cut(action, ":")
	return found && prefix != "" && name != "" && !strings.ContainsAny(name, ":") && !strings.ContainsAny(action, "*? \t\r\n")
}

// set adds one key to the context. Values that do not read as their type are taken
// as they are and, like everywhere in the engine, equal nothing.
func (s *Simulation) set(e Entry) error {
	base, list := strings.CutSuffix(e.Type, "List")
	switch base {
	case "string", "numeric", "boolean", "ip", "binary", "date":
	default:
		return invalid("Invalid context key type: %s", e.Type)
	}
	switch {
	case e.Key == "":
		return invalid("Invalid context key name")
	case list:
		s.context.SetMany(e.Key, e.Values)
	case len(e.Values) > 1:
		return invalid("Context key %s of type %s has more than one value", e.Key, e.Type)
	case len(e.Values) == 1:
		s.context.Set(e.Key, e.Values[0])
	}
	return nil
}

// Result is the outcome of one action on one resource.
type Result struct {
	Action, Resource string
	Decision         policy.Outcome
	// Matched are the statements that the decision rests on: those that deny, or
	// those that grant. An implicit denial rests on none.
	Matched []Match
	// Missing are the condition keys, as policies write them, that statements about
	// this action and resource ask for and the request does not have.
	Missing []string
	// Boundary says whether the permissions boundary allows the request; it is nil
	// when there is none.
	Boundary *bool
	// Details say, of a request across accounts, what each side decides; nil of
	// others.
	Details map[string]policy.Outcome
}

// The sides of a request across accounts, as the simulator names them (unconfirmed).
const (
	DetailIdentity = "IAM Policy"
	DetailResource = "Resource Policy"
)

// Match is a statement that took part.
type Match struct {
	// Policy is the ID of its source, and Layer the role that the policy has.
	Policy string
	Layer  policy.Layer
	Sid    string
	// Start and End are its place in the stored text.
	Start, End policy.Position
}

// Len returns the number of results.
func (s *Simulation) Len() int { return len(s.in.Actions) * len(s.resources) }

// Size is how many bytes of policies are looked at for one result.
func (s *Simulation) Size() int {
	p, size := &s.in.Policies, 0
	for _, list := range [][]policy.Source{p.SCP, p.Identity, p.Session} {
		for i := range list {
			size += list[i].Doc.Bytes()
		}
	}
	for _, one := range []*policy.Source{p.Resource, p.Boundary, p.Endpoint} {
		if one != nil {
			size += one.Doc.Bytes()
		}
	}
	return size
}

// Result returns the result with a number from 0 to Len()-1.
func (s *Simulation) Result(i int) Result {
	action, resource := s.in.Actions[i/len(s.resources)], s.resources[i%len(s.resources)]
	q := &policy.Request{
		Principal: s.in.Principal, Action: action, Resource: resource,
		ResourceAccount: s.owner(resource), Context: &s.context, Mandatory: s.mandatory(action, resource),
	}
	x := policy.Explain(q, &s.in.Policies)
	r := Result{Action: action, Resource: resource, Decision: x.Decision.Outcome, Matched: matched(x), Missing: missing(x)}
	if s.in.Policies.Boundary != nil {
		r.Boundary = new(said(x, policy.LayerBoundary) == policy.Allow)
	}
	if s.in.Principal.Account != x.Account {
		r.Details = map[string]policy.Outcome{
			DetailIdentity: said(x, policy.LayerIdentity),
			DetailResource: max(said(x, policy.LayerResource), said(x, policy.LayerTrust)),
		}
	}
	return r
}

// owner leaves it to the engine to read the account of an ARN that names one.
func (s *Simulation) owner(resource string) string {
	if parts := strings.SplitN(resource, ":", 6); len(parts) == 6 && parts[4] != "" && parts[4] != "*" {
		return ""
	}
	return s.in.Owner
}

// mandatory says whether the resource's policy must allow. Without one given, the
// question is about the other policies only.
func (s *Simulation) mandatory(action, resource string) bool {
	if s.in.Policies.Resource == nil {
		return false
	}
	action = strings.ToLower(action)
	return strings.HasPrefix(action, "kms:") && strings.Contains(resource, ":key/") || strings.HasPrefix(action, "sts:assumerole")
}

// matched lists the statements that an explanation's decision rests on.
func matched(x *policy.Explanation) []Match {
	effect := policy.EffectAllow
	switch x.Decision.Outcome {
	case policy.ImplicitDeny:
		return nil
	case policy.ExplicitDeny:
		effect = policy.EffectDeny
	}
	var out []Match
	for i := range x.Policies {
		p := &x.Policies[i]
		// Boundaries and their like limit and do not grant.
		grants := p.Layer == policy.LayerIdentity || p.Layer == policy.LayerResource || p.Layer == policy.LayerTrust
		if effect == policy.EffectAllow && !grants {
			continue
		}
		for j := range p.Statements {
			if st := &p.Statements[j]; st.Matched && st.Effect == effect {
				out = append(out, Match{Policy: p.ID, Layer: p.Layer, Sid: st.Sid, Start: st.Start, End: st.End})
			}
		}
	}
	return out
}

// said is what the policies of one layer say by themselves.
func said(x *policy.Explanation, layer policy.Layer) policy.Outcome {
	outcome := policy.ImplicitDeny
	for i := range x.Policies {
		if x.Policies[i].Layer != layer {
			continue
		}
		for j := range x.Policies[i].Statements {
			switch st := &x.Policies[i].Statements[j]; {
			case !st.Matched:
			case st.Effect == policy.EffectDeny:
				return policy.ExplicitDeny
			default:
				outcome = policy.Allow
			}
		}
	}
	return outcome
}

// missing lists the absent keys of all statements, each once.
func missing(x *policy.Explanation) []string {
	var keys []string
	noted := map[string]bool{}
	for i := range x.Policies {
		for j := range x.Policies[i].Statements {
			for _, key := range x.Policies[i].Statements[j].Absent {
				if folded := strings.ToLower(key); !noted[folded] {
					noted[folded] = true
					keys = append(keys, key)
				}
			}
		}
	}
	return keys
}
