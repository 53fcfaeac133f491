package iam

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// CreateGroup makes a group without members or rights.
func (s *Service) CreateGroup(ctx context.Context, in *CreateGroupInput) (*CreateGroupOutput, error) {
	call := wire.CallFrom(ctx)
	g := group{Account: call.Principal.Account, ID: aws.NewUniqueID(groupIDPrefix), Name: *in.GroupName, Path: deref(in.Path, "/")}
	if err := s.authorizeCreate(ctx, g.holder()); err != nil {
		return nil, err
	}
	call.Touch(g.resource())
	err := s.db.Write(ctx, func(tx store.Tx) error {
		n, err := count(tx, `SELECT COUNT(*) FROM iam_groups WHERE account = $1`, g.Account)
		if err != nil {
			return err
		}
		if n >= s.quotas.GroupsPerAccount {
			return ErrLimitExceeded("Cannot exceed quota for GroupsPerAccount: %d", s.quotas.GroupsPerAccount)
		}
		g.CreatedAt = tx.Now()
		return saveGroup(tx, g) // No decision rests on a group without members.
	})
	if store.IsUnique(err) {
		return nil, ErrEntityAlreadyExists("Group with name %s already exists.", g.Name)
	}
	if err != nil {
		return nil, err
	}
	call.ResponseElements = map[string]any{"group": map[string]any{
		"path": g.Path, "groupName": g.Name, "groupId": g.ID, "arn": g.arn(), "createDate": recordTime(g.CreatedAt),
	}}
	return &CreateGroupOutput{Group: new(wireGroup(g))}, nil
}

// GetGroup describes a group and its members, in name order.
func (s *Service) GetGroup(ctx context.Context, in *GetGroupInput) (*GetGroupOutput, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	g, err := s.authorizeGroup(ctx, "GetGroup", *in.GroupName)
	if err != nil {
		return nil, err
	}
	var members []user
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		members, err = listMembers(tx, g.Account, g.ID, after, limit+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &GetGroupOutput{Group: new(wireGroup(g))}
	out.Users, out.Marker = pageOfUsers(members, limit)
	out.IsTruncated = new(out.Marker != nil)
	return out, nil
}

// ListGroups lists in name order.
func (s *Service) ListGroups(ctx context.Context, in *ListGroupsInput) (*ListGroupsOutput, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	prefix := deref(in.PathPrefix, "/")
	account := wire.CallFrom(ctx).Principal.Account
	arn := entityARN(account, string(groupKind), prefix, "")
	if err := s.auth.Authorize(ctx, &auth.Request{Action: "iam:ListGroups", Resource: arn, Shown: arn, Account: account}); err != nil {
		return nil, err
	}
	var groups []group
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		groups, err = listGroups(tx, account, after, prefix, limit+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	groups, marker := cut(groups, group.key, "", limit)
	return &ListGroupsOutput{Groups: wireGroups(groups), IsTruncated: new(marker != nil), Marker: marker}, nil
}

// UpdateGroup gives a group another name, another path, or both. Members and
// policies stay.
func (s *Service) UpdateGroup(ctx context.Context, in *UpdateGroupInput) (*UpdateGroupOutput, error) {
	g, err := s.authorizeGroup(ctx, "UpdateGroup", *in.GroupName)
	if err != nil {
		return nil, err
	}
	to := g
	to.Name, to.Path = deref(in.NewGroupName, g.Name), deref(in.NewPath, g.Path)
	if err := s.authorizeMove(ctx, "UpdateGroup", g, to); err != nil {
		return nil, err
	}
	err = s.change(ctx, g, func(tx store.Tx) error {
		now, err := getGroupByID(tx, g.Account, g.ID)
		if err != nil {
			return err
		}
		now.Name, now.Path = deref(in.NewGroupName, now.Name), deref(in.NewPath, now.Path)
		return saveGroup(tx, now)
	})
	if store.IsUnique(err) {
		err = ErrEntityAlreadyExists("Group with name %s already exists.", to.Name)
	}
	return &UpdateGroupOutput{}, err
}

// authorizeMove decides on the ARN that an entity is to get: whoever renames needs
// the permission for both (API Reference, UpdateUser and UpdateGroup).
func (s *Service) authorizeMove(ctx context.Context, action string, from, to bearer) error {
	a, b := from.holder(), to.holder()
	if a.arn() == b.arn() {
		return nil
	}
	q := b.request(action)
	q.Shown = q.Resource
	return s.auth.Authorize(ctx, q)
}

// DeleteGroup removes a group that has neither members nor policies left.
func (s *Service) DeleteGroup(ctx context.Context, in *DeleteGroupInput) (*DeleteGroupOutput, error) {
	g, err := s.authorizeGroup(ctx, "DeleteGroup", *in.GroupName)
	if err != nil {
		return nil, err
	}
	return &DeleteGroupOutput{}, s.change(ctx, g, func(tx store.Tx) error {
		members, err := listMembers(tx, g.Account, g.ID, "", 1)
		if err != nil {
			return err
		}
		if len(members) > 0 {
			return errHasGroups()
		}
		if err := checkNoPolicies(tx, g.Account, g.ID); err != nil {
			return err
		}
		return deleteGroup(tx, g.Account, g.ID)
	})
}

// errHasGroups is the error for users in groups and for groups with users alike.
func errHasGroups() *aws.Error {
	return ErrDeleteConflict("Cannot delete entity, must remove users from group first.")
}

// AddUserToGroup makes a user a member, if it is none yet.
func (s *Service) AddUserToGroup(ctx context.Context, in *AddUserToGroupInput) (*AddUserToGroupOutput, error) {
	g, u, err := s.authorizeMember(ctx, "AddUserToGroup", *in.GroupName, *in.UserName)
	if err != nil {
		return nil, err
	}
	return &AddUserToGroupOutput{}, s.changeMember(ctx, g, u, func(tx store.Tx) error {
		held, err := groupsOf(tx, u.Account, u.ID)
		if err != nil {
			return err
		}
		for _, h := range held {
			if h.ID == g.ID {
				return nil
			}
		}
		if len(held) >= s.quotas.GroupsPerUser {
			return ErrLimitExceeded("Cannot exceed quota for GroupsPerUser: %d", s.quotas.GroupsPerUser)
		}
		return addMember(tx, g.Account, g.ID, u.ID)
	})
}

// RemoveUserFromGroup ends a membership; that there was none is no fault (recorded,
// spec iam-sts.md 3.1).
func (s *Service) RemoveUserFromGroup(ctx context.Context, in *RemoveUserFromGroupInput) (*RemoveUserFromGroupOutput, error) {
	g, u, err := s.authorizeMember(ctx, "RemoveUserFromGroup", *in.GroupName, *in.UserName)
	if err != nil {
		return nil, err
	}
	return &RemoveUserFromGroupOutput{}, s.changeMember(ctx, g, u, func(tx store.Tx) error {
		return removeMember(tx, g.Account, g.ID, u.ID)
	})
}

// authorizeMember decides on the group; that the user is missing counts before
// that the group is (recorded, spec iam-sts.md 3.1).
func (s *Service) authorizeMember(ctx context.Context, action, groupName, userName string) (g group, u user, err error) {
	g, noGroup := s.authorizeGroup(ctx, action, groupName)
	if noGroup != nil && !isNoSuchEntity(noGroup) {
		return g, u, noGroup
	}
	call := wire.CallFrom(ctx)
	err = s.db.Read(ctx, func(tx store.Tx) error {
		u, err = getUser(tx, call.Principal.Account, userName)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNoRows):
		return g, u, errNoEntity(userKind, userName)
	case err != nil:
		return g, u, err
	case noGroup != nil:
		return g, u, noGroup
	}
	call.Touch(u.resource())
	return g, u, nil
}

// changeMember is change for a group and a user that must both still be there.
func (s *Service) changeMember(ctx context.Context, g group, u user, fn func(tx store.Tx) error) error {
	return s.change(ctx, g, func(tx store.Tx) error {
		if _, err := getUserByID(tx, u.Account, u.ID); errors.Is(err, store.ErrNoRows) {
			return errNoEntity(userKind, u.Name)
		} else if err != nil {
			return err
		}
		return fn(tx)
	})
}

// ListGroupsForUser lists a user's groups in name order.
func (s *Service) ListGroupsForUser(ctx context.Context, in *ListGroupsForUserInput) (*ListGroupsForUserOutput, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "ListGroupsForUser", *in.UserName)
	if err != nil {
		return nil, err
	}
	var groups []group
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		groups, err = groupsOf(tx, u.Account, u.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	groups, marker := cut(groups, group.key, after, limit)
	return &ListGroupsForUserOutput{Groups: wireGroups(groups), IsTruncated: new(marker != nil), Marker: marker}, nil
}

func (s *Service) authorizeGroup(ctx context.Context, action, name string) (group, error) {
	return authorize(ctx, s, action, groupKind, name, getGroup)
}

// key is what lists of groups are in the order of.
func (g group) key() string { return fold(g.Name) }

func wireGroup(g group) Group {
	return Group{Path: &g.Path, GroupName: &g.Name, GroupId: &g.ID, Arn: new(g.arn()), CreateDate: wireTime(g.CreatedAt)}
}

func wireGroups(groups []group) []Group {
	out := []Group{}
	for _, g := range groups {
		out = append(out, wireGroup(g))
	}
	return out
}
