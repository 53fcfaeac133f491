package randomiam

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// accounts are the model's names for the accounts of a world.
var accounts = []string{"111111111111", "222222222222"}

// probe is the secret in each account that shows who may what.
const probe = "probe"

// model is IAM as iam-sts.md tells it: slices, no crypto. The sections are quoted
// where a rule is followed.
type model struct {
	clock    *clock
	limits   limits
	accounts []*account
	at       int // the step that is done, 0 before the first
	made     int // unique ids before it
	sessions []*session
}

// limits are the quotas of 3.2, set low so that they are met.
type limits struct{ users, groups, roles, policies, keys, attached, groupsPerUser int }

type account struct {
	id        string
	entities  []*entity
	policies  []*managed
	providers []*provider
	passwords object // the password policy, nil for none
}

type kind string

const (
	user  kind = "user"
	group kind = "group"
	role  kind = "role"
)

// title is the kind as operations and members spell it.
func (k kind) title() string { return strings.ToUpper(string(k[:1])) + string(k[1:]) }

// entity is a user, a group or a role.
type entity struct {
	kind                    kind
	account, id, name, path string
	created                 time.Time
	tags                    []tag
	inline                  map[string]string
	attached                []string
	boundary                string
	// Of users.
	keys   []*key
	groups []*entity
	login  object
	// Of roles.
	description string
	longest     int
	trust       string // with unique ids in the place of users and roles
}

type tag struct{ key, value string }

type key struct {
	id      string
	active  bool
	created time.Time
}

// session is a session of a role.
type session struct {
	key     string
	of      *entity
	name    string
	expires time.Time
}

type managed struct {
	arn, id, name, path, description string
	created, updated                 time.Time
	tags                             []tag
	versions                         []version // the oldest first
	next, inForce                    int
}

type version struct {
	number  int
	text    string
	created time.Time
}

type provider struct {
	url                  string
	clients, thumbprints []string
	created              time.Time
	tags                 []tag
}

// newModel is a world as CreateAccount leaves it: each account has its admin.
func newModel(c *clock, l limits) *model {
	m := &model{clock: c, limits: l}
	for _, id := range accounts {
		a := &account{id: id}
		admin := m.entity(a, user, "admin", "/")
		admin.inline["AdministratorAccess"] = allowAll
		admin.keys = []*key{{id: m.id("AKIA"), active: true, created: c.t}}
		a.entities = append(a.entities, admin)
		m.accounts = append(m.accounts, a)
	}
	return m
}

// id invents a unique id; a step needs one at most. It follows from the step, so
// that later steps mean the same when others are left out.
func (m *model) id(prefix string) string {
	n := m.at + 10
	if m.at == 0 {
		m.made++
		n = m.made
	}
	width := 12
	if prefix == "AKIA" || prefix == "ASIA" {
		width = 11
	}
	return fmt.Sprintf("%sMODEL%0*d", prefix, width, n)
}

func (m *model) entity(a *account, k kind, name, path string) *entity {
	prefix := map[kind]string{user: "AIDA", group: "AGPA", role: "AROA"}[k]
	return &entity{kind: k, account: a.id, id: m.id(prefix), name: name, path: path, created: m.clock.t, inline: map[string]string{}}
}

func (e *entity) arn() string {
	return "arn:aws:iam::" + e.account + ":" + string(e.kind) + e.path + e.name
}

// find looks an entity up: names differ in more than case (2).
func (a *account) find(k kind, name string) *entity {
	for _, e := range a.entities {
		if e.kind == k && strings.EqualFold(e.name, name) {
			return e
		}
	}
	return nil
}

// all are the entities of a kind whose path begins with prefix, by name (3.3).
func (a *account) all(k kind, prefix string) (list []*entity) {
	for _, e := range a.entities {
		if e.kind == k && strings.HasPrefix(e.path, prefix) {
			list = append(list, e)
		}
	}
	return byName(list)
}

func byName(list []*entity) []*entity {
	return slices.SortedFunc(slices.Values(list), func(a, b *entity) int {
		return strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name))
	})
}

// members are the users in a group.
func (a *account) members(g *entity) (list []*entity) {
	for _, u := range a.all(user, "/") {
		if slices.Contains(u.groups, g) {
			list = append(list, u)
		}
	}
	return list
}

// policy finds one of the account's managed policies; ARNs compare exactly.
func (a *account) policy(arn string) *managed {
	for _, p := range a.policies {
		if p.arn == arn {
			return p
		}
	}
	return nil
}

// exists says whether an account can attach a policy.
func (a *account) exists(arn string) bool {
	return slices.Contains(awsARNs, arn) || a.policy(arn) != nil
}

// text is the document of a managed policy that is in force.
func (a *account) text(arn string) string {
	if slices.Contains(awsARNs, arn) {
		return awsPolicy(arn)
	}
	p := a.policy(arn)
	return p.version(p.inForce).text
}

func (p *managed) version(number int) *version {
	for i := range p.versions {
		if p.versions[i].number == number {
			return &p.versions[i]
		}
	}
	return nil
}

// anything is what the model does not know.
const anything = "«any»"

func fail(code, format string, args ...any) answer {
	return answer{code: code, message: fmt.Sprintf(format, args...)}
}

func ok(b object) answer { return answer{body: b} }

var done = answer{body: object{}}

func missing(k kind, name string) answer {
	return fail("NoSuchEntity", "The %s with name %s cannot be found.", k, name)
}

// do performs a step.
func (m *model) do(o op) answer {
	m.at = o.id
	if o.service == "secretsmanager" {
		return m.read(o)
	}
	if a := constraints(o); a.code != "" {
		return a
	}
	if slices.Contains(ofAWS, o.name) && slices.Contains(awsARNs, o.text("PolicyArn")) && o.or("VersionId", "v1") == "v1" {
		return answer{alike: true} // the texts and dates of AWS's policies are not the model's business
	}
	a := m.accounts[o.account]
	if run, ok := operations[o.name]; ok {
		return run(m, a, o)
	}
	// What all three kinds have is called after the kind.
	for _, k := range []kind{user, group, role} {
		if run, ok := ofEntities[strings.Replace(o.name, k.title(), "Entity", 1)]; ok && strings.Contains(o.name, k.title()) {
			e := a.find(k, o.text(k.title()+"Name"))
			return run(m, a, o, k, e)
		}
	}
	panic(o.name)
}

// ofAWS are what anybody can ask about AWS's policies.
var ofAWS = []string{"GetPolicy", "GetPolicyVersion", "ListPolicyVersions", "ListPolicyTags"}

// enter wraps an operation that needs its entity.
func enter(run func(m *model, a *account, o op, e *entity) answer) func(*model, *account, op, kind, *entity) answer {
	return func(m *model, a *account, o op, k kind, e *entity) answer {
		if e == nil {
			return missing(k, o.text(k.title()+"Name"))
		}
		return run(m, a, o, e)
	}
}

// policyARN says whether a text can name a managed policy.
func policyARN(text string) bool {
	return strings.HasPrefix(text, "arn:aws:iam::") && strings.Contains(text, ":policy/")
}

// constraints are those of the API model that the generator breaks (1).
func constraints(o op) answer {
	one := func(member, constraint string) answer {
		return fail("ValidationError", "1 validation error detected: Value at '%s' failed to satisfy constraint: Member must %s", member, constraint)
	}
	// Only lists of users, groups and roles take a prefix that ends within a name.
	if prefix := o.or("PathPrefix", "/"); !strings.HasSuffix(prefix, "/") && strings.Contains(o.name, "Polic") {
		return fail("ValidationError", anything)
	}
	if n, ok := o.in["MaxItems"].(int); ok && n < 1 {
		return one("maxItems", "have value greater than or equal to 1")
	}
	for _, k := range required[o.name] {
		if !o.has(k) {
			return one(strings.ToLower(k[:1])+k[1:], "not be null")
		}
	}
	for _, k := range []string{"UserName", "GroupName", "RoleName", "PolicyName", "NewUserName", "NewGroupName"} {
		if strings.Contains(o.text(k), " ") {
			return one(strings.ToLower(k[:1])+k[1:], `satisfy regular expression pattern: [\w+=,.@-]+`)
		}
	}
	if id := o.text("VersionId"); o.has("VersionId") && !strings.HasPrefix(id, "v") {
		return one("versionId", `satisfy regular expression pattern: v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`)
	}
	if len(o.tags()) > 50 {
		return one("tags", "have length less than or equal to 50")
	}
	if o.has("Marker") {
		return fail("ValidationError", "Invalid Marker.")
	}
	return answer{}
}
