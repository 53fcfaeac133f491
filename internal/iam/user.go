package iam

import (
	"context"
	"strings"

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
	tags, err := tagsFromWire(in.Tags)
	if err != nil {
		return nil, err
	}
	u.Tags = tags
	if err := s.authorizeCreate(ctx, u, in.PermissionsBoundary); err != nil {
		return nil, err
	}
	call.Touch(u.resource())
	err = s.db.Write(ctx, func(tx store.Tx) error {
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

// authorizeCreate decides on a user that is not there yet. Its tags count as the
// resource's already, and need a permission of their own (IAM User Guide, "Tags
// for IAM users").
func (s *Service) authorizeCreate(ctx context.Context, u user, boundary *string) error {
	if boundary != nil && !policyARN(*boundary) {
		return wire.Invalid(ErrInvalidInput("ARN %s is not valid.", *boundary))
	}
	q := auth.Request{Action: "iam:CreateUser", Resource: u.arn(), Shown: u.arn(), Account: u.Account, Tags: u.Tags, Keys: auth.RequestTags(u.Tags)}
	if boundary != nil {
		q.Keys = append(q.Keys, auth.Key{Name: "iam:PermissionsBoundary", Values: []string{*boundary}})
	}
	if err := s.auth.Authorize(ctx, &q); err != nil {
		return err
	}
	if len(u.Tags) > 0 {
		if err := s.auth.Authorize(ctx, &auth.Request{
			Action: "iam:TagUser", Resource: u.arn(), Shown: u.arn(), Account: u.Account, Tags: u.Tags, Keys: auth.RequestTags(u.Tags),
		}); err != nil {
			return err
		}
	}
	if boundary != nil {
		// Managed policies come with a later release, so none exists to bound by.
		return ErrNoSuchEntity("Scope ARN: %s does not exist or is not attachable.", *boundary)
	}
	return nil
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
		u.Tags = nil // never in a list (spec iam-sts.md 3.1)
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
		policies, err := listInlinePolicies(tx, u.Account, u.ID)
		if err != nil {
			return err
		}
		if len(policies) > 0 {
			return ErrDeleteConflict("Cannot delete entity, must delete policies first.")
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
	out := User{Path: &u.Path, UserName: &u.Name, UserId: &u.ID, Arn: new(u.arn()), CreateDate: wireTime(u.CreatedAt)}
	for _, t := range u.Tags {
		out.Tags = append(out.Tags, Tag{Key: &t.Key, Value: &t.Value})
	}
	return out
}

// tagsFromWire checks what the model cannot say: keys of users' tags are unique
// without regard to case (spec iam-sts.md 3.2).
func tagsFromWire(in []Tag) ([]aws.Tag, error) {
	seen := make(map[string]bool, len(in))
	var out []aws.Tag
	for _, t := range in {
		k := strings.ToLower(*t.Key)
		if seen[k] {
			return nil, wire.Invalid(ErrInvalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive."))
		}
		seen[k] = true
		out = append(out, aws.Tag{Key: *t.Key, Value: *t.Value})
	}
	return out, nil
}
