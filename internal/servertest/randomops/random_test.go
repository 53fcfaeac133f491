package randomops

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

// Environment variables that repeat or lengthen a run.
const (
	seedVariable  = "STRONGROOM_SEED"  // the first world's seed, 0 for one by chance
	stepsVariable = "STRONGROOM_STEPS" // steps in all
)

const (
	defaultSteps = 10_000
	worldSteps   = 2_500 // steps between two fresh starts
)

var quotas = limits{versions: 7, labels: 6, tags: 3}

// TestRandomOperations runs random operations on SQLite, PostgreSQL and the model.
func TestRandomOperations(t *testing.T) {
	seed, steps := variable(t, seedVariable, 1), variable(t, stepsVariable, defaultSteps)
	if seed == 0 {
		seed = rand.Uint64()
	}
	r := newRunner(t)
	began := time.Now()
	for done := 0; uint64(done) < steps; done += worldSteps {
		n := min(worldSteps, int(steps)-done)
		t.Logf("seed %d: %d steps (repeat with %s=%d %s=%d)", seed, n, seedVariable, seed, stepsVariable, n)
		r.run(t, seed, n)
		seed++
	}
	t.Logf("%d steps in %v", steps, time.Since(began).Round(time.Millisecond))
	if steps >= defaultSteps {
		r.checkCounts(t)
	}
}

func variable(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// runner drives worlds one after the other on the same servers.
type runner struct {
	clock   *clock
	targets []*target
	worlds  int
	counts  map[string]int // by operation and code
}

// newRunner starts the servers.
func newRunner(t *testing.T) *runner {
	c := &clock{t: time.Now().UTC().Truncate(time.Millisecond)}
	limited := servertest.Config(func(cfg *config.Config) {
		cfg.Quotas.VersionsPerSecret, cfg.Quotas.LabelsPerSecret, cfg.Quotas.TagsPerSecret = quotas.versions, quotas.labels, quotas.tags
	})
	return &runner{clock: c, counts: map[string]int{}, targets: []*target{
		{"SQLite", servertest.Start(t, servertest.Now(c.now), servertest.ManualJobs(), limited), c},
		{"PostgreSQL", servertest.Start(t, servertest.Now(c.now), servertest.ManualJobs(), limited, servertest.Postgres()), c},
	}}
}

// world is a fresh pair of accounts on each server, and a fresh model.
type world struct {
	model *model
	sides []*side
}

func (r *runner) world(t *testing.T) *world {
	// Each world begins at midnight, so that days end at the same steps again.
	r.clock.set(r.clock.t.Truncate(24 * time.Hour).Add(24 * time.Hour))
	r.worlds++
	w := &world{model: newModel(r.clock, quotas)}
	for _, target := range r.targets {
		w.sides = append(w.sides, newSide(t, target, r.worlds))
	}
	return w
}

// step runs one operation everywhere; a disagreement is told in words.
func (w *world) step(t *testing.T, c *clock, o op) (answer, string) {
	c.set(c.t.Add(o.after))
	want := w.model.do(o)
	got := make([]answer, len(w.sides))
	var wg sync.WaitGroup
	for i, s := range w.sides {
		wg.Go(func() { got[i] = s.call(t, o) })
	}
	wg.Wait()
	// Through JSON, so that both are made of the same types.
	if want.body != nil {
		want.body = plain(want.body)
	}
	agreed := true
	for i, s := range w.sides {
		agreed = agreed && s.agrees(o, want, &got[i])
	}
	// What the model does not know must still be the same on both engines: texts, the
	// order of labels. The names learnt from this very answer are exchanged first.
	text := func(i int) string { return w.sides[i].in.Replace(encode(got[i].body)) }
	agreed = agreed && got[0].code == got[1].code && got[0].message == got[1].message &&
		(want.body["ARN"] == anything || text(0) == text(1))
	if agreed {
		return want, ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  %v\n  model:\n    %v\n", o, want)
	for i, s := range w.sides {
		fmt.Fprintf(&b, "  %s:\n    %v\n", s.name, got[i])
	}
	return want, b.String()
}

func plain(b object) (out object) {
	if err := json.Unmarshal([]byte(encode(b)), &out); err != nil {
		panic(err)
	}
	return out
}

// run draws and runs the steps of one seed.
func (r *runner) run(t *testing.T, seed uint64, steps int) {
	t.Helper()
	w := r.world(t)
	g := newGenerator(seed, w.model)
	var done []op
	for i := range steps {
		o := g.next()
		o.id = i + 1
		done = append(done, o)
		before := slices.Clone(w.model.secrets)
		want, wrong := w.step(t, r.clock, o)
		if wrong != "" {
			r.report(t, seed, done, wrong)
		}
		done[i].idle = want.code != "" || strings.HasPrefix(o.name, "Get") || strings.HasPrefix(o.name, "List") || o.name == "DescribeSecret"
		r.counts[o.name+" "+cmp.Or(want.code, "ok")]++
		seen := want.message
		if want.body != nil {
			seen = encode(want.body)
		}
		for _, part := range mustBeSeen {
			if strings.Contains(seen, part) {
				r.counts[part]++
			}
		}
		for _, s := range before {
			if !slices.Contains(w.model.secrets, s) {
				g.gone = append(g.gone, s.arn())
			}
		}
	}
}

// report tells a disagreement and the shortest way to it that was found.
func (r *runner) report(t *testing.T, seed uint64, done []op, wrong string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, step %d: the answers differ\n%s\nthe last steps:\n", seed, len(done), wrong)
	for _, o := range done[max(0, len(done)-15):] {
		fmt.Fprintf(&b, "  %v\n", o)
	}
	short, wrong := r.shrink(t, done)
	if wrong == "" {
		t.Fatalf("%s\nit did not happen again when the steps were repeated", b.String())
	}
	fmt.Fprintf(&b, "\nshortest way there (%d steps):\n", len(short))
	for _, o := range short {
		fmt.Fprintf(&b, "  %v\n", o)
	}
	t.Fatalf("%s\n%s", b.String(), wrong)
}

// shrinkTime bounds the search for a shorter way.
const shrinkTime = 40 * time.Second

// shrink leaves out ever smaller parts of the steps as long as some disagreement
// remains.
func (r *runner) shrink(t *testing.T, steps []op) ([]op, string) {
	deadline := time.Now().Add(shrinkTime)
	steps, wrong := r.replay(t, steps)
	if wrong == "" {
		return nil, ""
	}
	try := func(drop func(i int) bool) bool {
		shorter, still := r.replay(t, without(steps, drop))
		if still != "" {
			steps, wrong = shorter, still
		}
		return still != ""
	}
	// What changed nothing is rarely needed; then part after part.
	try(func(i int) bool { return steps[i].idle && i < len(steps)-1 })
	for size := len(steps) / 2; size > 0; size /= 2 {
		for at := 0; at < len(steps) && time.Now().Before(deadline); {
			if !try(func(i int) bool { return at <= i && i < at+size }) {
				at += size
			}
		}
	}
	return steps, wrong
}

// without leaves steps out; the time that they took passes all the same.
func without(steps []op, drop func(i int) bool) (left []op) {
	var passed time.Duration
	for i, o := range steps {
		if drop(i) {
			passed += o.after
			continue
		}
		o.after += passed
		passed = 0
		left = append(left, o)
	}
	return left
}

// replay runs steps in a fresh world up to the first disagreement.
func (r *runner) replay(t *testing.T, steps []op) ([]op, string) {
	w := r.world(t)
	for i, o := range steps {
		if _, wrong := w.step(t, r.clock, o); wrong != "" {
			return slices.Clone(steps[:i+1]), wrong
		}
	}
	return nil, ""
}

// agrees compares an answer with the model's and notes the names of new ARNs.
func (s *side) agrees(o op, want answer, got *answer) bool {
	if p, ok := got.body["RandomPassword"].(string); ok {
		got.body["RandomPassword"] = shape(o, p)
	}
	if want.code != got.code || want.message != anything && want.message != got.message {
		return false
	}
	if want.body == nil || got.body == nil {
		return want.body == nil && got.body == nil
	}
	if want.rank != nil {
		for _, k := range []string{"SecretList", "SecretValues", "Errors"} {
			list, _ := got.body[k].([]any)
			if !inOrder(list, want.rank) {
				return false
			}
			sortByARN(list)
			list, _ = want.body[k].([]any)
			sortByARN(list)
		}
	}
	return s.same("", want.body, got.body)
}

// arnOf is what an entry of a list is about.
func arnOf(entry any) string {
	e, _ := entry.(object)
	for _, k := range []string{"ARN", "SecretId"} {
		if arn, ok := e[k].(string); ok {
			return arn
		}
	}
	return ""
}

func inOrder(list []any, rank map[string]int) bool {
	return slices.IsSortedFunc(list, func(a, b any) int { return cmp.Compare(rank[arnOf(a)], rank[arnOf(b)]) })
}

func sortByARN(list []any) {
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(arnOf(a), arnOf(b)) })
}

// same compares parts of an answer. Labels and tags are sets: their order is not
// specified (3.5).
func (s *side) same(member string, want, got any) bool {
	switch want := want.(type) {
	case object:
		got, ok := got.(object)
		if !ok || len(want) != len(got) {
			return false
		}
		// Sorted, so that names are bound in the same order in every run.
		for _, k := range slices.Sorted(maps.Keys(want)) {
			if v, ok := got[k]; !ok || !s.same(k, want[k], v) {
				return false
			}
		}
		return true
	case []any:
		got, ok := got.([]any)
		if !ok || len(want) != len(got) {
			return false
		}
		if len(want) > 0 && (member == "Tags" || reflect.TypeOf(want[0]).Kind() == reflect.String) {
			want, got = sorted(want), sorted(got)
		}
		for i := range want {
			if !s.same("", want[i], got[i]) {
				return false
			}
		}
		return true
	case string:
		got, ok := got.(string)
		switch {
		case !ok:
			return false
		case want == anything && member == "ARN": // of a secret that never was: not empty (4.1)
			return got != ""
		case want == got || want == anything:
			return true
		case member == "ResourcePolicy":
			return sameJSON(want, got)
		}
		return s.bind(want, got)
	}
	return equal(want, got)
}

func equal(a, b any) bool { return reflect.DeepEqual(a, b) }

func sorted(list []any) []any {
	return slices.SortedFunc(slices.Values(list), func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}
