package iam

import (
	"context"
	"errors"
	"unicode"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// PutUserPolicy embeds a policy in a user, replacing one of the same name.
func (s *Service) PutUserPolicy(ctx context.Context, in *PutUserPolicyInput) (*PutUserPolicyOutput, error) {
	return &PutUserPolicyOutput{}, s.putInline(ctx, "PutUserPolicy", userKind, *in.UserName, *in.PolicyName, *in.PolicyDocument)
}

// PutRolePolicy embeds a policy in a role, replacing one of the same name.
func (s *Service) PutRolePolicy(ctx context.Context, in *PutRolePolicyInput) (*PutRolePolicyOutput, error) {
	return &PutRolePolicyOutput{}, s.putInline(ctx, "PutRolePolicy", roleKind, *in.RoleName, *in.PolicyName, *in.PolicyDocument)
}

func (s *Service) putInline(ctx context.Context, action string, k kind, name, policyName, document string) error {
	h, err := s.authorizeHolder(ctx, action, k, name)
	if err != nil {
		return err
	}
	if err := checkIdentityPolicy(document); err != nil {
		return err
	}
	return s.change(ctx, h, func(tx store.Tx) error {
		held, err := listInlinePolicies(tx, h.account, h.id)
		if err != nil {
			return err
		}
		size := policySize(document)
		for _, p := range held {
			if p.Name != policyName {
				size += policySize(p.Document)
			}
		}
		if most := inlineSize(k); size > most {
			return ErrLimitExceeded("Maximum policy size of %d bytes exceeded for %s %s", most, k, h.name)
		}
		return putInlinePolicy(tx, h.account, h.id, policyName, document)
	})
}

// GetUserPolicy returns a policy as it was put, percent-encoded as IAM does.
func (s *Service) GetUserPolicy(ctx context.Context, in *GetUserPolicyInput) (*GetUserPolicyOutput, error) {
	h, document, err := s.getInline(ctx, "GetUserPolicy", userKind, *in.UserName, *in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &GetUserPolicyOutput{UserName: &h.name, PolicyName: in.PolicyName, PolicyDocument: &document}, nil
}

// GetRolePolicy returns a policy as it was put.
func (s *Service) GetRolePolicy(ctx context.Context, in *GetRolePolicyInput) (*GetRolePolicyOutput, error) {
	h, document, err := s.getInline(ctx, "GetRolePolicy", roleKind, *in.RoleName, *in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &GetRolePolicyOutput{RoleName: &h.name, PolicyName: in.PolicyName, PolicyDocument: &document}, nil
}

func (s *Service) getInline(ctx context.Context, action string, k kind, name, policyName string) (h holder, document string, err error) {
	if h, err = s.authorizeHolder(ctx, action, k, name); err != nil {
		return h, "", err
	}
	var p inlinePolicy
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		p, err = getInlinePolicy(tx, h.account, h.id, policyName)
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return h, "", errNoInline(k, policyName)
	}
	return h, wire.PercentEncode(p.Document), err
}

// DeleteUserPolicy removes an embedded policy.
func (s *Service) DeleteUserPolicy(ctx context.Context, in *DeleteUserPolicyInput) (*DeleteUserPolicyOutput, error) {
	return &DeleteUserPolicyOutput{}, s.deleteInline(ctx, "DeleteUserPolicy", userKind, *in.UserName, *in.PolicyName)
}

// DeleteRolePolicy removes an embedded policy.
func (s *Service) DeleteRolePolicy(ctx context.Context, in *DeleteRolePolicyInput) (*DeleteRolePolicyOutput, error) {
	return &DeleteRolePolicyOutput{}, s.deleteInline(ctx, "DeleteRolePolicy", roleKind, *in.RoleName, *in.PolicyName)
}

func (s *Service) deleteInline(ctx context.Context, action string, k kind, name, policyName string) error {
	h, err := s.authorizeHolder(ctx, action, k, name)
	if err != nil {
		return err
	}
	return s.change(ctx, h, func(tx store.Tx) error {
		found, err := deleteInlinePolicy(tx, h.account, h.id, policyName)
		if err == nil && !found {
			return errNoInline(k, policyName)
		}
		return err
	})
}

// ListUserPolicies lists the names of a user's embedded policies.
func (s *Service) ListUserPolicies(ctx context.Context, in *ListUserPoliciesInput) (*ListUserPoliciesOutput, error) {
	names, marker, err := s.listInline(ctx, "ListUserPolicies", userKind, *in.UserName, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &ListUserPoliciesOutput{PolicyNames: names, IsTruncated: new(marker != nil), Marker: marker}, nil
}

// ListRolePolicies lists the names of a role's embedded policies.
func (s *Service) ListRolePolicies(ctx context.Context, in *ListRolePoliciesInput) (*ListRolePoliciesOutput, error) {
	names, marker, err := s.listInline(ctx, "ListRolePolicies", roleKind, *in.RoleName, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &ListRolePoliciesOutput{PolicyNames: names, IsTruncated: new(marker != nil), Marker: marker}, nil
}

func (s *Service) listInline(ctx context.Context, action string, k kind, name string, marker *string, maxItems *int32) ([]string, *string, error) {
	after, limit, err := page(marker, maxItems)
	if err != nil {
		return nil, nil, err
	}
	h, err := s.authorizeHolder(ctx, action, k, name)
	if err != nil {
		return nil, nil, err
	}
	var held []inlinePolicy
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		held, err = listInlinePolicies(tx, h.account, h.id)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	held, next := cut(held, func(p inlinePolicy) string { return p.Name }, after, limit)
	names := []string{}
	for _, p := range held {
		names = append(names, p.Name)
	}
	return names, next, nil
}

// checkIdentityPolicy refuses what IAM refuses, in its words (spec
// iam-policy-evaluation.md 1.1).
func checkIdentityPolicy(text string) error {
	if _, err := policy.ParseAs([]byte(text), policy.KindIdentity); err != nil {
		return ErrMalformedPolicyDocument("%s", err)
	}
	return nil
}

// policySize counts characters without white space, as the quotas do.
func policySize(text string) int {
	n := 0
	for _, r := range text {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

func errNoInline(k kind, name string) *aws.Error {
	return ErrNoSuchEntity("The %s policy with name %s cannot be found.", k, name)
}
