package iam

import (
	"context"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// boundaryType is how AWS spells the only type of boundary in answers; its model
// has another word, PermissionsBoundaryPolicy (IAM User Guide, CLI examples).
const boundaryType = "Policy"

func wireBoundary(arn string) *AttachedPermissionsBoundary {
	if arn == "" {
		return nil
	}
	return &AttachedPermissionsBoundary{PermissionsBoundaryType: new(boundaryType), PermissionsBoundaryArn: &arn}
}

// PutUserPermissionsBoundary bounds what a user can be allowed.
func (s *Service) PutUserPermissionsBoundary(ctx context.Context, in *PutUserPermissionsBoundaryInput) (*PutUserPermissionsBoundaryOutput, error) {
	return &PutUserPermissionsBoundaryOutput{}, s.putBoundary(ctx, "PutUserPermissionsBoundary", userKind, *in.UserName, *in.PermissionsBoundary)
}

// PutRolePermissionsBoundary bounds what a role can be allowed.
func (s *Service) PutRolePermissionsBoundary(ctx context.Context, in *PutRolePermissionsBoundaryInput) (*PutRolePermissionsBoundaryOutput, error) {
	return &PutRolePermissionsBoundaryOutput{}, s.putBoundary(ctx, "PutRolePermissionsBoundary", roleKind, *in.RoleName, *in.PermissionsBoundary)
}

func (s *Service) putBoundary(ctx context.Context, action string, k kind, name, arn string) error {
	if !policyARN(arn) {
		return wire.Invalid(errBadBoundary(arn))
	}
	// The key is the boundary to come, so that a delegate can be held to one.
	h, err := s.authorizeHolder(ctx, action, k, name, auth.Key{Name: boundaryKey, Values: []string{arn}})
	if err != nil {
		return err
	}
	return s.change(ctx, h, func(tx store.Tx) error {
		if err := checkBoundary(tx, h.account, arn); err != nil {
			return err
		}
		return setBoundary(tx, h, arn)
	})
}

// DeleteUserPermissionsBoundary takes a user's boundary away, if it has one.
func (s *Service) DeleteUserPermissionsBoundary(ctx context.Context, in *DeleteUserPermissionsBoundaryInput) (*DeleteUserPermissionsBoundaryOutput, error) {
	return &DeleteUserPermissionsBoundaryOutput{}, s.deleteBoundary(ctx, "DeleteUserPermissionsBoundary", userKind, *in.UserName)
}

// DeleteRolePermissionsBoundary takes a role's boundary away, if it has one.
func (s *Service) DeleteRolePermissionsBoundary(ctx context.Context, in *DeleteRolePermissionsBoundaryInput) (*DeleteRolePermissionsBoundaryOutput, error) {
	return &DeleteRolePermissionsBoundaryOutput{}, s.deleteBoundary(ctx, "DeleteRolePermissionsBoundary", roleKind, *in.RoleName)
}

func (s *Service) deleteBoundary(ctx context.Context, action string, k kind, name string) error {
	h, err := s.authorizeHolder(ctx, action, k, name)
	if err != nil {
		return err
	}
	return s.change(ctx, h, func(tx store.Tx) error { return setBoundary(tx, h, "") })
}

func setBoundary(tx store.Tx, h holder, arn string) error {
	table := "iam_roles"
	if h.kind == userKind {
		table = "iam_users"
	}
	_, err := tx.Exec(`UPDATE `+table+` SET boundary = $3 WHERE account = $1 AND id = $2`, h.account, h.id, arn)
	return err
}
