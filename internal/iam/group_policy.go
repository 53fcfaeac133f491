package iam

import "context"

// PutGroupPolicy embeds a policy in a group, replacing one of the same name.
func (s *Service) PutGroupPolicy(ctx context.Context, in *PutGroupPolicyInput) (*PutGroupPolicyOutput, error) {
	return &PutGroupPolicyOutput{}, s.putInline(ctx, "PutGroupPolicy", groupKind, *in.GroupName, *in.PolicyName, *in.PolicyDocument)
}

// GetGroupPolicy returns a policy as it was put.
func (s *Service) GetGroupPolicy(ctx context.Context, in *GetGroupPolicyInput) (*GetGroupPolicyOutput, error) {
	h, document, err := s.getInline(ctx, "GetGroupPolicy", groupKind, *in.GroupName, *in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &GetGroupPolicyOutput{GroupName: &h.name, PolicyName: in.PolicyName, PolicyDocument: &document}, nil
}

// DeleteGroupPolicy removes an embedded policy.
func (s *Service) DeleteGroupPolicy(ctx context.Context, in *DeleteGroupPolicyInput) (*DeleteGroupPolicyOutput, error) {
	return &DeleteGroupPolicyOutput{}, s.deleteInline(ctx, "DeleteGroupPolicy", groupKind, *in.GroupName, *in.PolicyName)
}

// ListGroupPolicies lists the names of a group's embedded policies.
func (s *Service) ListGroupPolicies(ctx context.Context, in *ListGroupPoliciesInput) (*ListGroupPoliciesOutput, error) {
	names, marker, err := s.listInline(ctx, "ListGroupPolicies", groupKind, *in.GroupName, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &ListGroupPoliciesOutput{PolicyNames: names, IsTruncated: new(marker != nil), Marker: marker}, nil
}

// AttachGroupPolicy attaches a managed policy to a group.
func (s *Service) AttachGroupPolicy(ctx context.Context, in *AttachGroupPolicyInput) (*AttachGroupPolicyOutput, error) {
	return &AttachGroupPolicyOutput{}, s.attach(ctx, "AttachGroupPolicy", groupKind, *in.GroupName, *in.PolicyArn)
}

// DetachGroupPolicy detaches a managed policy from a group.
func (s *Service) DetachGroupPolicy(ctx context.Context, in *DetachGroupPolicyInput) (*DetachGroupPolicyOutput, error) {
	return &DetachGroupPolicyOutput{}, s.detach(ctx, "DetachGroupPolicy", groupKind, *in.GroupName, *in.PolicyArn)
}

// ListAttachedGroupPolicies lists what is attached to a group.
func (s *Service) ListAttachedGroupPolicies(ctx context.Context, in *ListAttachedGroupPoliciesInput) (*ListAttachedGroupPoliciesOutput, error) {
	list, marker, err := s.listAttached(ctx, "ListAttachedGroupPolicies", groupKind, *in.GroupName, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &ListAttachedGroupPoliciesOutput{AttachedPolicies: list, IsTruncated: new(marker != nil), Marker: marker}, nil
}
