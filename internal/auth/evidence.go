package auth

import (
	"strings"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
)

// Deciding returns the decision, for the audit record.
func (e *Evidence) Deciding() policy.Decision { return e.Decision }

// Foreign reports whether the resource belongs to another account than the
// caller.
func (e *Evidence) Foreign() bool { return e.Request.ResourceAccount != e.Request.Principal.Account }

// Kept returns the evidence for keeping after its call has ended: it answers for
// the same condition keys and holds nothing else of the call, so that a value
// that a caller sent does not stay in memory with it.
func (e *Evidence) Kept() *Evidence {
	given, ok := e.Request.Context.Provider.(*facts)
	if !ok {
		return e
	}
	k := &struct {
		Evidence
		context policy.Context
		facts   facts
	}{Evidence: *e, facts: *given}
	k.facts.call = given.call.Facts()
	k.context.Provider = &k.facts
	k.Request.Context = &k.context
	return &k.Evidence
}

// Explain says how the decision came about: full for the operator, and told for
// the caller's account, nil when it may see all of it.
func (e *Evidence) Explain() (full, told *policy.Explanation) {
	full = policy.Explain(&e.Request, &e.Policies)
	asked := policy.Asked{Resource: e.Shown, Bare: e.Bare}
	if f, ok := e.Request.Context.Provider.(*facts); ok && f.call.Endpoint != nil {
		asked.OwnEndpoint = f.call.Endpoint.Account == f.call.Principal.Account
	}
	if policy.Veiled(&e.Request, &e.Policies, asked) {
		told = policy.ExplainToCaller(&e.Request, &e.Policies, asked)
	}
	return full, told
}

// Keys returns the condition keys that the request had, as far as the caller's
// account may see them: of another account's resource, only those that every
// request has. Keys that follow from the principal are left out, but for its
// tags.
func (e *Evidence) Keys() []Key {
	f, ok := e.Request.Context.Provider.(*facts)
	if !ok {
		return nil
	}
	var out []Key
	for _, name := range globalKeys {
		if v, ok := f.global(strings.ToLower(name)); ok {
			k := Key{Name: name, Values: v.Many, Multi: v.Multi}
			if !v.Multi {
				k.Values = []string{v.One}
			}
			out = append(out, k)
		}
	}
	tags := func(prefix string, tags []aws.Tag) {
		for _, t := range tags {
			out = append(out, Key{Name: prefix + t.Key, Values: []string{t.Value}})
		}
	}
	tags("aws:PrincipalTag/", f.call.Principal.Tags)
	if e.Foreign() {
		return out
	}
	tags("aws:ResourceTag/", f.tags)
	return append(append(out, f.standing...), f.keys...)
}
