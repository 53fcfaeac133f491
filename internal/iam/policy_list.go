package iam

import (
	"context"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// awsMarker begins the place of one of AWS's policies in a list, which holds the
// account's own first: two policies may have one name. No name has a slash.
const awsMarker = "aws/"

func validPolicyMarker(text string) bool {
	return validName(strings.TrimPrefix(text, awsMarker), maxPolicyName)
}

// policyQuery is which policies to list, and from where on.
type policyQuery struct {
	own, aws   bool
	used       bool
	usage      string
	pathPrefix string
	after      string
	limit      int
}

// ListPolicies lists the account's own policies and AWS's, without tags (spec
// iam-sts.md 3.1).
func (s *Service) ListPolicies(ctx context.Context, in *ListPoliciesInput) (*ListPoliciesOutput, error) {
	q := policyQuery{
		own: deref(in.Scope, "") != PolicyScopeAws, aws: deref(in.Scope, "") != PolicyScopeLocal,
		used: deref(in.OnlyAttached, false), usage: deref(in.PolicyUsageFilter, ""), pathPrefix: deref(in.PathPrefix, "/"),
	}
	var err error
	if q.after, q.limit, err = pageOf(in.Marker, in.MaxItems, validPolicyMarker); err != nil {
		return nil, err
	}
	account := wire.CallFrom(ctx).Principal.Account
	if err := s.auth.Authorize(ctx, &auth.Request{
		Action: "iam:ListPolicies", Resource: entityARN(account, "policy", q.pathPrefix, ""), Shown: "policy path " + q.pathPrefix, Account: account,
	}); err != nil {
		return nil, err
	}
	var policies []usedPolicy
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		policies, err = findPolicies(tx, account, &q)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &ListPoliciesOutput{Policies: []Policy{}, IsTruncated: new(len(policies) > q.limit)}
	if len(policies) > q.limit {
		policies = policies[:q.limit]
		out.Marker = nextMarker(policies[q.limit-1].place())
	}
	for _, p := range policies {
		p.Description = "" // only GetPolicy shows it (API reference, Policy)
		out.Policies = append(out.Policies, wirePolicy(p.managedPolicy, p.policyUse))
	}
	return out, nil
}

// place is where the policy stands in a list.
func (p *managedPolicy) place() string {
	if p.Account == awsAccount {
		return awsMarker + fold(p.Name)
	}
	return fold(p.Name)
}

// findPolicies returns one more than the limit, if there are as many.
func findPolicies(tx store.Tx, account string, q *policyQuery) (out []usedPolicy, err error) {
	if q.own && !strings.HasPrefix(q.after, awsMarker) {
		out, err = listPolicies(tx, account, q.after, q.pathPrefix, q.used, q.usage, q.limit+1)
	}
	if !q.aws || err != nil {
		return out, err
	}
	for _, other := range sortedOfAWS() {
		p := usedPolicy{managedPolicy: ofAWS(other)}
		if len(out) > q.limit {
			break
		}
		if !strings.HasPrefix(p.Path, q.pathPrefix) || strings.HasPrefix(q.after, awsMarker) && p.place() <= q.after {
			continue
		}
		if p.policyUse, err = usesOf(tx, account, p.ARN); err != nil {
			return nil, err
		}
		if q.lists(p.policyUse) {
			out = append(out, p)
		}
	}
	return out, nil
}

// lists says whether a policy in such use is asked for.
func (q *policyQuery) lists(use policyUse) bool {
	switch {
	case q.usage == PolicyUsagePermissionsPolicy:
		return use.Attached > 0
	case q.usage == PolicyUsagePermissionsBoundary:
		return use.Boundaries > 0
	}
	return !q.used || use.Attached+use.Boundaries > 0
}

// ListEntitiesForPolicy lists who a policy is attached to, or the boundary of:
// groups, then users, then roles.
func (s *Service) ListEntitiesForPolicy(ctx context.Context, in *ListEntitiesForPolicyInput) (*ListEntitiesForPolicyOutput, error) {
	after, limit, err := pageOf(in.Marker, in.MaxItems, func(text string) bool {
		k, name, _ := strings.Cut(text, "/")
		return slices.Contains(entityOrder, kind(k)) && validName(name, maxGroupName)
	})
	if err != nil {
		return nil, err
	}
	p, found, err := s.authorizePolicy(ctx, "ListEntitiesForPolicy", *in.PolicyArn, "")
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNotAttachable(*in.PolicyArn)
	}
	from, name, _ := strings.Cut(after, "/")
	var entities []holder
	err = s.db.Read(ctx, func(tx store.Tx) error {
		entities = nil
		for _, k := range entityOrder[max(0, slices.Index(entityOrder, kind(from))):] {
			if in.EntityFilter == nil || *in.EntityFilter == k.title() {
				more, err := listPolicyEntities(tx, k, wire.CallFrom(ctx).Principal.Account, p.ARN, deref(in.PolicyUsageFilter, ""), name,
					deref(in.PathPrefix, "/"), limit+1-len(entities))
				if err != nil {
					return err
				}
				entities = append(entities, more...)
			}
			name = "" // of the first kind only
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := &ListEntitiesForPolicyOutput{
		PolicyGroups: []PolicyGroup{}, PolicyUsers: []PolicyUser{}, PolicyRoles: []PolicyRole{}, IsTruncated: new(len(entities) > limit),
	}
	if len(entities) > limit {
		entities = entities[:limit]
		last := entities[limit-1]
		out.Marker = nextMarker(string(last.kind) + "/" + fold(last.name))
	}
	for _, e := range entities {
		switch e.kind {
		case groupKind:
			out.PolicyGroups = append(out.PolicyGroups, PolicyGroup{GroupName: &e.name, GroupId: &e.id})
		case userKind:
			out.PolicyUsers = append(out.PolicyUsers, PolicyUser{UserName: &e.name, UserId: &e.id})
		case roleKind:
			out.PolicyRoles = append(out.PolicyRoles, PolicyRole{RoleName: &e.name, RoleId: &e.id})
		}
	}
	return out, nil
}

// entityOrder is the order of ListEntitiesForPolicy.
var entityOrder = []kind{groupKind, userKind, roleKind}
