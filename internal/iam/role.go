package iam

import (
	"context"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// defaultSession is MaxSessionDuration when it is not given, in seconds.
const defaultSession = 3600

// CreateRole makes a role with its trust policy and without rights.
func (s *Service) CreateRole(ctx context.Context, in *CreateRoleInput) (*CreateRoleOutput, error) {
	call := wire.CallFrom(ctx)
	r := role{
		Account: call.Principal.Account, ID: aws.NewUniqueID(roleIDPrefix), Name: *in.RoleName, Path: deref(in.Path, "/"),
		Description: deref(in.Description, ""), TrustVersion: 1, MaxSession: int64(deref(in.MaxSessionDuration, defaultSession)),
		Boundary: deref(in.PermissionsBoundary, ""),
	}
	var err error
	if r.Tags, err = foldedTags.read(in.Tags); err != nil {
		return nil, err
	}
	if err := s.authorizeCreate(ctx, r.holder()); err != nil {
		return nil, err
	}
	call.Touch(r.resource())
	if r.Trust, err = s.bindTrust(ctx, *in.AssumeRolePolicyDocument); err != nil {
		return nil, err
	}
	err = s.db.Write(ctx, func(tx store.Tx) error {
		if err := checkBoundary(tx, r.Account, r.Boundary); err != nil {
			return err
		}
		n, err := count(tx, `SELECT COUNT(*) FROM iam_roles WHERE account = $1`, r.Account)
		if err != nil {
			return err
		}
		if n >= s.quotas.RolesPerAccount {
			return ErrLimitExceeded("Cannot exceed quota for RolesPerAccount: %d", s.quotas.RolesPerAccount)
		}
		r.CreatedAt = tx.Now()
		if err := saveRole(tx, r); err != nil {
			return err
		}
		return s.db.Bump(tx, r.Account, "", auth.IAMGeneration)
	})
	if store.IsUnique(err) {
		return nil, ErrEntityAlreadyExists("Role with name %s already exists.", r.Name)
	}
	if err != nil {
		return nil, err
	}
	r.Trust = *in.AssumeRolePolicyDocument
	out := wireRole(r)
	// Recorded: CreateRole leaves it out (spec iam-sts.md 3.1).
	out.MaxSessionDuration = nil
	call.ResponseElements = map[string]any{"role": map[string]any{
		"path": r.Path, "roleName": r.Name, "roleId": r.ID, "arn": r.arn(), "createDate": recordTime(r.CreatedAt),
		"assumeRolePolicyDocument": *out.AssumeRolePolicyDocument,
	}}
	return &CreateRoleOutput{Role: &out}, nil
}

// GetRole describes a role.
func (s *Service) GetRole(ctx context.Context, in *GetRoleInput) (*GetRoleOutput, error) {
	r, err := s.authorizeRole(ctx, "GetRole", *in.RoleName)
	if err != nil {
		return nil, err
	}
	if err := s.db.Read(ctx, func(tx store.Tx) error { return s.showTrust(tx, &r) }); err != nil {
		return nil, err
	}
	out := wireRole(r)
	out.RoleLastUsed = s.roleLastUsed(r)
	return &GetRoleOutput{Role: &out}, nil
}

// ListRoles lists in name order, without tags, boundaries and last use (spec
// iam-sts.md 3.1).
func (s *Service) ListRoles(ctx context.Context, in *ListRolesInput) (*ListRolesOutput, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	prefix := deref(in.PathPrefix, "/")
	account := wire.CallFrom(ctx).Principal.Account
	arn := entityARN(account, string(roleKind), prefix, "")
	if err := s.auth.Authorize(ctx, &auth.Request{Action: "iam:ListRoles", Resource: arn, Shown: arn, Account: account}); err != nil {
		return nil, err
	}
	var roles []role
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		if roles, err = listRoles(tx, account, after, prefix, limit+1); err != nil {
			return err
		}
		return s.showTrust(tx, pointers(roles)...)
	})
	if err != nil {
		return nil, err
	}
	out := &ListRolesOutput{Roles: []Role{}, IsTruncated: new(len(roles) > limit)}
	if len(roles) > limit {
		roles = roles[:limit]
		out.Marker = nextMarker(fold(roles[limit-1].Name))
	}
	for _, r := range roles {
		r.Tags, r.Boundary = nil, ""
		out.Roles = append(out.Roles, wireRole(r))
	}
	return out, nil
}

// UpdateRole changes what is given and keeps the rest.
func (s *Service) UpdateRole(ctx context.Context, in *UpdateRoleInput) (*UpdateRoleOutput, error) {
	r, err := s.authorizeRole(ctx, "UpdateRole", *in.RoleName)
	if err != nil {
		return nil, err
	}
	_, err = s.changeRole(ctx, r, func(now *role) error {
		now.Description = deref(in.Description, now.Description)
		if in.MaxSessionDuration != nil {
			now.MaxSession = int64(*in.MaxSessionDuration)
		}
		return nil
	})
	return &UpdateRoleOutput{}, err
}

// UpdateRoleDescription is the older form of UpdateRole.
func (s *Service) UpdateRoleDescription(ctx context.Context, in *UpdateRoleDescriptionInput) (*UpdateRoleDescriptionOutput, error) {
	r, err := s.authorizeRole(ctx, "UpdateRoleDescription", *in.RoleName)
	if err != nil {
		return nil, err
	}
	now, err := s.changeRole(ctx, r, func(now *role) error {
		now.Description = *in.Description
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.db.Read(ctx, func(tx store.Tx) error { return s.showTrust(tx, &now) }); err != nil {
		return nil, err
	}
	out := wireRole(now)
	out.MaxSessionDuration = nil // spec iam-sts.md 3.1
	return &UpdateRoleDescriptionOutput{Role: &out}, nil
}

// UpdateAssumeRolePolicy replaces the trust policy. Sessions that were made under
// the old one go on.
func (s *Service) UpdateAssumeRolePolicy(ctx context.Context, in *UpdateAssumeRolePolicyInput) (*UpdateAssumeRolePolicyOutput, error) {
	r, err := s.authorizeRole(ctx, "UpdateAssumeRolePolicy", *in.RoleName)
	if err != nil {
		return nil, err
	}
	trust, err := s.bindTrust(ctx, *in.PolicyDocument)
	if err != nil {
		return nil, err
	}
	_, err = s.changeRole(ctx, r, func(now *role) error {
		now.Trust = trust
		now.TrustVersion++
		return nil
	})
	return &UpdateAssumeRolePolicyOutput{}, err
}

// DeleteRole removes a role that has no policies left. Its sessions end with it:
// they name its unique id, which is nobody's then.
func (s *Service) DeleteRole(ctx context.Context, in *DeleteRoleInput) (*DeleteRoleOutput, error) {
	r, err := s.authorizeRole(ctx, "DeleteRole", *in.RoleName)
	if err != nil {
		return nil, err
	}
	return &DeleteRoleOutput{}, s.change(ctx, r, func(tx store.Tx) error {
		if err := checkNoPolicies(tx, r.Account, r.ID); err != nil {
			return err
		}
		return deleteRole(tx, r.Account, r.ID)
	})
}

// checkNoPolicies refuses to delete an entity that policies hang on.
func checkNoPolicies(tx store.Tx, account, id string) error {
	attached, err := attachedPolicies(tx, account, id)
	if err != nil {
		return err
	}
	if len(attached) > 0 {
		return ErrDeleteConflict("Cannot delete entity, must detach all policies first.")
	}
	inline, err := listInlinePolicies(tx, account, id)
	if err != nil {
		return err
	}
	if len(inline) > 0 {
		return ErrDeleteConflict("Cannot delete entity, must delete policies first.")
	}
	return nil
}

// TagRole adds tags, replacing those of the same keys.
func (s *Service) TagRole(ctx context.Context, in *TagRoleInput) (*TagRoleOutput, error) {
	tags, err := foldedTags.read(in.Tags)
	if err != nil {
		return nil, err
	}
	r, err := s.authorizeRole(ctx, "TagRole", *in.RoleName, auth.RequestTags(tags)...)
	if err != nil {
		return nil, err
	}
	_, err = s.changeRole(ctx, r, func(now *role) (err error) {
		now.Tags, err = foldedTags.add(now.Tags, tags)
		return err
	})
	return &TagRoleOutput{}, err
}

// UntagRole removes tags.
func (s *Service) UntagRole(ctx context.Context, in *UntagRoleInput) (*UntagRoleOutput, error) {
	r, err := s.authorizeRole(ctx, "UntagRole", *in.RoleName, tagKeys(in.TagKeys)...)
	if err != nil {
		return nil, err
	}
	_, err = s.changeRole(ctx, r, func(now *role) error {
		now.Tags = foldedTags.remove(now.Tags, in.TagKeys)
		return nil
	})
	return &UntagRoleOutput{}, err
}

// ListRoleTags lists a role's tags by key.
func (s *Service) ListRoleTags(ctx context.Context, in *ListRoleTagsInput) (*ListRoleTagsOutput, error) {
	after, limit, err := pageOf(in.Marker, in.MaxItems, validTagMarker)
	if err != nil {
		return nil, err
	}
	r, err := s.authorizeRole(ctx, "ListRoleTags", *in.RoleName)
	if err != nil {
		return nil, err
	}
	tags, marker := pageOfTags(r.Tags, after, limit)
	return &ListRoleTagsOutput{Tags: tags, IsTruncated: new(marker != nil), Marker: marker}, nil
}

// changeRole changes a role that must still be the one decided on, and returns it
// as it is then.
func (s *Service) changeRole(ctx context.Context, r role, fn func(now *role) error) (now role, err error) {
	err = s.change(ctx, r, func(tx store.Tx) error {
		if now, err = getRoleByID(tx, r.Account, r.ID); err != nil {
			return err
		}
		if err := fn(&now); err != nil {
			return err
		}
		return saveRole(tx, now)
	})
	return now, err
}

// roleLastUsed is empty for a role that nobody used.
func (s *Service) roleLastUsed(r role) *RoleLastUsed {
	used := s.directory.uses.show(usedKey{r.Account, r.ID}, r.Used)
	if used.at == 0 {
		return &RoleLastUsed{}
	}
	return &RoleLastUsed{LastUsedDate: wireTime(aws.Micros(used.at)), Region: &used.region}
}

// wireRole is a role whose trust policy is ready to be shown.
func wireRole(r role) Role {
	out := Role{
		Path: &r.Path, RoleName: &r.Name, RoleId: &r.ID, Arn: new(r.arn()), CreateDate: wireTime(r.CreatedAt),
		AssumeRolePolicyDocument: new(wire.PercentEncode(r.Trust)), MaxSessionDuration: new(int32(r.MaxSession)),
		PermissionsBoundary: wireBoundary(r.Boundary), Tags: wireTags(r.Tags),
	}
	if r.Description != "" {
		out.Description = &r.Description
	}
	return out
}
