package iam

import (
	"context"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// AttachUserPolicy attaches a managed policy to a user.
func (s *Service) AttachUserPolicy(ctx context.Context, in *AttachUserPolicyInput) (*AttachUserPolicyOutput, error) {
	return &AttachUserPolicyOutput{}, s.attach(ctx, "AttachUserPolicy", userKind, *in.UserName, *in.PolicyArn)
}

// AttachRolePolicy attaches a managed policy to a role.
func (s *Service) AttachRolePolicy(ctx context.Context, in *AttachRolePolicyInput) (*AttachRolePolicyOutput, error) {
	return &AttachRolePolicyOutput{}, s.attach(ctx, "AttachRolePolicy", roleKind, *in.RoleName, *in.PolicyArn)
}

func (s *Service) attach(ctx context.Context, action string, k kind, name, arn string) error {
	h, err := s.authorizeAttachment(ctx, action, k, name, arn)
	if err != nil {
		return err
	}
	return s.change(ctx, h, func(tx store.Tx) error {
		if _, err := findPolicy(tx, h.account, arn); isMissing(err) {
			return errNotAttachable(arn)
		} else if err != nil {
			return err
		}
		held, err := attachedPolicies(tx, h.account, h.id)
		if err != nil {
			return err
		}
		if !slices.Contains(held, arn) && len(held) >= s.quotas.PoliciesPerEntity {
			return ErrLimitExceeded("Cannot exceed quota for PoliciesPer%s: %d", k.title(), s.quotas.PoliciesPerEntity)
		}
		return attachPolicy(tx, h.account, h.id, arn)
	})
}

// authorizeAttachment decides on a change of what is attached to an entity.
func (s *Service) authorizeAttachment(ctx context.Context, action string, k kind, name, arn string) (holder, error) {
	if !policyARN(arn) {
		return holder{}, wire.Invalid(errBadARN(arn))
	}
	return s.authorizeHolder(ctx, action, k, name, auth.Key{Name: policyARNKey, Values: []string{arn}})
}

// DetachUserPolicy detaches a managed policy from a user.
func (s *Service) DetachUserPolicy(ctx context.Context, in *DetachUserPolicyInput) (*DetachUserPolicyOutput, error) {
	return &DetachUserPolicyOutput{}, s.detach(ctx, "DetachUserPolicy", userKind, *in.UserName, *in.PolicyArn)
}

// DetachRolePolicy detaches a managed policy from a role.
func (s *Service) DetachRolePolicy(ctx context.Context, in *DetachRolePolicyInput) (*DetachRolePolicyOutput, error) {
	return &DetachRolePolicyOutput{}, s.detach(ctx, "DetachRolePolicy", roleKind, *in.RoleName, *in.PolicyArn)
}

func (s *Service) detach(ctx context.Context, action string, k kind, name, arn string) error {
	h, err := s.authorizeAttachment(ctx, action, k, name, arn)
	if err != nil {
		return err
	}
	return s.change(ctx, h, func(tx store.Tx) error {
		found, err := detachPolicy(tx, h.account, h.id, arn)
		if err == nil && !found {
			return errPolicyNotFound(arn)
		}
		return err
	})
}

// ListAttachedUserPolicies lists what is attached to a user itself, not to its
// groups.
func (s *Service) ListAttachedUserPolicies(ctx context.Context, in *ListAttachedUserPoliciesInput) (*ListAttachedUserPoliciesOutput, error) {
	list, marker, err := s.listAttached(ctx, "ListAttachedUserPolicies", userKind, *in.UserName, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &ListAttachedUserPoliciesOutput{AttachedPolicies: list, IsTruncated: new(marker != nil), Marker: marker}, nil
}

// ListAttachedRolePolicies lists what is attached to a role.
func (s *Service) ListAttachedRolePolicies(ctx context.Context, in *ListAttachedRolePoliciesInput) (*ListAttachedRolePoliciesOutput, error) {
	list, marker, err := s.listAttached(ctx, "ListAttachedRolePolicies", roleKind, *in.RoleName, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &ListAttachedRolePoliciesOutput{AttachedPolicies: list, IsTruncated: new(marker != nil), Marker: marker}, nil
}

func (s *Service) listAttached(ctx context.Context, action string, k kind, name string, prefix, marker *string, maxItems *int32) ([]AttachedPolicy, *string, error) {
	after, limit, err := pageOf(marker, maxItems, policyARN)
	if err != nil {
		return nil, nil, err
	}
	h, err := s.authorizeHolder(ctx, action, k, name)
	if err != nil {
		return nil, nil, err
	}
	var held []string
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		held, err = attachedPolicies(tx, h.account, h.id)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	held = slices.DeleteFunc(held, func(arn string) bool {
		path, _ := splitPolicyARN(arn)
		return !strings.HasPrefix(path, deref(prefix, "/"))
	})
	held, next := cut(held, func(arn string) string { return arn }, after, limit)
	return wireAttached(held), next, nil
}

// splitPolicyARN returns the path and the name in a policy's ARN.
func splitPolicyARN(arn string) (path, name string) {
	resource := arn[strings.LastIndexByte(arn, ':')+1:]
	slash := strings.LastIndexByte(resource, '/')
	return strings.TrimPrefix(resource[:slash+1], "policy"), resource[slash+1:]
}

func wireAttached(arns []string) []AttachedPolicy {
	out := []AttachedPolicy{}
	for _, arn := range arns {
		_, name := splitPolicyARN(arn)
		out = append(out, AttachedPolicy{PolicyName: &name, PolicyArn: &arn})
	}
	return out
}
