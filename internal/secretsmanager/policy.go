package secretsmanager

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
)

// compilePolicy makes the stored text ready for decisions. Put has checked it,
// so a text that does not parse is damage, and refusing is the safe answer: a
// Deny could be in it.
func compilePolicy(sec *secret) (*policy.Source, error) {
	doc, err := policy.ParseAs([]byte(sec.Policy), policy.KindResource)
	if err != nil {
		return nil, fmt.Errorf("resource policy of %s: %w", sec.arn(), err)
	}
	return &policy.Source{ID: sec.arn() + "/resource-policy", Version: strconv.FormatInt(sec.PolicyVersion, 10), Doc: doc, Kind: policy.KindResource}, nil
}

func errMalformedPolicy(message string) *aws.Error { return ErrMalformedPolicyDocument("%s", message) }

const (
	policySyntaxMessage  = "This resource policy contains a syntax error."
	broadAccessMessage   = "You can't attach a resource-based policy that allows broad access to the secret."
	unsupportedPrincipal = "This resource policy contains an unsupported principal."
	lockoutMessage       = "Your requested changes will not allow you to manage this secret in the future."
)

// checkPolicy parses a resource policy and looks up whom it names (spec 7.2).
func (s *Service) checkPolicy(ctx context.Context, text string) (*policy.Document, error) {
	doc, err := policy.ParseAs([]byte(text), policy.KindResource)
	if err != nil {
		var invalid *policy.InvalidError
		if errors.As(err, &invalid) {
			switch invalid.Rule {
			case policy.RuleVersion:
				return nil, errMalformedPolicy("This policy has invalid syntax.")
			case policy.RuleInvalidPrincipal:
				return nil, errMalformedPolicy(unsupportedPrincipal)
			}
		}
		return nil, errMalformedPolicy(policySyntaxMessage)
	}
	for p := range doc.Principals() {
		if err := s.checkPrincipal(ctx, p); err != nil {
			return nil, err
		}
	}
	return doc, nil
}

func (s *Service) checkPrincipal(ctx context.Context, p policy.PrincipalRef) error {
	switch {
	case p.Value == "*":
		return nil
	case p.Type == "Service":
		// Any name of AWS's form may come to mean a service here; anything else
		// never will.
		if strings.HasSuffix(p.Value, ".amazonaws.com") && !strings.ContainsAny(p.Value, "*?:/ ") {
			return nil
		}
		return errMalformedPolicy("This resource policy contains an unsupported service principal.")
	case p.Type == "AWS":
		exists, err := s.principals.PrincipalExists(ctx, p.Value)
		if err != nil || exists {
			return err
		}
	}
	return errMalformedPolicy(unsupportedPrincipal)
}

// storedPolicy is the text as it is kept.
func (s *Service) storedPolicy(ctx context.Context, text string) (string, error) {
	stored, err := auth.StoredPolicy(ctx, s.principals, text)
	if errors.Is(err, auth.ErrNoPrincipal) {
		return "", errMalformedPolicy(unsupportedPrincipal)
	}
	return stored, err
}

// PutResourcePolicy attaches a policy, replacing the one before.
func (s *Service) PutResourcePolicy(ctx context.Context, in *PutResourcePolicyInput) (*PutResourcePolicyOutput, error) {
	var keys []auth.Key
	if in.BlockPublicPolicy != nil {
		keys = append(keys, auth.Key{Name: "secretsmanager:BlockPublicPolicy", Values: []string{strconv.FormatBool(*in.BlockPublicPolicy)}})
	}
	return retry(func() (*PutResourcePolicyOutput, error) {
		sec, err := s.open(ctx, "PutResourcePolicy", *in.SecretId, keys...)
		if err != nil {
			return nil, err
		}
		if err := sec.writable(); err != nil {
			return nil, err
		}
		doc, err := s.checkPolicy(ctx, *in.ResourcePolicy)
		if err != nil {
			return nil, err
		}
		if public, _ := doc.Public(); public && deref(in.BlockPublicPolicy) {
			return nil, ErrPublicPolicy(broadAccessMessage)
		}
		if locked, err := s.locksOut(ctx, sec, doc, keys); err != nil {
			return nil, err
		} else if locked {
			return nil, ErrInvalidParameter(lockoutMessage)
		}
		text, err := s.storedPolicy(ctx, *in.ResourcePolicy)
		if err != nil {
			return nil, err
		}
		return &PutResourcePolicyOutput{ARN: new(sec.arn()), Name: &sec.Name}, s.setPolicy(ctx, sec, text)
	})
}

// locksOut reports whether, under the policy doc, the caller could not change the
// policy again.
func (s *Service) locksOut(ctx context.Context, sec *secret, doc *policy.Document, keys []auth.Key) (bool, error) {
	bare := *sec
	bare.Policy = ""
	request, err := s.request(&bare, "PutResourcePolicy", sec.arn(), keys)
	if err != nil {
		return false, err
	}
	request.Policy = &policy.Source{ID: "proposed", Doc: doc, Kind: policy.KindResource}
	allowed, err := s.auth.Would(ctx, request)
	return !allowed, err
}

func (s *Service) setPolicy(ctx context.Context, sec *secret, text string) error {
	return s.change(ctx, sec, func(tx store.Tx, now *secret) error {
		now.Policy = text
		now.PolicyVersion++
		return s.save(tx, now)
	})
}

// GetResourcePolicy returns the policy; the member is left out when there is none.
func (s *Service) GetResourcePolicy(ctx context.Context, in *GetResourcePolicyInput) (*GetResourcePolicyOutput, error) {
	sec, err := s.open(ctx, "GetResourcePolicy", *in.SecretId)
	if err != nil {
		return nil, err
	}
	if err := sec.live(); err != nil {
		return nil, err
	}
	out := &GetResourcePolicyOutput{ARN: new(sec.arn()), Name: &sec.Name}
	if sec.Policy != "" {
		text, err := auth.ShownPolicy(ctx, s.principals, sec.Policy)
		if err != nil {
			return nil, err
		}
		out.ResourcePolicy = &text
	}
	return out, nil
}

// DeleteResourcePolicy detaches the policy, if there is one.
func (s *Service) DeleteResourcePolicy(ctx context.Context, in *DeleteResourcePolicyInput) (*DeleteResourcePolicyOutput, error) {
	return retry(func() (*DeleteResourcePolicyOutput, error) {
		sec, err := s.open(ctx, "DeleteResourcePolicy", *in.SecretId)
		if err != nil {
			return nil, err
		}
		if err := sec.writable(); err != nil {
			return nil, err
		}
		out := &DeleteResourcePolicyOutput{ARN: new(sec.arn()), Name: &sec.Name}
		if sec.Policy == "" {
			return out, nil
		}
		return out, s.setPolicy(ctx, sec, "")
	})
}

// ValidateResourcePolicy checks a policy without attaching it. What is not a
// policy at all is refused; broad access and lock-out are findings (spec 7.4).
func (s *Service) ValidateResourcePolicy(ctx context.Context, in *ValidateResourcePolicyInput) (*ValidateResourcePolicyOutput, error) {
	var sec *secret
	if in.SecretId != nil {
		var err error
		if sec, err = s.open(ctx, "ValidateResourcePolicy", *in.SecretId); err != nil {
			return nil, err
		}
		// The check of what a put would do needs the permission to put.
		request, err := s.request(sec, "PutResourcePolicy", *in.SecretId, nil)
		if err != nil {
			return nil, err
		}
		if err := s.auth.Authorize(ctx, request); err != nil {
			return nil, err
		}
		if err := sec.live(); err != nil {
			return nil, err
		}
	} else {
		at := here(ctx)
		arn := "arn:" + aws.Partition + ":secretsmanager:" + at.Region + ":" + at.Account + ":secret:*"
		for _, action := range []string{"ValidateResourcePolicy", "PutResourcePolicy"} {
			if err := s.auth.Authorize(ctx, &auth.Request{Action: "secretsmanager:" + action, Resource: arn, Account: at.Account}); err != nil {
				return nil, err
			}
		}
	}
	doc, err := s.checkPolicy(ctx, *in.ResourcePolicy)
	if err != nil {
		return nil, err
	}
	findings := []ValidationErrorsEntry{}
	if public, _ := doc.Public(); public {
		findings = append(findings, finding("PublicPolicyCheck", broadAccessMessage))
	}
	if sec != nil {
		if locked, err := s.locksOut(ctx, sec, doc, nil); err != nil {
			return nil, err
		} else if locked {
			findings = append(findings, finding("LockoutCheck", lockoutMessage))
		}
	}
	return &ValidateResourcePolicyOutput{PolicyValidationPassed: new(len(findings) == 0), ValidationErrors: findings}, nil
}

func finding(check, message string) ValidationErrorsEntry {
	return ValidationErrorsEntry{CheckName: &check, ErrorMessage: &message}
}
