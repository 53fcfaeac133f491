package kms

import (
	"context"
	"errors"
	"fmt"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// policyName is the only name that a key policy can have (spec kms.md 8.1).
const policyName = "default"

// defaultPolicy lets the account's own policies decide; the text is AWS's (spec
// kms.md 8.1).
func defaultPolicy(account string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Id":"key-default-1","Statement":[{"Sid":"Enable IAM User Permissions",`+
		`"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"kms:*","Resource":"*"}]}`, aws.RootARN(account))
}

// GetKeyPolicy returns the policy printed anew, as AWS does.
func (s *Service) GetKeyPolicy(ctx context.Context, in *GetKeyPolicyInput) (*GetKeyPolicyOutput, error) {
	k, err := s.open(ctx, &access{action: "kms:GetKeyPolicy", keyID: *in.KeyId})
	if err != nil {
		return nil, err
	}
	if in.PolicyName != nil && *in.PolicyName != policyName {
		return nil, ErrNotFound("No such policy exists")
	}
	text, err := auth.ShownPolicy(ctx, s.principals, k.Policy)
	if err != nil {
		return nil, err
	}
	return &GetKeyPolicyOutput{Policy: &text, PolicyName: new(policyName)}, nil
}

// PutKeyPolicy replaces the policy of a key.
func (s *Service) PutKeyPolicy(ctx context.Context, in *PutKeyPolicyInput) (*PutKeyPolicyOutput, error) {
	if in.PolicyName != nil && *in.PolicyName != policyName {
		// Which error it is, is unconfirmed in spec kms.md 8.1.
		return nil, wire.Invalid(ErrUnsupportedOperation("The policy name must be default."))
	}
	if err := s.checkPolicySize(*in.Policy); err != nil {
		return nil, err
	}
	k, err := s.open(ctx, &access{
		action: "kms:PutKeyPolicy", keyID: *in.KeyId, changes: true,
		keys: []auth.Key{{Name: keyLockoutBypass, Values: []string{boolText(in.BypassPolicyLockoutSafetyCheck)}}},
	})
	if err != nil {
		return nil, err
	}
	if err := s.checkPolicy(ctx, &k.key, k.facts, *in.Policy, in.BypassPolicyLockoutSafetyCheck); err != nil {
		return nil, err
	}
	text, err := s.storedPolicy(ctx, *in.Policy)
	if err != nil {
		return nil, err
	}
	_, err = s.change(ctx, k, func(tx store.Tx, now *key) error {
		now.Policy = text
		now.PolicyVersion++
		return updatePolicy(tx, now)
	})
	return &PutKeyPolicyOutput{}, err
}

// ListKeyPolicies lists the one name there is.
func (s *Service) ListKeyPolicies(ctx context.Context, in *ListKeyPoliciesInput) (*ListKeyPoliciesOutput, error) {
	if in.Marker != nil {
		// One name fits every page, so no marker was ever handed out.
		return nil, wire.Invalid(errInvalidMarker())
	}
	if _, err := s.open(ctx, &access{action: "kms:ListKeyPolicies", keyID: *in.KeyId}); err != nil {
		return nil, err
	}
	return &ListKeyPoliciesOutput{PolicyNames: []string{policyName}, Truncated: new(false)}, nil
}

// checkPolicySize answers with the error of other quotas: the model allows more
// than the service does (unconfirmed).
func (s *Service) checkPolicySize(text string) error {
	if len(text) > s.quotas.PolicySize {
		return wire.Invalid(ErrLimitExceeded("Policy exceeds the maximum size of %d bytes.", s.quotas.PolicySize))
	}
	return nil
}

// checkPolicy refuses a policy that does not parse, names who does not exist, or
// would keep the caller from replacing it again (spec kms.md 8.1).
func (s *Service) checkPolicy(ctx context.Context, k *key, facts []auth.Key, text string, bypass *bool) error {
	doc, err := policy.ParseAs([]byte(text), policy.KindKey)
	if err != nil {
		return malformed(err)
	}
	if err := s.checkPrincipals(ctx, doc); err != nil {
		return err
	}
	if bypass != nil && *bypass {
		return nil
	}
	call := wire.CallFrom(ctx)
	keeps, err := s.auth.Would(ctx, &auth.Request{
		Action:    "kms:PutKeyPolicy",
		Resource:  k.arn(),
		Shown:     k.arn(),
		Account:   k.account,
		Policy:    &policy.Source{ID: k.arn(), Version: "proposed", Doc: doc},
		Mandatory: true,
		Tags:      k.Tags,
		Keys:      append(append(callFacts(call), facts...), auth.Key{Name: keyLockoutBypass, Values: []string{"false"}}),
	})
	if err != nil {
		return fmt.Errorf("check for lockout: %w", err)
	}
	if !keeps {
		return ErrMalformedPolicyDocument("The new key policy will not allow you to update the key policy in the future.")
	}
	return nil
}

// malformed words a policy's fault. Only the sentence about principals is known;
// the others say in our words what is wrong and where (unconfirmed).
func malformed(err error) error {
	if e, ok := errors.AsType[*policy.InvalidError](err); ok && e.Rule == policy.RuleInvalidPrincipal {
		return errPrincipals()
	}
	return ErrMalformedPolicyDocument("%s", err.Error())
}

func errPrincipals() *aws.Error {
	return ErrMalformedPolicyDocument("Policy contains a statement with one or more invalid principals.")
}

func (s *Service) checkPrincipals(ctx context.Context, doc *policy.Document) error {
	for ref := range doc.Principals() {
		switch ref.Kind {
		case policy.Everyone, policy.ServicePrincipal, policy.ProviderPrincipal, policy.EntityID:
			// Unique ids stay valid after their user is gone: AWS itself puts
			// them in the place of a deleted one.
			continue
		}
		exists, err := s.principals.PrincipalExists(ctx, ref.Value)
		if err != nil {
			return fmt.Errorf("look up principal: %w", err)
		}
		if !exists {
			return errPrincipals()
		}
	}
	return nil
}

// storedPolicy is the text as it is kept.
func (s *Service) storedPolicy(ctx context.Context, text string) (string, error) {
	stored, err := auth.StoredPolicy(ctx, s.principals, text)
	if errors.Is(err, auth.ErrNoPrincipal) {
		return "", errPrincipals()
	}
	return stored, err
}
