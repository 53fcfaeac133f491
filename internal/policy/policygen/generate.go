// Package policygen makes random policy vectors for differential tests of the
// IAM policy language. Its words are few on purpose: a handful of accounts,
// callers, actions, resources and context values, so that patterns, conditions
// and principals keep running into each other, and what is drawn for a policy
// is drawn half of the time from the request it will be held against.
//
// The one invariant: a vector depends on the random source alone. The same
// seed gives the same vector, byte for byte, on every machine; no map is walked
// in its own order and no clock is read.
//
// Section signs point into spec iam-policy-evaluation.md. About one vector in
// forty holds a policy that is malformed beyond doubt, but always valid JSON,
// so that the vector can be written to a file.
// Points that package reference lists as its choices appear too, for there two
// readers are most likely to differ.
package policygen

import (
	"encoding/json"
	"math/rand/v2"
	"strings"

	"github.com/strongroom/strongroom/internal/policy/reference"
)

// generator draws from r and, so that what it draws is to the point, looks at
// what the vector already says about the request.
type generator struct {
	r *rand.Rand
	v *reference.Vector
}

// Generate returns a random vector in the format of §12, with an endpoint
// policy and service control policies now and then. Name and Expect stay empty.
func Generate(r *rand.Rand) reference.Vector {
	v := reference.Vector{}
	g := generator{r, &v}
	v.Request.Principal = g.caller()
	g.target()
	g.context()
	if g.chance(30) {
		g.focus()
		return v
	}

	cross := g.crossAccount()
	switch v.Request.Principal.Type {
	case reference.Service, reference.Anonymous:
	case reference.Root:
		if g.chance(20) {
			v.Identity = g.documents(identityPolicy, 1)
		}
	default:
		v.Identity = g.documents(identityPolicy, g.r.IntN(3))
		if cross || len(v.Identity) == 0 && g.chance(50) {
			v.Identity = append(v.Identity, g.document(identityPolicy))
		}
		if g.chance(25) {
			v.Boundary = g.document(limitPolicy)
		}
	}
	switch t := v.Request.Principal.Type; {
	case t == reference.AssumedRole && g.chance(30), t == reference.FederatedUser && g.chance(85):
		v.Session = g.documents(limitPolicy, 1+g.r.IntN(2))
	}
	if g.chance(g.resourcePolicyPercent(cross)) {
		v.Resource = g.document(g.resourceKind())
	}
	if g.chance(8) {
		v.Endpoint = g.document(endpointPolicy)
	}
	if g.chance(5) {
		v.SCP = g.documents(limitPolicy, 1+g.r.IntN(2))
	}
	if g.chance(5) {
		g.breakOnePolicy()
	}
	return v
}

// focus writes policies in which one element of one statement decides alone,
// so that rare values are not hidden behind everything else.
func (g generator) focus() {
	v := g.v
	caller := v.Request.Principal.Type
	s := object{"Effect": one(g, []string{"Allow", "Deny"}), "Action": "*", "Resource": "*"}
	k := identityPolicy
	if caller == reference.Service || caller == reference.Anonymous || g.chance(25) {
		k = g.resourceKind()
	}
	dimensions := 5
	if k != identityPolicy {
		s["Principal"] = "*"
		dimensions = 6
	}
	switch g.r.IntN(dimensions) {
	case 0:
		s["Action"] = g.actionPattern()
		if g.chance(30) {
			swap(s, "Action")
		}
	case 1:
		s["Resource"] = g.resourcePattern()
		if g.chance(30) {
			swap(s, "Resource")
		}
	case 5:
		s["Principal"] = g.principalElement(false)
		if s["Effect"] == "Deny" && k != trustPolicy && g.chance(50) {
			delete(s, "Principal")
			s["NotPrincipal"] = g.principalElement(true)
		}
	default: // the richest element gets the largest share
		s["Condition"] = g.condition()
	}
	if k == trustPolicy {
		delete(s, "Resource")
		delete(s, "NotResource")
	}
	text := encode(object{"Version": "2012-10-17", "Statement": s})

	open := encode(object{"Statement": object{"Effect": "Allow", "Action": "*", "Resource": "*"}})
	if k == identityPolicy {
		v.Identity = []json.RawMessage{text}
	} else {
		v.Resource = text
	}
	if s["Effect"] == "Deny" && caller != reference.Service && caller != reference.Anonymous {
		v.Identity = append(v.Identity, open)
	}
	if caller == reference.FederatedUser {
		v.Session = []json.RawMessage{open}
	}
}

// resourcePolicyPercent is high where no resource policy means a foregone
// conclusion.
func (g generator) resourcePolicyPercent(cross bool) int {
	switch {
	case g.v.Request.Resource == "*":
		return 0
	case g.mandatory(), cross, len(g.v.Identity) == 0:
		return 90
	}
	return 45
}

// caller draws a principal of any type.
func (g generator) caller() reference.Principal {
	account := home
	if g.chance(15) {
		account = away
	}
	var p reference.Principal
	switch n := g.r.IntN(100); {
	case n < 30:
		p = userIn(account, one(g, users))
	case n < 62:
		p = sessionIn(account, one(g, roles), one(g, sessions))
	case n < 76:
		name := one(g, federatedNames)
		p = reference.Principal{
			Type: reference.FederatedUser, Account: account, ARN: "arn:aws:sts::" + account + ":federated-user/" + name,
			UserID: account + ":" + name, UserARN: userIn(account, one(g, users)).ARN,
		}
	case n < 84:
		p = reference.Principal{Type: reference.Root, Account: account, ARN: rootOf(account), UserID: account}
	case n < 92:
		return reference.Principal{Type: reference.Service, Service: one(g, services)}
	default:
		return reference.Principal{Type: reference.Anonymous, UserID: "anonymous"}
	}
	if p.Type != reference.Root && g.chance(50) {
		p.Tags = map[string]string{one(g, []string{"team", "team", "Team"}): one(g, teams)}
		if g.chance(30) {
			p.Tags["env"] = one(g, words)
		}
	}
	return p
}

func userIn(account, path string) reference.Principal {
	name := path[strings.LastIndex(path, "/")+1:]
	return reference.Principal{
		Type: reference.User, Account: account, ARN: "arn:aws:iam::" + account + ":user/" + path,
		UserID: entityID("AIDA", name), Username: name,
	}
}

func sessionIn(account, path, session string) reference.Principal {
	name := path[strings.LastIndex(path, "/")+1:]
	return reference.Principal{
		Type: reference.AssumedRole, Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/" + name + "/" + session,
		RoleARN: "arn:aws:iam::" + account + ":role/" + path, UserID: entityID("AROA", name) + ":" + session,
	}
}

// entityID makes an id of 22 characters out of a name.
func entityID(prefix, name string) string {
	return prefix + strings.Repeat("0", 18-len(name)) + strings.ToUpper(name)
}

func rootOf(account string) string { return "arn:aws:iam::" + account + ":root" }

// target draws action and resource.
func (g generator) target() {
	q := &g.v.Request
	owner := q.Principal.Account
	if owner == "" {
		owner = home
	}
	if g.chance(22) {
		owner = other(owner)
	}
	switch n := g.r.IntN(100); {
	case n < 60:
		q.Action = one(g, secretActions)
		q.Resource = "arn:aws:secretsmanager:" + one(g, regions) + ":" + owner + ":secret:" + one(g, secrets)
	case n < 80:
		q.Action = one(g, keyActions)
		q.Resource = "arn:aws:kms:" + one(g, regions) + ":" + owner + ":" + one(g, keys)
	case n < 93:
		q.Action = one(g, stsActions)
		q.Resource = "arn:aws:iam::" + owner + ":role/" + one(g, roles)
	case n < 96: // a resource whose ARN names no account
		q.Action = "s3:GetObject"
		q.Resource = "arn:aws:s3:::bucket/" + one(g, secrets)
		if g.chance(50) {
			q.ResourceAccount = owner
		}
	default:
		q.Action = one(g, listActions)
		q.Resource = "*"
	}
	if q.Resource != "*" && g.chance(2) {
		q.ResourceAccount = other(owner)
	}
}

// context draws each key of the vocabulary or leaves it missing.
func (g generator) context() {
	g.v.Request.Context = map[string]reference.Value{}
	for _, k := range contextKeys {
		if g.chance(45) {
			g.v.Request.Context[g.keyCase(k.name)] = g.contextValue(k)
		}
	}
	if g.chance(2) { // given facts beat derived ones
		g.v.Request.Context["aws:PrincipalTag/team"] = reference.Single(one(g, teams))
	}
}

func (g generator) contextValue(k contextKey) reference.Value {
	pool := pools[k.kind].request
	if !k.multivalued {
		return reference.Single(one(g, pool))
	}
	set := reference.Multi()
	set.Strings = []string{}
	for range g.r.IntN(4) {
		set.Strings = append(set.Strings, one(g, pool))
	}
	return set
}

// fact is a context key as conditions and variables will see it.
type fact struct {
	name  string
	kind  valueKind
	value reference.Value
	given bool
}

// facts lists every key worth naming in a policy, present or not, with its
// value: the vocabulary first, then what derives from the caller (§12).
func (g generator) facts() []fact {
	var out []fact
	for _, k := range contextKeys {
		f := fact{name: k.name, kind: k.kind}
		for name, value := range g.v.Request.Context {
			if strings.EqualFold(name, k.name) {
				f.value, f.given = value, true
			}
		}
		out = append(out, f)
	}
	p := g.v.Request.Principal
	principalARN := p.ARN
	if p.RoleARN != "" {
		principalARN = p.RoleARN
	}
	principalType := p.Type
	if p.Type == reference.Root {
		principalType = "Account"
	}
	team, env := "", ""
	for tag, value := range p.Tags {
		if strings.EqualFold(tag, "team") {
			team = value
		} else {
			env = value
		}
	}
	for _, d := range []struct {
		name, value string
		kind        valueKind
	}{
		{"aws:PrincipalArn", principalARN, arnKind},
		{"aws:PrincipalAccount", p.Account, stringKind},
		{"aws:PrincipalType", principalType, stringKind},
		{"aws:userid", p.UserID, stringKind},
		{"aws:username", p.Username, stringKind},
		{"aws:PrincipalTag/team", team, stringKind},
		{"aws:PrincipalTag/env", env, stringKind},
		{"aws:ResourceAccount", g.owner(), stringKind},
	} {
		out = append(out, fact{d.name, d.kind, reference.Single(d.value), d.value != ""})
	}
	return out
}

// owner is the account that §12 takes for the resource's.
func (g generator) owner() string {
	q := g.v.Request
	if q.ResourceAccount != "" {
		return q.ResourceAccount
	}
	if parts := strings.SplitN(q.Resource, ":", 6); len(parts) == 6 && parts[4] != "" {
		return parts[4]
	}
	return q.Principal.Account
}

func (g generator) crossAccount() bool {
	account := g.v.Request.Principal.Account
	return account != "" && account != g.owner()
}

func (g generator) mandatory() bool {
	q := g.v.Request
	return strings.HasPrefix(q.Action, "kms:") && strings.Contains(q.Resource, ":key/") || strings.HasPrefix(q.Action, "sts:")
}

func (g generator) chance(percent int) bool { return g.r.IntN(100) < percent }

func one[T any](g generator, items []T) T { return items[g.r.IntN(len(items))] }

// keyCase varies the case of a key name, which never matters (§5 rule 3).
func (g generator) keyCase(name string) string {
	switch g.r.IntN(20) {
	case 0:
		return strings.ToLower(name)
	case 1:
		return strings.ToUpper(name)
	}
	return name
}

func encode(value any) json.RawMessage {
	text, err := json.Marshal(value) // sorts members, so the text is repeatable
	if err != nil {
		panic(err) // only maps, lists and scalars are built here
	}
	return text
}
