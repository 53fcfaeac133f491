package randomiam

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// generator draws steps. It looks at the model so that what it draws collides: with
// names that exist, states that forbid it, keys of those who are gone.
type generator struct {
	*rand.Rand
	m *model
	// keys are the access keys and sessions that were made, gone the ARNs of
	// policies.
	keys, gone []string
	// queue are steps that were drawn already.
	queue []op
}

func newGenerator(seed uint64, m *model) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, seed)), m: m}
}

var (
	// Names that are one without regard to case, and some that sort differently with
	// it.
	names = map[kind][]string{
		user:  {"Bob", "bob", "BOB", "alice", "Zoe", "carol.x", "_under"},
		group: {"Team", "team", "ops", "Admins", "b-team"},
		role:  {"Worker", "worker", "deploy", "App", "_role"},
	}
	policyNames = []string{"Read", "read", "Deny", "bound", "Zeta", "_own"}
	inlineNames = []string{"one", "One", "two", "a-b", "_x"}
	paths       = []string{"/", "/", "/a/", "/a/b/", "/ab/"}
	prefixes    = []string{"/", "/a", "/a/", "/a/b/", "/none/"}
	tagKeys     = []string{"team", "Team", "stage", "_k", "Zone"}
	urls        = []string{"https://issuer.test", "https://issuer.test/a", "https://Issuer.test", "http://issuer.test"}
	clientIDs   = []string{"sts.amazonaws.com", "app", "App"}
	// Sorted, so that a seed draws the same in every run.
	texts      = sortedKeys(documents)
	wrong      = sortedKeys(malformed)
	wrongTrust = sortedKeys(malformedTrust)
)

func sortedKeys[V any](m map[string]V) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(k string) bool { return k == awsRead || k == awsNothing })
}

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

// often is true in percent of all cases.
func (g *generator) often(percent int) bool { return g.IntN(100) < percent }

// weights say how often each operation is drawn. Entity stands for User, Group or
// Role, Holder for User or Role.
var weights = []struct {
	weight int
	name   string
	fill   func(*generator, *op)
}{
	{70, "CreateEntity", (*generator).create},
	{60, "DeleteEntity", nil},
	{30, "GetEntity", nil},
	{20, "ListEntitys", (*generator).list},
	{25, "UpdateUser", (*generator).rename},
	{15, "UpdateGroup", (*generator).rename},
	{10, "UpdateRole", (*generator).describe},
	{5, "UpdateRoleDescription", (*generator).describe},
	{20, "UpdateAssumeRolePolicy", func(g *generator, o *op) { o.in["PolicyDocument"] = g.trust() }},
	{30, "TagHolder", (*generator).tag},
	{10, "UntagHolder", (*generator).untag},
	{10, "ListHolderTags", (*generator).list},
	{60, "PutEntityPolicy", (*generator).inline},
	{25, "GetEntityPolicy", (*generator).inline},
	{40, "DeleteEntityPolicy", (*generator).inline},
	{18, "ListEntityPolicies", (*generator).list},
	{110, "AttachEntityPolicy", (*generator).attachment},
	{45, "DetachEntityPolicy", (*generator).attachment},
	{20, "ListAttachedEntityPolicies", (*generator).list},
	{30, "PutHolderPermissionsBoundary", func(g *generator, o *op) { o.in["PermissionsBoundary"] = g.policyARN(o.account) }},
	{30, "DeleteHolderPermissionsBoundary", (*generator).unbound},
	{45, "AddUserToGroup", (*generator).member},
	{30, "RemoveUserFromGroup", (*generator).member},
	{15, "ListGroupsForUser", (*generator).list},
	{60, "CreateAccessKey", nil},
	{30, "UpdateAccessKey", (*generator).key},
	{25, "DeleteAccessKey", (*generator).key},
	{10, "ListAccessKeys", (*generator).list},
	{8, "GetAccessKeyLastUsed", (*generator).key},
	{12, "CreateLoginProfile", (*generator).login},
	{12, "GetLoginProfile", nil},
	{10, "DeleteLoginProfile", nil},
	{50, "CreatePolicy", (*generator).policy},
	{15, "GetPolicy", nil},
	{25, "DeletePolicy", nil},
	{20, "ListPolicies", (*generator).list},
	{15, "ListEntitiesForPolicy", (*generator).list},
	{50, "CreatePolicyVersion", (*generator).version},
	{15, "GetPolicyVersion", (*generator).version},
	{10, "ListPolicyVersions", (*generator).list},
	{35, "SetDefaultPolicyVersion", (*generator).version},
	{45, "DeletePolicyVersion", (*generator).version},
	{8, "TagPolicy", (*generator).tag},
	{8, "UntagPolicy", (*generator).untag},
	{5, "ListPolicyTags", (*generator).list},
	{8, "UpdateAccountPasswordPolicy", (*generator).passwords},
	{5, "GetAccountPasswordPolicy", nil},
	{6, "DeleteAccountPasswordPolicy", nil},
	{6, "GetAccountAuthorizationDetails", nil},
	{25, "SimulatePrincipalPolicy", (*generator).simulate},
	{20, "CreateOpenIDConnectProvider", (*generator).provider},
	{10, "GetOpenIDConnectProvider", (*generator).provider},
	{4, "ListOpenIDConnectProviders", nil},
	{6, "DeleteOpenIDConnectProvider", (*generator).provider},
	{8, "AddClientIDToOpenIDConnectProvider", (*generator).provider},
	{8, "RemoveClientIDFromOpenIDConnectProvider", (*generator).provider},
	{10, "UpdateOpenIDConnectProviderThumbprint", (*generator).provider},
	{50, "AssumeRole", (*generator).assume},
	{30, "GetCallerIdentity", (*generator).caller},
	{350, "GetSecretValue", (*generator).caller},
}

// next draws a step. Many changes stand between two probes of somebody concerned,
// so that whatever was remembered of the first shows in the second.
func (g *generator) next() op {
	if len(g.queue) > 0 {
		o := g.queue[0]
		g.queue = g.queue[1:]
		return o
	}
	o := g.draw()
	if who := g.concerned(o); who != "" && g.often(60) {
		probe := op{service: "secretsmanager", name: "GetSecretValue", as: who, in: object{"SecretId": probe}, after: seconds(1)}
		g.queue = []op{o, probe}
		return probe
	}
	return o
}

// concerned is a key that is in force of somebody whose rights a step can change.
func (g *generator) concerned(o op) string {
	if o.service != "iam" || strings.HasPrefix(o.name, "Get") || strings.HasPrefix(o.name, "List") {
		return ""
	}
	a := g.m.accounts[o.account]
	named := func(e *entity) bool {
		return e != nil && (o.has("PolicyArn") && (slices.Contains(e.attached, o.text("PolicyArn")) || e.boundary == o.text("PolicyArn")) ||
			e == a.find(e.kind, o.text(e.kind.title()+"Name")))
	}
	var keys []string
	for _, k := range g.keys {
		if e := g.m.caller(k).of; e != nil && e.account == a.id && (named(e) || slices.ContainsFunc(e.groups, named)) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return ""
	}
	return pick(g, keys)
}

// draw makes a step by the weights.
func (g *generator) draw() op {
	sum := 0
	for _, w := range weights {
		sum += w.weight
	}
	n, i := g.IntN(sum), 0
	for ; n >= weights[i].weight; i++ {
		n -= weights[i].weight
	}
	o := op{service: "iam", name: weights[i].name, in: object{}, after: seconds(1 + g.IntN(3))}
	if g.often(1) {
		o.after += 40 * time.Minute // sessions end
	}
	if g.often(20) {
		o.account = 1
	}
	k := pick(g, []kind{user, user, group, group, role, role})
	if strings.Contains(o.name, "Holder") && k == group {
		k = user
	}
	o.name = instance(o.name, k)
	g.name(&o)
	if fill := weights[i].fill; fill != nil {
		fill(g, &o)
	}
	g.spoil(&o)
	return o
}

// instance is the name of an operation for one kind of entity.
func instance(name string, k kind) string {
	return strings.NewReplacer("Entity", k.title(), "Holder", k.title()).Replace(name)
}

// name puts the names in that an operation needs.
func (g *generator) name(o *op) {
	switch {
	case strings.HasPrefix(o.name, "List") && slices.Contains([]string{"ListUsers", "ListGroups", "ListRoles", "ListPolicies"}, o.name),
		strings.Contains(o.name, "Account"), strings.Contains(o.name, "OpenID"), o.name == "GetAccessKeyLastUsed", o.name == "AssumeRole",
		o.name == "GetCallerIdentity", o.name == "GetSecretValue", o.name == "SimulatePrincipalPolicy":
	case o.name == "CreatePolicy":
	case o.name == "ListEntitiesForPolicy", strings.Contains(o.name, "PolicyVersion"),
		slices.Contains([]string{"GetPolicy", "DeletePolicy", "TagPolicy", "UntagPolicy", "ListPolicyTags"}, o.name):
		o.in["PolicyArn"] = g.policyARN(o.account)
	case strings.Contains(o.name, "User"), strings.Contains(o.name, "AccessKey"), strings.Contains(o.name, "Login"):
		o.in["UserName"] = g.entity(o.account, user)
	case strings.Contains(o.name, "Group"):
		o.in["GroupName"] = g.entity(o.account, group)
	case strings.Contains(o.name, "Role"):
		o.in["RoleName"] = g.entity(o.account, role)
	default:
		panic(o.name)
	}
}

// entity draws a name, mostly one that is taken.
func (g *generator) entity(account int, k kind) string {
	if all := g.m.accounts[account].all(k, "/"); g.often(75) && len(all) > 0 {
		if e := pick(g, all); e.name != "admin" {
			if g.often(20) {
				return strings.ToUpper(e.name)
			}
			return e.name
		}
	}
	return pick(g, names[k])
}

// policyARN draws the ARN of a managed policy in one of its states.
func (g *generator) policyARN(account int) string {
	a := g.m.accounts[account]
	switch n := g.IntN(100); {
	case n < 60 && len(a.policies) > 0:
		return pick(g, a.policies).arn
	case n < 82:
		return pick(g, awsARNs)
	case n < 88 && len(g.gone) > 0:
		return pick(g, g.gone)
	case n < 92 && len(g.m.accounts[1-account].policies) > 0:
		return pick(g, g.m.accounts[1-account].policies).arn
	case n < 94:
		return pick(g, []string{"not-an-arn-but-long-enough", "arn:aws:iam::" + a.id + ":user/bob"})
	}
	return "arn:aws:iam::" + a.id + ":policy" + pick(g, paths) + pick(g, policyNames)
}

func (g *generator) document() string {
	if g.often(6) {
		return pick(g, wrong)
	}
	return pick(g, texts)
}

// trust draws a trust policy.
func (g *generator) trust() string {
	switch n := g.IntN(100); {
	case n < 45:
		return trust("arn:aws:iam::" + pick(g, accounts) + ":root")
	case n < 85:
		a := pick(g, g.m.accounts)
		if e := pick(g, a.entities); e.kind != group {
			return trust(e.arn())
		}
		return trust("arn:aws:iam::" + a.id + ":user/" + pick(g, names[user]))
	case n < 94:
		return trust("arn:aws:iam::" + pick(g, accounts) + ":user/" + pick(g, names[user]))
	}
	return pick(g, wrongTrust)
}

func (g *generator) create(o *op) {
	for _, k := range []kind{user, group, role} {
		if o.has(k.title() + "Name") {
			if g.often(60) {
				o.in[k.title()+"Name"] = pick(g, names[k])
			}
		}
	}
	if g.often(50) {
		o.in["Path"] = pick(g, paths)
	}
	if o.name == "CreateGroup" {
		return
	}
	if g.often(25) {
		o.in["PermissionsBoundary"] = g.policyARN(o.account)
	}
	if g.often(25) {
		g.tag(o)
	}
	if o.name == "CreateRole" {
		o.in["AssumeRolePolicyDocument"] = g.trust()
		if g.often(50) {
			g.describe(o)
		}
	}
}

func (g *generator) describe(o *op) {
	o.in["Description"] = pick(g, []string{"does things", "does other things"})
	if o.name != "UpdateRoleDescription" && g.often(50) {
		o.in["MaxSessionDuration"] = pick(g, []int{3600, 7200})
	}
}

func (g *generator) rename(o *op) {
	k := kind(strings.ToLower(strings.TrimPrefix(o.name, "Update")))
	if g.often(70) {
		o.in["New"+k.title()+"Name"] = pick(g, names[k])
	}
	if g.often(50) {
		o.in["NewPath"] = pick(g, paths)
	}
}

// list draws a page's size and filters.
func (g *generator) list(o *op) {
	if g.often(70) {
		o.in["MaxItems"] = 1 + g.IntN(4)
	}
	switch o.name {
	case "ListUsers", "ListGroups", "ListRoles", "ListPolicies", "ListEntitiesForPolicy":
		if g.often(40) {
			o.in["PathPrefix"] = pick(g, prefixes)
		}
	}
	if strings.HasPrefix(o.name, "ListAttached") && g.often(30) {
		o.in["PathPrefix"] = pick(g, append([]string{"/service-role/"}, prefixes...))
	}
	if o.name == "ListPolicies" {
		o.in["Scope"] = "Local"
		if g.often(40) { // of AWS's only those that the model knows are in use
			o.in["Scope"], o.in["OnlyAttached"] = pick(g, []string{"All", "AWS"}), true
		}
	}
	if (o.name == "ListPolicies" || o.name == "ListEntitiesForPolicy") && g.often(30) {
		o.in["PolicyUsageFilter"] = pick(g, []string{"PermissionsPolicy", "PermissionsBoundary"})
	}
	if o.name == "ListEntitiesForPolicy" && g.often(30) {
		o.in["EntityFilter"] = pick(g, []string{"User", "Role", "Group"})
	}
}

func (g *generator) tag(o *op) {
	var tags []object
	for range 1 + g.IntN(2) {
		tags = append(tags, object{"Key": pick(g, tagKeys), "Value": pick(g, []string{"", "red", "blue"})})
	}
	if g.often(35) { // up to the limit of tags
		from := g.IntN(3) * 25
		for n := range pick(g, []int{25, 48, 51}) {
			tags = append(tags, object{"Key": fmt.Sprintf("many%02d", from+n), "Value": ""})
		}
	}
	o.in["Tags"] = tags
}

func (g *generator) untag(o *op) {
	keys := []string{pick(g, tagKeys)}
	if g.often(30) {
		for n := range 50 {
			keys = append(keys, fmt.Sprintf("MANY%02d", n))
		}
		keys = keys[:50]
	}
	o.in["TagKeys"] = keys
}

func (g *generator) inline(o *op) {
	o.in["PolicyName"] = pick(g, inlineNames)
	if strings.HasPrefix(o.name, "Put") {
		o.in["PolicyDocument"] = g.document()
		return
	}
	for _, k := range []kind{user, group, role} {
		if e := g.m.accounts[o.account].find(k, o.text(k.title()+"Name")); e != nil && len(e.inline) > 0 && g.often(80) {
			o.in["PolicyName"] = slices.Sorted(maps.Keys(e.inline))[g.IntN(len(e.inline))]
		}
	}
}

func (g *generator) attachment(o *op) {
	o.in["PolicyArn"] = g.policyARN(o.account)
	for _, k := range []kind{user, group, role} {
		e := g.m.accounts[o.account].find(k, o.text(k.title()+"Name"))
		if strings.HasPrefix(o.name, "Detach") && e != nil && len(e.attached) > 0 && g.often(70) {
			o.in["PolicyArn"] = pick(g, e.attached)
		}
	}
}

// unbound takes a boundary away, mostly where there is one.
func (g *generator) unbound(o *op) {
	for _, k := range []kind{user, role} {
		bounded := slices.DeleteFunc(g.m.accounts[o.account].all(k, "/"), func(e *entity) bool { return e.boundary == "" })
		if o.has(k.title()+"Name") && len(bounded) > 0 && g.often(80) {
			o.in[k.title()+"Name"] = pick(g, bounded).name
		}
	}
}

func (g *generator) member(o *op) { o.in["GroupName"] = g.entity(o.account, group) }

func (g *generator) key(o *op) {
	o.in["AccessKeyId"] = "AKIANOSUCHKEY0000000"
	u := g.m.accounts[o.account].find(user, o.text("UserName"))
	switch {
	case u != nil && len(u.keys) > 0 && g.often(85):
		o.in["AccessKeyId"] = pick(g, u.keys).id
	case len(g.keys) > 0:
		o.in["AccessKeyId"] = pick(g, g.keys)
	}
	if o.name == "UpdateAccessKey" {
		o.in["Status"] = pick(g, []string{"Active", "Active", "Inactive"})
	}
}

func (g *generator) login(o *op) {
	o.in["Password"] = pick(g, []string{"Correct7Horse", "short"})
	if g.often(50) {
		o.in["PasswordResetRequired"] = g.often(50)
	}
}

func (g *generator) policy(o *op) {
	o.in["PolicyName"], o.in["PolicyDocument"] = pick(g, policyNames), g.document()
	if g.often(50) {
		o.in["Path"] = pick(g, paths)
	}
	if g.often(30) {
		o.in["Description"] = "a policy"
	}
	if g.often(20) {
		g.tag(o)
	}
}

func (g *generator) version(o *op) {
	if o.name == "CreatePolicyVersion" {
		o.in["PolicyDocument"] = g.document()
		if g.often(60) {
			o.in["SetAsDefault"] = g.often(80)
		}
		return
	}
	o.in["VersionId"] = fmt.Sprintf("v%d", 1+g.IntN(9))
	if p := g.m.accounts[o.account].policy(o.text("PolicyArn")); p != nil && g.often(85) {
		o.in["VersionId"] = fmt.Sprintf("v%d", pick(g, p.versions).number)
	}
}

func (g *generator) passwords(o *op) {
	o.in["MinimumPasswordLength"] = pick(g, []int{6, 12, 40})
	for _, k := range []string{"RequireSymbols", "RequireNumbers", "AllowUsersToChangePassword"} {
		if g.often(40) {
			o.in[k] = g.often(30)
		}
	}
	if g.often(40) {
		o.in["MaxPasswordAge"] = 1 + g.IntN(9)
	}
	if g.often(40) {
		o.in["PasswordReusePrevention"] = 1 + g.IntN(9)
	}
}

func (g *generator) simulate(o *op) {
	o.in["ActionNames"] = []string{pick(g, []string{readAction, assumeAction})}
	a := g.m.accounts[o.account]
	if o.texts("ActionNames")[0] == readAction { // one of AWS's policies names the resource
		o.in["ResourceArns"] = []string{"arn:aws:secretsmanager:us-east-1:" + a.id + ":secret:" + probe + "-AbCdEf"}
	}
	o.in["PolicySourceArn"] = pick(g, a.entities).arn()
	if g.often(5) {
		o.in["PolicySourceArn"] = "arn:aws:iam::" + a.id + ":user/none"
	}
}

func (g *generator) provider(o *op) {
	where := pick(g, urls)
	if o.name == "CreateOpenIDConnectProvider" {
		o.in["Url"], o.in["ClientIDList"] = where, []string{pick(g, clientIDs), pick(g, clientIDs)}
		if g.often(20) {
			g.tag(o)
		}
	} else {
		o.in["OpenIDConnectProviderArn"] = "arn:aws:iam::" + accounts[o.account] + providerARN + where[strings.Index(where, "://")+3:]
		if g.often(4) {
			o.in["OpenIDConnectProviderArn"] = "arn:aws:iam::" + accounts[o.account] + ":user/issuer"
		}
	}
	switch {
	case strings.Contains(o.name, "ClientID"):
		o.in["ClientID"] = pick(g, clientIDs)
	case strings.Contains(o.name, "Thumbprint") || o.has("Url") && g.often(50):
		list := []string{}
		for n := range 1 + g.IntN(5) {
			list = append(list, strings.Repeat(fmt.Sprint(n), 40))
		}
		o.in["ThumbprintList"] = list
	}
}

// caller lets the holder of an access key call, mostly one that is in force.
func (g *generator) caller(o *op) {
	if o.name == "GetSecretValue" {
		o.service, o.in["SecretId"] = "secretsmanager", probe
	} else {
		o.service = "sts"
	}
	var inForce []string
	for _, k := range g.keys {
		if g.m.caller(k).of != nil {
			inForce = append(inForce, k)
		}
	}
	switch {
	case len(inForce) > 0 && g.often(85):
		o.as = pick(g, inForce)
	case len(g.keys) > 0:
		o.as = pick(g, g.keys)
	default:
		*o = op{service: "iam", name: "ListUsers", in: object{}}
	}
}

func (g *generator) assume(o *op) {
	if g.often(50) && len(g.keys) > 0 {
		g.caller(o)
	}
	o.service = "sts"
	o.in["RoleSessionName"] = "session"
	var arns []string
	for _, a := range g.m.accounts {
		for _, r := range a.all(role, "/") {
			arns = append(arns, r.arn())
		}
	}
	o.in["RoleArn"] = "arn:aws:iam::" + accounts[o.account] + ":role/none"
	if len(arns) > 0 && g.often(95) {
		o.in["RoleArn"] = pick(g, arns)
	}
}

// spoil makes a few requests such that the API's model refuses them.
func (g *generator) spoil(o *op) {
	if o.service != "iam" || !g.often(3) {
		return
	}
	_, lists := paged[o.name]
	switch {
	case lists && g.often(50):
		o.in["MaxItems"] = 0
	case lists:
		o.in["Marker"] = "!"
	case required[o.name] != nil:
		delete(o.in, required[o.name][0])
	case o.has("VersionId"):
		o.in["VersionId"] = "5"
	case o.name == "GetUser":
		o.in["UserName"] = "no name"
	}
}
