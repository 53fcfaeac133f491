package auth

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
)

// ErrNoPrincipal says that a policy names a user or role that does not exist.
var ErrNoPrincipal = errors.New("policy names a principal that does not exist")

// Entities knows whom a policy may name. IAM provides it.
type Entities interface {
	// PrincipalExists reports whether an account id, or the ARN of a root, user,
	// role or session, is one of this deployment.
	PrincipalExists(ctx context.Context, arn string) (bool, error)
	// PrincipalID returns the unique id of a user or role, "" when there is none.
	PrincipalID(ctx context.Context, arn string) (id string, err error)
	// PrincipalARN returns the ARN of the user or role with a unique id, "" when it
	// is gone.
	PrincipalARN(ctx context.Context, id string) (arn string, err error)
}

// StoredPolicy is the text of a policy as it is kept: unique ids in the place of
// users and roles, so that one that is made again under the name of a deleted one
// inherits nothing (spec iam-policy-evaluation.md 4). Whoever keeps a policy has
// checked its principals; one that was deleted since is ErrNoPrincipal.
func StoredPolicy(ctx context.Context, e Entities, text string) (string, error) {
	return policy.Render(text, func(p policy.PrincipalRef) (string, error) {
		if p.Kind != policy.UserPrincipal && p.Kind != policy.RolePrincipal {
			return p.Value, nil
		}
		id, err := e.PrincipalID(ctx, p.Value)
		if err == nil && id == "" {
			err = ErrNoPrincipal
		}
		return id, err
	})
}

// ShownPolicy is the other direction: users and roles that are gone stay ids, and
// accounts become the ARNs of their root (spec kms.md 8.1, secretsmanager.md 7.1).
func ShownPolicy(ctx context.Context, e Entities, text string) (string, error) {
	return policy.Render(text, func(p policy.PrincipalRef) (string, error) {
		switch p.Kind {
		case policy.AccountPrincipal:
			return aws.RootARN(p.Account), nil
		case policy.EntityID:
			arn, err := e.PrincipalARN(ctx, p.Value)
			if arn == "" {
				arn = p.Value
			}
			return arn, err
		}
		return p.Value, nil
	})
}
