package policygen

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// condition draws a Condition block, mostly of one operator with one key.
func (g generator) condition() any {
	block := object{}
	count := 1
	switch n := g.r.IntN(100); {
	case n < 2:
		count = 0
	case n > 90:
		count = 3
	case n > 75:
		count = 2
	}
	for range count {
		op := one(g, operators)
		name := g.qualified(op.name)
		members, ok := block[name].(object)
		if !ok {
			members = object{}
			block[name] = members
		}
		f := g.conditionFact(op)
		members[g.keyCase(f.name)] = g.conditionValues(op, f)
		if g.chance(3) { // one key in two spellings is two conditions
			members[strings.ToTitle(f.name)] = g.conditionValues(op, f)
		}
	}
	return block
}

// qualified adds what §5.1 and §5.2 allow around an operator's name.
func (g generator) qualified(name string) string {
	if name == "Null" {
		return name
	}
	if g.chance(25) {
		name += "IfExists"
	}
	switch n := g.r.IntN(100); {
	case n < 20:
		return "ForAllValues:" + name
	case n < 40:
		return "ForAnyValue:" + name
	}
	return name
}

// conditionFact picks the key that an operator looks at: usually one of its
// kind, and more often present than not.
func (g generator) conditionFact(op operator) fact {
	facts := g.facts()
	var fitting, given []fact
	for _, f := range facts {
		if f.kind == op.kind || op.name == "Null" {
			fitting = append(fitting, f)
			if f.given {
				given = append(given, f)
			}
		}
	}
	switch {
	case g.chance(6):
		return one(g, facts)
	case len(given) > 0 && g.chance(55):
		return one(g, given)
	}
	return one(g, fitting)
}

// conditionValues draws the policy's side: a scalar, or a list of none to three.
func (g generator) conditionValues(op operator, f fact) any {
	switch n := g.r.IntN(100); {
	case n < 55:
		return g.conditionValue(op, f)
	case n < 57:
		return []any{}
	}
	values := []any{}
	for range 1 + g.r.IntN(3) {
		values = append(values, g.conditionValue(op, f))
	}
	return values
}

func (g generator) conditionValue(op operator, f fact) any {
	if op.name == "Null" {
		return g.scalar(one(g, []string{"true", "false", "true", "false", "True", "maybe"}))
	}
	actual := ""
	if f.given && len(f.value.Strings) > 0 {
		actual = one(g, f.value.Strings)
	}
	if op.kind == dateKind { // what is no date would make the policy malformed
		switch n := g.r.IntN(100); {
		case n < 40 && slices.Contains(dates, actual):
			return g.scalar(actual)
		case n < 70:
			return g.scalar(g.neighbour(dates, actual))
		}
		return g.scalar(one(g, dates))
	}
	if op.kind == numericKind && g.chance(4) {
		return json.Number(one(g, []string{"3e1", "30.0", "3E+1", "0.5"}))
	}
	p := pools[op.kind]
	switch n := g.r.IntN(100); {
	case n < 8:
		return g.scalar(g.neighbour(p.request, actual))
	case n < 35 && f.given:
		return g.scalar(actual)
	case n < 40 && f.given && op.kind == stringKind:
		return one(g, []func(string) string{strings.ToUpper, strings.ToLower})(actual)
	case n < 48 && f.given && (op.kind == stringKind || op.kind == arnKind):
		return g.wildcards(actual)
	case n < 55 && (op.kind == stringKind || op.kind == boolKind || op.kind == arnKind || g.chance(10)):
		return g.variable(actual)
	case n < 80:
		return g.scalar(one(g, p.policy))
	}
	return g.scalar(one(g, p.request))
}

// neighbour picks what stands beside text in a list, where values that are
// easily mistaken for each other stand together.
func (g generator) neighbour(list []string, text string) string {
	i := slices.Index(list, text)
	if i < 0 {
		return one(g, list)
	}
	return list[max(0, min(len(list)-1, i-2+g.r.IntN(5)))]
}

// plainNumber is a JSON number whose text no decoder is tempted to change.
var plainNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,14})$`)

// scalar writes text as a JSON string or, where it is one, now and then as a
// JSON boolean or number (§1).
func (g generator) scalar(text string) any {
	switch {
	case !g.chance(40):
	case text == "true":
		return true
	case text == "false":
		return false
	case plainNumber.MatchString(text) && text != "-0":
		return json.Number(text)
	}
	return text
}

// breakOnePolicy makes one policy of the vector malformed in a way that §1
// leaves no doubt about. The policy is plain otherwise and often the only one,
// so that there is nothing else to refuse.
func (g generator) breakOnePolicy() {
	places := g.places()
	if len(places) == 0 {
		return
	}
	place := one(g, places)
	s := object{"Effect": "Allow", "Action": "*", "Resource": "*"}
	switch place.kind {
	case resourcePolicy, endpointPolicy:
		s["Principal"] = "*"
	case trustPolicy:
		s["Principal"] = "*"
		delete(s, "Resource")
	}
	*place.text = g.broken(place.kind, object{"Version": "2012-10-17", "Statement": s}, s)
	if g.chance(25) {
		return
	}
	for _, other := range places {
		if other.text != place.text {
			*other.text = nil
		}
	}
	for _, list := range []*[]json.RawMessage{&g.v.Identity, &g.v.Session, &g.v.SCP} {
		kept := slices.DeleteFunc(*list, func(text json.RawMessage) bool { return text == nil })
		*list = slices.Clip(kept)
		if len(kept) == 0 {
			*list = nil
		}
	}
}

// broken spoils a policy by its only statement.
func (g generator) broken(k policyKind, p, s object) json.RawMessage {
	switch g.r.IntN(16) {
	case 0:
		s["Effect"] = "allow"
	case 1:
		s["Comment"] = "x"
	case 2:
		p["Version"] = "2013-10-17"
	case 3:
		s["Action"], s["NotAction"] = "*", "*"
	case 4:
		delete(s, "Action")
	case 5:
		s["Condition"] = object{"StringMatches": object{"aws:username": "alice"}}
	case 6:
		s["Condition"] = object{"Bool": object{"aws:SecureTransport": object{}}}
	case 7:
		s["Action"] = []any{[]any{"*"}}
	case 8:
		p["Statement"] = []any{}
	case 9: // partial wildcard, or a principal where none belongs
		s["Principal"] = object{"AWS": "arn:aws:iam::" + home + ":user/*"}
	case 10: // duplicate member
		return json.RawMessage(`{"Statement":` + string(encode(s)) + "," + string(encode(p)[1:]))
	case 11:
		s["Condition"] = object{one(g, []string{"DateEquals", "ForAllValues:DateNotEqualsIfExists"}): object{"aws:CurrentTime": one(g, noDates)}}
	case 12:
		delete(s, "Resource")
		if k == trustPolicy {
			s["Resource"] = "*"
		}
		if k == resourcePolicy && g.mandatory() { // a key policy may do without
			s["Resource"] = []any{}
		}
	case 13:
		delete(s, "Principal")
		s["Effect"], s["NotPrincipal"] = "Allow", "*"
	case 14: // for policies without principals as wrong as with two
		s["Principal"], s["NotPrincipal"] = "*", "*"
	case 15:
		s["Condition"] = object{"NullIfExists": object{"aws:username": "true"}}
	}
	return encode(p)
}

// place is where a policy stands in a vector.
type place struct {
	kind policyKind
	text *json.RawMessage
}

// places lists the policies that the vector has.
func (g generator) places() []place {
	var out []place
	for i := range g.v.Identity {
		out = append(out, place{identityPolicy, &g.v.Identity[i]})
	}
	for i := range g.v.Session {
		out = append(out, place{limitPolicy, &g.v.Session[i]})
	}
	for i := range g.v.SCP {
		out = append(out, place{limitPolicy, &g.v.SCP[i]})
	}
	for _, p := range []place{
		{g.resourceKind(), &g.v.Resource}, {limitPolicy, &g.v.Boundary}, {endpointPolicy, &g.v.Endpoint},
	} {
		if text := string(*p.text); text != "" && text != "null" {
			out = append(out, p)
		}
	}
	return out
}
