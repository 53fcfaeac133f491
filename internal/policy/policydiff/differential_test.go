package policydiff

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"sync/atomic"
	"testing"

	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/policy/policygen"
	"github.com/strongroom/strongroom/internal/policy/reference"
)

var (
	firstSeed = flag.Uint64("seed", 1, "first seed of the differential tests; a failure prints its own")
	seeds     = flag.Uint64("seeds", 34_000, "number of seeds, each of which gives a chain of vectors")
)

const (
	// chain is how many vectors a seed gives: one drawn, the others by small
	// changes to the one before.
	chain = 3
	// workers is the number of parallel parts of a test.
	workers = 4
)

// TestMain lets garbage pile up to a few dozen megabytes: both implementations
// make little else, and collecting it took a fifth of the time.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x706f6c696379)) }

// agree holds both implementations against the chain of one seed.
func agree(t *testing.T, seed uint64) {
	r := random(seed)
	v := policygen.Generate(r)
	for i := range chain {
		if i > 0 {
			v = policygen.Mutate(r, v)
		}
		if disagreement(v) == "" {
			continue
		}
		small := minimise(v, func(w reference.Vector) bool { return disagreement(w) != "" })
		text, err := json.Marshal(small)
		if err != nil {
			t.Fatal(err)
		}
		t.Fatalf("seed %d, vector %d of its chain:\n%s\n%s", seed, i+1, text, disagreement(small))
	}
}

// FuzzEngineAgreesWithReference searches beyond the seeds of the test below.
func FuzzEngineAgreesWithReference(f *testing.F) {
	for seed := range uint64(16) {
		f.Add(seed)
	}
	f.Fuzz(agree)
}

// TestEngineAgreesWithReference draws more than 100,000 vectors.
func TestEngineAgreesWithReference(t *testing.T) {
	each(t, agree)
}

// TestPublicAgreesWithReference compares what is called public (spec
// iam-policy-evaluation.md 11).
func TestPublicAgreesWithReference(t *testing.T) {
	var verdicts [2]atomic.Int64
	each(t, func(t *testing.T, seed uint64) {
		text := policygen.ResourcePolicy(random(seed))
		want, err := reference.Public(text)
		if err != nil {
			t.Fatalf("seed %d: reference: %v\n%s", seed, err, text)
		}
		doc, err := policy.Parse(text)
		if err != nil {
			t.Fatalf("seed %d: engine: %v\n%s", seed, err, text)
		}
		if got, reason := doc.Public(); got != want {
			t.Fatalf("seed %d: reference: public %v\nengine:    public %v %s\n%s", seed, want, got, reason, text)
		}
		if want {
			verdicts[0].Add(1)
		} else {
			verdicts[1].Add(1)
		}
	})
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		if least := int64(*seeds / 10); verdicts[0].Load() < least || verdicts[1].Load() < least {
			t.Errorf("%d policies are public, %d are not", verdicts[0].Load(), verdicts[1].Load())
		}
	})
}

// TestSharedVectors checks that both implementations, and the translation
// between them, give what the vectors shared by every implementation expect.
func TestSharedVectors(t *testing.T) {
	text, err := os.ReadFile("../testdata/iam-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []reference.Vector
	if err := json.Unmarshal(text, &vectors); err != nil || len(vectors) == 0 {
		t.Fatalf("%d vectors: %v", len(vectors), err)
	}
	for _, v := range vectors {
		if report := disagreement(v); report != "" {
			t.Errorf("%s:\n%s", v.Name, report)
		}
		if got := ask(v).answer(); got.refusal != nil || got.decision != v.Expect {
			t.Errorf("%s: %s, want %s", v.Name, got, v.Expect)
		}
	}
}

// each spreads the seeds over parallel parts, all of which stop at the first
// failure.
func each(t *testing.T, check func(*testing.T, uint64)) {
	t.Logf("seeds %d to %d", *firstSeed, *firstSeed+*seeds-1)
	var failed atomic.Bool
	for part := range uint64(workers) {
		t.Run(fmt.Sprintf("part%d", part+1), func(t *testing.T) {
			t.Parallel()
			defer func() { failed.Store(failed.Load() || t.Failed()) }()
			for i := part; i < *seeds && !failed.Load(); i += workers {
				check(t, *firstSeed+i)
			}
		})
	}
}
