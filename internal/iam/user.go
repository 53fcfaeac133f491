package iam

import (
	"context"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// CreateUser makes a user without credentials or rights.
func (s *Service) CreateUser(ctx context.Context, in *CreateUserInput) (*CreateUserOutput, error) {
	call := wire.CallFrom(ctx)
	u := user{Account: call.Principal.Account, ID: aws.NewUniqueID(userIDPrefix), Name: *in.UserName, Path: "/"}
	if in.Path != nil {
		u.Path = *in.Path
	}
	if in.PermissionsBoundary != nil {
		u.Boundary = *in.PermissionsBoundary
	}
	var err error
	if u.Tags, err = foldedTags.read(in.Tags); err != nil {
		return nil, err
	}
	if err := s.authorizeCreate(ctx, u.holder()); err != nil {
		return nil, err
	}
	call.Touch(u.resource())
	err = s.db.Write(ctx, func(tx store.Tx) error {
		if err := checkBoundary(tx, u.Account, u.Boundary); err != nil {
			return err
		}
		var n int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM iam_users WHERE account = $1`, u.Account).Scan(&n); err != nil {
			return err
		}
		if n >= int64(s.quotas.UsersPerAccount) {
			return ErrLimitExceeded("Cannot exceed quota for UsersPerAccount: %d", s.quotas.UsersPerAccount)
		}
		u.CreatedAt = tx.Now()
		if err := insertUser(tx, u); err != nil {
			return err
		}
		return s.db.Bump(tx, u.Account, "", auth.IAMGeneration)
	})
	if store.IsUnique(err) {
		return nil, ErrEntityAlreadyExists("User with name %s already exists.", u.Name)
	}
	if err != nil {
		return nil, err
	}
	call.ResponseElements = map[string]any{"user": map[string]any{
		"path": u.Path, "userName": u.Name, "userId": u.ID, "arn": u.arn(), "createDate": recordTime(u.CreatedAt),
	}}
	out := wireUser(u)
	return &CreateUserOutput{User: &out}, nil
}

// GetUser describes a user, or the caller.
func (s *Service) GetUser(ctx context.Context, in *GetUserInput) (*GetUserOutput, error) {
	p := wire.CallFrom(ctx).Principal
	if in.UserName == nil && p.Type == aws.PrincipalRoot {
		if err := s.auth.Authorize(ctx, &auth.Request{Action: "iam:GetUser", Resource: p.ARN, Shown: p.ARN, Account: p.Account}); err != nil {
			return nil, err
		}
		var created int64
		if err := s.db.Get(ctx, `SELECT created_at FROM accounts WHERE account = $1`, p.Account).Scan(&created); err != nil {
			return nil, err
		}
		return &GetUserOutput{User: &User{UserId: &p.Account, Arn: &p.ARN, CreateDate: wireTime(aws.Micros(created))}}, nil
	}
	name, err := callerOr(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "GetUser", name)
	if err != nil {
		return nil, err
	}
	out := wireUser(u)
	return &GetUserOutput{User: &out}, nil
}

// ListUsers lists in name order, without tags (spec iam-sts.md 3.1).
func (s *Service) ListUsers(ctx context.Context, in *ListUsersInput) (*ListUsersOutput, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	prefix := "/"
	if in.PathPrefix != nil {
		prefix = *in.PathPrefix
	}
	account := wire.CallFrom(ctx).Principal.Account
	arn := userARN(account, prefix, "")
	if err := s.auth.Authorize(ctx, &auth.Request{Action: "iam:ListUsers", Resource: arn, Shown: arn, Account: account}); err != nil {
		return nil, err
	}
	var users []user
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		users, err = listUsers(tx, account, after, prefix, limit+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &ListUsersOutput{Users: []User{}, IsTruncated: new(len(users) > limit)}
	if len(users) > limit {
		users = users[:limit]
		out.Marker = nextMarker(fold(users[limit-1].Name))
	}
	for _, u := range users {
		u.Tags, u.Boundary = nil, "" // never in a list (spec iam-sts.md 3.1)
		out.Users = append(out.Users, wireUser(u))
	}
	return out, nil
}

// DeleteUser removes a user that has neither keys nor policies left.
func (s *Service) DeleteUser(ctx context.Context, in *DeleteUserInput) (*DeleteUserOutput, error) {
	u, err := s.authorizeUser(ctx, "DeleteUser", *in.UserName)
	if err != nil {
		return nil, err
	}
	return &DeleteUserOutput{}, s.change(ctx, u, func(tx store.Tx) error {
		if err := checkNoPolicies(tx, u.Account, u.ID); err != nil {
			return err
		}
		keys, err := listAccessKeys(tx, u.Account, u.ID)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			return ErrDeleteConflict("Cannot delete entity, must delete access keys first.")
		}
		return deleteUser(tx, u.Account, u.ID)
	})
}

func wireUser(u user) User {
	return User{
		Path: &u.Path, UserName: &u.Name, UserId: &u.ID, Arn: new(u.arn()), CreateDate: wireTime(u.CreatedAt),
		PermissionsBoundary: wireBoundary(u.Boundary), Tags: wireTags(u.Tags),
	}
}
