package sts

import (
	"context"
	"errors"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

// MFA verifies second factors. IAM provides it.
type MFA interface {
	// VerifyMFA takes a code of a user's device: a right one once. It returns one of
	// auth's ErrMFA… when it does not.
	VerifyMFA(ctx context.Context, account, userID, serial, code string) error
}

// factor is a second factor that was shown with a request.
type factor struct {
	shown bool
	at    time.Time
}

// keys are what a policy sees of a factor shown with the request itself, before
// there is a session that could carry it.
func (f factor) keys() []auth.Key {
	if !f.shown {
		return nil
	}
	return []auth.Key{
		{Name: "aws:MultiFactorAuthPresent", Values: []string{"true"}},
		{Name: "aws:MultiFactorAuthAge", Values: []string{"0"}},
	}
}

// factor verifies the second factor of a request, if it has one. Both of its parts
// belong together, and only users have devices.
func (s *Service) factor(ctx context.Context, action, resource string, serial *string, code *aws.SensitiveString) (factor, error) {
	if serial == nil && code == nil {
		return factor{}, nil
	}
	p := wire.CallFrom(ctx).Principal
	err := auth.ErrMFADevice
	if serial != nil && code != nil && p.Type == aws.PrincipalUser {
		err = s.MFA.VerifyMFA(ctx, p.Account, p.EntityID, *serial, string(*code))
	}
	switch {
	case errors.Is(err, auth.ErrMFADevice), errors.Is(err, auth.ErrMFACode), errors.Is(err, auth.ErrMFABlocked):
		// AWS's words, blank at the end included (public threads). Which part was
		// wrong is nobody's business.
		return factor{}, refuse(ctx, action, resource, "MultiFactorAuthentication failed with invalid MFA one time pass code. ")
	case err != nil:
		return factor{}, err
	}
	return factor{shown: true, at: s.Now()}, nil
}
