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
	// UserName is set for IAM users only.
	UserName string
	// RoleARN is set for role sessions only: the ARN of the role, with path.
	RoleARN string
	// UserARN is set for federated users only: the user that federated them.
	UserARN string
	// Service is set for service principals only, such as
	// "secretsmanager.amazonaws.com".
	Service string
	// AccessKeyID is the id of the key that signed the call.
	AccessKeyID string
	// Tags are aws:PrincipalTag/*.
	Tags []Tag
	// Session is set for temporary credentials only.
	Session *Session
}

// Session holds what is known of temporary credentials.
type Session struct {
	Issued, Expires time.Time
	MFA             bool
}

// PolicyARN is the ARN that aws:PrincipalArn holds: the role for a session of
// a role, else the principal itself.
func (p *Principal) PolicyARN() string {
	if p.RoleARN != "" {
		return p.RoleARN
	}
	return p.ARN
}
