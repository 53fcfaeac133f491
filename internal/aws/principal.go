package aws

import "time"

// PrincipalType is the kind of caller, in the words of aws:PrincipalType's
// table (spec iam-policy-evaluation.md 6 and 12).
type PrincipalType string

// The kinds of principal.
const (
	PrincipalUser          PrincipalType = "User"
	PrincipalAssumedRole   PrincipalType = "AssumedRole"
	PrincipalFederatedUser PrincipalType = "FederatedUser"
	PrincipalRoot          PrincipalType = "Root"
	PrincipalService       PrincipalType = "Service"
	PrincipalAnonymous     PrincipalType = "Anonymous"
	// PrincipalWebIdentity is known by the provider that vouches for it and has
	// no account.
	PrincipalWebIdentity PrincipalType = "WebIdentity"
)

// Principal is an authenticated caller. It is immutable once made and may be
// shared between calls.
type Principal struct {
	Type PrincipalType
	// Account is the 12-digit account that the caller belongs to.
	Account string
	// ARN is the caller's own ARN: the session ARN for an assumed role.
	ARN string
	// UserID is aws:userid: AIDA… for a user, AROA…:session for a role session,
	// the account id for root.
	UserID string
	// EntityID is the unique id (AIDA…, AROA…) of the user or role behind the
	// caller, by which stored policies name it; "" for all other kinds.
	EntityID string
	// UserName is set for IAM users only.
	UserName string
	// RoleARN is set for role sessions only: the ARN of the role, with path.
	RoleARN string
	// UserARN is set for federated users only: the user that federated them.
	UserARN string
	// Service is set for service principals only, such as
	// "secretsmanager.amazonaws.com".
	Service string
	// Provider is set for web identities only: the ARN of the identity provider.
	Provider string
	// AccessKeyID is the id of the key that signed the call.
	AccessKeyID string
	// Tags are aws:PrincipalTag/*.
	Tags []Tag
	// Session is set for temporary credentials only.
	Session *Session
}

// Session describes temporary credentials: all that was fixed when they were
// made. What their holder may do besides follows from the user or role as it is
// now.
type Session struct {
	// Type is User for GetSessionToken's, or Root, AssumedRole, FederatedUser.
	Type    PrincipalType `json:"t"`
	Account string        `json:"a"`
	// EntityID is the unique id of the user or role, the account's id for root.
	EntityID string `json:"e"`
	// Name is the name of a role session or of a federated user.
	Name    string    `json:"n,omitzero"`
	Issued  time.Time `json:"i"`
	Expires time.Time `json:"x"`
	// Voided is the moment up to which the user's or role's sessions had been voided
	// when this one was made. Once that has moved the session is void itself, however
	// the clocks of the nodes differ.
	Voided time.Time `json:"o,omitzero"`
	// MFA says that a second factor was shown, at MFAAt.
	MFA   bool      `json:"m,omitzero"`
	MFAAt time.Time `json:"ma,omitzero"`
	// SourceIdentity is sticky along a chain of roles.
	SourceIdentity string `json:"s,omitzero"`
	// Provider is aws:FederatedProvider of a web identity's session.
	Provider string `json:"p,omitzero"`
	// Tags are session tags, the inherited ones included; Transitive are the keys
	// of those that the next session of a chain inherits.
	Tags       []Tag    `json:"g,omitzero"`
	Transitive []string `json:"v,omitzero"`
	// Policies limit the session when there are any.
	Policies []SessionPolicy `json:"l,omitzero"`
}

// SessionPolicy is a policy passed when a session was made: a text, or a version
// of a managed policy, whose text never changes.
type SessionPolicy struct {
	Text    string `json:"t,omitzero"`
	ARN     string `json:"a,omitzero"`
	Version string `json:"v,omitzero"`
}

// PolicyARN is the ARN that aws:PrincipalArn holds: the role for a session of
// a role, else the principal itself.
func (p *Principal) PolicyARN() string {
	if p.RoleARN != "" {
		return p.RoleARN
	}
	return p.ARN
}
