package iam

import (
	"context"
	"errors"
	"unicode"

	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// PutUserPolicy embeds a policy in a user, replacing one of the same name.
func (s *Service) PutUserPolicy(ctx context.Context, in *PutUserPolicyInput) (*PutUserPolicyOutput, error) {
	u, err := s.authorizeUser(ctx, "PutUserPolicy", *in.UserName)
	if err != nil {
		return nil, err
	}
	if err := checkIdentityPolicy(*in.PolicyDocument); err != nil {
		return nil, err
	}
	return &PutUserPolicyOutput{}, s.change(ctx, u, func(tx store.Tx) error {
		held, err := listInlinePolicies(tx, u.Account, u.ID)
		if err != nil {
			return err
		}
		size := policySize(*in.PolicyDocument)
		for _, p := range held {
			if p.Name != *in.PolicyName {
				size += policySize(p.Document)
			}
		}
		if size > s.quotas.InlinePolicySize {
			return ErrLimitExceeded("Maximum policy size of %d bytes exceeded for user %s", s.quotas.InlinePolicySize, u.Name)
		}
		return putInlinePolicy(tx, u.Account, u.ID, *in.PolicyName, *in.PolicyDocument)
	})
}

// GetUserPolicy returns a policy as it was put, percent-encoded as IAM does.
func (s *Service) GetUserPolicy(ctx context.Context, in *GetUserPolicyInput) (*GetUserPolicyOutput, error) {
	u, err := s.authorizeUser(ctx, "GetUserPolicy", *in.UserName)
	if err != nil {
		return nil, err
	}
	var p inlinePolicy
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		p, err = getInlinePolicy(tx, u.Account, u.ID, *in.PolicyName)
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return nil, errNoPolicy(*in.PolicyName)
	}
	if err != nil {
		return nil, err
	}
	return &GetUserPolicyOutput{UserName: &u.Name, PolicyName: in.PolicyName, PolicyDocument: new(wire.PercentEncode(p.Document))}, nil
}

// DeleteUserPolicy removes an embedded policy.
func (s *Service) DeleteUserPolicy(ctx context.Context, in *DeleteUserPolicyInput) (*DeleteUserPolicyOutput, error) {
	u, err := s.authorizeUser(ctx, "DeleteUserPolicy", *in.UserName)
	if err != nil {
		return nil, err
	}
	return &DeleteUserPolicyOutput{}, s.change(ctx, u, func(tx store.Tx) error {
		found, err := deleteInlinePolicy(tx, u.Account, u.ID, *in.PolicyName)
		if err == nil && !found {
			return errNoPolicy(*in.PolicyName)
		}
		return err
	})
}

// ListUserPolicies lists the names of a user's embedded policies.
func (s *Service) ListUserPolicies(ctx context.Context, in *ListUserPoliciesInput) (*ListUserPoliciesOutput, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "ListUserPolicies", *in.UserName)
	if err != nil {
		return nil, err
	}
	var held []inlinePolicy
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		held, err = listInlinePolicies(tx, u.Account, u.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	held, marker := cut(held, func(p inlinePolicy) string { return p.Name }, after, limit)
	out := &ListUserPoliciesOutput{PolicyNames: []string{}, IsTruncated: new(marker != nil), Marker: marker}
	for _, p := range held {
		out.PolicyNames = append(out.PolicyNames, p.Name)
	}
	return out, nil
}

// checkIdentityPolicy refuses what IAM refuses, in its words (spec
// iam-policy-evaluation.md 1.1).
func checkIdentityPolicy(text string) error {
	if _, err := policy.ParseAs([]byte(text), policy.KindIdentity); err != nil {
		return ErrMalformedPolicyDocument("%s", err)
	}
	return nil
}

// policySize counts characters without white space, as the quota does.
func policySize(text string) int {
	n := 0
	for _, r := range text {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

func errNoPolicy(name string) error {
	return ErrNoSuchEntity("The user policy with name %s cannot be found.", name)
}
