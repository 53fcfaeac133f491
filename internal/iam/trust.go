package iam

import (
	"context"
	"strings"

	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
)

// bindTrust checks a trust policy and returns it as it is stored: as it was given,
// but with unique ids in the place of users and roles, so that one made again
// under an old name may not take the role (spec iam-policy-evaluation.md 4).
func (s *Service) bindTrust(ctx context.Context, text string) (string, error) {
	doc, err := policy.ParseAs([]byte(text), policy.KindTrust)
	if err != nil {
		return "", ErrMalformedPolicyDocument("%s", err)
	}
	if policySize(text) > maxTrustPolicy {
		return "", ErrLimitExceeded("Cannot exceed quota for ACLSizePerRole: %d", maxTrustPolicy)
	}
	ids := make(map[string]string) // of AWS principals, the only ones that have any
	for ref := range doc.Principals() {
		id, err := s.trusted(ctx, ref)
		if err != nil {
			return "", err
		}
		if id == "" {
			return "", ErrMalformedPolicyDocument(`Invalid principal in policy: "%s":"%s"`, strings.ToUpper(ref.Type), ref.Value)
		}
		if ref.Type == "AWS" { // The same text may stand for a provider that there is not.
			ids[ref.Value] = id
		}
	}
	return policy.Rename(text, func(ref policy.PrincipalRef) (string, error) { return ids[ref.Value], nil })
}

// trusted returns what stands for a principal in a stored trust policy, "" when
// nobody is meant.
func (s *Service) trusted(ctx context.Context, ref policy.PrincipalRef) (string, error) {
	exists := false
	var err error
	switch ref.Kind {
	case policy.Everyone:
		return ref.Value, nil
	case policy.UserPrincipal, policy.RolePrincipal:
		return s.directory.PrincipalID(ctx, ref.Value)
	case policy.EntityID:
		var arn string
		arn, err = s.directory.PrincipalARN(ctx, ref.Value)
		exists = arn != ""
	case policy.AccountPrincipal, policy.SessionPrincipal, policy.FederatedSession:
		exists, err = s.directory.PrincipalExists(ctx, ref.Value)
	case policy.ServicePrincipal:
		// Any name of AWS's form may come to mean a service here.
		exists = strings.HasSuffix(ref.Value, ".amazonaws.com")
	case policy.ProviderPrincipal:
		// Like AWS, as far as threads show: the provider may be made after the role.
		exists = true
	}
	if err != nil || !exists {
		return "", err
	}
	return ref.Value, nil
}

// showTrust puts the ARNs of those that exist into the trust policies of roles,
// for showing them. Whoever is gone stays a unique id.
func (s *Service) showTrust(tx store.Tx, roles ...*role) error {
	var ids []string
	for _, r := range roles {
		doc, err := s.directory.documents.compile(r.Trust)
		if err != nil {
			return err
		}
		for ref := range doc.Principals() {
			if ref.Kind == policy.EntityID {
				ids = append(ids, ref.Value)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	arns, err := principalARNs(tx, ids)
	if err != nil {
		return err
	}
	for _, r := range roles {
		r.Trust, err = policy.Rename(r.Trust, func(ref policy.PrincipalRef) (string, error) {
			if arn := arns[ref.Value]; arn != "" {
				return arn, nil
			}
			return ref.Value, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
