package iam

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// CreateUser makes a user without credentials or rights.
func (s *Service) CreateUser(ctx context.Context, in *CreateUserInput) (*CreateUserOutput, error) {
	call := wire.CallFrom(ctx)
	u := user{Account: call.Principal.Account, ID: aws.NewUniqueID(userIDPrefix), Name: *in.UserName, Path: deref(in.Path, "/")}
	u.Boundary = deref(in.PermissionsBoundary, "")
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
		n, err := count(tx, `SELECT COUNT(*) FROM iam_users WHERE account = $1`, u.Account)
		if err != nil {
			return err
		}
		if n >= s.quotas.UsersPerAccount {
			return ErrLimitExceeded("Cannot exceed quota for UsersPerAccount: %d", s.quotas.UsersPerAccount)
		}
		u.CreatedAt = tx.Now()
		if err := saveUser(tx, u); err != nil {
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
	name, err := s.callerOr(ctx, in.UserName)
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
	prefix := deref(in.PathPrefix, "/")
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
	out := &ListUsersOutput{}
	out.Users, out.Marker = pageOfUsers(users, limit)
	out.IsTruncated = new(out.Marker != nil)
	return out, nil
}

// pageOfUsers is a page of a list, without tags and boundaries (spec iam-sts.md
// 3.1), and the marker behind it when there are more.
func pageOfUsers(users []user, limit int) ([]User, *string) {
	users, marker := cut(users, func(u user) string { return fold(u.Name) }, "", limit)
	out := []User{}
	for _, u := range users {
		u.Tags, u.Boundary = nil, ""
		out = append(out, wireUser(u))
	}
	return out, marker
}

// UpdateUser gives a user another name, another path, or both. All that hangs on
// its unique id stays: keys, policies, memberships, password, devices, and what
// resource policies say of it.
func (s *Service) UpdateUser(ctx context.Context, in *UpdateUserInput) (*UpdateUserOutput, error) {
	u, err := s.authorizeUser(ctx, "UpdateUser", *in.UserName)
	if err != nil {
		return nil, err
	}
	to := u
	to.Name, to.Path = deref(in.NewUserName, u.Name), deref(in.NewPath, u.Path)
	if err := s.authorizeMove(ctx, "UpdateUser", u, to); err != nil {
		return nil, err
	}
	err = s.changeUser(ctx, u, func(now *user) error {
		now.Name, now.Path = deref(in.NewUserName, now.Name), deref(in.NewPath, now.Path)
		return nil
	})
	if store.IsUnique(err) {
		err = ErrEntityAlreadyExists("User with name %s already exists.", to.Name)
	}
	return &UpdateUserOutput{}, err
}

// TagUser adds tags, replacing those of the same keys.
func (s *Service) TagUser(ctx context.Context, in *TagUserInput) (*TagUserOutput, error) {
	tags, err := foldedTags.read(in.Tags)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "TagUser", *in.UserName, auth.RequestTags(tags)...)
	if err != nil {
		return nil, err
	}
	err = s.changeUser(ctx, u, func(now *user) (err error) {
		now.Tags, err = foldedTags.add(now.Tags, tags)
		return err
	})
	return &TagUserOutput{}, err
}

// UntagUser removes tags.
func (s *Service) UntagUser(ctx context.Context, in *UntagUserInput) (*UntagUserOutput, error) {
	u, err := s.authorizeUser(ctx, "UntagUser", *in.UserName, tagKeys(in.TagKeys)...)
	if err != nil {
		return nil, err
	}
	err = s.changeUser(ctx, u, func(now *user) error {
		now.Tags = foldedTags.remove(now.Tags, in.TagKeys)
		return nil
	})
	return &UntagUserOutput{}, err
}

// ListUserTags lists a user's tags by key.
func (s *Service) ListUserTags(ctx context.Context, in *ListUserTagsInput) (*ListUserTagsOutput, error) {
	after, limit, err := pageOf(in.Marker, in.MaxItems, validTagMarker)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "ListUserTags", *in.UserName)
	if err != nil {
		return nil, err
	}
	tags, marker := pageOfTags(u.Tags, after, limit)
	return &ListUserTagsOutput{Tags: tags, IsTruncated: new(marker != nil), Marker: marker}, nil
}

// changeUser changes a user, as it is by then.
func (s *Service) changeUser(ctx context.Context, u user, fn func(now *user) error) error {
	return s.change(ctx, u, func(tx store.Tx) error {
		now, err := getUserByID(tx, u.Account, u.ID)
		if err != nil {
			return err
		}
		if err := fn(&now); err != nil {
			return err
		}
		return saveUser(tx, now)
	})
}

// DeleteUser removes a user that has nothing left.
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
		if _, err := getLoginProfile(tx, u.Account, u.ID); err == nil {
			return ErrDeleteConflict("Cannot delete entity, must delete login profile first.")
		} else if !errors.Is(err, store.ErrNoRows) {
			return err
		}
		devices, err := mfaDevicesOf(tx, u.Account, u.ID)
		if err != nil {
			return err
		}
		if len(devices) > 0 {
			return ErrDeleteConflict("Cannot delete entity, must delete MFA device first.")
		}
		groups, err := groupsOf(tx, u.Account, u.ID)
		if err != nil {
			return err
		}
		if len(groups) > 0 {
			return errHasGroups()
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
