package policygen

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/internal/policy/reference"
)

// Mutate returns a copy of v with one small change to the request or to a
// policy. It never turns a well-formed policy into a malformed one. The
// original is left alone.
func Mutate(r *rand.Rand, v reference.Vector) reference.Vector {
	v.Identity = slices.Clone(v.Identity)
	v.Session = slices.Clone(v.Session)
	v.SCP = slices.Clone(v.SCP)
	v.Request.Context = maps.Clone(v.Request.Context)
	v.Request.Principal.Tags = maps.Clone(v.Request.Principal.Tags)
	g := generator{r, &v}
	if g.chance(35) {
		g.mutateRequest()
		return v
	}
	places := g.places()
	if len(places) == 0 || g.chance(15) {
		g.mutateLayers()
		return v
	}
	g.mutatePolicy(one(g, places))
	return v
}

func (g generator) mutateRequest() {
	q := &g.v.Request
	switch g.r.IntN(8) {
	case 0:
		q.Principal = g.caller()
	case 1:
		for _, group := range [][]string{secretActions, keyActions, stsActions} {
			if slices.Contains(group, q.Action) { // another service may be another kind of policy
				q.Action = one(g, group)
			}
		}
	case 2:
		q.Resource = strings.ReplaceAll(q.Resource, home, "x")
		q.Resource = strings.ReplaceAll(q.Resource, away, home)
		q.Resource = strings.ReplaceAll(q.Resource, "x", away)
	case 3:
		q.ResourceAccount = one(g, []string{"", home, away})
	case 4:
		if q.Principal.Tags != nil {
			tag := one(g, slices.Sorted(maps.Keys(q.Principal.Tags)))
			q.Principal.Tags[tag] = one(g, teams)
		}
	default:
		k := one(g, contextKeys)
		if q.Context == nil {
			q.Context = map[string]reference.Value{}
		}
		removed := false
		for _, name := range slices.Sorted(maps.Keys(q.Context)) {
			if strings.EqualFold(name, k.name) {
				delete(q.Context, name)
				removed = true
			}
		}
		if !removed || g.chance(60) {
			q.Context[g.keyCase(k.name)] = g.contextValue(k)
		}
	}
}

// mutateLayers adds or drops a whole policy.
func (g generator) mutateLayers() {
	v := g.v
	toggle := func(text *json.RawMessage, k policyKind) {
		if len(*text) > 0 {
			*text = nil
			return
		}
		*text = g.document(k)
	}
	switch g.r.IntN(6) {
	case 0:
		toggle(&v.Boundary, limitPolicy)
	case 1:
		toggle(&v.Endpoint, endpointPolicy)
	case 2:
		toggle(&v.Resource, g.resourceKind())
	case 3:
		if len(v.Session) > 0 {
			v.Session = nil
		} else {
			v.Session = g.documents(limitPolicy, 1)
		}
	case 4:
		if len(v.Identity) > 1 {
			v.Identity = v.Identity[1:]
		} else {
			v.Identity = append(v.Identity, g.document(identityPolicy))
		}
	case 5:
		if len(v.SCP) > 0 {
			v.SCP = nil
		} else {
			v.SCP = g.documents(limitPolicy, 1)
		}
	}
}

// mutatePolicy changes one statement, or the version that all of them share.
func (g generator) mutatePolicy(at place) {
	p := decoded(*at.text)
	statements := statementsOf(p)
	if len(statements) == 0 { // malformed already
		return
	}
	s := one(g, statements)
	switch g.r.IntN(9) {
	case 0:
		if p["Version"] == "2012-10-17" {
			p["Version"] = "2008-10-17"
		} else {
			p["Version"] = "2012-10-17"
		}
	case 1:
		if _, ok := s["NotPrincipal"]; ok { // which Allow may not have
			break
		}
		if s["Effect"] == "Allow" {
			s["Effect"] = "Deny"
		} else {
			s["Effect"] = "Allow"
		}
	case 2:
		if _, ok := s["Condition"]; ok {
			delete(s, "Condition")
		} else {
			s["Condition"] = g.condition()
		}
	case 3:
		g.replaceOne(s, []string{"Action", "NotAction"}, g.actionPattern)
	case 4:
		g.replaceOne(s, []string{"Resource", "NotResource"}, g.resourcePattern)
	case 5:
		swap(s, one(g, []string{"Action", "Resource"}))
	case 6:
		if _, ok := s["Principal"]; ok {
			s["Principal"] = g.principalElement(false)
		}
	case 7: // brackets are optional everywhere (§1)
		for _, name := range []string{"Action", "NotAction", "Resource", "NotResource"} {
			if text, ok := s[name].(string); ok {
				s[name] = []any{text}
			} else if items, ok := s[name].([]any); ok && len(items) == 1 {
				s[name] = items[0]
			}
		}
	case 8:
		extra := g.statement(at.kind, 0)
		delete(extra, "Sid")
		all := []any{extra}
		for _, s := range statements {
			all = append(all, s)
		}
		p["Statement"] = all
	}
	*at.text = encode(p)
}

// replaceOne draws one item of the named list anew.
func (g generator) replaceOne(s object, names []string, draw func() string) {
	for _, name := range names {
		switch value := s[name].(type) {
		case string:
			s[name] = draw()
		case []any:
			if len(value) > 0 {
				value[g.r.IntN(len(value))] = draw()
			}
		}
	}
}

// swap turns Action into NotAction or back, likewise Resource.
func swap(s object, name string) {
	from, to := name, "Not"+name
	if _, ok := s[to]; ok {
		from, to = to, from
	}
	if value, ok := s[from]; ok {
		delete(s, from)
		s[to] = value
	}
}

// decoded reads a policy that this package wrote. Numbers keep their text.
func decoded(text json.RawMessage) object {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var p object
	if err := dec.Decode(&p); err != nil {
		return object{} // not one of ours; mutatePolicy leaves it alone
	}
	return p
}

func statementsOf(p object) []object {
	items, ok := p["Statement"].([]any)
	if !ok {
		items = []any{p["Statement"]}
	}
	var out []object
	for _, item := range items {
		if s, ok := item.(object); ok {
			out = append(out, s)
		}
	}
	return out
}
