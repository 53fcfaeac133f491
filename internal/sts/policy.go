package sts

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

const (
	// maxPlainPolicy is how long inline policy and ARNs may be together.
	maxPlainPolicy = 2048
	// maxPolicyARNs is how many managed policies may be passed.
	maxPolicyARNs = 10
)

// passed are the policies of a request that limit the session it makes.
type passed struct {
	text string
	arns []string
}

// readPolicies checks what can be said of them before anything is looked up.
func readPolicies(text *string, arns []PolicyDescriptorType) (passed, error) {
	var p passed
	size := 0
	if len(arns) > maxPolicyARNs {
		return p, ErrValidation("1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to %d", maxPolicyARNs)
	}
	for _, a := range arns {
		if a.Arn == nil {
			return p, ErrValidation("1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must not be null")
		}
		if arn, err := aws.ParseARN(*a.Arn); err != nil || arn.Service != "iam" {
			return p, ErrValidation("ARN %s is not valid.", *a.Arn)
		}
		p.arns = append(p.arns, *a.Arn)
		size += len(*a.Arn)
	}
	if text != nil {
		p.text = *text
		size += len(p.text)
	}
	if size > maxPlainPolicy {
		return p, wire.Invalid(tooLarge(percent(size, maxPlainPolicy)))
	}
	if text != nil {
		if _, err := policy.ParseAs([]byte(p.text), policy.KindSession); err != nil {
			return p, wire.Invalid(ErrMalformedPolicyDocument("%s", err))
		}
	}
	return p, nil
}

// percent rounds up, so that one too many is more than a hundred.
func percent(n, of int) int { return (n*100 + of - 1) / of }

// tooLarge is AWS's sentence (public threads).
func tooLarge(percent int) *aws.Error {
	return ErrPackedPolicyTooLarge("Packed policy consumes %d%% of allotted space, please use smaller policy.", percent)
}

// freeze makes session policies of them. A managed one is held at the version that
// is in force now: what the session may do is fixed when it is made.
func (s *Service) freeze(ctx context.Context, account string, p passed) ([]aws.SessionPolicy, error) {
	var out []aws.SessionPolicy
	if p.text != "" {
		out = append(out, aws.SessionPolicy{Text: p.text})
	}
	for _, arn := range p.arns {
		src, err := s.Directory.ManagedPolicy(ctx, account, arn, "")
		if errors.Is(err, auth.ErrUnknownKey) {
			// IAM's sentence for policies that cannot be attached; AWS's own here is
			// unconfirmed.
			return nil, ErrValidation("Policy %s does not exist or is not attachable.", arn)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, aws.SessionPolicy{ARN: arn, Version: src.Version})
	}
	return out, nil
}
