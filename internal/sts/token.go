package sts

import (
	"context"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

const (
	// usualUser is how long credentials of GetSessionToken and GetFederationToken
	// last unless asked otherwise.
	usualUser = 12 * time.Hour
	// longestRoot is the longest that root's last. What is asked for beyond it is cut
	// and not refused (documentation of both operations).
	longestRoot = time.Hour
)

// GetSessionToken makes temporary credentials of a user for itself. They need no
// permission: their point is the second factor that they carry (spec iam-sts.md 4).
func (s *Service) GetSessionToken(ctx context.Context, in *GetSessionTokenInput) (*GetSessionTokenOutput, error) {
	call := wire.CallFrom(ctx)
	if call.Principal.Session != nil {
		return nil, refuse(ctx, "sts:GetSessionToken", "*", "Cannot call GetSessionToken with session credentials")
	}
	// Asked first: the mark against which the session is held comes with it.
	id, err := s.Auth.Current(ctx)
	if err != nil {
		return nil, err
	}
	f, err := s.factor(ctx, "sts:GetSessionToken", "*", in.SerialNumber, in.TokenCode)
	if err != nil {
		return nil, err
	}
	made, last := s.own(id, in.DurationSeconds)
	made.MFA, made.MFAAt = f.shown, f.at
	c, _, err := s.issue(made, last)
	if err != nil {
		return nil, err
	}
	call.ResponseElements = map[string]any{"credentials": recorded(c)}
	return &GetSessionTokenOutput{Credentials: c}, nil
}

// own is a session of the caller itself.
func (s *Service) own(id *auth.Identity, seconds *int32) (*aws.Session, time.Duration) {
	p := id.Principal
	last := lifetime(seconds, usualUser)
	entity := p.EntityID
	if p.Type == aws.PrincipalRoot {
		entity, last = p.Account, min(last, longestRoot)
	}
	// Root's keys end by themselves, and so must what is made of them.
	if !id.Expires.IsZero() {
		last = min(last, id.Expires.Sub(s.Now().Truncate(time.Second)))
	}
	return &aws.Session{Type: p.Type, Account: p.Account, EntityID: entity, Voided: id.SessionsAfter}, last
}

// GetFederationToken makes temporary credentials of a user for somebody else, who
// may do what both the user and the policies passed allow.
func (s *Service) GetFederationToken(ctx context.Context, in *GetFederationTokenInput) (*GetFederationTokenOutput, error) {
	call := wire.CallFrom(ctx)
	p := call.Principal
	arn := "arn:" + aws.Partition + ":sts::" + p.Account + ":federated-user/" + *in.Name
	policies, err := readPolicies(in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	tags, err := readTags(nil, in.Tags, nil)
	if err != nil {
		return nil, err
	}
	if p.Session != nil {
		return nil, refuse(ctx, "sts:GetFederationToken", arn, "Cannot call GetFederationToken with session credentials")
	}
	actions := []string{"sts:GetFederationToken"}
	if len(tags.all) > 0 {
		actions = append(actions, tagSession)
	}
	for _, action := range actions {
		if err := s.Auth.Authorize(ctx, &auth.Request{Action: action, Resource: arn, Shown: arn, Keys: auth.RequestTags(tags.all)}); err != nil {
			return nil, err
		}
	}
	id, err := s.Auth.Caller(ctx)
	if err != nil {
		return nil, err
	}
	made, last := s.own(id, in.DurationSeconds)
	made.Type, made.Name, made.Tags = aws.PrincipalFederatedUser, *in.Name, tags.all
	if made.Policies, err = s.freeze(ctx, p.Account, policies); err != nil {
		return nil, err
	}
	c, packed, err := s.issue(made, last)
	if err != nil {
		return nil, err
	}
	if len(made.Policies) == 0 && len(made.Tags) == 0 {
		packed = 0 // and present, unlike AssumeRole's (spec iam-sts.md 4, recorded)
	}
	user := &FederatedUser{FederatedUserId: new(p.Account + ":" + *in.Name), Arn: &arn}
	call.ResponseElements = map[string]any{
		"credentials": recorded(c), "packedPolicySize": packed,
		"federatedUser": map[string]any{"federatedUserId": *user.FederatedUserId, "arn": arn},
	}
	return &GetFederationTokenOutput{Credentials: c, FederatedUser: user, PackedPolicySize: &packed}, nil
}
