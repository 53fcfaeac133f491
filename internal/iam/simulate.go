package iam

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/policy/simulate"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// simulation is the input that the two operations share.
type simulation struct {
	policies, boundaries  []string
	actions, resources    []string
	resourcePolicy        *string
	resourceOwner, caller *string
	context               []ContextEntry
	marker                *string
	maxItems              *int32
}

// SimulateCustomPolicy says what policies would decide that are given with the
// request (spec iam-sts.md 3.5).
func (s *Service) SimulateCustomPolicy(ctx context.Context, in *SimulateCustomPolicyInput) (*SimulateCustomPolicyOutput, error) {
	account := wire.CallFrom(ctx).Principal.Account
	if err := s.auth.Authorize(ctx, &auth.Request{Action: "iam:SimulateCustomPolicy", Resource: "*", Shown: "*", Account: account}); err != nil {
		return nil, err
	}
	x := simulation{
		in.PolicyInputList, in.PermissionsBoundaryPolicyInputList, in.ActionNames, in.ResourceArns,
		in.ResourcePolicy, in.ResourceOwner, in.CallerArn, in.ContextEntries, in.Marker, in.MaxItems,
	}
	return x.run(ctx, nobody(account), policy.Set{}, false)
}

// SimulatePrincipalPolicy says what the policies of a user, group or role would
// decide, together with others that are given with the request.
func (s *Service) SimulatePrincipalPolicy(ctx context.Context, in *SimulatePrincipalPolicyInput) (*SimulatePrincipalPolicyOutput, error) {
	account, k, name, ok := entityOfARN(*in.PolicySourceArn)
	if !ok {
		// The sentence is known from public threads.
		return nil, wire.Invalid(ErrInvalidInput("Invalid Entity Arn: %s does not clearly define entity type and name.", *in.PolicySourceArn))
	}
	if own := wire.CallFrom(ctx).Principal.Account; account != own {
		// Nobody may look into another account, so this is a denial.
		if err := s.auth.Authorize(ctx, &auth.Request{
			Action: "iam:SimulatePrincipalPolicy", Resource: *in.PolicySourceArn, Shown: *in.PolicySourceArn, Account: account,
		}); err != nil {
			return nil, err
		}
	}
	h, err := s.authorizeHolder(ctx, "SimulatePrincipalPolicy", k, name)
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(h.arn(), *in.PolicySourceArn) {
		return nil, h.missing() // another path
	}
	principal, set, err := s.subject(ctx, &h)
	if err != nil {
		return nil, err
	}
	x := simulation{
		in.PolicyInputList, in.PermissionsBoundaryPolicyInputList, in.ActionNames, in.ResourceArns,
		in.ResourcePolicy, in.ResourceOwner, in.CallerArn, in.ContextEntries, in.Marker, in.MaxItems,
	}
	return x.run(ctx, principal, set, k == userKind)
}

// nobody is the caller of a simulation that is about policies alone.
func nobody(account string) *policy.Principal {
	return &policy.Principal{Type: policy.User, Account: account}
}

// subject returns the caller and the policies of an entity as they are now. A group
// has its own policies and no caller.
func (s *Service) subject(ctx context.Context, h *holder) (*policy.Principal, policy.Set, error) {
	if h.kind == groupKind {
		var bound []boundPolicy
		err := s.db.Read(ctx, func(tx store.Tx) (err error) {
			bound, err = entityPolicies(tx, *h)
			return err
		})
		if err != nil {
			return nil, policy.Set{}, err
		}
		var set policy.Set
		for i := range bound {
			src, err := s.directory.source(&bound[i])
			if err != nil {
				return nil, policy.Set{}, err
			}
			src.ID = shownPolicy(src.ID, groupKind)
			set.Identity = append(set.Identity, src)
		}
		return nobody(h.account), set, nil
	}
	id, err := s.directory.Entity(ctx, h.account, h.id)
	if errors.Is(err, auth.ErrUnknownKey) {
		return nil, policy.Set{}, h.missing()
	}
	if err != nil {
		return nil, policy.Set{}, err
	}
	p := &policy.Principal{
		Type: policy.User, Account: h.account, ARN: h.arn(), UserID: h.id, EntityID: h.id, UserName: h.name,
	}
	if h.kind == roleKind {
		p = &policy.Principal{Type: policy.AssumedRole, Account: h.account, ARN: h.arn(), RoleARN: h.arn(), UserID: h.id, EntityID: h.id}
	}
	for _, t := range h.tags {
		p.Tags = append(p.Tags, policy.Tag{Key: t.Key, Value: t.Value})
	}
	set := id.Policies
	set.Identity = nil // what the directory made stays as it is
	if set.Boundary != nil {
		boundary := *set.Boundary
		boundary.ID = shownPolicy(boundary.ID, h.kind)
		set.Boundary = &boundary
	}
	for _, src := range id.Policies.Identity {
		src.ID = shownPolicy(src.ID, h.kind)
		set.Identity = append(set.Identity, src)
	}
	return p, set, nil
}

// shownPolicy is a policy's name in SourcePolicyId (unconfirmed): that of a managed
// policy, and kind, entity and name of an inline one.
func shownPolicy(id string, k kind) string {
	rest, inline := strings.CutPrefix(id, "inline/")
	if !inline {
		return id[strings.LastIndexByte(id, '/')+1:]
	}
	if ofGroup, ok := strings.CutPrefix(rest, "group/"); ok {
		rest, k = ofGroup, groupKind
	}
	return string(k) + "_" + strings.Replace(rest, "/", "_", 1)
}

// run simulates with what the entity has and what the request brings.
func (x *simulation) run(ctx context.Context, p *policy.Principal, set policy.Set, isUser bool) (*SimulateCustomPolicyOutput, error) {
	if err := x.compile(&set); err != nil {
		return nil, wire.Invalid(err)
	}
	switch caller, err := x.principal(); {
	case err != nil:
		return nil, wire.Invalid(err)
	case caller != nil:
		p = caller
	case x.resourcePolicy != nil && !isUser:
		return nil, wire.Invalid(ErrInvalidInput("CallerArn is required with ResourcePolicy when the policies are not those of a user."))
	}
	in := simulate.Input{Principal: p, Policies: set, Actions: x.actions, Resources: x.resources, Owner: p.Account}
	if x.resourceOwner != nil {
		owner, ok := accountOf(*x.resourceOwner)
		if !ok {
			return nil, wire.Invalid(ErrInvalidInput("Invalid ResourceOwner: %s", *x.resourceOwner))
		}
		in.Owner = owner
	}
	for _, e := range x.context {
		in.Context = append(in.Context, simulate.Entry{Key: deref(e.ContextKeyName, ""), Values: e.ContextKeyValues, Type: deref(e.ContextKeyType, "")})
	}
	sim, err := simulate.New(in)
	if err != nil {
		return nil, wire.Invalid(ErrInvalidInput("%s", err.Error()))
	}
	return x.page(ctx, sim)
}

// compile adds the policies of the request. A boundary given takes the place of the
// entity's.
func (x *simulation) compile(set *policy.Set) *aws.Error {
	for i, text := range x.policies {
		// As session policies: without a version they are read like old ones.
		doc, err := policy.ParseAs([]byte(text), policy.KindSession)
		if err != nil {
			return ErrInvalidInput("%s", err.Error())
		}
		set.Identity = append(set.Identity, policy.Source{ID: fmt.Sprintf("PolicyInputList.%d", i+1), Doc: doc})
	}
	if len(x.boundaries) > 1 {
		return ErrInvalidInput("There can be one permissions boundary only.")
	}
	for _, text := range x.boundaries {
		doc, err := policy.ParseAs([]byte(text), policy.KindSession)
		if err != nil {
			return ErrInvalidInput("%s", err.Error())
		}
		set.Boundary = &policy.Source{ID: "PermissionsBoundaryPolicyInputList.1", Doc: doc}
	}
	if x.resourcePolicy != nil {
		doc, err := policy.ParseAs([]byte(*x.resourcePolicy), policy.KindResource)
		if err != nil {
			return ErrInvalidInput("%s", err.Error())
		}
		set.Resource = &policy.Source{ID: "ResourcePolicy", Doc: doc, Kind: policy.KindResource}
	}
	return nil
}

// principal is the caller that CallerArn names; nil without one. Nobody is looked up:
// the simulated caller need not exist.
func (x *simulation) principal() (*policy.Principal, *aws.Error) {
	if x.caller == nil {
		return nil, nil
	}
	account, k, name, ok := entityOfARN(*x.caller)
	if !ok || k != userKind {
		return nil, ErrInvalidInput("Invalid CallerArn: %s is not the ARN of a user.", *x.caller)
	}
	return &policy.Principal{Type: policy.User, Account: account, ARN: *x.caller, UserName: name}, nil
}

// accountOf reads an account's id or the ARN of its root.
func accountOf(text string) (string, bool) {
	account := strings.TrimSuffix(strings.TrimPrefix(text, "arn:"+aws.Partition+":iam::"), ":root")
	return account, aws.ValidAccountID(account) && (text == account || text == aws.RootARN(account))
}

// simulationWork bounds the work behind one answer, in bytes of policies looked at.
// A page that reaches it is short, which callers of paged operations expect.
const simulationWork = 8 << 20

// page computes the results that were asked for.
func (x *simulation) page(ctx context.Context, sim *simulate.Simulation) (*SimulateCustomPolicyOutput, error) {
	after, limit, err := pageOf(x.marker, x.maxItems, func(text string) bool {
		n, err := strconv.Atoi(text)
		return err == nil && n > 0 && strconv.Itoa(n) == text
	})
	if err != nil {
		return nil, err
	}
	next := 0
	if after != "" {
		if next, err = strconv.Atoi(after); err != nil {
			return nil, err
		}
		if next >= sim.Len() {
			return nil, wire.Invalid(validationError("Invalid Marker."))
		}
	}
	out := &SimulateCustomPolicyOutput{EvaluationResults: []EvaluationResult{}, IsTruncated: new(false)}
	for work := 0; next < sim.Len() && len(out.EvaluationResults) < limit && work < simulationWork; next++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out.EvaluationResults = append(out.EvaluationResults, x.result(sim.Result(next)))
		work += sim.Size()
	}
	if next < sim.Len() {
		out.IsTruncated, out.Marker = new(true), nextMarker(strconv.Itoa(next))
	}
	return out, nil
}

// result spells one result. With ResourceArns the decision is told twice, and what is
// missing with the resource (spec iam-sts.md 3.5, API reference).
func (x *simulation) result(r simulate.Result) EvaluationResult {
	decision := map[policy.Outcome]string{policy.Allow: "allowed", policy.ExplicitDeny: "explicitDeny", policy.ImplicitDeny: "implicitDeny"}
	out := EvaluationResult{
		EvalActionName: &r.Action, EvalResourceName: &r.Resource, EvalDecision: new(decision[r.Decision]),
		MatchedStatements: []Statement{}, MissingContextValues: []string{}, EvalDecisionDetails: map[string]string{},
	}
	for _, m := range r.Matched {
		out.MatchedStatements = append(out.MatchedStatements, Statement{
			SourcePolicyId: new(m.Policy), SourcePolicyType: new(sourceType(m.Layer)), StartPosition: position(m.Start), EndPosition: position(m.End),
		})
	}
	if r.Boundary != nil {
		out.PermissionsBoundaryDecisionDetail = &PermissionsBoundaryDecisionDetail{AllowedByPermissionsBoundary: r.Boundary}
	}
	for side, outcome := range r.Details {
		out.EvalDecisionDetails[side] = decision[outcome]
	}
	if len(x.resources) == 0 {
		out.MissingContextValues = append(out.MissingContextValues, r.Missing...)
		return out
	}
	out.ResourceSpecificResults = []ResourceSpecificResult{{
		EvalResourceName: &r.Resource, EvalResourceDecision: out.EvalDecision, MatchedStatements: out.MatchedStatements,
		MissingContextValues: append([]string{}, r.Missing...), EvalDecisionDetails: out.EvalDecisionDetails,
		PermissionsBoundaryDecisionDetail: out.PermissionsBoundaryDecisionDetail,
	}}
	return out
}

// sourceType is recorded for identity policies; the other two are named in its manner
// (unconfirmed).
func sourceType(layer policy.Layer) string {
	switch layer {
	case policy.LayerResource, policy.LayerTrust:
		return "Resource Policy"
	case policy.LayerBoundary:
		return "Permissions Boundary Policy"
	}
	return "IAM Policy"
}

func position(p policy.Position) *Position {
	return &Position{Line: new(int32(p.Line)), Column: new(int32(p.Column))}
}
