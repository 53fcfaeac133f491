package sts

import (
	"context"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/auth/session"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/denial"
	"github.com/strongroom/strongroom/internal/oidc"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

// Directory is what STS asks of IAM. It answers auth.ErrUnknownKey for what is not
// there.
type Directory interface {
	// Role returns the role that an ARN names.
	Role(ctx context.Context, arn string) (*auth.Role, error)
	// ManagedPolicy returns a version of a managed policy that exists for account,
	// "" for the one in force.
	ManagedPolicy(ctx context.Context, account, arn, version string) (policy.Source, error)
	// Provider returns an account's OpenID Connect provider by its issuer.
	Provider(ctx context.Context, account, issuer string) (*auth.Provider, error)
}

// Tokens verifies ID tokens: package oidc.
type Tokens interface {
	Verify(ctx context.Context, token string, p oidc.Provider, now time.Time) (oidc.Claims, error)
}

// Config is what the service needs.
type Config struct {
	Auth *auth.Service
	// Sessions seals what is handed out.
	Sessions  session.Keys
	Directory Directory
	// Denials are what encoded authorization messages stand for.
	Denials *denial.Log
	MFA     MFA
	Tokens  Tokens
	// Region is that of calls without a signature.
	Region string
	Now    func() time.Time
}

// Service answers the operations of STS.
type Service struct{ Config }

// New makes the service.
func New(c Config) *Service { return &Service{c} }

// GetCallerIdentity needs no permission and cannot be denied (spec iam-sts.md
// 4), but the caller's key must still be good, and a private endpoint let it through.
func (s *Service) GetCallerIdentity(ctx context.Context, _ *GetCallerIdentityInput) (*GetCallerIdentityOutput, error) {
	id, err := s.Auth.Current(ctx)
	if err != nil {
		return nil, err
	}
	p := id.Principal
	return &GetCallerIdentityOutput{UserId: &p.UserID, Account: &p.Account, Arn: &p.ARN}, nil
}

// GetAccessKeyInfo reads the account out of an access key id. Whether there is
// such a key is not looked at, as at AWS.
func (s *Service) GetAccessKeyInfo(ctx context.Context, in *GetAccessKeyInfoInput) (*GetAccessKeyInfoOutput, error) {
	p := wire.CallFrom(ctx).Principal
	if limited(p) {
		return nil, refuse(ctx, "sts:GetAccessKeyInfo", "*", "Cannot call GetAccessKeyInfo with session credentials")
	}
	if err := s.Auth.Authorize(ctx, &auth.Request{Action: "sts:GetAccessKeyInfo", Resource: "*"}); err != nil {
		return nil, err
	}
	account, ok := aws.AccessKeyAccount(*in.AccessKeyId)
	if !ok {
		// AWS's sentence for ids of no form of its own (public threads).
		return nil, ErrValidation("Invalid Access Key ID format.")
	}
	return &GetAccessKeyInfoOutput{Account: &account}, nil
}

// limited says whether credentials are those of GetSessionToken or
// GetFederationToken, which reach a part of STS only (spec iam-sts.md 6).
func limited(p *aws.Principal) bool {
	return p.Session != nil && p.Type != aws.PrincipalAssumedRole
}

// refuse notes a denial that no policy made and returns AWS's error for it.
func refuse(ctx context.Context, action, resource, message string) error {
	wire.CallFrom(ctx).Decide(wire.Decision{Action: action, Resource: resource})
	return &aws.Error{Code: "AccessDenied", Status: 403, Message: message}
}
