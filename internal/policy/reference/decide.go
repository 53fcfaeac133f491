package reference

import (
	"encoding/json"
	"strings"
)

// layers are the policies of a vector, decoded and well-formed. Those that
// may be absent are lists of none or one.
type layers struct {
	identity, resource, boundary, session, endpoint, scp []policy
	// onResource is the kind of the resource policy.
	onResource kind
}

// Decide evaluates the vector's request against its policies and returns Allow,
// ExplicitDeny or ImplicitDeny. It returns an error when one of the policies is
// malformed by the grammar of §1, even one that would not matter, or when the
// request itself makes no sense.
func Decide(v Vector) (string, error) {
	q, err := newRequest(v.Request)
	if err != nil {
		return "", err
	}
	l, err := parseLayers(v)
	if err != nil {
		return "", err
	}

	// §7 step 1: any Deny in any policy type wins, for root too. §8: likewise
	// across accounts.
	if anyDeny(q, identityKind, l.identity) || anyDeny(q, identityKind, l.boundary) || anyDeny(q, identityKind, l.session) ||
		anyDeny(q, identityKind, l.scp) || anyDeny(q, l.onResource, l.resource) || anyDeny(q, resourceKind, l.endpoint) {
		return ExplicitDeny, nil
	}
	// §7 step 2.
	if len(l.scp) > 0 && !anyAllow(q, l.scp) {
		return ImplicitDeny, nil
	}
	// A VPC endpoint lets through only what its policy allows.
	if len(l.endpoint) > 0 && len(grants(q, resourceKind, l.endpoint)) == 0 {
		return ImplicitDeny, nil
	}
	allowed := false
	if crossAccount(q) {
		allowed = allowedAcross(q, l)
	} else {
		allowed = allowedWithin(q, l)
	}
	if allowed {
		return Allow, nil
	}
	return ImplicitDeny, nil
}

// allowedWithin follows §7 steps 3 to 5, and §7.1 for mandatory policies.
func allowedWithin(q request, l layers) bool {
	granted := grants(q, l.onResource, l.resource)
	// Step 3: user, session or federated-user ARN, service, root's account, "*".
	// Limited neither by boundary nor by session policy.
	if granted[direct] {
		return true
	}
	// Step 3: role ARN, or IAM user ARN for a federated user.
	if granted[origin] && boundaryAllows(q, l) && sessionAllows(q, l) {
		return true
	}
	// §7.1: without the account's delegation, identity policies do not count,
	// and root has no right of its own.
	if mandatory(q) && !granted[account] {
		return false
	}
	// Steps 4 and 5. A grant to the own account is no more than delegation.
	return callerSideAllows(q, l)
}

// allowedAcross follows §8: both sides must allow.
func allowedAcross(q request, l layers) bool {
	return len(grants(q, l.onResource, l.resource)) > 0 && callerSideAllows(q, l)
}

// callerSideAllows is §7 step 4 for principals with policies and step 5 for the
// root user, whose right needs none.
func callerSideAllows(q request, l layers) bool {
	switch q.Principal.Type {
	case Root:
		return true
	case Service, Anonymous:
		return false
	}
	return anyAllow(q, l.identity) && boundaryAllows(q, l) && sessionAllows(q, l)
}

func boundaryAllows(q request, l layers) bool {
	return len(l.boundary) == 0 || anyAllow(q, l.boundary)
}

// sessionAllows follows §7 step 4: several session policies are a union; a
// federated user without any is denied, a role session is not limited.
func sessionAllows(q request, l layers) bool {
	if len(l.session) == 0 {
		return q.Principal.Type != FederatedUser
	}
	return anyAllow(q, l.session)
}

// crossAccount reports whether the caller's account is not the owner's (§8).
func crossAccount(q request) bool {
	switch q.Principal.Type {
	case Service, Anonymous:
		return false
	}
	return q.Principal.Account != q.owner
}

// mandatory reports whether §7.1 applies, by the rule of §12.
func mandatory(q request) bool {
	action := strings.ToLower(q.Action)
	return isKey(q.Request) || strings.HasPrefix(action, "sts:assumerole")
}

// anyDeny reports whether a Deny statement matches the request.
func anyDeny(q request, k kind, policies []policy) bool {
	for _, p := range policies {
		for _, s := range list(p["Statement"]) {
			statement := s.(map[string]any)
			if statement["Effect"] != "Deny" || !statementMatches(q, k, p, statement) {
				continue
			}
			if k == identityKind || denyNames(q, statement) {
				return true
			}
		}
	}
	return false
}

// anyAllow reports whether an Allow statement of policies without principals
// matches the request.
func anyAllow(q request, policies []policy) bool {
	for _, p := range policies {
		for _, s := range list(p["Statement"]) {
			statement := s.(map[string]any)
			if statement["Effect"] == "Allow" && statementMatches(q, identityKind, p, statement) {
				return true
			}
		}
	}
	return false
}

// grants collects the ways in which matching Allow statements of a policy with
// principals name the caller.
func grants(q request, k kind, policies []policy) map[naming]bool {
	found := map[naming]bool{}
	for _, p := range policies {
		for _, s := range list(p["Statement"]) {
			statement := s.(map[string]any)
			if statement["Effect"] != "Allow" || !statementMatches(q, k, p, statement) {
				continue
			}
			for n := range namings(q, statement["Principal"]) {
				found[n] = true
			}
		}
	}
	return found
}

func parseLayers(v Vector) (layers, error) {
	l := layers{onResource: resourceKind}
	switch {
	case isTrust(v.Request.Action):
		l.onResource = trustKind
	case isKey(v.Request):
		l.onResource = keyKind
	}
	for _, source := range []struct {
		into  *[]policy
		kind  kind
		texts []json.RawMessage
	}{
		{&l.identity, identityKind, v.Identity},
		{&l.resource, l.onResource, present(v.Resource)},
		{&l.boundary, identityKind, present(v.Boundary)},
		{&l.session, identityKind, v.Session},
		{&l.endpoint, resourceKind, present(v.Endpoint)},
		{&l.scp, identityKind, v.SCP},
	} {
		for _, text := range source.texts {
			p, err := parse(source.kind, text)
			if err != nil {
				return layers{}, err
			}
			*source.into = append(*source.into, p)
		}
	}
	return l, nil
}

// present makes a list of a policy that may be absent.
func present(policy json.RawMessage) []json.RawMessage {
	if absent(policy) {
		return nil
	}
	return []json.RawMessage{policy}
}
