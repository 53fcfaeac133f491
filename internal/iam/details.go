package iam

import (
	"context"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/iam/awsmanaged"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// maxDetails bounds the documents on a page of GetAccountAuthorizationDetails, in
// characters. AWS, too, may give fewer items than MaxItems (API reference).
const maxDetails = 2 << 20

// detailParts are the lists of GetAccountAuthorizationDetails in the order of its
// pages. A marker is the name of a part, a slash, and the name to go on behind.
var detailParts = []string{EntityUser, EntityGroup, EntityRole, EntityLocalManagedPolicy, EntityAWSManagedPolicy}

func validDetailsMarker(text string) bool {
	part, name, _ := strings.Cut(text, "/")
	return slices.Contains(detailParts, part) && (name == "" || validName(name, maxPolicyName))
}

// details is an answer under way.
type details struct {
	*Service
	tx      store.Tx
	account string
	out     GetAccountAuthorizationDetailsOutput
	// left and size are how many items and characters fit on the page still.
	left, size int
}

// GetAccountAuthorizationDetails shows the account's users, groups, roles and
// policies with all that hangs on them, page by page. The statements of a page do
// not grow with what is on it.
func (s *Service) GetAccountAuthorizationDetails(ctx context.Context, in *GetAccountAuthorizationDetailsInput) (*GetAccountAuthorizationDetailsOutput, error) {
	marker, limit, err := pageOf(in.Marker, in.MaxItems, validDetailsMarker)
	if err != nil {
		return nil, err
	}
	account := wire.CallFrom(ctx).Principal.Account
	if err := s.auth.Authorize(ctx, &auth.Request{Action: "iam:GetAccountAuthorizationDetails", Resource: "*", Shown: "*", Account: account}); err != nil {
		return nil, err
	}
	var d *details
	err = s.db.Read(ctx, func(tx store.Tx) error {
		d = &details{Service: s, tx: tx, account: account, left: limit, size: maxDetails}
		return d.page(marker, in.Filter)
	})
	if err != nil {
		return nil, err
	}
	return &d.out, nil
}

// page fills the page behind a marker.
func (d *details) page(marker string, filter []string) error {
	// All four lists are there even when they are empty (spec iam-sts.md 3.3).
	d.out = GetAccountAuthorizationDetailsOutput{
		UserDetailList: []UserDetail{}, GroupDetailList: []GroupDetail{}, RoleDetailList: []RoleDetail{}, Policies: []ManagedPolicyDetail{}, IsTruncated: new(false),
	}
	from, after, _ := strings.Cut(marker, "/")
	for _, part := range detailParts[max(0, slices.Index(detailParts, from)):] {
		if len(filter) > 0 && !slices.Contains(filter, part) {
			after = ""
			continue
		}
		last, more, err := d.part(part, after)
		if err != nil {
			return err
		}
		if more {
			d.out.IsTruncated, d.out.Marker = new(true), nextMarker(part+"/"+last)
			return nil
		}
		after = "" // of the first part only
	}
	return nil
}

// part adds what fits of one part, and returns the name that came last and whether
// there are more.
func (d *details) part(part, after string) (last string, more bool, err error) {
	if part == EntityAWSManagedPolicy {
		return d.policiesOfAWS(after)
	}
	tables := map[string]*detailTables{
		EntityUser: &userDetails, EntityGroup: &groupDetails, EntityRole: &roleDetails, EntityLocalManagedPolicy: &policyDetails,
	}[part]
	piece, rows, more, err := tables.measure(d.tx, d.account, after, d.left, &d.size)
	if err != nil || rows == 0 {
		return after, more, err
	}
	d.left -= rows
	switch part {
	case EntityUser:
		err = d.users(piece)
	case EntityGroup:
		err = d.groups(piece)
	case EntityRole:
		err = d.roles(piece)
	case EntityLocalManagedPolicy:
		err = d.policies(piece)
	}
	return piece.last, more, err
}

// hanging is what hangs on the entities of a piece, by their ids.
type hanging struct {
	inline   map[string][]inlinePolicy
	attached map[string][]pair
}

func (d *details) hanging(tables *detailTables, piece span) (h hanging, err error) {
	if h.inline, err = inlineIn(d.tx, d.account, tables, piece); err != nil {
		return h, err
	}
	h.attached, err = attachedIn(d.tx, d.account, tables, piece)
	return h, err
}

func (h *hanging) of(id string) ([]PolicyDetail, []AttachedPolicy) {
	inline := []PolicyDetail{}
	for _, p := range h.inline[id] {
		inline = append(inline, PolicyDetail{PolicyName: &p.Name, PolicyDocument: new(wire.PercentEncode(p.Document))})
	}
	var arns []string
	for _, p := range h.attached[id] {
		arns = append(arns, p.value)
	}
	return inline, wireAttached(arns)
}

func (d *details) users(piece span) error {
	users, err := rowsIn(d.tx, d.account, &userDetails, piece, scanUser, userColumns)
	if err != nil {
		return err
	}
	on, err := d.hanging(&userDetails, piece)
	if err != nil {
		return err
	}
	groups, err := groupsIn(d.tx, d.account, piece)
	if err != nil {
		return err
	}
	for i := range users {
		u := &users[i]
		inline, attached := on.of(u.ID)
		names := []string{}
		for _, g := range groups[u.ID] {
			names = append(names, g.value)
		}
		d.out.UserDetailList = append(d.out.UserDetailList, UserDetail{
			Path: &u.Path, UserName: &u.Name, UserId: &u.ID, Arn: new(u.arn()), CreateDate: wireTime(u.CreatedAt), UserPolicyList: inline,
			GroupList: names, AttachedManagedPolicies: attached, PermissionsBoundary: wireBoundary(u.Boundary), Tags: wireTags(u.Tags),
		})
	}
	return nil
}

func (d *details) groups(piece span) error {
	groups, err := rowsIn(d.tx, d.account, &groupDetails, piece, scanGroup, groupColumns)
	if err != nil {
		return err
	}
	on, err := d.hanging(&groupDetails, piece)
	if err != nil {
		return err
	}
	for i := range groups {
		g := &groups[i]
		inline, attached := on.of(g.ID)
		d.out.GroupDetailList = append(d.out.GroupDetailList, GroupDetail{
			Path: &g.Path, GroupName: &g.Name, GroupId: &g.ID, Arn: new(g.arn()), CreateDate: wireTime(g.CreatedAt),
			GroupPolicyList: inline, AttachedManagedPolicies: attached,
		})
	}
	return nil
}

func (d *details) roles(piece span) error {
	roles, err := rowsIn(d.tx, d.account, &roleDetails, piece, scanRole, roleColumns)
	if err != nil {
		return err
	}
	if err := d.showTrust(d.tx, pointers(roles)...); err != nil {
		return err
	}
	on, err := d.hanging(&roleDetails, piece)
	if err != nil {
		return err
	}
	for i := range roles {
		r := &roles[i]
		inline, attached := on.of(r.ID)
		d.out.RoleDetailList = append(d.out.RoleDetailList, RoleDetail{
			Path: &r.Path, RoleName: &r.Name, RoleId: &r.ID, Arn: new(r.arn()), CreateDate: wireTime(r.CreatedAt),
			AssumeRolePolicyDocument: new(wire.PercentEncode(r.Trust)), InstanceProfileList: []InstanceProfile{}, RolePolicyList: inline,
			AttachedManagedPolicies: attached, PermissionsBoundary: wireBoundary(r.Boundary), Tags: wireTags(r.Tags), RoleLastUsed: d.roleLastUsed(*r),
		})
	}
	return nil
}

func (d *details) policies(piece span) error {
	policies, err := rowsIn(d.tx, d.account, &policyDetails, piece, scanUsedPolicy, policyColumns+`, `+countUses)
	if err != nil {
		return err
	}
	versions, err := versionsIn(d.tx, d.account, piece)
	if err != nil {
		return err
	}
	for _, p := range policies {
		d.policy(p, versions[p.ID])
	}
	return nil
}

// policiesOfAWS adds those of AWS's policies that are in use, as AWS does.
func (d *details) policiesOfAWS(after string) (last string, more bool, err error) {
	last = after
	for _, other := range sortedOfAWS() {
		p := usedPolicy{managedPolicy: ofAWS(other)}
		if fold(p.Name) <= after {
			continue
		}
		if p.policyUse, err = usesOf(d.tx, d.account, p.ARN); err != nil {
			return last, false, err
		}
		if p.Attached+p.Boundaries == 0 {
			continue
		}
		if d.left == 0 {
			return last, true, nil
		}
		d.left--
		d.policy(p, []policyVersion{{Number: p.DefaultVersion, Document: other.Text, CreatedAt: other.Created}})
		last = fold(p.Name)
	}
	return last, false, nil
}

// sortedOfAWS are AWS's policies in the order of lists.
func sortedOfAWS() []awsmanaged.Policy {
	return slices.SortedFunc(slices.Values(awsmanaged.List()), func(a, b awsmanaged.Policy) int { return strings.Compare(fold(a.Name), fold(b.Name)) })
}

func (d *details) policy(p usedPolicy, versions []policyVersion) {
	shown := wirePolicy(p.managedPolicy, p.policyUse)
	out := ManagedPolicyDetail{
		PolicyName: shown.PolicyName, PolicyId: shown.PolicyId, Arn: shown.Arn, Path: shown.Path, DefaultVersionId: shown.DefaultVersionId,
		AttachmentCount: shown.AttachmentCount, PermissionsBoundaryUsageCount: shown.PermissionsBoundaryUsageCount, IsAttachable: shown.IsAttachable,
		Description: shown.Description, CreateDate: shown.CreateDate, UpdateDate: shown.UpdateDate, PolicyVersionList: []PolicyVersion{},
	}
	for _, v := range versions {
		one := wireVersion(v, p.DefaultVersion)
		one.Document = new(wire.PercentEncode(v.Document))
		out.PolicyVersionList = append(out.PolicyVersionList, one)
	}
	d.out.Policies = append(d.out.Policies, out)
}
