package sts

import (
	"context"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/denial"
	"github.com/strongroom/strongroom/internal/wire"
)

// Service answers the operations of STS.
type Service struct {
	auth    *auth.Service
	denials *denial.Log
}

// New makes the service.
func New(a *auth.Service, d *denial.Log) *Service { return &Service{auth: a, denials: d} }

// GetCallerIdentity needs no permission and cannot be denied (spec iam-sts.md
// 4), but the caller's key must still be good.
func (s *Service) GetCallerIdentity(ctx context.Context, _ *GetCallerIdentityInput) (*GetCallerIdentityOutput, error) {
	if err := s.auth.Current(ctx); err != nil {
		return nil, err
	}
	p := wire.CallFrom(ctx).Principal
	return &GetCallerIdentityOutput{UserId: &p.UserID, Account: &p.Account, Arn: &p.ARN}, nil
}
