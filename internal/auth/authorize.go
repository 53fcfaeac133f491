package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/sigv4"
	"github.com/strongroom/strongroom/internal/wire"
)

// Key is a condition key of a request beyond the global ones.
type Key struct {
	Name   string
	Values []string
	// Multi marks a multivalued key; without it Values holds one value.
	Multi bool
}

// RequestTags are the keys that say which tags a request sets.
func RequestTags(tags []aws.Tag) []Key {
	if len(tags) == 0 {
		return nil
	}
	keys := make([]Key, 0, len(tags)+1)
	names := make([]string, len(tags))
	for i, t := range tags {
		names[i] = t.Key
		keys = append(keys, Key{Name: "aws:RequestTag/" + t.Key, Values: []string{t.Value}})
	}
	return append(keys, Key{Name: "aws:TagKeys", Values: names, Multi: true})
}

// Request asks whether the caller may do something.
type Request struct {
	// Action is the IAM action, such as "secretsmanager:GetSecretValue".
	Action string
	// Resource is the ARN to decide on, or "*" for operations without one.
	Resource string
	// Shown is the resource as a denial shows it; "" leaves it out.
	Shown string
	// Bare leaves the reason out of a denial, where it would tell whether the
	// resource exists.
	Bare bool
	// Account owns the resource; "" means the caller's own.
	Account string
	// Policy is the policy on the resource, nil when there is none.
	Policy *policy.Source
	// Mandatory says that without Policy allowing it nothing goes (KMS keys).
	Mandatory bool
	// Keys are condition keys of this request; of a name given twice the last
	// counts. They and Tags are kept with the decision and must not change.
	Keys []Key
	// Standing are further ones that every request about the resource has; Keys go
	// before them. They may be shared.
	Standing []Key
	// Tags are those of the resource: aws:ResourceTag and the service's alias.
	Tags []aws.Tag
}

// Evidence is what a decision rests on, kept with the call so that it can be
// explained later as it was made.
type Evidence struct {
	Request  policy.Request
	Policies policy.Set
	Decision policy.Decision
	// Shown is the resource as a denial shows it, and Bare that it gives no
	// reason.
	Shown string
	Bare  bool
}

// Authorize decides a request of the call in ctx, notes the decision in the
// call, and returns AWS's access-denied error when it is not allowed.
func (s *Service) Authorize(ctx context.Context, q *Request) error {
	call := wire.CallFrom(ctx)
	e, err := s.decide(ctx, call, q)
	if err != nil {
		return err
	}
	call.Decide(wire.Decision{Action: q.Action, Resource: q.Resource, Allowed: e.Decision.Allowed(), Evidence: e})
	if e.Decision.Allowed() {
		return nil
	}
	d := e.Decision
	if q.Bare {
		d.Outcome = policy.Allow // only an allowed decision has no reason
	}
	return denied(call, d.Denial(named(call.Principal), q.Action, q.Shown))
}

// named is the caller as a denial names it. A service has a name and no ARN.
func named(p *aws.Principal) string {
	if p.ARN == "" {
		return p.Service
	}
	return p.ARN
}

// Would decides without noting anything: for checks whether a change would lock
// its author out.
func (s *Service) Would(ctx context.Context, q *Request) (bool, error) {
	e, err := s.decide(ctx, wire.CallFrom(ctx), q)
	if err != nil {
		return false, err
	}
	return e.Decision.Allowed(), nil
}

func (s *Service) decide(ctx context.Context, call *wire.Call, q *Request) (*Evidence, error) {
	id, err := s.holder(ctx, call)
	if err != nil {
		return nil, err
	}
	set := id.Policies
	set.Resource = q.Policy
	return s.evaluate(call, id, q, set), nil
}

// evaluate decides q under set and the policy of the endpoint that the call came
// through.
func (s *Service) evaluate(call *wire.Call, id *Identity, q *Request, set policy.Set) *Evidence {
	// One allocation holds all that is kept of the decision.
	d := &struct {
		Evidence
		context policy.Context
		facts   facts
	}{}
	service, _, _ := strings.Cut(q.Action, ":")
	d.facts = facts{call: call, now: s.now(), keys: q.Keys, standing: q.Standing, tags: q.Tags, service: service}
	d.context.Provider = &d.facts
	account := q.Account
	if account == "" {
		account = call.Principal.Account
	}
	d.Policies = set
	d.Policies.Endpoint = endpointPolicy(call)
	d.Request = policy.Request{
		Principal: id.subject(), Action: q.Action, Resource: q.Resource, ResourceAccount: account, Mandatory: q.Mandatory, Context: &d.context,
	}
	d.Shown, d.Bare = q.Shown, q.Bare
	d.Decision = policy.Evaluate(&d.Request, &d.Policies)
	return &d.Evidence
}

// holder returns the caller's identity as it is now. When the key was withdrawn
// since the signature was verified, the caller is nobody any more.
func (s *Service) holder(ctx context.Context, call *wire.Call) (*Identity, error) {
	p := call.Principal
	var id *Identity
	var err error
	switch {
	case p.Session != nil:
		id, _, err = s.cache.session(ctx, p.Account, p.AccessKeyID, &Identity{Session: p.Session})
	case p.AccessKeyID != "":
		id, _, err = s.cache.key(ctx, p.Account, p.AccessKeyID)
	case p.Type == aws.PrincipalService, p.Type == aws.PrincipalWebIdentity, p.Type == aws.PrincipalAnonymous:
		// They have no policies of their own: only a resource's can let them in.
		return &Identity{Principal: p}, nil
	default:
		id, _, err = s.cache.entity(ctx, p.Account, p.UserID)
	}
	if refused, ok := errors.AsType[*sigv4.Error](withdrawn(err)); ok {
		return nil, signatureError(call, refused)
	}
	if err == nil && p.AccessKeyID != "" {
		// The signature may have been verified with what was known of the caller
		// before (claimed): operation and record go by the name and the tags that
		// the decision goes by.
		call.Principal = id.Principal
	}
	return id, err
}

// Current returns the identity of the call in ctx as it is now. It refuses a caller
// whose key was withdrawn since the signature was verified, and what the policy of a
// private endpoint does not let through. Operations that need no permission call it.
func (s *Service) Current(ctx context.Context) (*Identity, error) {
	id, err := s.holder(ctx, wire.CallFrom(ctx))
	if err != nil {
		return nil, err
	}
	if err := s.permitted(ctx, id); err != nil {
		return nil, err
	}
	return id, nil
}

// denied is the access-denied error of a service's protocol (spec
// iam-policy-evaluation.md 9).
func denied(call *wire.Call, message string) error {
	if call.Service.Protocol == wire.Query {
		return &aws.Error{Code: "AccessDenied", Message: message, Status: http.StatusForbidden}
	}
	return &aws.Error{Code: "AccessDeniedException", Message: message}
}
