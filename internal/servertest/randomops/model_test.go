package randomops

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The model's names for what the servers choose at random.
const (
	accountA = "111111111111"
	accountB = "222222222222"
)

const (
	east = "us-east-1"
	west = "eu-west-1"
)

// model is Secrets Manager as secretsmanager.md tells it: slices, no crypto. The
// sections are quoted where a rule is followed.
type model struct {
	clock   *clock
	secrets []*secret // in order of creation
	keys    map[string]*key
	limits  limits
}

// limits are the quotas of 12, set low so that they are met.
type limits struct{ versions, labels, tags int }

type secret struct {
	account, region, name, suffix string
	description                   string
	token                         string // of CreateSecret
	key                           string // KmsKeyId as given, "" for the default key
	created, changed              time.Time
	accessed                      time.Time // day
	listed                        time.Time // the same as lists are sorted by: known since the last jobs (8.2)
	deleted, purge                time.Time // DeleteSecret's moment and the end of its window
	versions                      []*version
	tags                          []tag
	tagged                        bool // has or had tags (2.8)
	policy                        *resourcePolicy
	primary                       string // region of the primary; "" when not replicated
	replicas                      []*replica
}

type version struct {
	id       string
	value    string // kind and content
	stages   []string
	created  time.Time
	accessed time.Time
	key      *key // nil for the default key
}

type tag struct{ key, value string }

type replica struct {
	region, key     string
	status, message string
	force           bool
	by              int       // who asked for it
	due             time.Time // zero: not due
}

type key struct {
	account, region, id, alias string
	disabled                   bool
	admits                     bool // the key policy admits the other account
}

func (k *key) arn() string { return fmt.Sprintf("arn:aws:kms:%s:%s:key/%s", k.region, k.account, k.id) }

// allKeys are the customer keys of a world.
var allKeys = []key{
	{account: accountA, region: east, id: "00000000-0000-4000-8000-00000000000a", alias: "alias/app"},
	{account: accountA, region: east, id: "00000000-0000-4000-8000-00000000000b"},
	{account: accountA, region: west, id: "00000000-0000-4000-8000-00000000000c"},
	{account: accountB, region: east, id: "00000000-0000-4000-8000-00000000000d"},
}

func newModel(c *clock, l limits) *model {
	m := &model{clock: c, limits: l, keys: map[string]*key{}}
	for _, k := range allKeys {
		m.keys[k.id] = &k
	}
	return m
}

func (s *secret) arn() string {
	return fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%s", s.region, s.account, s.name, s.suffix)
}

// version is the one with an id, of a secret that may not exist.
func (s *secret) version(id string) *version {
	if s == nil {
		return nil
	}
	for _, v := range s.versions {
		if v.id == id {
			return v
		}
	}
	return nil
}

// holder is the version with a label: there is at most one (3.1).
func (s *secret) holder(label string) *version {
	for _, v := range s.versions {
		if slices.Contains(v.stages, label) {
			return v
		}
	}
	return nil
}

// suffix is the six characters of a new ARN (2.1). It comes from the step that
// makes the secret, so that later steps mean the same one when others are left out.
func suffix(o op) string { return fmt.Sprintf("Zm%04d", o.id) }

func (m *model) byName(account, region, name string) *secret {
	for _, s := range m.secrets {
		if s.account == account && s.region == region && s.name == name {
			return s
		}
	}
	return nil
}

var (
	arnParts    = regexp.MustCompile(`^arn:aws:secretsmanager:([^:]*):([^:]*):secret:(.*)$`)
	nameChars   = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]*$`)
	suffixShape = regexp.MustCompile(`^(.*)-([A-Za-z0-9]{6})$`)
)

// place is what a SecretId names, whether it exists or not.
type place struct {
	account, region, name string
	secret                *secret
}

// find resolves a SecretId (2.1).
func (m *model) find(o op, id string) place {
	caller := principals[o.who].account
	if !strings.HasPrefix(id, "arn:") {
		return place{account: caller, region: o.region, name: id, secret: m.byName(caller, o.region, id)}
	}
	parts := arnParts.FindStringSubmatch(id)
	if parts == nil { // rule 7: nothing of that name is here; what the caller's own policies say is unspecified
		return place{account: caller}
	}
	if parts[1] != o.region { // rule 6: an ARN of another region; likewise
		return place{account: caller, name: parts[3]}
	}
	p := place{account: parts[2], region: parts[1], name: parts[3]}
	if full := suffixShape.FindStringSubmatch(parts[3]); full != nil {
		// Full ARN, or rule 4: what looks like a suffix is taken for one.
		p.name = full[1]
		if s := m.byName(p.account, p.region, full[1]); s != nil && s.suffix == full[2] {
			p.secret = s
		}
	} else {
		p.secret = m.byName(p.account, p.region, parts[3])
	}
	return p
}

// Errors, with the texts of the specification; any where it has none.
const anything = "«any»"

func fail(code, format string, args ...any) answer {
	return answer{code: code, message: fmt.Sprintf(format, args...)}
}

func ok(b object) answer { return answer{body: b} }

var (
	errNotFound = fail("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	errDeleted  = fail("InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.")
	errReplica  = fail("InvalidParameterException", "Operation not permitted on a replica secret. Call must be made in primary secret's region.")
	errToken    = fail("InvalidRequestException", "You must provide a ClientRequestToken value. We recommend a UUID-type value.")
	errBoth     = fail("InvalidParameterException", "You can't specify both a binary secret value and a string secret value in the same secret.")
	errName     = fail("ValidationException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
)

func noValue(label string) answer {
	return fail("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: %s", label)
}

func noVersion(id string) answer {
	return fail("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: %s", id)
}

func errReused(token string, s *secret) answer {
	return fail("ResourceExistsException", "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token, s.arn())
}

// do performs a step.
func (m *model) do(o op) answer {
	if o.service == "kms" {
		return m.kms(o)
	}
	if o.name == "jobs" {
		return m.jobs()
	}
	if a := constraints(o); a.code != "" {
		return a
	}
	return operations[o.name](m, o)
}

var operations = map[string]func(*model, op) answer{
	"BatchGetSecretValue":          (*model).batchGet,
	"CreateSecret":                 (*model).create,
	"DeleteResourcePolicy":         (*model).deletePolicy,
	"DeleteSecret":                 (*model).remove,
	"DescribeSecret":               (*model).describe,
	"GetRandomPassword":            (*model).password,
	"GetResourcePolicy":            (*model).getPolicy,
	"GetSecretValue":               (*model).get,
	"ListSecretVersionIds":         (*model).listVersions,
	"ListSecrets":                  (*model).list,
	"PutResourcePolicy":            (*model).putPolicy,
	"PutSecretValue":               (*model).put,
	"RemoveRegionsFromReplication": (*model).removeRegions,
	"ReplicateSecretToRegions":     (*model).replicate,
	"RestoreSecret":                (*model).restore,
	"StopReplicationToReplica":     (*model).stopReplication,
	"TagResource":                  (*model).tag,
	"UntagResource":                (*model).untag,
	"UpdateSecret":                 (*model).update,
	"UpdateSecretVersionStage":     (*model).moveLabel,
}

// badName: an id that is no ARN and has a character that names don't have (2.1).
func badName(id string) bool { return !strings.HasPrefix(id, "arn:") && !nameChars.MatchString(id) }

// enter does what every operation on a secret begins with (2.2): characters,
// authorization, existence, then state. Each caller says which states it stands.
func (m *model) enter(o op, allowDeleted, allowReplica bool) (*secret, answer) {
	id := o.text("SecretId")
	if badName(id) {
		return nil, errName
	}
	p := m.find(o, id)
	if a := m.authorize(o.who, o.name, id, p); a.code != "" {
		return nil, a
	}
	s := p.secret
	switch {
	case s == nil:
		return nil, errNotFound
	case !s.deleted.IsZero() && !allowDeleted:
		return nil, errDeleted
	case s.isReplica() && !allowReplica:
		return nil, errReplica
	}
	return s, answer{}
}

func (s *secret) isReplica() bool { return s.primary != "" && s.primary != s.region }

// touch notes a change of the secret (11): replicas have to follow.
func (m *model) touch(s *secret) {
	s.changed = m.clock.t
	s.follow(m.clock.t)
}

// follow lets the replicas copy the change; meanwhile they are InProgress, also
// those that failed before (neither is specified).
func (s *secret) follow(now time.Time) {
	for _, r := range s.replicas {
		r.status, r.message, r.due = "InProgress", "", now
	}
}

// seconds is a time on the wire (1.1).
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func named(s *secret) object { return object{"ARN": s.arn(), "Name": s.name} }

// withoutSecret are the operations that have no SecretId.
var withoutSecret = []string{"BatchGetSecretValue", "CreateSecret", "GetRandomPassword", "ListSecrets"}

// constraints are those of the API model that the generator breaks (1.7).
func constraints(o op) answer {
	var items []string
	say := func(path, seen, constraint string) {
		items = append(items, fmt.Sprintf("Value %sat '%s' failed to satisfy constraint: Member must %s", seen, path, constraint))
	}
	if o.has("SecretId") && o.text("SecretId") == "" {
		say("secretId", "'' ", "have length greater than or equal to 1")
	}
	if !o.has("SecretId") && !slices.Contains(withoutSecret, o.name) {
		say("secretId", "null ", "not be null")
	}
	for _, k := range []string{"ClientRequestToken", "VersionId", "RemoveFromVersionId", "MoveToVersionId"} {
		if v := o.text(k); o.has(k) && len(v) < 32 {
			say(strings.ToLower(k[:1])+k[1:], "'"+v+"' ", "have length greater than or equal to 32")
		}
	}
	if o.has("SecretString") && o.text("SecretString") == "" {
		say("secretString", "", "have length greater than or equal to 1")
	}
	most := 100
	if o.name == "BatchGetSecretValue" {
		most = 20
	}
	if n := o.number("MaxResults"); o.has("MaxResults") && n < 1 {
		say("maxResults", fmt.Sprintf("'%d' ", n), "have value greater than or equal to 1")
	} else if n > most {
		say("maxResults", fmt.Sprintf("'%d' ", n), fmt.Sprintf("have value less than or equal to %d", most))
	}
	if n := o.number("PasswordLength"); n > 4096 {
		say("passwordLength", fmt.Sprintf("'%d' ", n), "have value less than or equal to 4096")
	}
	switch len(items) {
	case 0:
		return answer{}
	case 1:
		return fail("ValidationException", "1 validation error detected: %s", items[0])
	}
	return fail("ValidationException", anything) // their order is not specified
}
