package randomiam

import (
	"slices"
	"strings"
	"time"
)

// paged are the operations that return pages, with the lists in them.
var paged = map[string][]string{
	"GetGroup": {"Users"}, "ListUsers": {"Users"}, "ListGroups": {"Groups"}, "ListRoles": {"Roles"}, "ListPolicies": {"Policies"},
	"ListGroupsForUser": {"Groups"}, "ListAccessKeys": {"AccessKeyMetadata"}, "ListPolicyVersions": {"Versions"},
	"ListEntitiesForPolicy": {"PolicyGroups", "PolicyUsers", "PolicyRoles"},
	"ListUserTags":          {"Tags"}, "ListRoleTags": {"Tags"}, "ListPolicyTags": {"Tags"},
	"ListUserPolicies": {"PolicyNames"}, "ListGroupPolicies": {"PolicyNames"}, "ListRolePolicies": {"PolicyNames"},
	"ListAttachedUserPolicies": {"AttachedPolicies"}, "ListAttachedGroupPolicies": {"AttachedPolicies"}, "ListAttachedRolePolicies": {"AttachedPolicies"},
}

// required are members that the generator leaves out at times.
var required = map[string][]string{
	"CreateUser": {"UserName"}, "CreateGroup": {"GroupName"}, "GetRole": {"RoleName"}, "DeleteUser": {"UserName"}, "AttachUserPolicy": {"PolicyArn"},
	"PutUserPolicy": {"PolicyDocument"}, "DeletePolicyVersion": {"VersionId"}, "UpdateUser": {"UserName"},
}

// ofEntities are the operations that users, groups and roles have alike.
var ofEntities = map[string]func(*model, *account, op, kind, *entity) answer{
	"CreateEntity": (*model).create,
	"DeleteEntity": enter((*model).remove),
	"ListEntitys":  (*model).listAll,
	"UpdateEntity": enter((*model).update),
	"GetEntity": enter(func(m *model, a *account, _ op, e *entity) answer {
		b := object{e.kind.title(): m.show(e, true)}
		switch e.kind {
		case group:
			users := []object{}
			for _, u := range a.members(e) {
				users = append(users, m.show(u, false))
			}
			b["Users"] = users
		case role:
			r := b["Role"].(object)
			r["MaxSessionDuration"] = e.longest
			r["RoleLastUsed"] = anything // it is behind by a quarter of an hour
		}
		return ok(b)
	}),
	"TagEntity":          wrapTags(enter((*model).tag)),
	"UntagEntity":        enter(untag),
	"ListEntityTags":     enter(func(_ *model, _ *account, _ op, e *entity) answer { return ok(object{"Tags": wireTags(byKey(e.tags))}) }),
	"PutEntityPolicy":    enter((*model).putInline),
	"GetEntityPolicy":    enter(getInline),
	"DeleteEntityPolicy": enter(deleteInline),
	"ListEntityPolicies": enter(func(_ *model, _ *account, _ op, e *entity) answer {
		names := []string{}
		for name := range e.inline {
			names = append(names, name)
		}
		slices.Sort(names)
		return ok(object{"PolicyNames": names})
	}),
	"AttachEntityPolicy":              wrapARN((*model).attach),
	"DetachEntityPolicy":              wrapARN(detach),
	"ListAttachedEntityPolicies":      enter(listAttached),
	"PutEntityPermissionsBoundary":    (*model).putBoundary,
	"DeleteEntityPermissionsBoundary": enter(func(_ *model, _ *account, _ op, e *entity) answer { e.boundary = ""; return done }),
	"AddEntityToGroup":                func(m *model, a *account, o op, _ kind, u *entity) answer { return m.member(a, o, u, true) },
	"RemoveEntityFromGroup":           func(m *model, a *account, o op, _ kind, u *entity) answer { return m.member(a, o, u, false) },
	"ListGroupsForEntity": enter(func(m *model, _ *account, _ op, u *entity) answer {
		groups := []object{}
		for _, g := range byName(u.groups) {
			groups = append(groups, m.show(g, false))
		}
		return ok(object{"Groups": groups})
	}),
}

// show is an entity on the wire; lists show neither tags nor boundaries (3.1).
func (m *model) show(e *entity, whole bool) object {
	b := object{"Path": e.path, e.kind.title() + "Name": e.name, e.kind.title() + "Id": e.id, "Arn": e.arn(), "CreateDate": e.created}
	if e.kind == role {
		b["AssumeRolePolicyDocument"] = percent(m.showTrust(e.trust))
		if e.description != "" {
			b["Description"] = e.description
		}
	}
	if whole && e.boundary != "" {
		b["PermissionsBoundary"] = object{"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": e.boundary}
	}
	if whole && len(e.tags) > 0 {
		b["Tags"] = wireTags(e.tags)
	}
	return b
}

// percent encodes as IAM does documents (1).
func percent(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15]))
	}
	return b.String()
}

func (m *model) create(a *account, o op, k kind, twin *entity) answer {
	name := o.text(k.title() + "Name")
	e := m.entity(a, k, name, o.or("Path", "/"))
	e.boundary, e.description, e.longest = o.text("PermissionsBoundary"), o.text("Description"), 3600
	if n, ok := o.in["MaxSessionDuration"].(int); ok {
		e.longest = n
	}
	e.tags = o.tags()
	if twice(e.tags, strings.EqualFold) {
		return errTwice
	}
	if e.boundary != "" && !policyARN(e.boundary) {
		return fail("InvalidInput", "ARN %s is not valid.", e.boundary)
	}
	if k == role {
		var wrong answer
		if e.trust, wrong = m.bindTrust(o.text("AssumeRolePolicyDocument")); wrong.code != "" {
			return wrong
		}
	}
	if e.boundary != "" && !a.exists(e.boundary) {
		return fail("NoSuchEntity", "Scope ARN: %s does not exist or is not attachable.", e.boundary)
	}
	// That the quota counts before the name is not specified.
	most := map[kind]int{user: m.limits.users, group: m.limits.groups, role: m.limits.roles}[k]
	if len(a.all(k, "/")) >= most {
		return fail("LimitExceeded", "Cannot exceed quota for %ssPerAccount: %d", k.title(), most)
	}
	if twin != nil {
		return fail("EntityAlreadyExists", "%s with name %s already exists.", k.title(), name)
	}
	a.entities = append(a.entities, e)
	b := m.show(e, true)
	if k == role { // as it was given
		b["AssumeRolePolicyDocument"] = percent(o.text("AssumeRolePolicyDocument"))
	}
	return ok(object{k.title(): b})
}

// remove deletes what nothing hangs on. Which of several obstacles is named is not
// specified.
func (m *model) remove(a *account, _ op, e *entity) answer {
	conflict := func(what string) answer { return fail("DeleteConflict", "Cannot delete entity, must %s first.", what) }
	switch {
	case e.kind == group && len(a.members(e)) > 0:
		return conflict("remove users from group")
	case len(e.attached) > 0:
		return conflict("detach all policies")
	case len(e.inline) > 0:
		return conflict("delete policies")
	case len(e.keys) > 0:
		return conflict("delete access keys")
	case e.login != nil:
		return conflict("delete login profile")
	case len(e.groups) > 0:
		return conflict("remove users from group")
	}
	a.entities = slices.DeleteFunc(a.entities, func(x *entity) bool { return x == e })
	return done
}

func (m *model) listAll(a *account, o op, k kind, _ *entity) answer {
	list := []object{}
	for _, e := range a.all(k, o.or("PathPrefix", "/")) {
		b := m.show(e, false)
		if k == role {
			b["MaxSessionDuration"] = e.longest
		}
		list = append(list, b)
	}
	return ok(object{k.title() + "s": list})
}

// update renames users and groups, and changes what roles allow.
func (m *model) update(a *account, o op, e *entity) answer {
	if e.kind == role {
		e.description = o.or("Description", e.description)
		if n, ok := o.in["MaxSessionDuration"].(int); ok {
			e.longest = n
		}
		return done
	}
	name := o.or("New"+e.kind.title()+"Name", e.name)
	if other := a.find(e.kind, name); other != nil && other != e {
		return fail("EntityAlreadyExists", "%s with name %s already exists.", e.kind.title(), name)
	}
	e.name, e.path = name, o.or("NewPath", e.path)
	return done
}

// member is AddUserToGroup and RemoveUserFromGroup: a missing user counts before a
// missing group (3.1).
func (m *model) member(a *account, o op, u *entity, add bool) answer {
	if u == nil {
		return missing(user, o.text("UserName"))
	}
	g := a.find(group, o.text("GroupName"))
	if g == nil {
		return missing(group, o.text("GroupName"))
	}
	switch {
	case !add:
		u.groups = slices.DeleteFunc(u.groups, func(x *entity) bool { return x == g })
	case slices.Contains(u.groups, g):
	case len(u.groups) >= m.limits.groupsPerUser:
		return fail("LimitExceeded", "Cannot exceed quota for GroupsPerUser: %d", m.limits.groupsPerUser)
	default:
		u.groups = append(u.groups, g)
	}
	return done
}

var inlineMost = map[kind]int{user: 2048, group: 5120, role: 10240}

func (m *model) putInline(_ *account, o op, e *entity) answer {
	text := o.text("PolicyDocument")
	if a := wrongDocument(text); a.code != "" {
		return a
	}
	sum := size(text)
	for name, other := range e.inline {
		if name != o.text("PolicyName") {
			sum += size(other)
		}
	}
	if most := inlineMost[e.kind]; sum > most {
		return fail("LimitExceeded", "Maximum policy size of %d bytes exceeded for %s %s", most, e.kind, e.name)
	}
	e.inline[o.text("PolicyName")] = text
	return done
}

func noInline(o op, e *entity) answer {
	return fail("NoSuchEntity", "The %s policy with name %s cannot be found.", e.kind, o.text("PolicyName"))
}

func getInline(_ *model, _ *account, o op, e *entity) answer {
	text, there := e.inline[o.text("PolicyName")]
	if !there {
		return noInline(o, e)
	}
	return ok(object{e.kind.title() + "Name": e.name, "PolicyName": o.text("PolicyName"), "PolicyDocument": percent(text)})
}

func deleteInline(_ *model, _ *account, o op, e *entity) answer {
	if _, there := e.inline[o.text("PolicyName")]; !there {
		return noInline(o, e)
	}
	delete(e.inline, o.text("PolicyName"))
	return done
}

// wrapARN refuses malformed ARNs of policies before all else (not specified).
func wrapARN(run func(*model, *account, op, *entity) answer) func(*model, *account, op, kind, *entity) answer {
	return func(m *model, a *account, o op, k kind, e *entity) answer {
		if arn := o.text("PolicyArn"); !policyARN(arn) {
			return fail("ValidationError", "ARN %s is not valid.", arn)
		}
		return enter(run)(m, a, o, k, e)
	}
}

func (m *model) attach(a *account, o op, e *entity) answer {
	arn := o.text("PolicyArn")
	switch {
	case !a.exists(arn):
		return fail("NoSuchEntity", "Policy %s does not exist or is not attachable.", arn)
	case slices.Contains(e.attached, arn):
		return done
	case len(e.attached) >= m.limits.attached:
		return fail("LimitExceeded", "Cannot exceed quota for PoliciesPer%s: %d", e.kind.title(), m.limits.attached)
	}
	e.attached = append(e.attached, arn)
	return done
}

func detach(_ *model, _ *account, o op, e *entity) answer {
	arn := o.text("PolicyArn")
	if !slices.Contains(e.attached, arn) {
		return fail("NoSuchEntity", "Policy %s was not found.", arn)
	}
	e.attached = slices.DeleteFunc(e.attached, func(x string) bool { return x == arn })
	return done
}

// split returns the path and the name in a policy's ARN.
func split(arn string) (path, name string) {
	path = arn[strings.Index(arn, ":policy/")+len(":policy"):]
	at := strings.LastIndex(path, "/") + 1
	return path[:at], path[at:]
}

// listAttached lists by ARN (not specified).
func listAttached(_ *model, _ *account, o op, e *entity) answer {
	list := []object{}
	for _, arn := range slices.Sorted(slices.Values(e.attached)) {
		if path, name := split(arn); strings.HasPrefix(path, o.or("PathPrefix", "/")) {
			list = append(list, object{"PolicyName": name, "PolicyArn": arn})
		}
	}
	return ok(object{"AttachedPolicies": list})
}

func (m *model) putBoundary(a *account, o op, k kind, e *entity) answer {
	arn := o.text("PermissionsBoundary")
	switch {
	case !policyARN(arn):
		return fail("InvalidInput", "ARN %s is not valid.", arn)
	case e == nil:
		return missing(k, o.text(k.title()+"Name"))
	case !a.exists(arn):
		return fail("NoSuchEntity", "Scope ARN: %s does not exist or is not attachable.", arn)
	}
	e.boundary = arn
	return done
}

var errTwice = fail("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")

func exactly(a, b string) bool { return a == b }

func twice(tags []tag, same func(a, b string) bool) bool {
	for i := range tags {
		if slices.ContainsFunc(tags[:i], func(t tag) bool { return same(t.key, tags[i].key) }) {
			return true
		}
	}
	return false
}

// wrapTags refuses duplicate keys before the entity is looked up (not specified).
func wrapTags(run func(*model, *account, op, kind, *entity) answer) func(*model, *account, op, kind, *entity) answer {
	return func(m *model, a *account, o op, k kind, e *entity) answer {
		if twice(o.tags(), strings.EqualFold) {
			return errTwice
		}
		return run(m, a, o, k, e)
	}
}

// merge adds tags; a key in another case replaces the old one where cases do not
// count.
func merge(held, more []tag, same func(a, b string) bool) ([]tag, answer) {
	held = slices.Clone(held)
	for _, t := range more {
		held = slices.DeleteFunc(held, func(x tag) bool { return same(x.key, t.key) })
		held = append(held, t)
	}
	if len(held) > 50 {
		return nil, fail("LimitExceeded", "The number of tags has reached the maximum limit.")
	}
	return held, answer{}
}

func (m *model) tag(_ *account, o op, e *entity) answer {
	tags, wrong := merge(e.tags, o.tags(), strings.EqualFold)
	if wrong.code != "" {
		return wrong
	}
	e.tags = tags
	return done
}

func untag(_ *model, _ *account, o op, e *entity) answer {
	e.tags = without(e.tags, o.texts("TagKeys"), strings.EqualFold)
	return done
}

func without(tags []tag, keys []string, same func(a, b string) bool) []tag {
	return slices.DeleteFunc(slices.Clone(tags), func(t tag) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return same(k, t.key) })
	})
}

func byKey(tags []tag) []tag {
	return slices.SortedFunc(slices.Values(tags), func(a, b tag) int { return strings.Compare(a.key, b.key) })
}

func wireTags(tags []tag) []object {
	list := []object{}
	for _, t := range tags {
		list = append(list, object{"Key": t.key, "Value": t.value})
	}
	return list
}

// seconds passes time in steps.
func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
