package sts

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/oidc"
	"github.com/strongroom/strongroom/internal/wire"
)

const assumeRoleWithWebIdentity = "sts:AssumeRoleWithWebIdentity"

// maxIssuer is the longest URL that a provider can have; of a longer one only so
// much is repeated.
const maxIssuer = 255

// IdentifyAssumeRoleWithWebIdentity verifies the token of a request that has no
// signature. Which provider's token it is, its own claims say; whether that
// provider may vouch for anybody, the account of the role has said by making it.
// Whether its bearer is anybody here, the trust policy of the role says, so that is
// decided before the call counts as somebody's: of a public issuer anybody can have
// a token that is true. The errors are AWS's (spec iam-sts.md 4.2).
func (s *Service) IdentifyAssumeRoleWithWebIdentity(ctx context.Context, in *AssumeRoleWithWebIdentityInput) error {
	role, err := aws.ParseARN(*in.RoleArn)
	if err != nil {
		return ErrValidation("%s is invalid", *in.RoleArn)
	}
	if in.ProviderId != nil {
		// For the access tokens of two old providers, never for ID tokens.
		return ErrValidation("ProviderId is not supported.")
	}
	token := string(*in.WebIdentityToken)
	issuer, err := oidc.Peek(token)
	if err != nil {
		return identityError(err)
	}
	provider, err := s.Directory.Provider(ctx, role.Account, issuer)
	if errors.Is(err, auth.ErrUnknownKey) {
		if len(issuer) > maxIssuer {
			issuer = strings.ToValidUTF8(issuer[:maxIssuer], "")
		}
		return ErrInvalidIdentityToken("No OpenIDConnect provider found in your account for %s", issuer)
	}
	if err != nil {
		return err
	}
	claims, err := s.Tokens.Verify(ctx, token, oidc.Provider{Issuer: provider.Issuer, ClientIDs: provider.ClientIDs, JWKS: provider.JWKS}, s.Now())
	if err != nil {
		return identityError(err)
	}
	v := &vouched{provider: provider, claims: claims, audience: audience(provider, &claims)}
	call := wire.CallFrom(ctx)
	call.Region = s.Region // There is no signature to name one.
	call.Principal = &aws.Principal{
		Type: aws.PrincipalWebIdentity, Provider: provider.ARN, UserName: claims.Subject,
		UserID: provider.ARN + ":" + v.audience + ":" + claims.Subject,
	}
	// The caller has no account: the record goes to the role's, whether or not it has
	// such a role.
	call.Touch(wire.Resource{ARN: *in.RoleArn, Type: "AWS::IAM::Role", Account: role.Account})
	v.assumption = assumption{
		action: assumeRoleWithWebIdentity, arn: *in.RoleArn, session: *in.RoleSessionName, lifetime: lifetime(in.DurationSeconds, usualRole),
		provider: provider.ARN, keys: v.keys(),
	}
	v.role, err = s.take(ctx, &v.assumption)
	if e, ok := errors.AsType[*aws.Error](err); ok && e.Code == "AccessDenied" {
		// Fixed words: the caller has no name that a sentence could begin with.
		return &aws.Error{Code: e.Code, Status: e.Status, Message: "Not authorized to perform " + assumeRoleWithWebIdentity}
	}
	if err != nil {
		return err
	}
	call.Proof = v
	return nil
}

// vouched is what a provider says of the caller, and the role that the caller may
// have for it.
type vouched struct {
	provider *auth.Provider
	claims   oidc.Claims
	// audience is the one that the token was accepted for.
	audience   string
	assumption assumption
	role       *auth.Role
}

func audience(p *auth.Provider, c *oidc.Claims) string {
	for _, a := range append(slices.Clone(c.Audience), c.AuthorizedParty) {
		if slices.Contains(p.ClientIDs, a) {
			return a
		}
	}
	return c.Audience[0] // Not reached: the token was not for this provider.
}

// keys are the condition keys that the claims give, named by the issuer.
//
// Where the token has azp, that is the key aud, and the audiences are the key oaud:
// a token that one client had made and another uses speaks for the one that uses
// it. AWS documents that of the issuers that it knows by itself (IAM User Guide,
// "Available keys for AWS web identity federation"); that it holds for every
// provider, and oaud with it, is unconfirmed.
func (v *vouched) keys() []auth.Key {
	host := strings.TrimPrefix(v.provider.Issuer, "https://")
	audiences := auth.Key{Name: host + ":aud", Values: v.claims.Audience, Multi: len(v.claims.Audience) > 1}
	keys := []auth.Key{{Name: host + ":sub", Values: []string{v.claims.Subject}}}
	if azp := v.claims.AuthorizedParty; azp != "" {
		audiences.Name = host + ":oaud"
		keys = append(keys, auth.Key{Name: host + ":aud", Values: []string{azp}}, auth.Key{Name: host + ":azp", Values: []string{azp}})
	}
	keys = append(keys, audiences)
	if len(v.claims.AMR) > 0 {
		keys = append(keys, auth.Key{Name: host + ":amr", Values: v.claims.AMR, Multi: true})
	}
	return keys
}

// identityError puts the verifier's errors into AWS's words. Those for a token
// whose signature is wrong, or that is not valid yet, and for a provider that does
// not answer are ours (unconfirmed).
func identityError(err error) error {
	if e, ok := errors.AsType[*oidc.ExpiredError](err); ok {
		return ErrExpiredToken("Token expired: current date/time %d must be before the expiration date/time %d", e.Now.Unix(), e.Expires.Unix()).With(err)
	}
	message := ""
	switch {
	case errors.Is(err, oidc.ErrUnreachable):
		return ErrIDPCommunicationError("The identity provider could not be reached").With(err)
	case errors.Is(err, oidc.ErrMalformed):
		message = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
	case errors.Is(err, oidc.ErrAudience):
		message = "Incorrect token audience"
	case errors.Is(err, oidc.ErrNoKeys):
		message = "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements"
	case errors.Is(err, oidc.ErrSignature):
		message = "The signature of the ID Token is not valid"
	case errors.Is(err, oidc.ErrNotYetValid):
		message = "The ID Token is not valid yet"
	default: // Not of the token: another issuer's is not reached, the provider was found by it.
		return err
	}
	return ErrInvalidIdentityToken("%s", message).With(err)
}

// AssumeRoleWithWebIdentity makes a session of a role for the bearer of an ID token
// (spec iam-sts.md 4.2). No account, no policy of its own: the trust policy alone
// decides, and has.
func (s *Service) AssumeRoleWithWebIdentity(ctx context.Context, in *AssumeRoleWithWebIdentityInput) (*AssumeRoleWithWebIdentityOutput, error) {
	call := wire.CallFrom(ctx)
	v, ok := call.Proof.(*vouched)
	if !ok {
		return nil, errors.New("call was not identified")
	}
	a := &v.assumption
	var err error
	if a.policies, err = readPolicies(in.Policy, in.PolicyArns); err != nil {
		return nil, err
	}
	c, user, packed, err := s.assume(ctx, a, v.role)
	if err != nil {
		return nil, err
	}
	elements := map[string]any{
		"credentials": recorded(c), "assumedRoleUser": recordedUser(user),
		"subjectFromWebIdentityToken": v.claims.Subject, "provider": v.provider.ARN, "audience": v.audience,
	}
	if packed != nil {
		elements["packedPolicySize"] = *packed
	}
	call.ResponseElements = elements
	return &AssumeRoleWithWebIdentityOutput{
		Credentials: c, AssumedRoleUser: user, PackedPolicySize: packed,
		SubjectFromWebIdentityToken: &v.claims.Subject, Provider: &v.provider.ARN, Audience: &v.audience,
	}, nil
}
