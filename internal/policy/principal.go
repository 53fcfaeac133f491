package policy

import "strings"

// PrincipalType is the kind of caller (spec iam-policy-evaluation.md 12).
type PrincipalType string

// The kinds of caller.
const (
	User          PrincipalType = "User"
	AssumedRole   PrincipalType = "AssumedRole"
	FederatedUser PrincipalType = "FederatedUser"
	Root          PrincipalType = "Root"
	Service       PrincipalType = "Service"
	Anonymous     PrincipalType = "Anonymous"
	// WebIdentity is the unsigned caller of AssumeRoleWithWebIdentity and its
	// SAML twin, known only by the provider that vouches for it.
	WebIdentity PrincipalType = "WebIdentity"
)

// Principal is the caller of a request.
type Principal struct {
	Type PrincipalType
	// Account is the caller's 12-digit account; empty for Service, Anonymous
	// and WebIdentity, who have none.
	Account string
	// ARN is the caller's own ARN: the session ARN for AssumedRole, the
	// federated-user ARN for FederatedUser.
	ARN string
	// UserID is aws:userid: AIDA… for a user, AROA…:session for a role session.
	UserID string
	// EntityID is the unique id (AIDA…, AROA…) of the IAM user or role behind
	// the caller, by which stored policies name it. Empty, it is taken from
	// UserID for users and role sessions; for a FederatedUser it must be given.
	EntityID string
	// UserName is aws:username, for Users only.
	UserName string
	// RoleARN is the role, with its path, of an AssumedRole.
	RoleARN string
	// UserARN is the IAM user behind a FederatedUser.
	UserARN string
	// Service is the name of a Service, such as "lambda.amazonaws.com".
	Service string
	// Federated is the provider of a WebIdentity: its ARN or its host.
	Federated string
	// Tags are aws:PrincipalTag/*: the entity's tags overlaid by session tags.
	Tags []Tag
}

// policyARN is aws:PrincipalArn: the role for a session of a role, else the
// caller's own ARN.
func (p *Principal) policyARN() string {
	if p.Type == AssumedRole {
		return p.RoleARN
	}
	return p.ARN
}

func (p *Principal) conditionType() string {
	switch p.Type {
	case Root:
		return "Account"
	case User, AssumedRole, FederatedUser, Anonymous:
		return string(p.Type)
	}
	return ""
}

func (p *Principal) entityID() string {
	if p.EntityID != "" {
		return p.EntityID
	}
	switch p.Type {
	case User:
		return p.UserID
	case AssumedRole:
		id, _, _ := strings.Cut(p.UserID, ":")
		return id
	}
	return ""
}

// outsider reports a caller without an account, to whom only a resource policy
// can grant anything.
func (p *Principal) outsider() bool {
	switch p.Type {
	case User, AssumedRole, FederatedUser, Root:
		return false
	}
	return true
}

// PrincipalKind is what an element of Principal or NotPrincipal names.
type PrincipalKind uint8

// The forms of spec iam-policy-evaluation.md 4.
const (
	InvalidPrincipal  PrincipalKind = iota // partial wildcard, group, or no known form
	Everyone                               // "*"
	AccountPrincipal                       // account id or its root ARN
	UserPrincipal                          // IAM user ARN
	RolePrincipal                          // IAM role ARN
	SessionPrincipal                       // one session of a role
	FederatedSession                       // GetFederationToken session
	EntityID                               // bare AIDA… or AROA…, a deleted or resolved entity
	ServicePrincipal                       // "x.amazonaws.com"
	ProviderPrincipal                      // identity provider of a trust policy
	CanonicalUser                          // S3's own id, never matches here
)

// PrincipalRef is one element of Principal or NotPrincipal.
type PrincipalRef struct {
	// Type is the member it stood under: AWS, Service, Federated or
	// CanonicalUser. The bare string "*" counts as AWS.
	Type string
	// Value is the text as written.
	Value string
	// Kind is the form that Value has.
	Kind PrincipalKind
	// Account is the account that Value names, where it names one.
	Account string
}

func parsePrincipal(kind, value string) PrincipalRef {
	ref := PrincipalRef{Type: kind, Value: value}
	switch kind {
	case "AWS":
		ref.Kind, ref.Account = parseAWSPrincipal(value)
	case "Service":
		if isHost(value) {
			ref.Kind = ServicePrincipal
		}
	case "Federated":
		if parts, ok := splitARN(value); ok && parts[2] == "iam" && !strings.ContainsAny(value, "*?") {
			ref.Kind, ref.Account = ProviderPrincipal, parts[4]
		} else if host, _, _ := strings.Cut(value, "/"); isHost(host) && !strings.ContainsAny(value, "*?") {
			ref.Kind = ProviderPrincipal
		}
	case "CanonicalUser":
		ref.Kind = CanonicalUser
	}
	return ref
}

func parseAWSPrincipal(value string) (PrincipalKind, string) {
	switch {
	case value == "*":
		return Everyone, ""
	case isAccount(value):
		return AccountPrincipal, value
	case isEntityID(value):
		return EntityID, ""
	case strings.ContainsAny(value, "*?"):
		return InvalidPrincipal, ""
	}
	arn, ok := splitARN(value)
	// Account numbers mean an account of their partition only, and there is one
	// partition here: that of the forms in spec iam-policy-evaluation.md 4.
	if !ok || arn[0] != "arn" || arn[1] != "aws" || arn[3] != "" || !isAccount(arn[4]) {
		return InvalidPrincipal, ""
	}
	account, resource := arn[4], arn[5]
	kind, name, _ := strings.Cut(resource, "/")
	switch {
	case arn[2] == "iam" && resource == "root":
		return AccountPrincipal, account
	case name == "" || strings.HasSuffix(name, "/"):
		return InvalidPrincipal, ""
	case arn[2] == "iam" && kind == "user":
		return UserPrincipal, account
	case arn[2] == "iam" && kind == "role":
		return RolePrincipal, account
	case arn[2] == "sts" && kind == "assumed-role" && strings.Count(name, "/") == 1:
		return SessionPrincipal, account
	case arn[2] == "sts" && kind == "federated-user" && !strings.Contains(name, "/"):
		return FederatedSession, account
	}
	return InvalidPrincipal, ""
}

func isAccount(s string) bool { return len(s) == 12 && allDigits(s) }

// isEntityID accepts the unique ids of users and roles. Theirs are 21
// characters today; IAM's model allows 16 to 128.
func isEntityID(s string) bool {
	if len(s) < 16 || len(s) > 128 || !strings.HasPrefix(s, "AIDA") && !strings.HasPrefix(s, "AROA") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func isHost(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return strings.Contains(s, ".")
}

// grant is how directly an element of Principal names the caller. It decides
// which other policies must agree (spec iam-policy-evaluation.md 7).
type grant uint8

const (
	notNamed  grant = iota
	delegated       // by account: the account's own policies decide
	limited         // by role, or the user behind a federated session: boundary and session policies still count
	direct          // by itself or "*": nothing else needs to allow
)

// names says how the element names the caller.
func (ref *PrincipalRef) names(p *Principal) grant {
	switch ref.Kind {
	case Everyone:
		return direct
	case AccountPrincipal:
		switch {
		case p.outsider() || p.Account != ref.Account:
			return notNamed
		case p.Type == Root:
			return direct
		}
		return delegated
	case UserPrincipal:
		switch {
		case p.Type == User && p.ARN == ref.Value:
			return direct
		case p.Type == FederatedUser && p.UserARN == ref.Value:
			return limited
		}
	case RolePrincipal:
		if p.Type == AssumedRole && p.RoleARN == ref.Value {
			return limited
		}
	case SessionPrincipal:
		if p.Type == AssumedRole && p.ARN == ref.Value {
			return direct
		}
	case FederatedSession:
		if p.Type == FederatedUser && p.ARN == ref.Value {
			return direct
		}
	case EntityID:
		if p.outsider() || p.Type == Root || p.entityID() != ref.Value {
			return notNamed
		}
		if p.Type == User {
			return direct
		}
		return limited
	case ServicePrincipal:
		if p.Type == Service && p.Service == ref.Value {
			return direct
		}
	case ProviderPrincipal:
		if p.Type == WebIdentity && p.Federated == ref.Value {
			return direct
		}
	}
	return notNamed
}

// naming is the Principal or NotPrincipal element of a statement.
type naming struct {
	refs     []PrincipalRef
	negated  bool
	everyone bool // one of refs is "*"
}

// grants returns how a Principal names the caller: the strongest of its
// elements.
func (n *naming) grants(p *Principal) grant {
	if n.everyone {
		return direct
	}
	best := notNamed
	for i := range n.refs {
		best = max(best, n.refs[i].names(p))
	}
	return best
}

// spares reports whether a NotPrincipal leaves the caller alone: every level
// of it must be listed, since a Deny of the account would hit the user too.
func (n *naming) spares(p *Principal) bool {
	if n.everyone {
		return true
	}
	var self, entity, account bool
	for i := range n.refs {
		ref := &n.refs[i]
		g := ref.names(p)
		switch {
		case g == notNamed:
		case ref.Kind == AccountPrincipal:
			account = true
		case g == limited:
			entity = true
		default:
			self = true
		}
	}
	switch p.Type {
	case Root:
		return account
	case User:
		return self && account
	case AssumedRole, FederatedUser:
		return self && entity && account
	}
	return self
}
