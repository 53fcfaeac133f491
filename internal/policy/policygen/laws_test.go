package policygen_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/policy/policygen"
	"github.com/strongroom/strongroom/internal/policy/reference"
)

// FuzzLaws holds the reference against laws that follow from the specification
// without evaluating anything. They are stated about decisions before and
// after a change whose effect is known.
func FuzzLaws(f *testing.F) {
	for seed := range uint64(600) {
		f.Add(seed)
	}
	denyAll := json.RawMessage(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`)
	f.Fuzz(func(t *testing.T, seed uint64) {
		v := policygen.Generate(source(seed))
		decision, err := reference.Decide(v)
		check := func(law string, w reference.Vector, want string) {
			t.Helper()
			got, err2 := reference.Decide(w)
			if got != want || (err == nil) != (err2 == nil) {
				t.Errorf("%s: %q, %v became %q, %v, want %q\n%s\n%s", law, decision, err, got, err2, want, encode(t, v), encode(t, w))
			}
		}

		var again reference.Vector
		if err := json.Unmarshal([]byte(encode(t, v)), &again); err != nil {
			t.Fatal(err)
		}
		check("a vector means what its JSON means", again, decision)

		w := v
		w.Identity, w.Session = slices.Clone(v.Identity), slices.Clone(v.Session)
		slices.Reverse(w.Identity)
		slices.Reverse(w.Session)
		check("the order of policies is irrelevant", w, decision)

		w = v
		w.Request.Context = map[string]reference.Value{}
		for key, value := range v.Request.Context {
			w.Request.Context[strings.ToUpper(key)] = value
		}
		w.Request.Action = strings.ToUpper(v.Request.Action)
		check("the case of keys and actions is irrelevant (§2, §5)", w, decision)

		w = v
		w.Request.ResourceAccount = ownerOf(v)
		check("the owner may be spelled out (§12)", w, decision)

		if err != nil {
			return
		}
		w = v
		w.Identity = append(slices.Clone(v.Identity), denyAll)
		check("any Deny wins (§7 step 1)", w, reference.ExplicitDeny)

		w = v
		w.Identity = append(slices.Clone(v.Identity), v.Identity...)
		check("saying it twice changes nothing", w, decision)

		if v.Endpoint == nil {
			w.Endpoint = json.RawMessage(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`)
			check("an endpoint policy that allows everything changes nothing", w, decision)
		}
		if v.Boundary == nil && v.Request.Principal.Type != reference.Root {
			w = v
			w.Boundary = json.RawMessage(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
			check("a boundary never grants (§10)", w, decision)
		}
	})
}

// ownerOf is the default of §12 for the owner of the resource.
func ownerOf(v reference.Vector) string {
	parts := strings.SplitN(v.Request.Resource, ":", 6)
	switch {
	case v.Request.ResourceAccount != "":
		return v.Request.ResourceAccount
	case len(parts) == 6 && parts[4] != "":
		return parts[4]
	}
	return v.Request.Principal.Account
}
