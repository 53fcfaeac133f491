package reference

import "strings"

// naming is how a resource policy names the caller. §7 gives each its rights.
type naming string

const (
	// direct: the caller's own ARN (user, session, federated user), its service
	// name, its account when it is the root user, or "*".
	direct naming = "direct"
	// origin: what a session was made from, the role ARN or for a federated
	// user the IAM user ARN.
	origin naming = "origin"
	// account: the caller's account, which delegates to that account's IAM.
	account naming = "account"
)

// namings lists the ways in which a Principal element names the caller (§4).
func namings(q request, principal any) map[naming]bool {
	found := map[naming]bool{}
	if principal == "*" {
		found[direct] = true
		return found
	}
	caller := q.Principal
	members := principal.(map[string]any)
	for _, n := range list(members["AWS"]) {
		name, _ := n.(string) // no AWS member: a list of one nil
		switch {
		case name == "":
		case name == "*":
			found[direct] = true
		case isAccount(name, caller) && caller.Type == Root:
			found[direct] = true
		case isAccount(name, caller):
			found[account] = true
		case caller.Type == Service || caller.Type == Anonymous:
		case name == caller.ARN:
			found[direct] = true
		case caller.Type == AssumedRole && name == caller.RoleARN:
			found[origin] = true
		case caller.Type == FederatedUser && name == caller.UserARN:
			found[origin] = true
		case name == uniqueID(caller) && caller.Type == User:
			found[direct] = true
		case name == uniqueID(caller) && caller.Type == AssumedRole:
			found[origin] = true
		}
	}
	for _, name := range list(members["Service"]) {
		if caller.Type == Service && caller.Service != "" && name == caller.Service {
			found[direct] = true
		}
	}
	return found
}

// isAccount reports whether name is the caller's account: twelve digits or the
// account's root ARN, which mean the same (§4).
func isAccount(name string, caller Principal) bool {
	if caller.Type == Service || caller.Type == Anonymous || caller.Account == "" {
		return false
	}
	return name == caller.Account || name == "arn:aws:iam::"+caller.Account+":root"
}

// uniqueID is the id of the caller's user or role, as which policies store its
// ARN (§4), or nothing that a policy can name.
func uniqueID(caller Principal) string {
	id, _, _ := strings.Cut(caller.UserID, ":") // AROA…:session
	if strings.HasPrefix(id, "AIDA") && caller.Type == User || strings.HasPrefix(id, "AROA") && caller.Type == AssumedRole {
		return id
	}
	return "\x00"
}

// spared reports whether NotPrincipal leaves the caller out of a Deny: only if
// every level of the caller is listed (§4).
func spared(q request, notPrincipal any) bool {
	everybody := notPrincipal == "*"
	listed := map[string]bool{}
	services := map[string]bool{}
	if members, ok := notPrincipal.(map[string]any); ok {
		for _, n := range list(members["AWS"]) {
			name, _ := n.(string)
			everybody = everybody || name == "*"
			listed[name] = true
		}
		for _, n := range list(members["Service"]) {
			name, _ := n.(string)
			services[name] = true
		}
	}
	if everybody {
		return true
	}
	caller := q.Principal
	accountListed := listed[caller.Account] || listed["arn:aws:iam::"+caller.Account+":root"]
	switch caller.Type {
	case Root:
		return accountListed
	case User:
		return (listed[caller.ARN] || listed[uniqueID(caller)]) && accountListed
	case AssumedRole:
		return listed[caller.ARN] && (listed[caller.RoleARN] || listed[uniqueID(caller)]) && accountListed
	case FederatedUser:
		return listed[caller.ARN] && listed[caller.UserARN] && accountListed
	case Service:
		return services[caller.Service]
	}
	return false
}

// denyNames reports whether a Deny statement of a resource policy is about the
// caller. §4: the account form then means every principal of the account.
func denyNames(q request, s map[string]any) bool {
	if notPrincipal, ok := s["NotPrincipal"]; ok {
		return !spared(q, notPrincipal)
	}
	return len(namings(q, s["Principal"])) > 0
}

// isKey reports whether the resource is a KMS key, whose policy is a key policy
// (§12).
func isKey(q Request) bool {
	return strings.HasPrefix(strings.ToLower(q.Action), "kms:") && strings.Contains(q.Resource, ":key/")
}

// isTrust reports whether the resource policy of the request is a role trust
// policy.
func isTrust(action string) bool {
	return strings.HasPrefix(strings.ToLower(action), "sts:")
}
