package reference_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/strongroom/strongroom/internal/policy/reference"
)

// TestSharedVectors runs the cases shared by every implementation (§12).
func TestSharedVectors(t *testing.T) {
	vectors := sharedVectors(t)
	if len(vectors) < 108 {
		t.Fatalf("only %d vectors", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			if got, err := reference.Decide(v); got != v.Expect || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, v.Expect)
			}
		})
	}
}

// TestVectorRoundTrip checks that a vector means the same after its JSON form:
// the harness relies on it to print and replay failures.
func TestVectorRoundTrip(t *testing.T) {
	for _, v := range sharedVectors(t) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var again reference.Vector
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if got, err := reference.Decide(again); got != v.Expect || err != nil {
			t.Errorf("%s after round trip: got %q, %v; want %q", v.Name, got, err, v.Expect)
		}
	}
}

// FuzzDecide feeds arbitrary policy text: no panic, one of three answers or an
// error, and the same answer twice although maps are walked in random order.
func FuzzDecide(f *testing.F) {
	for _, v := range sharedVectors(f) {
		text, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var v reference.Vector
		if json.Unmarshal(text, &v) != nil {
			t.Skip()
		}
		first, err := reference.Decide(v)
		switch {
		case err != nil && first != "":
			t.Fatalf("decision %q beside error %v", first, err)
		case err == nil && first != reference.Allow && first != reference.ExplicitDeny && first != reference.ImplicitDeny:
			t.Fatalf("decision %q", first)
		}
		again, err2 := reference.Decide(v)
		if again != first || (err == nil) != (err2 == nil) {
			t.Fatalf("first %q, %v; then %q, %v", first, err, again, err2)
		}
	})
}

func sharedVectors(t testing.TB) []reference.Vector {
	t.Helper()
	text, err := os.ReadFile("../testdata/iam-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []reference.Vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}
