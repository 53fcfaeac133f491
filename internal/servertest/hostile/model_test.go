package hostile

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// model is what is known of a service: the file that its wire types are made from.
type model struct {
	Metadata struct {
		APIVersion   string
		Protocol     string
		SigningName  string
		TargetPrefix string
		Prefix       string `json:"endpointPrefix"`
	}
	Operations map[string]struct{ Input struct{ Shape string } }
	Shapes     map[string]*shape

	names []string // of the operations that are built
}

type shape struct {
	Type       string
	Required   []string
	Members    map[string]struct{ Shape string }
	Member     struct{ Shape string }
	Key, Value struct{ Shape string }
	Enum       []string
	Min, Max   *float64
}

// models reads those of the services that are built.
func models(t *testing.T) (out []*model) {
	t.Helper()
	var built map[string]struct{ Built []string }
	read(t, "operations.json", &built)
	for _, name := range []string{"secretsmanager", "kms", "iam", "sts"} {
		m := &model{}
		read(t, name+".json", m)
		m.Metadata.SigningName = name
		m.names = slices.Sorted(slices.Values(built[name].Built))
		if len(m.names) == 0 {
			t.Fatalf("no operation of %s is built", name)
		}
		out = append(out, m)
	}
	return out
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../../models", name))
	check(t, err)
	check(t, json.Unmarshal(b, into))
}

// node is a value that is yet to be spelled, and may be spelled wrongly.
type node struct {
	raw     string   // a scalar's JSON text, if neither of the others
	text    string   // the same for a Query request
	members []member // of an object
	items   []*node  // of a list
	object  bool
	list    bool
}

type member struct {
	name  string
	value *node
}

// known are values that make sense, by the end of a member's name: what the test has
// made, and documents that are documents.
var known = []struct {
	end    string
	values []string
}{
	{"SecretId", []string{"s0", "s1", "s2", "s3", "none", "arn:aws:secretsmanager:us-east-1:" + attacker + ":secret:s0"}},
	{"KeyId", []string{"alias/k0", "alias/k1", "alias/none", "arn:aws:kms:us-east-1:" + attacker + ":alias/k0", "00000000-0000-0000-0000-000000000000"}},
	{"AliasName", []string{"alias/k0", "alias/k2", "alias/aws/secretsmanager"}},
	{"UserName", []string{"u0", "u1", "u2", "u3"}},
	{"RoleName", []string{"r0", "r1", "r2", "r3"}},
	{"GroupName", []string{"g0", "g1", "g2"}},
	{"PolicyName", []string{"p0", "p1", "default"}},
	{"PolicyArn", []string{"arn:aws:iam::" + attacker + ":policy/p0", "arn:aws:iam::aws:policy/ReadOnlyAccess"}},
	{"RoleArn", []string{"arn:aws:iam::" + attacker + ":role/r0", "arn:aws:iam::111122223333:role/r0"}},
	{"Url", []string{"https://127.0.0.1:1", "https://localhost/x", "http://x"}},
	{"AccessKeyId", []string{"AKIAIOSFODNN7EXAMPLE"}},
	{"Region", []string{"us-east-1", "eu-west-1", "xx-none-9"}},
	{"Name", []string{"s0", "s1", "s4", "s5", "s6"}},
	{"NextToken", []string{"AAAA", "eyJhIjoxfQ==", strings.Repeat("A", 500)}},
	{"Marker", []string{"AAAA", "eyJhIjoxfQ=="}},
	{"Policy", documents}, {"PolicyDocument", documents}, {"PolicyInputList", documents},
	{"WebIdentityToken", []string{"eyJhbGciOiJSUzI1NiJ9.e30.AAAA", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovLzEyNy4wLjAuMToxIn0."}},
}

var documents = []string{
	`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
	`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":{"AWS":"` + attacker + `"},"Action":"secretsmanager:Get*","Resource":"*","Condition":{"StringLike":{"aws:username":["a*","${aws:username}"]}}}}`,
	`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + attacker + `:root"},"Action":"sts:AssumeRole"}]}`,
	`{"Version":"2012-10-17","Statement":[{"Sid":"x","Effect":"Allow","Principal":"*","Action":["kms:*"],"Resource":"*"}]}`,
	`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"iam:*","NotResource":"arn:aws:s3:::*","Condition":{"Bool":{"aws:SecureTransport":"true"},"IpAddress":{"aws:SourceIp":["10.0.0.0/8","::1/128"]},"DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"}}}]}`,
}

// make makes a value that a shape allows, mostly.
func (m *model) make(r *rand.Rand, name, of string, depth int) *node {
	s := m.Shapes[of]
	if s == nil || depth > 6 {
		return scalar("null", "")
	}
	switch s.Type {
	case "structure":
		n := &node{object: true}
		for _, field := range slices.Sorted(keys(s.Members)) {
			if slices.Contains(s.Required, field) || r.IntN(3) == 0 {
				n.members = append(n.members, member{field, m.make(r, field, s.Members[field].Shape, depth+1)})
			}
		}
		return n
	case "list":
		n := &node{list: true}
		for range 1 + r.IntN(3) {
			n.items = append(n.items, m.make(r, name, s.Member.Shape, depth+1))
		}
		return n
	case "map":
		n := &node{object: true}
		for i := range 1 + r.IntN(3) {
			n.members = append(n.members, member{fmt.Sprintf("k%d", i), m.make(r, "", s.Value.Shape, depth+1)})
		}
		return n
	case "boolean":
		v := fmt.Sprint(r.IntN(2) == 0)
		return scalar(v, v)
	case "integer", "long":
		low, high := bounds(s, 1, 100)
		v := fmt.Sprint(low + r.IntN(high-low+1))
		return scalar(v, v)
	case "timestamp":
		return scalar(fmt.Sprint(1700000000+r.IntN(1000000)), "2026-01-02T03:04:05Z")
	case "blob":
		return quoted("aGVsbG8gd29ybGQsIGhlbGxvIHdvcmxk")
	}
	if len(s.Enum) > 0 {
		return quoted(pick(r, s.Enum))
	}
	for _, k := range known {
		if strings.HasSuffix(name, k.end) && r.IntN(8) > 0 {
			return quoted(pick(r, k.values))
		}
	}
	low, high := bounds(s, 0, 40)
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	b := make([]byte, min(low+r.IntN(min(high-low, 40)+1), 4000))
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return quoted(string(b))
}

func bounds(s *shape, low, high int) (int, int) {
	if s.Min != nil {
		low = int(*s.Min)
		high = max(high, low)
	}
	if s.Max != nil {
		high = max(low, min(int(*s.Max), 1<<20))
	}
	return low, high
}

func scalar(raw, text string) *node { return &node{raw: raw, text: text} }

func quoted(s string) *node {
	b, _ := json.Marshal(s)
	return &node{raw: string(b), text: s}
}

func pick[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// all returns a node and what it holds.
func (n *node) all() []*node {
	out := []*node{n}
	for _, m := range n.members {
		out = append(out, m.value.all()...)
	}
	for _, i := range n.items {
		out = append(out, i.all()...)
	}
	return out
}

// json spells it.
func (n *node) json(b *strings.Builder) {
	switch {
	case n.object:
		b.WriteByte('{')
		for i, m := range n.members {
			if i > 0 {
				b.WriteByte(',')
			}
			name, _ := json.Marshal(m.name)
			b.Write(name)
			b.WriteByte(':')
			m.value.json(b)
		}
		b.WriteByte('}')
	case n.list:
		b.WriteByte('[')
		for i, v := range n.items {
			if i > 0 {
				b.WriteByte(',')
			}
			v.json(b)
		}
		b.WriteByte(']')
	default:
		b.WriteString(n.raw)
	}
}

// pair is a parameter of a Query request.
type pair struct{ name, value string }

// query spells it as parameters behind a prefix.
func (n *node) query(prefix string, out []pair) []pair {
	join := func(name string) string {
		if prefix == "" {
			return name
		}
		return prefix + "." + name
	}
	switch {
	case n.object:
		for _, m := range n.members {
			out = m.value.query(join(m.name), out)
		}
	case n.list:
		for i, v := range n.items {
			out = v.query(join(fmt.Sprintf("member.%d", i+1)), out)
		}
	default:
		out = append(out, pair{prefix, n.text})
	}
	return out
}
