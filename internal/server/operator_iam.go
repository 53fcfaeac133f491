package server

import (
	"context"
	"net/http"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/wire"
)

// Revocation is what the operator learns of sessions that were voided.
type Revocation struct {
	// Until is the moment up to which they are void.
	Until time.Time `json:"until"`
}

// RevokeSessions voids the sessions of a user or role, kind "user" or "role".
func (s *Server) RevokeSessions(ctx context.Context, account, kind, name string) (out Revocation, err error) {
	err = s.registry.Background(ctx, iam.API.Name, "RevokeSessions", account, s.config.Region, func(ctx context.Context) (err error) {
		out.Until, err = s.iam.RevokeSessions(ctx, account, kind, name)
		return err
	})
	return out, err
}

func (s *Server) revokeSessions(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Account string `json:"account"`
		Kind    string `json:"kind"`
		Name    string `json:"name"`
	}
	if !readOperator(w, r, &in) {
		return
	}
	out, err := s.RevokeSessions(r.Context(), in.Account, in.Kind, in.Name)
	s.operatorAnswer(w, out, err)
}

// SetProviderKeys pastes the keys of an identity provider, or with none has them
// fetched again.
func (s *Server) SetProviderKeys(ctx context.Context, arn, jwks string) error {
	a, err := aws.ParseARN(arn)
	if err != nil || !aws.ValidAccountID(a.Account) {
		return iam.ErrInvalidInput("ARN %s is not one of an OpenID Connect provider", arn)
	}
	event := "SetOpenIDConnectProviderKeys"
	return s.registry.Background(ctx, iam.API.Name, event, a.Account, s.config.Region, func(ctx context.Context) error {
		wire.CallFrom(ctx).Extra = map[string]any{"pasted": jwks != ""}
		return s.iam.SetProviderKeys(ctx, arn, jwks)
	})
}

func (s *Server) setProviderKeys(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Provider string `json:"provider"`
		JWKS     string `json:"jwks"`
	}
	if !readOperator(w, r, &in) {
		return
	}
	s.operatorAnswer(w, struct{}{}, s.SetProviderKeys(r.Context(), in.Provider, in.JWKS))
}
