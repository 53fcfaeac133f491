package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/kms"
	"github.com/strongroom/strongroom/internal/limit"
	"github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/sts"
	"github.com/strongroom/strongroom/internal/wire"
)

// awsRates are AWS's quotas for requests of an account in a region (spec
// secretsmanager.md 12, kms.md 10). Of STS the documentation names one for most
// operations together; for IAM, and for STS's operations without a signature, it
// names none. KMS's for cryptography is one of two that depend on the region, the
// lower one.
func awsRates() limit.Rates {
	var r limit.Rates
	together := func(rate float64, service, names string) {
		var all []string
		for name := range strings.FieldsSeq(names) {
			all = append(all, service+":"+name)
		}
		r.Groups = append(r.Groups, limit.Group{Operations: all, Rate: rate})
	}
	each := func(rate float64, service, names string) {
		for name := range strings.FieldsSeq(names) {
			together(rate, service, name)
		}
	}
	const sm = "secretsmanager"
	each(10_000, sm, "GetSecretValue")
	each(40_000, sm, "DescribeSecret")
	each(100, sm, "ListSecrets BatchGetSecretValue")
	each(50, sm, "CreateSecret DeleteSecret RestoreSecret GetRandomPassword ListSecretVersionIds")
	together(50, sm, "DeleteResourcePolicy GetResourcePolicy PutResourcePolicy ValidateResourcePolicy")
	together(50, sm, "PutSecretValue UpdateSecret UpdateSecretVersionStage ReplicateSecretToRegions RemoveRegionsFromReplication StopReplicationToReplica")
	together(50, sm, "RotateSecret CancelRotateSecret")
	together(50, sm, "TagResource UntagResource")

	// First what the others leave: a later group decides.
	for _, o := range kms.API.Operations {
		each(5, "kms", o.Name)
	}
	each(2000, "kms", "DescribeKey")
	each(500, "kms", "ListKeys ListAliases")
	each(1000, "kms", "GetKeyPolicy GetKeyRotationStatus")
	each(50, "kms", "CreateGrant")
	each(30, "kms", "RetireGrant RevokeGrant")
	each(15, "kms", "PutKeyPolicy ScheduleKeyDeletion")
	each(10, "kms", "TagResource")
	together(5500, "kms", "Decrypt Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext GenerateMac GenerateRandom ReEncrypt VerifyMac")

	together(600, "sts", "AssumeRole DecodeAuthorizationMessage GetAccessKeyInfo GetCallerIdentity GetFederationToken GetSessionToken")
	return r
}

// Rates are the bounds that a configuration asks for. A name that is no operation
// of AWS's is an error: whoever wrote it believes in a bound.
func Rates(cfg *config.Config) (limit.Rates, error) {
	r := cfg.Limits.Rates
	own := limit.Rates{Account: r.Account, Principal: r.Principal}
	for _, o := range r.Operations {
		for _, name := range o.Names {
			if !operationExists(name) {
				return own, &config.Mistake{Key: "limits.rates.operations",
					Text: fmt.Sprintf("limits.rates.operations: there is no operation %q; use a name such as secretsmanager:GetSecretValue", name)}
			}
		}
		own.Groups = append(own.Groups, limit.Group{Operations: o.Names, Rate: o.Rate})
	}
	switch r.Mode {
	case config.RatesAWS:
		return awsRates().Merge(own), nil
	case config.RatesCustom:
		return own, nil
	}
	return limit.Rates{}, nil
}

func operationExists(name string) bool {
	service, operation, _ := strings.Cut(name, ":")
	for _, s := range []*wire.Service{&secretsmanager.API, &kms.API, &iam.API, &sts.API} {
		if s.Name == service {
			return slices.ContainsFunc(s.Operations, func(o wire.OperationInfo) bool { return o.Name == operation })
		}
	}
	return false
}

// admit is what the dispatcher asks before a call whose caller is known; nil
// without bounds.
func (s *Server) admit() func(*wire.Call) (string, time.Duration) {
	if s.rates == nil {
		return nil
	}
	return func(c *wire.Call) (string, time.Duration) {
		p := c.Principal
		return s.rates.Take(limit.Caller{
			Account: p.Account, Region: c.Region, Operation: c.Service.Name + ":" + c.Operation,
			// The user or role, and not the session: anybody who may make one can make
			// many. A federated user has no entity but a user whose rights it has.
			Principal: cmp.Or(p.EntityID, p.UserARN, p.Provider, p.ARN),
		})
	}
}

// throttleNote is how often the log tells of requests that are too many.
const throttleNote = 10 * time.Second

// noteThrottled tells the operator of a request that was one too many, unless it
// has just been told of another: such requests come in floods.
func (s *Server) noteThrottled(last *atomic.Int64, c *wire.Call) {
	now := s.now().UnixNano()
	if at := last.Load(); now-at < int64(throttleNote) && now >= at || !last.CompareAndSwap(at, now) {
		return
	}
	attrs := []slog.Attr{slog.String("bound", c.Throttled)}
	if c.Service != nil {
		attrs = append(attrs, slog.String("operation", c.Service.Name+":"+c.Operation))
	}
	if c.Principal != nil {
		attrs = append(attrs, slog.String("principal", c.Principal.ARN))
	}
	s.log.LogAttrs(context.Background(), slog.LevelWarn, "requests are refused because they are too many; see strongroom_throttled_total", attrs...)
}
