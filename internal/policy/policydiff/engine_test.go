package policydiff

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/policy/reference"
)

// answer is what one implementation says: a decision, or why it refuses one of
// the policies.
type answer struct {
	decision string
	refusal  error
}

func (a answer) String() string {
	if a.refusal != nil {
		return "refused: " + a.refusal.Error()
	}
	return a.decision
}

// question is a vector as the engine takes it. refusal is the first policy that
// breaks the grammar, strict the first one that breaks any rule at all.
type question struct {
	request         *policy.Request
	set             *policy.Set
	refusal, strict error
}

func (q *question) answer() answer {
	if q.refusal != nil {
		return answer{refusal: q.refusal}
	}
	return answer{decision: policy.Evaluate(q.request, q.set).Outcome.String()}
}

// ask translates a vector, by the rules that spec iam-policy-evaluation.md 12
// gives to whoever runs one.
func ask(v reference.Vector) *question {
	action := strings.ToLower(v.Request.Action)
	onKey := strings.HasPrefix(action, "kms:") && strings.Contains(v.Request.Resource, ":key/")
	kind := policy.KindResource
	switch {
	case strings.HasPrefix(action, "sts:"):
		kind = policy.KindTrust
	case onKey:
		kind = policy.KindKey
	}
	p := v.Request.Principal
	principal := &policy.Principal{
		Type: policy.PrincipalType(p.Type), Account: p.Account, ARN: p.ARN, UserID: p.UserID, UserName: p.Username,
		RoleARN: p.RoleARN, UserARN: p.UserARN, Service: p.Service,
	}
	for key, value := range p.Tags {
		principal.Tags = append(principal.Tags, policy.Tag{Key: key, Value: value})
	}
	context := new(policy.Context)
	for key, value := range v.Request.Context {
		if value.Multivalued {
			context.SetMany(key, value.Strings)
		} else {
			context.Set(key, value.Strings[0])
		}
	}
	q := &question{
		request: &policy.Request{
			Principal: principal, Action: v.Request.Action, Resource: v.Request.Resource, ResourceAccount: v.Request.ResourceAccount,
			Context: context, Mandatory: onKey || strings.HasPrefix(action, "sts:assumerole"),
		},
		set: &policy.Set{SessionPassed: len(v.Session) > 0},
	}
	q.set.Identity = q.sources("identity", policy.KindSession, v.Identity)
	q.set.Session = q.sources("session", policy.KindSession, v.Session)
	q.set.SCP = q.sources("scp", policy.KindSession, v.SCP)
	q.set.Resource = q.source("resource", kind, v.Resource)
	q.set.Boundary = q.source("boundary", policy.KindSession, v.Boundary)
	q.set.Endpoint = q.source("endpoint", policy.KindEndpoint, v.Endpoint)
	return q
}

func (q *question) sources(id string, kind policy.Kind, texts []json.RawMessage) []policy.Source {
	var out []policy.Source
	for i, text := range texts {
		if s := q.source(fmt.Sprintf("%s %d", id, i+1), kind, text); s != nil {
			out = append(out, *s)
		}
	}
	return out
}

// source parses a policy. Those without principals are checked as session
// policies, the one kind of theirs that may be of any version; all other rules
// are the same for them.
func (q *question) source(id string, kind policy.Kind, text json.RawMessage) *policy.Source {
	if len(text) == 0 || string(text) == "null" {
		return nil
	}
	doc, err := policy.Parse(text)
	if err != nil {
		q.refuse(fmt.Errorf("%s: %w", id, err), true)
		return nil
	}
	if err := doc.Validate(kind); err != nil {
		q.refuse(fmt.Errorf("%s: %w", id, err), breaksGrammar(kind, err))
	}
	return &policy.Source{ID: id, Doc: doc, Kind: kind}
}

func (q *question) refuse(err error, grammar bool) {
	if q.strict == nil {
		q.strict = err
	}
	if grammar && q.refusal == nil {
		q.refusal = err
	}
}

// breaksGrammar tells the rules on which elements stand where, which the
// reference knows, from those on their form, which it leaves to whoever stores
// the policy. Sids are its business in policies without principals only.
func breaksGrammar(kind policy.Kind, err error) bool {
	invalid, ok := errors.AsType[*policy.InvalidError](err)
	if !ok {
		return true
	}
	switch invalid.Rule {
	case policy.RuleAction, policy.RuleResource:
		return strings.Contains(invalid.Message, "must contain ") || strings.Contains(invalid.Message, "statement without ") ||
			strings.Contains(invalid.Message, "prohibited field")
	case policy.RuleSid:
		return kind == policy.KindSession
	case policy.RuleLegacy, policy.RuleInvalidPrincipal:
		return false
	}
	return true
}

// disagreement compares the two implementations on a vector and returns a
// report, empty when they agree.
func disagreement(v reference.Vector) string {
	var slow answer
	slow.decision, slow.refusal = reference.Decide(v)
	q := ask(v)
	fast := q.answer()
	explained := ""
	switch {
	case slow.refusal != nil && q.strict != nil:
		return ""
	case slow.refusal == nil && fast.refusal == nil:
		if slow.decision == fast.decision {
			return ""
		}
		explained = "\n" + policy.Explain(q.request, q.set).String()
	}
	return fmt.Sprintf("reference: %s\nengine:    %s%s", slow, fast, explained)
}
