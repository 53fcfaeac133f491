package sts

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

const (
	assumeRole        = "sts:AssumeRole"
	tagSession        = "sts:TagSession"
	setSourceIdentity = "sts:SetSourceIdentity"

	// usualRole is how long a session of a role lasts unless asked otherwise, and
	// the longest one that another session may make.
	usualRole = time.Hour
)

// assumption is the wish to take a role, as far as it can be judged before the role
// is looked up.
type assumption struct {
	// action is what the trust policy has to allow.
	action  string
	arn     string
	session string
	// lifetime is what was asked for, or the default.
	lifetime time.Duration
	policies passed
	tags     tagging
	// identity is the source identity, passed or inherited; mayNot says that the
	// request would change an inherited one.
	identity string
	mayNot   bool
	provider string
	chained  bool
	keys     []auth.Key
}

// AssumeRole makes a session of a role for whom its trust policy names (spec
// iam-sts.md 4.1).
func (s *Service) AssumeRole(ctx context.Context, in *AssumeRoleInput) (*AssumeRoleOutput, error) {
	call := wire.CallFrom(ctx)
	p := call.Principal
	a := &assumption{
		action: assumeRole, arn: *in.RoleArn, session: *in.RoleSessionName, lifetime: lifetime(in.DurationSeconds, usualRole),
		// GetSessionToken's credentials are under the limit too (spec iam-sts.md 4.1).
		chained: p.Session != nil,
	}
	if err := a.read(p, in); err != nil {
		return nil, err
	}
	switch p.Type {
	case aws.PrincipalRoot:
		return nil, refuse(ctx, assumeRole, a.arn, "Roles may not be assumed by root accounts.")
	case aws.PrincipalFederatedUser: // of STS only GetCallerIdentity is theirs (spec iam-sts.md 6)
		return nil, refuse(ctx, assumeRole, a.arn, notAuthorized(p, assumeRole, a.arn))
	}
	f, err := s.factor(ctx, assumeRole, a.arn, in.SerialNumber, in.TokenCode)
	if err != nil {
		return nil, err
	}
	a.keys = append(a.keys, f.keys()...)
	if in.ExternalId != nil {
		a.keys = append(a.keys, auth.Key{Name: "sts:ExternalId", Values: []string{*in.ExternalId}})
	}
	role, err := s.take(ctx, a)
	if err != nil {
		return nil, err
	}
	c, user, packed, err := s.assume(ctx, a, role)
	if err != nil {
		return nil, err
	}
	out := &AssumeRoleOutput{Credentials: c, AssumedRoleUser: user, PackedPolicySize: packed}
	elements := map[string]any{"credentials": recorded(c), "assumedRoleUser": recordedUser(user)}
	if packed != nil {
		elements["packedPolicySize"] = *packed
	}
	if a.identity != "" {
		out.SourceIdentity = &a.identity
		elements["sourceIdentity"] = a.identity
	}
	call.ResponseElements = elements
	return out, nil
}

// read checks the request and what the caller's own session adds to it.
func (a *assumption) read(p *aws.Principal, in *AssumeRoleInput) (err error) {
	if _, err := aws.ParseARN(a.arn); err != nil {
		return ErrValidation("%s is invalid", a.arn)
	}
	if len(in.ProvidedContexts) > 0 {
		// Identity propagation of an Identity Center, which there is none of.
		return ErrValidation("ProvidedContexts is not supported.")
	}
	if a.policies, err = readPolicies(in.Policy, in.PolicyArns); err != nil {
		return err
	}
	if a.tags, err = readTags(p.Session, in.Tags, in.TransitiveTagKeys); err != nil {
		return err
	}
	if p.Session != nil {
		a.identity = p.Session.SourceIdentity
	}
	if in.SourceIdentity != nil {
		a.mayNot = a.identity != "" && a.identity != *in.SourceIdentity
		a.identity = *in.SourceIdentity
	}
	return nil
}

// take decides whether the caller may have the role. Somebody who may not learns
// nothing: that there is no such role and that its trust policy says no read the
// same, and take the same steps.
func (s *Service) take(ctx context.Context, a *assumption) (*auth.Role, error) {
	role, err := s.Directory.Role(ctx, a.arn)
	if errors.Is(err, auth.ErrUnknownKey) {
		// A role without a trust policy lets nobody in.
		arn, _ := aws.ParseARN(a.arn)
		role, err = &auth.Role{Account: arn.Account, ARN: a.arn}, nil
	}
	if err != nil {
		return nil, err
	}
	actions := []string{a.action}
	// Inherited tags and identities need the consent of every role that they come
	// to (IAM User Guide, "Chaining roles with session tags" and "Monitor and
	// control actions taken with assumed roles").
	if len(a.tags.all) > 0 {
		actions = append(actions, tagSession)
	}
	if a.identity != "" {
		actions = append(actions, setSourceIdentity)
	}
	keys := a.conditions()
	for _, action := range actions {
		if err := s.Auth.Authorize(ctx, &auth.Request{
			Action: action, Resource: a.arn, Shown: a.arn, Bare: true, Account: role.Account,
			Policy: role.Trust, Mandatory: true, Keys: keys, Tags: role.Tags,
		}); err != nil {
			return nil, err
		}
	}
	if a.mayNot {
		// A source identity once set stays (the same guide). Who could pass the role
		// is told, in the words of a denial; AWS's are unconfirmed.
		p := wire.CallFrom(ctx).Principal
		return nil, refuse(ctx, setSourceIdentity, a.arn, notAuthorized(p, setSourceIdentity, a.arn))
	}
	// Only now: the record of a refusal would tell the caller's account which roles
	// another one has.
	if call := wire.CallFrom(ctx); len(call.Resources) == 0 {
		call.Touch(wire.Resource{ARN: role.ARN, Type: "AWS::IAM::Role", Account: role.Account})
	}
	return role, nil
}

func notAuthorized(p *aws.Principal, action, resource string) string {
	return "User: " + p.ARN + " is not authorized to perform: " + action + " on resource: " + resource
}

// conditions are the condition keys that the request gives (spec
// iam-policy-evaluation.md 6). The duration is there also where the request leaves
// it out (unconfirmed): a policy that bounds it means the session.
func (a *assumption) conditions() []auth.Key {
	keys := append(a.keys, auth.RequestTags(a.tags.passed)...)
	keys = append(keys,
		auth.Key{Name: "sts:RoleSessionName", Values: []string{a.session}},
		auth.Key{Name: "sts:DurationSeconds", Values: []string{strconv.Itoa(int(a.lifetime / time.Second))}},
	)
	if a.identity != "" {
		keys = append(keys, auth.Key{Name: "sts:SourceIdentity", Values: []string{a.identity}})
	}
	if len(a.tags.transitive) > 0 {
		keys = append(keys, auth.Key{Name: "sts:TransitiveTagKeys", Values: a.tags.transitive, Multi: true})
	}
	return keys
}

// assume makes the session of a role that the caller may have.
func (s *Service) assume(ctx context.Context, a *assumption, role *auth.Role) (c *Credentials, user *AssumedRoleUser, size *int32, err error) {
	switch {
	case a.chained && a.lifetime > usualRole:
		return nil, nil, nil, ErrValidation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	case a.lifetime > role.MaxSession:
		return nil, nil, nil, ErrValidation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	policies, err := s.freeze(ctx, role.Account, a.policies)
	if err != nil {
		return nil, nil, nil, err
	}
	c, packed, err := s.issue(&aws.Session{
		Type: aws.PrincipalAssumedRole, Account: role.Account, EntityID: role.ID, Name: a.session, Voided: role.SessionsAfter,
		SourceIdentity: a.identity, Provider: a.provider, Tags: a.tags.all, Transitive: a.tags.transitive, Policies: policies,
		// No second factor: sessions of roles do not tell of one (AssumeRole's
		// documentation), since the trust policy has already asked for it.
	}, a.lifetime)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(policies) > 0 || len(a.tags.passed) > 0 {
		size = &packed // absent otherwise (spec iam-sts.md 4.1, recorded)
	}
	// The session's ARN names the role without its path (spec iam-sts.md 2).
	name := role.ARN[strings.LastIndexByte(role.ARN, '/')+1:]
	return c, &AssumedRoleUser{
		AssumedRoleId: new(role.ID + ":" + a.session),
		Arn:           new("arn:" + aws.Partition + ":sts::" + role.Account + ":assumed-role/" + name + "/" + a.session),
	}, size, nil
}

func recordedUser(u *AssumedRoleUser) map[string]any {
	return map[string]any{"assumedRoleId": *u.AssumedRoleId, "arn": *u.Arn}
}
