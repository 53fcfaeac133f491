package randomops

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// generator draws steps. It looks at the model so that what it draws collides: with
// names that exist, versions that are there, states that forbid it.
type generator struct {
	*rand.Rand
	m *model
	// gone are the ARNs of secrets that existed once.
	gone []string
}

func newGenerator(seed uint64, m *model) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, seed)), m: m}
}

var (
	names        = []string{"app/db", "app/web", "app/apiKey", "sys-AbCdEf", "HTTPServer_prod", "plain"}
	labels       = []string{current, previous, pending, "blue", "green", "AWSOTHER", "canary"}
	contents     = []string{"correct horse", "battery staple", `{"user":"app","password":"pässwörd"}`, "  kept as it is\n"}
	blobs        = []string{"AQID", "/+8="}
	descriptions = []string{"", "the Database of the shop", "alphabet soup", "HTTPServer prod2"}
	tagKeys      = []string{"team", "Stage", "costCentre", "owner"}
	tagValues    = []string{"blue", "red", "", "prod-EU 7"}
	filterValues = []string{"app/", "App", "sys-", "http", "HTTP", "Server", "prod", "team", "blue", "!app/", "!team", "soup alpha", "habet",
		"database shop", "the", "Data", "key", "Key", "us-east-1", "eu", "--", "db app", "!blue", "e", "red prod"}
	filterKeys = []string{"name", "description", "tag-key", "tag-value", "primary-region", "owning-service", "all"}
)

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

// often is true in percent of all cases.
func (g *generator) often(percent int) bool { return g.IntN(100) < percent }

// weights say how often each operation is drawn.
var weights = []struct {
	weight int
	name   string
	fill   func(*generator, *op)
}{
	{100, "CreateSecret", (*generator).create},
	{120, "PutSecretValue", (*generator).put},
	{80, "UpdateSecret", (*generator).update},
	{130, "GetSecretValue", (*generator).get},
	{40, "BatchGetSecretValue", (*generator).batch},
	{70, "DescribeSecret", nil},
	{50, "ListSecrets", (*generator).list},
	{50, "ListSecretVersionIds", (*generator).listVersions},
	{90, "UpdateSecretVersionStage", (*generator).moveLabel},
	{40, "DeleteSecret", (*generator).remove},
	{35, "RestoreSecret", nil},
	{40, "TagResource", (*generator).tag},
	{25, "UntagResource", (*generator).untag},
	{45, "PutResourcePolicy", (*generator).policy},
	{20, "GetResourcePolicy", nil},
	{20, "DeleteResourcePolicy", nil},
	{40, "ReplicateSecretToRegions", (*generator).replicate},
	{30, "RemoveRegionsFromReplication", (*generator).removeRegions},
	{20, "StopReplicationToReplica", (*generator).stopReplication},
	{20, "GetRandomPassword", (*generator).password},
	{30, "DisableKey", (*generator).key},
	{45, "EnableKey", (*generator).key},
	{15, "PutKeyPolicy", (*generator).key},
	{90, "jobs", nil},
}

// next draws a step.
func (g *generator) next() op {
	sum := 0
	for _, w := range weights {
		sum += w.weight
	}
	n, i := g.IntN(sum), 0
	for ; n >= weights[i].weight; i++ {
		n -= weights[i].weight
	}
	o := op{service: "secretsmanager", name: weights[i].name, region: east, in: object{}}
	o.after = time.Duration(1+g.IntN(5000)) * time.Millisecond
	switch {
	case g.often(3): // around the day that prunes need (3.4)
		o.after += time.Duration(22+g.IntN(4)) * time.Hour
	case g.often(1):
		o.after += 9 * 24 * time.Hour
	}
	if g.often(25) {
		o.region = west
	}
	switch n := g.IntN(100); {
	case n < 68:
		o.who = admin
	case n < 85:
		o.who = clerk
	default:
		o.who = outsider
	}
	switch o.name {
	case "jobs":
		o.service = ""
	case "BatchGetSecretValue", "CreateSecret", "GetRandomPassword", "ListSecrets":
	case "DisableKey", "EnableKey", "PutKeyPolicy":
		o.service = "kms"
	default:
		if !g.often(1) {
			o.in["SecretId"] = g.secretID(&o)
		}
	}
	if fill := weights[i].fill; fill != nil {
		fill(g, &o)
	}
	return o
}

// secretID draws a SecretId in one of its forms and sets the region to the secret's
// most of the time.
func (g *generator) secretID(o *op) string {
	account := principals[o.who].account
	n := g.IntN(100)
	if n < 1 {
		return pick(g, []string{"arn:aws:s3:::bucket", "arn:aws:secretsmanager", "arn:aws:secretsmanager:us-east-1:" + accountA + ":secret"})
	}
	if n < 3 {
		return pick(g, []string{"bad name", "näme", "a*"})
	}
	if n < 6 && len(g.gone) > 0 {
		return pick(g, g.gone)
	}
	if n < 11 || len(g.m.secrets) == 0 {
		name := pick(g, names)
		return pick(g, []string{name, name, "arn:aws:secretsmanager:" + o.region + ":" + account + ":secret:" + name})
	}
	s := g.hot(o)
	if !g.often(4) {
		o.region = s.region
	}
	arn := s.arn()
	switch n := g.IntN(10); {
	case n < 5 && s.account == account:
		return s.name
	case n < 7:
		return strings.TrimSuffix(arn, "-"+s.suffix)
	}
	return arn
}

// hot draws a secret, the older ones and the caller's own more often: what lives
// long gets deep.
func (g *generator) hot(o *op) *secret {
	n := len(g.m.secrets)
	for range 6 {
		if s := g.m.secrets[min(g.IntN(n), g.IntN(n))]; s.account == principals[o.who].account || g.often(40) {
			return s
		}
	}
	return pick(g, g.m.secrets)
}

// secret is the one a drawn SecretId means, or any.
func (g *generator) secret(o *op) *secret {
	if at := g.m.find(*o, o.text("SecretId")); at.secret != nil {
		return at.secret
	}
	if len(g.m.secrets) == 0 {
		return &secret{}
	}
	return pick(g, g.m.secrets)
}

// token draws a token: new, from a small pool, of a version, or a wrong one.
func (g *generator) token(s *secret) string {
	switch n := g.IntN(40); {
	case n == 0:
		return "too-short"
	case n < 10 && len(s.versions) > 0:
		return pick(g, s.versions).id
	case n < 20:
		return fmt.Sprintf("token-%026d", g.IntN(8))
	}
	return fmt.Sprintf("token-%026d", 100+g.IntN(1_000_000))
}

// value puts a value and its token into a request.
func (g *generator) value(o *op, s *secret) {
	if !g.often(3) {
		o.in["ClientRequestToken"] = g.token(s)
	}
	switch n := g.IntN(40); {
	case n == 0:
		o.in["SecretString"] = ""
	case n == 1:
		o.in["SecretString"], o.in["SecretBinary"] = pick(g, contents), pick(g, blobs)
	case n < 4:
	case n < 12:
		o.in["SecretBinary"] = pick(g, blobs)
	default:
		o.in["SecretString"] = pick(g, contents)
	}
	// An honest retry sends what the first try sent.
	if v := s.version(o.text("ClientRequestToken")); v != nil && g.often(60) {
		delete(o.in, "SecretString")
		delete(o.in, "SecretBinary")
		v.show(o.in)
	}
}

// keyID draws a key in one of its forms.
func (g *generator) keyID() string {
	k := pick(g, allKeys)
	return pick(g, []string{k.id, k.id, k.arn(), k.arn(), "alias/app", "alias/app", "arn:aws:kms:us-east-1:" + accountA + ":alias/app",
		"", defaultAlias, "alias/nothing", "00000000-0000-4000-8000-0000000000ff"})
}

func (g *generator) tags() (list []object) {
	for range 1 + g.IntN(3) {
		list = append(list, object{"Key": pick(g, tagKeys), "Value": pick(g, tagValues)})
	}
	if g.often(4) {
		list = append(list, object{"Key": "aws:reserved", "Value": "x"})
	}
	return list
}

func (g *generator) regions(o *op) []object {
	r := object{"Region": map[string]string{east: west, west: east}[o.region]}
	if g.often(5) {
		r["Region"] = o.region
	}
	switch k := pick(g, allKeys); {
	case k.region == r["Region"] && g.often(60):
		r["KmsKeyId"] = k.arn()
	case g.often(10):
		r["KmsKeyId"] = g.keyID()
	}
	return []object{r}
}

func (g *generator) create(o *op) {
	name := pick(g, names)
	if g.often(2) {
		name = "bad name"
	}
	o.in["Name"] = name
	at := g.m.byName(principals[o.who].account, o.region, name)
	if at == nil {
		at = &secret{}
	}
	g.value(o, at)
	if g.often(30) {
		o.in["Description"] = pick(g, descriptions)
	}
	if g.often(35) {
		o.in["KmsKeyId"] = g.keyID()
	}
	if g.often(30) {
		o.in["Tags"] = g.tags()
	}
	if g.often(15) {
		o.in["AddReplicaRegions"] = g.regions(o)
		if g.often(40) {
			o.in["ForceOverwriteReplicaSecret"] = g.often(70)
		}
	}
}

func (g *generator) put(o *op) {
	g.value(o, g.secret(o))
	if g.often(55) {
		stages := []string{}
		for range 1 + g.IntN(3) {
			stages = append(stages, pick(g, labels))
		}
		o.in["VersionStages"] = stages
	}
}

func (g *generator) update(o *op) {
	if g.often(60) {
		g.value(o, g.secret(o))
	}
	if g.often(30) {
		o.in["Description"] = pick(g, descriptions)
	}
	if g.often(40) {
		o.in["KmsKeyId"] = g.keyID()
	}
}

// versionID draws a version of a secret, or none of its.
func (g *generator) versionID(s *secret) string {
	if len(s.versions) == 0 || g.often(10) {
		return g.token(&secret{})
	}
	return pick(g, s.versions).id
}

func (g *generator) get(o *op) {
	if g.often(40) {
		o.in["VersionId"] = g.versionID(g.secret(o))
	}
	if g.often(40) {
		o.in["VersionStage"] = pick(g, labels)
	}
}

func (g *generator) filters() (list []object) {
	for range 1 + g.IntN(2) {
		values := []string{}
		for range 1 + g.IntN(2) {
			values = append(values, pick(g, filterValues))
		}
		list = append(list, object{"Key": pick(g, filterKeys), "Values": values})
	}
	return list
}

func (g *generator) batch(o *op) {
	if g.often(55) {
		ids := []string{}
		for range 1 + g.IntN(5) {
			region := o.region
			ids = append(ids, g.secretID(o))
			o.region = region
		}
		o.in["SecretIdList"] = ids
	}
	if !o.has("SecretIdList") && !g.often(10) || g.often(5) {
		o.in["Filters"] = g.filters()
		o.walk = true
	}
	if g.often(30) {
		o.in["MaxResults"] = pick(g, []int{0, 1, 1, 2, 3, 20, 21})
	}
}

func (g *generator) list(o *op) {
	o.walk = true
	if g.often(60) {
		o.in["Filters"] = g.filters()
	}
	if g.often(50) {
		o.in["SortBy"] = pick(g, []string{"created-date", "last-accessed-date", "last-changed-date", "name"})
	}
	if g.often(50) {
		o.in["SortOrder"] = pick(g, []string{"asc", "desc"})
	}
	if g.often(50) {
		o.in["IncludePlannedDeletion"] = g.often(70)
	}
	g.page(o)
}

func (g *generator) page(o *op) {
	if g.often(60) {
		o.in["MaxResults"] = pick(g, []int{0, 1, 1, 2, 2, 3, 3, 5, 100, 101})
	}
	if g.often(4) {
		o.in["NextToken"] = "bm8gdG9rZW4="
	}
}

func (g *generator) listVersions(o *op) {
	o.walk = true
	if g.often(60) {
		o.in["IncludeDeprecated"] = g.often(70)
	}
	g.page(o)
}

func (g *generator) moveLabel(o *op) {
	s := g.secret(o)
	o.in["VersionStage"] = pick(g, labels)
	if c := s.holder(current); c != nil && g.often(6) {
		o.in["VersionStage"], o.in["RemoveFromVersionId"] = current, c.id
		return
	}
	if g.often(80) {
		o.in["MoveToVersionId"] = g.versionID(s)
	}
	if v := s.holder(o.text("VersionStage")); v != nil && g.often(70) {
		o.in["RemoveFromVersionId"] = v.id
	} else if g.often(20) {
		o.in["RemoveFromVersionId"] = g.versionID(s)
	}
}

func (g *generator) remove(o *op) {
	if g.often(60) {
		o.in["RecoveryWindowInDays"] = pick(g, []int{7, 7, 8, 10, 30, 6, 31, 0})
	}
	if g.often(40) {
		o.in["ForceDeleteWithoutRecovery"] = g.often(70)
	}
}

func (g *generator) tag(o *op) { o.in["Tags"] = g.tags() }

func (g *generator) untag(o *op) {
	keys := []string{}
	for range 1 + g.IntN(2) {
		keys = append(keys, pick(g, tagKeys))
	}
	o.in["TagKeys"] = keys
}

func (g *generator) policy(o *op) {
	p := pick(g, resourcePolicies)
	o.in["ResourcePolicy"] = p.text
	if p.broad || g.often(40) {
		o.in["BlockPublicPolicy"] = g.often(60)
	}
}

func (g *generator) replicate(o *op) {
	o.in["AddReplicaRegions"] = g.regions(o)
	if g.often(60) {
		o.in["ForceOverwriteReplicaSecret"] = g.often(70)
	}
}

func (g *generator) removeRegions(o *op) {
	o.in["RemoveReplicaRegions"] = []string{pick(g, []string{east, west, west, "ap-south-1"})}
}

// stopReplication is called where a replica is, most of the time.
func (g *generator) stopReplication(o *op) {
	for _, s := range g.m.secrets {
		if s.isReplica() && s.account == principals[o.who].account && g.often(40) {
			o.in["SecretId"], o.region = s.name, s.region
		}
	}
}

func (g *generator) password(o *op) {
	if g.often(50) {
		o.in["PasswordLength"] = pick(g, []int{1, 3, 4, 20, 4096, 4097})
	}
	for _, c := range classes {
		if g.often(30) {
			o.in[c.exclude] = g.often(80)
		}
	}
	if g.often(30) {
		o.in["ExcludeCharacters"] = pick(g, []string{"abc\"\\/", "0123456789", classes[3].chars + "xyz"})
	}
	if g.often(20) {
		o.in["IncludeSpace"] = true
	}
	if g.often(8) {
		for _, c := range classes {
			o.in[c.exclude] = true
		}
	}
	if g.often(40) {
		o.in["RequireEachIncludedType"] = g.often(50)
	}
}

// key draws an operation on a customer key by an account's admin.
func (g *generator) key(o *op) {
	k := pick(g, allKeys)
	if o.name == "PutKeyPolicy" {
		k = allKeys[1]
		o.in["Policy"] = keyPolicy(g.often(60))
	}
	o.who, o.region = admin, k.region
	if k.account == accountB {
		o.who = outsider
	}
	if o.name != "PutKeyPolicy" && g.often(5) {
		o.who = admin + outsider - o.who
	}
	o.in["KeyId"] = k.id
	if o.name == "PutKeyPolicy" {
		o.in["PolicyName"] = "default"
	}
}
