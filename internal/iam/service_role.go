package iam

import (
	"context"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/wire"
)

// CreateServiceLinkedRole refuses every service, as AWS refuses those without a
// service-linked role: the services here act as service principals and need no role
// in the account. AWS's sentence is not known, so this one is ours.
func (s *Service) CreateServiceLinkedRole(ctx context.Context, in *CreateServiceLinkedRoleInput) (*CreateServiceLinkedRoleOutput, error) {
	account := wire.CallFrom(ctx).Principal.Account
	arn := entityARN(account, string(roleKind), "/aws-service-role/"+*in.AWSServiceName+"/", "")
	if err := s.auth.Authorize(ctx, &auth.Request{
		Action: "iam:CreateServiceLinkedRole", Resource: arn, Shown: arn, Account: account,
		Keys: []auth.Key{{Name: "iam:AWSServiceName", Values: []string{*in.AWSServiceName}}},
	}); err != nil {
		return nil, err
	}
	return nil, ErrInvalidInput("The service %s has no service-linked role.", *in.AWSServiceName)
}

// DeleteServiceLinkedRole finds none to delete (the sentence for a role of another
// sort is ours).
func (s *Service) DeleteServiceLinkedRole(ctx context.Context, in *DeleteServiceLinkedRoleInput) (*DeleteServiceLinkedRoleOutput, error) {
	r, err := s.authorizeRole(ctx, "DeleteServiceLinkedRole", *in.RoleName)
	if err != nil {
		return nil, err
	}
	return nil, ErrNoSuchEntity("The role with name %s is not a service-linked role.", r.Name)
}
