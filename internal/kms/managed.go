package kms

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// managedPrefix is where services keep their aliases; no customer may.
const managedPrefix = aliasPrefix + "aws/"

// managedKind is what AWS fixes about a service's key (spec kms.md 8.4).
type managedKind struct {
	description string
	policy      func(p place) string
}

// managedKindOf returns the kind of a service's key; not every service has one.
func managedKindOf(service string) (kind managedKind, ok bool) {
	if service != "secretsmanager" {
		return managedKind{}, false
	}
	return managedKind{
		description: "Default key that protects my Secrets Manager data when no other key is defined",
		policy:      secretsManagerPolicy,
	}, true
}

// secretsManagerPolicy is the policy of a live export (spec kms.md 8.4): everyone
// in the account may use the key through Secrets Manager, the account may look at
// it, and nobody may change it.
func secretsManagerPolicy(p place) string {
	const through = "Allow access through AWS Secrets Manager for all principals in the account that are authorized to use AWS Secrets Manager"
	return fmt.Sprintf(`{"Version":"2012-10-17","Id":"auto-secretsmanager-2","Statement":[`+
		`{"Sid":"%[1]s","Effect":"Allow","Principal":{"AWS":"*"},`+
		`"Action":["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:CreateGrant","kms:DescribeKey"],"Resource":"*",`+
		`"Condition":{"StringEquals":{"kms:CallerAccount":"%[2]s","kms:ViaService":"secretsmanager.%[3]s.amazonaws.com"}}},`+
		`{"Sid":"%[1]s","Effect":"Allow","Principal":{"AWS":"*"},`+
		`"Action":"kms:GenerateDataKey*","Resource":"*",`+
		`"Condition":{"StringEquals":{"kms:CallerAccount":"%[2]s"},"StringLike":{"kms:ViaService":"secretsmanager.*.amazonaws.com"}}},`+
		`{"Sid":"Allow direct access to key metadata to the account","Effect":"Allow","Principal":{"AWS":"%[4]s"},`+
		`"Action":["kms:Describe*","kms:Get*","kms:List*","kms:RevokeGrant"],"Resource":"*"}]}`,
		through, p.account, p.region, aws.RootARN(p.account))
}

// predefined returns the service whose managed key an alias name stands for.
func predefined(keyID string) (service string, ok bool) {
	service, ok = strings.CutPrefix(keyID, managedPrefix)
	if !ok {
		return "", false
	}
	_, ok = managedKindOf(service)
	return service, ok
}

// preparePredefined makes the key behind a predefined alias for a caller who may
// use the alias. Without the key there is no policy to ask yet.
func (s *Service) preparePredefined(ctx context.Context, a *access, home place, service string) error {
	ref := reference{place: home, alias: a.keyID, shown: home.aliasARN(a.keyID)}
	_, err := s.find(ctx, &ref)
	if !errors.Is(err, errNoKey) {
		return err
	}
	if err := s.decideMissing(ctx, a, &ref); err != nil {
		return err
	}
	_, err = s.managedKey(ctx, home, service)
	return err
}

// managedKey returns a service's key of an account and region and makes it at
// first use. However many callers are first, there is one key.
func (s *Service) managedKey(ctx context.Context, p place, service string) (*loadedKey, error) {
	kind, ok := managedKindOf(service)
	if !ok {
		return nil, fmt.Errorf("service %s has no managed key", service)
	}
	ref := reference{place: p, alias: managedPrefix + service}
	if k, err := s.find(ctx, &ref); !errors.Is(err, errNoKey) {
		return k, err
	}
	s.creating.Lock()
	defer s.creating.Unlock()
	if k, err := s.find(ctx, &ref); !errors.Is(err, errNoKey) {
		return k, err
	}
	if err := s.createManaged(ctx, p, service, kind); err != nil {
		return nil, fmt.Errorf("create managed key of %s: %w", service, err)
	}
	return s.find(ctx, &ref)
}

// createManaged makes the key as an act of the service, not of the caller who
// happened to be first. When another node is quicker, its key is the one.
func (s *Service) createManaged(ctx context.Context, p place, service string, kind managedKind) error {
	k, err := newKey(p)
	if err != nil {
		return err
	}
	k.ManagedBy, k.Description, k.Policy = service, kind.description, kind.policy(p)
	sealed, err := s.newMaterial(k)
	if err != nil {
		return err
	}
	quicker := false
	err = s.registry.Background(ctx, API.Name, "CreateKey", p.account, p.region, func(ctx context.Context) error {
		call := wire.CallFrom(ctx)
		call.Touch(wire.Resource{ARN: k.arn(), Type: resourceType, Account: p.account})
		call.Extra = map[string]any{"keyId": k.ID, "alias": managedPrefix + service}
		return s.db.Write(ctx, func(tx store.Tx) error {
			a := alias{place: p, Name: managedPrefix + service, KeyID: k.ID, CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
			inserted, err := insertAlias(tx, &a)
			if err != nil {
				return err
			}
			if quicker = !inserted; quicker {
				return errAliasExists(&a)
			}
			return s.insert(tx, k, sealed)
		})
	})
	if quicker {
		return nil
	}
	return err
}
