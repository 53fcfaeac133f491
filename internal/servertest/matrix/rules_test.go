package matrix

// effect is what the policies of one layer say of the action.
type effect int

const (
	absent   effect = iota // the layer is not in force: no boundary, no session policy, no endpoint
	allows                 // a statement allows
	denies                 // a statement denies, though another allows
	silences               // the layer is in force and says nothing of the action
)

func (e effect) String() string { return [...]string{"absent", "allows", "denies", "silent"}[e] }

// grant is how the policy on the resource speaks of the caller.
type grant int

const (
	unsaid     grant = iota // no policy, or one that speaks of others
	byAccount               // it allows the caller's account
	byEntity                // it allows the user or the role
	bySelf                  // it allows this session alone
	byEveryone              // it allows "*"
	refused                 // it denies everybody, though it allows "*" too
)

func (g grant) String() string {
	return [...]string{"unsaid", "account", "entity", "self", "everyone", "denies"}[g]
}

// kind is a kind of caller.
type kind int

const (
	rootUser kind = iota
	iamUser
	userSession // of a user, by GetSessionToken
	federated
	roleSession
	foreignRoot
	foreignUser
	foreignRole // session of a role of the other account
)

func (k kind) String() string {
	return [...]string{"root", "user", "session of user", "federated user", "role session", "other account's root", "other account's user", "other account's role session"}[k]
}

func (k kind) foreign() bool { return k >= foreignRoot }

// local is what kind the caller is in its own account.
func (k kind) local() kind {
	switch k {
	case foreignRoot:
		return rootUser
	case foreignUser:
		return iamUser
	case foreignRole:
		return roleSession
	}
	return k
}

// layers is the state of every layer for one call.
type layers struct {
	caller                                kind
	identity, boundary, session, endpoint effect
	resource                              grant
}

// target is what an operation works on, as far as the rules care.
type target int

const (
	nothing target = iota // no resource with a policy: "*", or one to be made
	secret                // a resource whose policy may say something
	key                   // one whose policy must allow
	ownKey                // a key, for an operation that never crosses accounts (spec kms.md 2)
)

// verdict is what must come out: the layer that refuses, and whether by a Deny.
type verdict struct {
	layer    string // "" when allowed
	explicit bool
}

// The layers, in the words of the table of section 9.
const (
	byIdentity = "identity-based policy"
	byResource = "resource-based policy"
	byBoundary = "permissions boundary"
	bySession  = "session policy"
	byEndpoint = "VPC endpoint policy"
)

// needs is what else must allow when the resource's policy does (section 7, the
// table of step 3; 7.1 says the same of keys).
type needs struct{ identity, boundary, session bool }

var sameAccount = map[kind]map[grant]needs{
	iamUser: {
		byEntity:   {},
		byEveryone: {},
		byAccount:  {identity: true, boundary: true},
	},
	roleSession: {
		bySelf:     {},
		byEveryone: {},
		byEntity:   {boundary: true, session: true},
		byAccount:  {identity: true, boundary: true, session: true},
	},
	federated: {
		bySelf:     {},
		byEveryone: {},
		byEntity:   {boundary: true, session: true},
		byAccount:  {identity: true, boundary: true, session: true},
	},
	rootUser: {
		byAccount:  {},
		byEveryone: {},
	},
}

// said is how a resource's policy of a variant speaks of this kind of caller: a
// user has no session to be named by, and root no name but the account's.
func (k kind) said(g grant) grant {
	switch k.local() {
	case rootUser:
		if g == byEntity || g == bySelf {
			return unsaid
		}
	case iamUser, userSession:
		if g == bySelf {
			return unsaid
		}
	}
	return g
}

// expect is the rule.
func expect(l layers, on target) verdict {
	said := l.caller.said(l.resource)
	foreign := l.caller.foreign()
	switch on {
	case nothing:
		// A list, or what is made in the caller's own account.
		said, foreign = unsaid, false
	case ownKey:
		if foreign {
			said = unsaid // Whatever it says: it cannot let another account do this.
		}
	}
	// Step 1: a Deny anywhere, root included; of several the first in section 9's
	// order is named. Root has no policies of its own.
	switch {
	case said == refused:
		return verdict{byResource, true}
	case l.identity == denies:
		return verdict{byIdentity, true}
	case l.boundary == denies:
		return verdict{byBoundary, true}
	case l.session == denies:
		return verdict{bySession, true}
	case l.endpoint == denies:
		return verdict{byEndpoint, true}
	}
	v := permitted(l, on, said, foreign)
	if v.layer == "" && l.endpoint == silences {
		return verdict{byEndpoint, false}
	}
	return v
}

func permitted(l layers, on target, said grant, foreign bool) verdict {
	local := l.caller.local()
	if local == userSession {
		local = iamUser // The full rights of the user (section 10).
	}
	all := needs{identity: true, boundary: true, session: true}
	mandatory := on == key || on == ownKey
	switch {
	case foreign:
		// Section 8: the owner's policy must allow, in any form, and the caller's
		// own must all allow; the owner is named first.
		if said == unsaid {
			return verdict{byResource, false}
		}
		return missing(l, local, all)
	case said != unsaid:
		return missing(l, local, sameAccount[local][said])
	case mandatory:
		return verdict{byResource, false}
	}
	return missing(l, local, all)
}

// missing names the first of the layers needed that does not allow.
func missing(l layers, local kind, n needs) verdict {
	if local == rootUser {
		return verdict{} // Step 5: allowed with no policy.
	}
	switch {
	case n.identity && l.identity != allows:
		return verdict{byIdentity, false}
	case n.boundary && l.boundary != absent && l.boundary != allows:
		return verdict{byBoundary, false}
	case n.session && !passes(l.session, local):
		return verdict{bySession, false}
	}
	return verdict{}
}

// passes: no session policy does not limit, but a federated user without one may
// do nothing of its own (step 4).
func passes(session effect, local kind) bool {
	return session == allows || session == absent && local != federated
}

// reason is the end of the message (section 9).
func (v verdict) reason(action string) string {
	if v.explicit {
		article := "a"
		if v.layer == byIdentity {
			article = "an"
		}
		return " with an explicit deny in " + article + " " + v.layer
	}
	return " because no " + v.layer + " allows the " + action + " action"
}
