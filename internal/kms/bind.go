package kms

import (
	"context"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// BindPrincipals puts unique ids in the place of the users and roles that stored
// key policies still name by ARN: releases before this one kept the text as it was
// submitted. It runs when a server starts, before it serves; what is bound already
// is left alone, so that running it again, or on two nodes at once, does nothing.
// Each change is a service event, BindKeyPolicy.
func (s *Service) BindPrincipals(ctx context.Context) error {
	var unbound []key
	err := s.db.Read(ctx, func(tx store.Tx) (err error) {
		unbound, err = selectNamed(tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("find key policies that name users by ARN: %w", err)
	}
	for i := range unbound {
		if err := s.bind(ctx, &unbound[i]); err != nil {
			return fmt.Errorf("bind policy of key %s: %w", unbound[i].ID, err)
		}
	}
	return nil
}

func (s *Service) bind(ctx context.Context, k *key) error {
	doc, err := policy.Parse([]byte(k.Policy))
	if err != nil {
		return err
	}
	named := false
	for p := range doc.Principals() {
		named = named || p.Kind == policy.UserPrincipal || p.Kind == policy.RolePrincipal
	}
	if !named {
		return nil
	}
	text, err := auth.StoredPolicy(ctx, formerEntities{s.principals}, k.Policy)
	if err != nil {
		return err
	}
	var overtaken bool
	err = s.registry.Background(ctx, API.Name, "BindKeyPolicy", k.account, k.region, func(ctx context.Context) error {
		call := wire.CallFrom(ctx)
		call.Touch(wire.Resource{ARN: k.arn(), Type: resourceType, Account: k.account})
		call.Extra = map[string]any{"keyId": k.ID}
		_, err := s.change(ctx, &loadedKey{key: *k, arnText: k.arn()}, func(tx store.Tx, now *key) error {
			// Another node that starts, or a caller of one that serves already.
			if overtaken = now.PolicyVersion != k.PolicyVersion; overtaken {
				return ErrKMSInvalidState("The policy of %s was put meanwhile.", k.arn())
			}
			now.Policy = text
			now.PolicyVersion++
			return updatePolicy(tx, now)
		})
		return err
	})
	if overtaken {
		return nil
	}
	return err
}

// formerEntities are the users and roles of today and those that are gone: who
// was deleted gets an id that nobody has and nobody will, as AWS shows them.
type formerEntities struct{ auth.Entities }

func (f formerEntities) PrincipalID(ctx context.Context, arn string) (string, error) {
	id, err := f.Entities.PrincipalID(ctx, arn)
	if err != nil || id != "" {
		return id, err
	}
	prefix := "AIDA"
	if strings.Contains(arn, ":role/") {
		prefix = "AROA"
	}
	return aws.NewUniqueID(prefix), nil
}
