package policygen_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/policy/policygen"
	"github.com/strongroom/strongroom/internal/policy/reference"
)

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 12)) }

// TestDistribution measures what 20,000 vectors exercise, prints it, and fails
// when a differential test fed by them would be blind in some direction.
func TestDistribution(t *testing.T) {
	const total = 20_000
	decisions := map[string]int{}
	byType := map[string]map[string]int{}
	held := map[string]map[bool]int{}
	rng := source(1)
	for range total {
		v := policygen.Generate(rng)
		decision, err := reference.Decide(v)
		if err != nil {
			decisions["malformed"]++
			continue
		}
		decisions[decision]++
		count(byType, v.Request.Principal.Type, decision)
		if err := reference.EachCondition(v, func(operator string, h bool) { count(held, operator, h) }); err != nil {
			t.Fatal(err)
		}
	}

	for _, want := range []struct {
		name    string
		percent int
	}{{reference.Allow, 15}, {reference.ExplicitDeny, 10}, {reference.ImplicitDeny, 15}, {"malformed", 1}} {
		t.Logf("%-13s %5.1f %%", want.name, 100*float64(decisions[want.name])/total)
		if 100*decisions[want.name] < want.percent*total {
			t.Errorf("%s: %d of %d, want at least %d %%", want.name, decisions[want.name], total, want.percent)
		}
	}
	if 100*decisions["malformed"] > 5*total {
		t.Errorf("%d of %d vectors are malformed, want at most 5 %%", decisions["malformed"], total)
	}
	for _, principal := range []string{
		reference.User, reference.AssumedRole, reference.FederatedUser, reference.Root, reference.Service, reference.Anonymous,
	} {
		t.Logf("%-13s %v", principal, byType[principal])
		for _, decision := range []string{reference.Allow, reference.ExplicitDeny, reference.ImplicitDeny} {
			if byType[principal][decision] == 0 {
				t.Errorf("%s never got %s", principal, decision)
			}
		}
	}
	for _, operator := range everyOperator() {
		t.Logf("%-43s true %4d  false %4d", operator, held[operator][true], held[operator][false])
		if held[operator][true] == 0 || held[operator][false] == 0 {
			t.Errorf("%s was true %d times and false %d times", operator, held[operator][true], held[operator][false])
		}
	}
	if len(held) != len(everyOperator()) {
		t.Errorf("%d operators seen, %d known", len(held), len(everyOperator()))
	}
}

func count[K comparable](counts map[string]map[K]int, name string, key K) {
	if counts[name] == nil {
		counts[name] = map[K]int{}
	}
	counts[name][key]++
}

// everyOperator lists the operators of §5.1 with all that may surround them,
// written out here so that one forgotten by the generator is missed.
func everyOperator() []string {
	out := []string{"Null"}
	for _, base := range strings.Fields(`
		StringEquals StringNotEquals StringEqualsIgnoreCase StringNotEqualsIgnoreCase StringLike StringNotLike
		NumericEquals NumericNotEquals NumericLessThan NumericLessThanEquals NumericGreaterThan NumericGreaterThanEquals
		DateEquals DateNotEquals DateLessThan DateLessThanEquals DateGreaterThan DateGreaterThanEquals
		Bool BinaryEquals IpAddress NotIpAddress ArnEquals ArnLike ArnNotEquals ArnNotLike`) {
		for _, qualifier := range []string{"", "ForAllValues:", "ForAnyValue:"} {
			out = append(out, qualifier+base, qualifier+base+"IfExists")
		}
	}
	return out
}

// TestVocabulary checks that each element a vector can have turns up.
func TestVocabulary(t *testing.T) {
	missing := []string{
		`"NotAction":`, `"NotResource":`, `"NotPrincipal":`, `"Statement":{`, `"Statement":[`, `"Version":"2008-10-17"`, `{"Statement"`,
		`"boundary":{`, `"session":[`, `"endpoint":{`, `"resourceAccount":`, `"Sid":`, `"Id":`,
		`"Principal":"*"`, `"Principal":{"AWS":"*"}`, `"Federated":`, `"CanonicalUser":`, `"Service":`, `["AIDA0`,
		`${*}`, `${?}`, `${$}`, `, 'red'}`, `,'`, `${aws:username}`, `${AWS:USERNAME`, `${aws:tagkeys}`,
		`:[]}`, `:true`, `:false`, `:30`, `"Condition":{}`, `"Action":"secretsmanager:?`, `"aws:TagKeys":[]`, `:""`,
		`sts:AssumeRole`, `"kms:`, `"secretsmanager:ListSecrets"`, `"resource":"*"`, `"resource":null`,
		`"scp":`, `:3e1`, `"3E1"`, `"2026"`, `"2026T"`, `::ffff:203.0.113.7`, `"QR=="`, `"AWS:USERNAME":`, `'{r}'}`, `"arn:aws:sns:*"`, "\u212a",
	}
	rng := source(2)
	for range 20_000 {
		text, err := json.Marshal(policygen.Generate(rng))
		if err != nil {
			t.Fatal(err)
		}
		missing = slices.DeleteFunc(missing, func(part string) bool { return strings.Contains(string(text), part) })
		if len(missing) == 0 {
			return
		}
	}
	t.Errorf("never generated: %q", missing)
}

// TestDeterminism checks the invariant of the package.
func TestDeterminism(t *testing.T) {
	a, b := source(3), source(3)
	for i := range 500 {
		v, w := policygen.Generate(a), policygen.Generate(b)
		if i%2 == 1 {
			v, w = policygen.Mutate(a, v), policygen.Mutate(b, w)
		}
		if encode(t, v) != encode(t, w) {
			t.Fatalf("vector %d differs under one seed:\n%s\n%s", i, encode(t, v), encode(t, w))
		}
	}
}

// TestMutate checks that a mutation leaves the original alone, keeps a
// well-formed vector well-formed and often changes the decision.
func TestMutate(t *testing.T) {
	rng := source(4)
	const total = 2_500
	changed, moved := 0, 0
	for range total {
		v := policygen.Generate(rng)
		text := encode(t, v)
		before, err := reference.Decide(v)
		w := policygen.Mutate(rng, v)
		if encode(t, v) != text {
			t.Fatalf("the original was changed from\n%s\nto\n%s", text, encode(t, v))
		}
		if encode(t, w) != text {
			changed++
		}
		if err != nil {
			continue
		}
		after, err := reference.Decide(w)
		if err != nil {
			t.Fatalf("%v after mutating\n%s\nto\n%s", err, text, encode(t, w))
		}
		if after != before {
			moved++
		}
	}
	t.Logf("%d of %d mutations changed the vector, %d the decision", changed, total, moved)
	if changed < total*3/4 || moved < total/20 {
		t.Errorf("%d of %d mutations changed the vector, %d the decision", changed, total, moved)
	}
}

func encode(t *testing.T, v reference.Vector) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
