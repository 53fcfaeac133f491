package policygen

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/strongroom/strongroom/internal/policy/reference"
)

// policyKind says which elements a policy gets and how freely it allows.
type policyKind int

const (
	identityPolicy policyKind = iota
	limitPolicy               // boundary, session or service control policy
	resourcePolicy
	trustPolicy
	endpointPolicy
)

type object = map[string]any

func (g generator) documents(k policyKind, n int) []json.RawMessage {
	var out []json.RawMessage
	for range n {
		out = append(out, g.document(k))
	}
	return out
}

func (g generator) resourceKind() policyKind {
	if strings.HasPrefix(g.v.Request.Action, "sts:") {
		return trustPolicy
	}
	return resourcePolicy
}

// document draws a policy of one to three statements.
func (g generator) document(k policyKind) json.RawMessage {
	p := object{}
	switch n := g.r.IntN(100); {
	case n < 78:
		p["Version"] = "2012-10-17"
	case n < 90:
		p["Version"] = "2008-10-17"
	}
	if g.chance(5) {
		p["Id"] = "key-default-1"
	}
	statements := []any{}
	for i := range 1 + g.r.IntN(3) {
		statements = append(statements, g.statement(k, i))
	}
	p["Statement"] = statements
	if len(statements) == 1 && g.chance(40) {
		p["Statement"] = statements[0]
	}
	return encode(p)
}

// statement draws one statement; number makes its Sid unique.
func (g generator) statement(k policyKind, number int) object {
	s := object{"Effect": "Allow"}
	if g.chance(20) {
		s["Effect"] = "Deny"
	}
	if g.chance(10) {
		s["Sid"] = "S" + string(rune('0'+number))
	}
	// Layers that must agree with others are generous, or nothing would pass.
	generous := s["Effect"] == "Allow" && (k == limitPolicy || k == endpointPolicy || g.crossAccount()) && g.chance(60)

	name := "Action"
	if g.chance(8) {
		name = "NotAction"
	}
	if generous && g.chance(70) {
		s["Action"] = "*"
	} else {
		s[name] = g.oneOrMore(g.actionPattern)
	}

	if k != trustPolicy {
		name = "Resource"
		if g.chance(8) {
			name = "NotResource"
		}
		if generous && g.chance(70) {
			s["Resource"] = "*"
		} else {
			s[name] = g.oneOrMore(g.resourcePattern)
		}
	}

	if k == resourcePolicy && g.mandatory() && g.chance(4) { // kms.md 8.1
		delete(s, "Resource")
		delete(s, "NotResource")
	}
	switch k {
	case endpointPolicy, resourcePolicy, trustPolicy:
		if s["Effect"] == "Deny" && k != trustPolicy && g.chance(25) {
			s["NotPrincipal"] = g.principalElement(true)
		} else if generous && g.chance(50) {
			s["Principal"] = "*"
		} else {
			s["Principal"] = g.principalElement(false)
		}
	}

	if !generous && g.chance(45) {
		s["Condition"] = g.condition()
	}
	return s
}

// oneOrMore draws a bare value, or a list of one to three.
func (g generator) oneOrMore(draw func() string) any {
	if g.chance(55) {
		return draw()
	}
	items := []any{}
	for range 1 + g.r.IntN(3) {
		items = append(items, draw())
	}
	return items
}

// actionPattern draws a pattern, mostly over the requested action.
func (g generator) actionPattern() string {
	action := g.v.Request.Action
	if g.chance(30) {
		action = one(g, [][]string{secretActions, keyActions, stsActions, listActions}[g.r.IntN(4)])
	}
	service, name, _ := strings.Cut(action, ":")
	if g.chance(1) { // a KELVIN SIGN is no k
		return strings.Replace(action, "kms:", "\u212ams:", 1)
	}
	switch g.r.IntN(12) {
	case 0, 1:
		return "*"
	case 2, 3:
		return service + ":*"
	case 4:
		return "*:" + name
	case 5:
		return strings.ToUpper(service) + ":" + strings.ToLower(name)
	case 6, 7:
		return service + ":" + g.wildcards(name)
	case 8:
		return g.wildcards(service) + ":" + g.wildcards(name)
	}
	return action
}

// resourcePattern draws a pattern, mostly over the requested resource.
func (g generator) resourcePattern() string {
	if g.chance(20) {
		return "*"
	}
	resource := g.v.Request.Resource
	if resource == "*" || g.chance(20) {
		resource = "arn:aws:secretsmanager:" + one(g, regions) + ":" + one(g, []string{home, away}) + ":secret:" + one(g, secrets)
	}
	parts := strings.SplitN(resource, ":", 6)
	for i, percent := range []int{2, 3, 5, 20, 15} {
		if g.chance(percent) {
			parts[i] = "*"
		} else if g.chance(4) {
			parts[i] = g.wildcards(parts[i])
		}
	}
	switch n := g.r.IntN(100); {
	case n < 22:
		parts[5] = g.withVariable(parts[5])
	case n < 65:
		parts[5] = g.wildcards(parts[5])
	}
	switch g.r.IntN(50) {
	case 0: // a star cannot stand for two parts
		return strings.Join(parts[:3], ":") + ":*:" + parts[5]
	case 1: // variables count in the sixth part only
		parts[4] = "${aws:PrincipalAccount}"
	case 2, 4: // missing parts match anything
		return strings.Join(parts[:1+g.r.IntN(5)], ":")
	case 3:
		return strings.ToUpper(strings.Join(parts, ":"))
	}
	return strings.Join(parts, ":")
}

// wildcards puts one or two wildcards into text, most of which still match it.
// Text with a variable stays as it is: a wildcard inside the braces would make
// a malformed variable, which the specification does not define.
func (g generator) wildcards(text string) string {
	if strings.Contains(text, "${") {
		return text
	}
	for range 1 + g.r.IntN(2) {
		runes := []rune(text)
		if len(runes) == 0 {
			return "*"
		}
		i := g.r.IntN(len(runes))
		if wide := slices.IndexFunc(runes, func(r rune) bool { return r >= utf8.RuneSelf }); wide >= 0 && g.chance(40) {
			i = wide
		}
		switch g.r.IntN(9) {
		case 0:
			return "*"
		case 1, 2:
			text = string(runes[:i]) + "*"
		case 8: // a run of nothing
			text += "*"
		case 3:
			text = "*" + string(runes[i:])
		case 4:
			text = string(runes[:i]) + "*" + string(runes[i:])
		case 5, 6:
			text = string(runes[:i]) + "?" + string(runes[i+1:])
		case 7: // one character too many
			text = string(runes[:i]) + "?" + string(runes[i:])
		}
	}
	return text
}

// withVariable replaces one segment of an ARN's last part by a policy variable
// (§3), if possible one whose value is that segment, or escapes a character.
func (g generator) withVariable(text string) string {
	segments := strings.Split(text, "/")
	i := g.r.IntN(len(segments))
	prefix, segment := "", segments[i]
	if head, tail, ok := strings.Cut(segment, ":"); ok {
		prefix, segment = head+":", tail
	}
	if strings.Contains(segment, "${") || g.chance(15) {
		segments[i] = prefix + strings.NewReplacer("$", "${$}", "*", "${*}", "?", "${?}").Replace(segment)
		if g.chance(50) {
			segments[i] += one(g, []string{"${*}", "${?}", "${$}", "*"})
		}
		return strings.Join(segments, "/")
	}
	segments[i] = prefix + g.variable(segment)
	if g.chance(20) {
		segments[i] += "*"
	}
	return strings.Join(segments, "/")
}

// variable draws ${key} or ${key, 'default'}, aiming at a key whose value, or
// a default which, is the wanted text.
func (g generator) variable(wanted string) string {
	var fitting []string
	facts := g.facts()
	for _, f := range facts {
		if f.given && !f.value.Multivalued && f.value.Strings[0] == wanted {
			fitting = append(fitting, f.name)
		}
	}
	if starred := g.starred(facts); len(starred) > 0 && g.chance(15) { // a value is no pattern
		return "${" + g.keyCase(one(g, starred)) + "}"
	}
	drawn := one(g, facts)
	key := drawn.name
	if len(fitting) > 0 && g.chance(80) {
		key = one(g, fitting)
	} else if drawn.value.Multivalued {
		return "${" + g.keyCase(key) + "}" // with a default, §3 has no answer
	}
	key = g.keyCase(key)
	switch g.r.IntN(6) {
	case 0, 1:
		if !strings.ContainsAny(wanted, "'{},") {
			return "${" + key + one(g, []string{", '", ",'"}) + wanted + "'}"
		}
	case 2:
		return "${" + key + ", '" + one(g, []string{"red", "prod", "*", "p*", "", "{r}"}) + "'}"
	case 3: // malformed, so that the key is one that no request has
		if g.chance(30) {
			return one(g, []string{"${" + key + ",  'red'}", "${" + key + ", 'r'd'}", "${" + key + ", red}", "${ " + key + "}", "${" + key})
		}
	}
	return "${" + key + "}"
}

// starred lists the keys whose value would match more than itself if it were a
// pattern.
func (g generator) starred(facts []fact) []string {
	var names []string
	for _, f := range facts {
		if f.given && !f.value.Multivalued && strings.ContainsAny(f.value.Strings[0], "*?") {
			names = append(names, f.name)
		}
	}
	return names
}

// principalElement draws Principal, or for NotPrincipal a list that is likely
// to hold every level of the caller (§4).
func (g generator) principalElement(every bool) any {
	caller := g.v.Request.Principal
	own := g.ownNames()
	if caller.Type == reference.Service && g.chance(60) {
		return object{"Service": g.oneOrMore(func() string {
			if g.chance(75) {
				return caller.Service
			}
			return one(g, services)
		})}
	}
	if every && len(own) > 0 && g.chance(70) {
		names := []any{}
		for _, name := range own {
			if name == caller.Account && g.chance(75) || name == g.uniqueID() && g.chance(50) {
				continue // an ARN says the same
			}
			if g.chance(88) {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			return object{"AWS": names}
		}
	}
	draw := func() string {
		if len(own) > 0 && g.chance(75) {
			return one(g, own)
		}
		account := one(g, []string{home, away})
		return one(g, []string{
			account, rootOf(account), userIn(account, one(g, users)).ARN, sessionIn(account, one(g, roles), "s1").ARN,
			sessionIn(account, one(g, roles), "s1").RoleARN, "arn:aws:sts::" + account + ":federated-user/" + one(g, federatedNames),
			one(g, uniqueIDs), "arn:aws-cn:iam::" + account + ":root", "*",
		})
	}
	switch n := g.r.IntN(100); {
	case n < 10:
		return "*"
	case n < 16:
		return object{"AWS": "*"}
	case n < 20:
		return object{"Federated": "graph.facebook.com", "CanonicalUser": []any{"79a59df9"}}
	case n < 26:
		return object{"Service": one(g, services), "AWS": g.oneOrMore(draw)}
	}
	return object{"AWS": g.oneOrMore(draw)}
}

// ownNames lists the names under which §4 knows the caller.
func (g generator) ownNames() []string {
	p := g.v.Request.Principal
	switch p.Type {
	case reference.Service, reference.Anonymous:
		return nil
	case reference.Root:
		return []string{rootOf(p.Account), p.Account}
	}
	names := []string{p.ARN, rootOf(p.Account), p.Account}
	for _, origin := range []string{p.RoleARN, p.UserARN, g.uniqueID()} {
		if origin != "" {
			names = append(names, origin)
		}
	}
	return names
}

// uniqueID is the id as which a policy stores the ARN of the caller's user or
// role, empty when it has none.
func (g generator) uniqueID() string {
	p := g.v.Request.Principal
	if p.Type != reference.User && p.Type != reference.AssumedRole {
		return ""
	}
	id, _, _ := strings.Cut(p.UserID, ":")
	return id
}
