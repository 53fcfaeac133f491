package randomiam

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// policyOf finds the policy that an operation names. Changes are only for the
// account's own: foreign is what else is answered (3.2), "" where anybody's can be
// asked for.
func policyOf(a *account, o op, foreign, gone string) (*managed, answer) {
	arn := o.text("PolicyArn")
	switch {
	case !policyARN(arn):
		return nil, fail("ValidationError", "ARN %s is not valid.", arn)
	case foreign != "" && !strings.HasPrefix(arn, "arn:aws:iam::"+a.id+":"):
		return nil, fail("AccessDenied", "%s", foreign)
	}
	p := a.policy(arn)
	if p == nil {
		return nil, fail("NoSuchEntity", gone, arn)
	}
	return p, answer{}
}

const (
	notFound      = "Policy %s was not found."
	notAttachable = "Policy %s does not exist or is not attachable."
	// Not specified for CreatePolicyVersion and for tags.
	cannotUpdate = "Cannot update policies outside your own account."
)

func (m *model) createPolicy(a *account, o op) answer {
	p := &managed{id: m.id("ANPA"), name: o.text("PolicyName"), path: o.or("Path", "/"), description: o.text("Description"), tags: o.tags(),
		created: m.clock.t, updated: m.clock.t, next: 2, inForce: 1}
	p.arn = "arn:aws:iam::" + a.id + ":policy" + p.path + p.name
	p.versions = []version{{1, o.text("PolicyDocument"), m.clock.t}}
	if twice(p.tags, exactly) {
		return errTwiceExactly
	}
	if wrong := wrongManaged(o.text("PolicyDocument")); wrong.code != "" {
		return wrong
	}
	if len(a.policies) >= m.limits.policies {
		return fail("LimitExceeded", "Cannot exceed quota for PoliciesPerAccount: %d", m.limits.policies)
	}
	if slices.ContainsFunc(a.policies, func(x *managed) bool { return strings.EqualFold(x.name, p.name) }) {
		return fail("EntityAlreadyExists", "A policy called %s already exists. Duplicate names are not allowed.", p.name)
	}
	a.policies = append(a.policies, p)
	b := m.showPolicy(a, p)
	if len(p.tags) > 0 {
		b["Tags"] = wireTags(p.tags)
	}
	return ok(object{"Policy": b})
}

var errTwiceExactly = fail("InvalidInput", "Duplicate tag keys found.")

func wrongManaged(text string) answer {
	if wrong := wrongDocument(text); wrong.code != "" {
		return wrong
	}
	if size(text) > 6144 {
		return fail("LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
	}
	return answer{}
}

func uses(a *account, arn string) (attached, boundaries int) {
	for _, e := range a.entities {
		if slices.Contains(e.attached, arn) {
			attached++
		}
		if e.boundary == arn {
			boundaries++
		}
	}
	return attached, boundaries
}

// showPolicy is a policy on the wire, without what only some answers have (3.1).
func (m *model) showPolicy(a *account, p *managed) object {
	attached, boundaries := uses(a, p.arn)
	return object{"PolicyName": p.name, "PolicyId": p.id, "Arn": p.arn, "Path": p.path, "DefaultVersionId": "v" + strconv.Itoa(p.inForce),
		"AttachmentCount": attached, "PermissionsBoundaryUsageCount": boundaries, "IsAttachable": true, "CreateDate": p.created, "UpdateDate": p.updated}
}

func (m *model) getPolicy(a *account, o op) answer {
	p, wrong := policyOf(a, o, "", notFound)
	if wrong.code != "" {
		return wrong
	}
	b := m.showPolicy(a, p)
	b["Tags"] = wireTags(p.tags)
	if p.description != "" {
		b["Description"] = p.description
	}
	return ok(object{"Policy": b})
}

func (m *model) deletePolicy(a *account, o op) answer {
	p, wrong := policyOf(a, o, "Cannot delete policies outside your own account.", notFound)
	if wrong.code != "" {
		return wrong
	}
	if attached, boundaries := uses(a, p.arn); attached+boundaries > 0 {
		return fail("DeleteConflict", "Cannot delete a policy attached to entities.")
	}
	if len(p.versions) > 1 {
		return fail("DeleteConflict", "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
	}
	a.policies = slices.DeleteFunc(a.policies, func(x *managed) bool { return x == p })
	return done
}

// listPolicies lists the account's own, then AWS's, each by name (not specified).
func (m *model) listPolicies(a *account, o op) answer {
	listed := func(arn, path string) bool {
		attached, boundaries := uses(a, arn)
		usage := map[string]int{"PermissionsPolicy": attached, "PermissionsBoundary": boundaries}
		n, filtered := usage[o.text("PolicyUsageFilter")]
		return strings.HasPrefix(path, o.or("PathPrefix", "/")) && (!filtered || n > 0) && (filtered || o.in["OnlyAttached"] != true || attached+boundaries > 0)
	}
	list := []object{}
	for _, p := range slices.SortedFunc(slices.Values(a.policies), func(x, y *managed) int {
		return strings.Compare(strings.ToLower(x.name), strings.ToLower(y.name))
	}) {
		if listed(p.arn, p.path) && o.text("Scope") != "AWS" {
			list = append(list, m.showPolicy(a, p))
		}
	}
	if o.text("Scope") == "Local" {
		return ok(object{"Policies": list})
	}
	for _, arn := range slices.SortedFunc(slices.Values(awsARNs), func(x, y string) int {
		_, a := split(x)
		_, b := split(y)
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	}) {
		if path, name := split(arn); listed(arn, path) {
			b := m.showPolicy(a, &managed{arn: arn, name: name, path: path, inForce: 1})
			b["PolicyId"], b["CreateDate"], b["UpdateDate"] = anything, anything, anything
			list = append(list, b)
		}
	}
	return ok(object{"Policies": list})
}

// listEntities lists groups, users and roles, each by name (not specified).
func (m *model) listEntities(a *account, o op) answer {
	arn := o.text("PolicyArn")
	if !policyARN(arn) {
		return fail("ValidationError", "ARN %s is not valid.", arn)
	}
	if !a.exists(arn) {
		return fail("NoSuchEntity", notAttachable, arn)
	}
	b := object{}
	for _, k := range []kind{group, user, role} {
		list := []object{}
		for _, e := range a.all(k, o.or("PathPrefix", "/")) {
			attached, bounded := slices.Contains(e.attached, arn), e.boundary == arn
			switch o.text("PolicyUsageFilter") {
			case "PermissionsPolicy":
				bounded = false
			case "PermissionsBoundary":
				attached = false
			}
			if (attached || bounded) && (!o.has("EntityFilter") || o.text("EntityFilter") == k.title()) {
				list = append(list, object{k.title() + "Name": e.name, k.title() + "Id": e.id})
			}
		}
		b["Policy"+k.title()+"s"] = list
	}
	return ok(b)
}

func (p *managed) showVersion(v *version) object {
	return object{"VersionId": fmt.Sprintf("v%d", v.number), "IsDefaultVersion": v.number == p.inForce, "CreateDate": v.created}
}

func (m *model) createVersion(a *account, o op) answer {
	p, wrong := policyOf(a, o, cannotUpdate, notAttachable)
	if wrong.code == "" {
		wrong = wrongManaged(o.text("PolicyDocument"))
	}
	if wrong.code != "" {
		return wrong
	}
	if len(p.versions) >= 5 {
		return fail("LimitExceeded", "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")
	}
	v := version{p.next, o.text("PolicyDocument"), m.clock.t}
	p.next++
	p.versions = append(p.versions, v)
	p.updated = m.clock.t
	if o.in["SetAsDefault"] == true {
		p.inForce = v.number
	}
	return ok(object{"PolicyVersion": p.showVersion(&v)})
}

// versionOf finds the version that an operation names.
func versionOf(a *account, o op, foreign string) (*managed, *version, answer) {
	gone := fail("NoSuchEntity", "Policy %s version %s does not exist or is not attachable.", o.text("PolicyArn"), o.text("VersionId"))
	p, wrong := policyOf(a, o, foreign, notFound)
	if wrong.code == "NoSuchEntity" {
		wrong = gone
	}
	if wrong.code != "" {
		return nil, nil, wrong
	}
	number, _ := strconv.Atoi(o.text("VersionId")[1:])
	v := p.version(number)
	if v == nil {
		return p, nil, gone
	}
	return p, v, answer{}
}

func (m *model) getVersion(a *account, o op) answer {
	p, v, wrong := versionOf(a, o, "")
	if wrong.code != "" {
		return wrong
	}
	b := p.showVersion(v)
	b["Document"] = percent(v.text)
	return ok(object{"PolicyVersion": b})
}

// listVersions lists the newest first (3.1).
func (m *model) listVersions(a *account, o op) answer {
	p, wrong := policyOf(a, o, "", notAttachable)
	if wrong.code != "" {
		return wrong
	}
	list := []object{}
	for i := range p.versions {
		list = append(list, p.showVersion(&p.versions[len(p.versions)-1-i]))
	}
	return ok(object{"Versions": list})
}

func (m *model) setDefault(a *account, o op) answer {
	p, v, wrong := versionOf(a, o, cannotUpdate)
	if wrong.code == "" {
		p.inForce = v.number
		return done
	}
	return wrong
}

func (m *model) deleteVersion(a *account, o op) answer {
	p, v, wrong := versionOf(a, o, "Cannot delete policy versions for policies outside your own account.")
	switch {
	case wrong.code != "":
		return wrong
	case v.number == p.inForce:
		return fail("DeleteConflict", "Cannot delete the default version of a policy.")
	}
	p.versions = slices.DeleteFunc(p.versions, func(x version) bool { return x.number == v.number })
	return done
}

// tagPolicy: keys differ in case (3.1).
func (m *model) tagPolicy(a *account, o op) answer {
	if twice(o.tags(), exactly) {
		return errTwiceExactly
	}
	p, wrong := policyOf(a, o, cannotUpdate, notFound)
	if wrong.code != "" {
		return wrong
	}
	tags, wrong := merge(p.tags, o.tags(), exactly)
	if wrong.code == "" {
		p.tags = tags
		return done
	}
	return wrong
}

func (m *model) untagPolicy(a *account, o op) answer {
	p, wrong := policyOf(a, o, cannotUpdate, notFound)
	if wrong.code == "" {
		p.tags = without(p.tags, o.texts("TagKeys"), exactly)
		return done
	}
	return wrong
}

func (m *model) listPolicyTags(a *account, o op) answer {
	p, wrong := policyOf(a, o, "", notFound)
	if wrong.code != "" {
		return wrong
	}
	return ok(object{"Tags": wireTags(byKey(p.tags))})
}
