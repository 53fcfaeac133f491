package iam

import (
	"context"

	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// maxVersions is how many versions a managed policy has at most (spec iam-sts.md
// 3.2).
const maxVersions = 5

// CreatePolicyVersion adds a version to a policy; only with SetAsDefault does it
// take effect. Numbers are never used again.
func (s *Service) CreatePolicyVersion(ctx context.Context, in *CreatePolicyVersionInput) (*CreatePolicyVersionOutput, error) {
	p, found, err := s.authorizeOwn(ctx, "CreatePolicyVersion", *in.PolicyArn, "", cannotUpdate)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNotAttachable(*in.PolicyArn)
	}
	if err := checkManagedPolicy(*in.PolicyDocument); err != nil {
		return nil, err
	}
	v := policyVersion{Document: *in.PolicyDocument}
	now, err := s.changePolicy(ctx, p, errNotAttachable(p.ARN), func(tx store.Tx, now *managedPolicy) error {
		versions, err := listPolicyVersions(tx, p.Account, p.ID)
		if err != nil {
			return err
		}
		if len(versions) >= maxVersions {
			return ErrLimitExceeded("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxVersions)
		}
		v.Number, v.CreatedAt = now.NextVersion, tx.Now()
		now.NextVersion++
		now.UpdatedAt = tx.Now()
		if deref(in.SetAsDefault, false) {
			now.DefaultVersion = v.Number
		}
		if err := insertPolicyVersion(tx, p.Account, p.ID, v); err != nil {
			return err
		}
		return updatePolicy(tx, *now)
	})
	if err != nil {
		return nil, err
	}
	out := wireVersion(v, now.DefaultVersion)
	wire.CallFrom(ctx).ResponseElements = map[string]any{"policyVersion": map[string]any{
		"versionId": v.id(), "isDefaultVersion": *out.IsDefaultVersion, "createDate": recordTime(v.CreatedAt),
	}}
	return &CreatePolicyVersionOutput{PolicyVersion: &out}, nil
}

// GetPolicyVersion returns a version with its text as it was given.
func (s *Service) GetPolicyVersion(ctx context.Context, in *GetPolicyVersionInput) (*GetPolicyVersionOutput, error) {
	p, found, err := s.authorizePolicy(ctx, "GetPolicyVersion", *in.PolicyArn, shownVersion(*in.VersionId))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNoVersion(*in.PolicyArn, *in.VersionId)
	}
	var v policyVersion
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		v, err = findPolicyVersion(tx, &p, versionNumber(*in.VersionId))
		return err
	})
	if isMissing(err) {
		return nil, errNoVersion(p.ARN, *in.VersionId)
	}
	if err != nil {
		return nil, err
	}
	out := wireVersion(v, p.DefaultVersion)
	out.Document = new(wire.PercentEncode(v.Document))
	return &GetPolicyVersionOutput{PolicyVersion: &out}, nil
}

// shownVersion is how a denial names the version behind the policy.
func shownVersion(id string) string { return " version " + id }

// ListPolicyVersions lists the newest first, without the texts.
func (s *Service) ListPolicyVersions(ctx context.Context, in *ListPolicyVersionsInput) (*ListPolicyVersionsOutput, error) {
	after, limit, err := pageOf(in.Marker, in.MaxItems, func(text string) bool { return versionNumber(text) != 0 })
	if err != nil {
		return nil, err
	}
	p, found, err := s.authorizePolicy(ctx, "ListPolicyVersions", *in.PolicyArn, "")
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNotAttachable(*in.PolicyArn)
	}
	var versions []policyVersion
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		versions, err = findPolicyVersions(tx, &p)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &ListPolicyVersionsOutput{Versions: []PolicyVersion{}, IsTruncated: new(false)}
	for _, v := range versions {
		switch {
		case after != "" && v.Number >= versionNumber(after):
		case len(out.Versions) == limit:
			out.IsTruncated, out.Marker = new(true), nextMarker(*out.Versions[limit-1].VersionId)
		default:
			out.Versions = append(out.Versions, wireVersion(v, p.DefaultVersion))
		}
	}
	return out, nil
}

// SetDefaultPolicyVersion puts another version in force.
func (s *Service) SetDefaultPolicyVersion(ctx context.Context, in *SetDefaultPolicyVersionInput) (*SetDefaultPolicyVersionOutput, error) {
	p, found, err := s.authorizeOwn(ctx, "SetDefaultPolicyVersion", *in.PolicyArn, shownVersion(*in.VersionId), cannotUpdate)
	if err != nil {
		return nil, err
	}
	gone := errNoVersion(*in.PolicyArn, *in.VersionId)
	if !found {
		return nil, gone
	}
	_, err = s.changePolicy(ctx, p, gone, func(tx store.Tx, now *managedPolicy) error {
		now.DefaultVersion = versionNumber(*in.VersionId)
		if _, err := getPolicyVersion(tx, p.Account, p.ID, now.DefaultVersion); isMissing(err) {
			return gone
		} else if err != nil {
			return err
		}
		return updatePolicy(tx, *now)
	})
	return &SetDefaultPolicyVersionOutput{}, err
}

// DeletePolicyVersion removes a version that is not in force.
func (s *Service) DeletePolicyVersion(ctx context.Context, in *DeletePolicyVersionInput) (*DeletePolicyVersionOutput, error) {
	p, found, err := s.authorizeOwn(ctx, "DeletePolicyVersion", *in.PolicyArn, shownVersion(*in.VersionId), cannotDeleteVersion)
	if err != nil {
		return nil, err
	}
	gone := errNoVersion(*in.PolicyArn, *in.VersionId)
	if !found {
		return nil, gone
	}
	_, err = s.changePolicy(ctx, p, gone, func(tx store.Tx, now *managedPolicy) error {
		number := versionNumber(*in.VersionId)
		if number == now.DefaultVersion {
			return ErrDeleteConflict("Cannot delete the default version of a policy.")
		}
		found, err := deletePolicyVersion(tx, p.Account, p.ID, number)
		if err == nil && !found {
			return gone
		}
		return err
	})
	return &DeletePolicyVersionOutput{}, err
}

func wireVersion(v policyVersion, inForce int64) PolicyVersion {
	return PolicyVersion{VersionId: new(v.id()), IsDefaultVersion: new(v.Number == inForce), CreateDate: wireTime(v.CreatedAt)}
}
