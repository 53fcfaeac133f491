package randomiam

import (
	"cmp"
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
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// Environment variables that repeat or lengthen a run.
const (
	seedVariable  = "STRONGROOM_SEED"  // the first world's seed, 0 for one by chance
	stepsVariable = "STRONGROOM_STEPS" // steps in all
)

const (
	defaultSteps = 8_000
	worldSteps   = 2_000 // steps between two fresh starts
)

var quotas = limits{users: 6, groups: 3, roles: 4, policies: 5, keys: 2, attached: 3, groupsPerUser: 2}

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
	names   []string
	servers []*servertest.Server
	worlds  int
	counts  map[string]int // by operation and code
}

// newRunner starts the servers.
func newRunner(t *testing.T) *runner {
	c := &clock{t: time.Now().UTC().Truncate(time.Second)}
	limited := servertest.Config(func(cfg *config.Config) {
		q := &cfg.Quotas
		q.Users, q.Groups, q.Roles, q.Policies, q.AccessKeysPerUser = quotas.users, quotas.groups, quotas.roles, quotas.policies, quotas.keys
		q.PoliciesPerEntity, q.GroupsPerUser = quotas.attached, quotas.groupsPerUser
	})
	return &runner{clock: c, counts: map[string]int{}, names: []string{"SQLite", "PostgreSQL"}, servers: []*servertest.Server{
		servertest.Start(t, servertest.Now(c.now), servertest.ManualJobs(), limited),
		servertest.Start(t, servertest.Now(c.now), servertest.ManualJobs(), limited, servertest.Postgres()),
	}}
}

// world is a fresh pair of accounts on each server, and a fresh model.
type world struct {
	model *model
	sides []*side
}

func (r *runner) world(t *testing.T) *world {
	r.clock.set(r.clock.t.Add(time.Minute))
	r.worlds++
	w := &world{model: newModel(r.clock, quotas)}
	for i, srv := range r.servers {
		w.sides = append(w.sides, newSide(t, r.names[i], srv, r.clock, r.worlds))
	}
	for i := range accounts { // learns the administrators' ids
		for _, name := range []string{"GetUser", "ListAccessKeys"} {
			if _, wrong := w.step(t, r.clock, op{service: "iam", name: name, account: i, in: object{"UserName": "admin"}}); wrong != "" {
				t.Fatal(wrong)
			}
		}
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
	agreed := got[0].code == got[1].code && got[0].message == got[1].message
	switch {
	case want.code == anything:
		agreed = got[0].code != "" && got[1].code != ""
	case want.alike:
		agreed = agreed && got[0].code == "" && reflect.DeepEqual(got[0].body, got[1].body) && decided(want.body, got[0].body)
	default:
		for i, s := range w.sides {
			agreed = agreed && s.agrees(o, want, got[i])
		}
	}
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

// decided compares what is known of a simulation's result.
func decided(want, got object) bool {
	if want == nil {
		return true
	}
	results, _ := got["EvaluationResults"].([]any)
	first, _ := results[0].(object)
	return len(results) == 1 && first["EvalDecision"] == want["EvalDecision"]
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
		want, wrong := w.step(t, r.clock, o)
		if wrong != "" {
			r.report(t, seed, done, wrong)
		}
		done[i].idle = want.code != "" || strings.HasPrefix(o.name, "Get") || strings.HasPrefix(o.name, "List") || o.name == "SimulatePrincipalPolicy"
		r.count(o, want)
		if want.code != "" {
			continue
		}
		switch o.name {
		case "CreateAccessKey":
			g.keys = append(g.keys, want.body["AccessKey"].(object)["AccessKeyId"].(string))
		case "AssumeRole":
			g.keys = append(g.keys, want.body["Credentials"].(object)["AccessKeyId"].(string))
		case "DeletePolicy":
			g.gone = append(g.gone, o.text("PolicyArn"))
		}
	}
}

func (r *runner) count(o op, want answer) {
	r.counts[o.name+" "+cmp.Or(want.code, "ok")]++
	for _, part := range mustBeSeen {
		if strings.Contains(want.message, part) {
			r.counts[part]++
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
		shorter, still := r.replay(t, leaveOut(steps, drop))
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

// leaveOut drops steps; the time that they took passes all the same.
func leaveOut(steps []op, drop func(i int) bool) (left []op) {
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
		if o.as != "" && w.sides[0].keys[o.as] == (server.Credentials{}) {
			continue // made by a step that was left out
		}
		if _, wrong := w.step(t, r.clock, o); wrong != "" {
			return slices.Clone(steps[:i+1]), wrong
		}
	}
	return nil, ""
}

// agrees compares an answer with the model's, notes the names of new ids and keeps
// new keys.
func (s *side) agrees(o op, want, got answer) bool {
	if want.code != got.code || want.message != anything && want.message != got.message {
		return false
	}
	if want.code != "" {
		return true
	}
	body := plain(want.body)
	if body == "" {
		body = object{}
	}
	if !s.same(o.name, body, got.body) {
		return false
	}
	member := map[string]string{"CreateAccessKey": "AccessKey", "AssumeRole": "Credentials"}[o.name]
	if member != "" {
		w, g := body.(object)[member].(object), got.body[member].(object)
		token, _ := g["SessionToken"].(string)
		s.keys[w["AccessKeyId"].(string)] = server.Credentials{
			AccessKeyID: g["AccessKeyId"].(string), SecretAccessKey: g["SecretAccessKey"].(string), SessionToken: token,
		}
	}
	return true
}

// same compares parts of an answer; member is the operation at first. Tags, except
// where they are listed, are a set, and so are keys.
func (s *side) same(member string, want, got any) bool {
	switch want := want.(type) {
	case object:
		got, ok := got.(object)
		if !ok || len(want) != len(got) {
			return false
		}
		// Sorted, so that names are bound in the same order in every run.
		for _, k := range slices.Sorted(maps.Keys(want)) {
			inner := k
			if strings.HasPrefix(member, "List") && k == "Tags" {
				inner = "ordered"
			}
			if v, ok := got[k]; !ok || !s.same(inner, want[k], v) {
				return false
			}
		}
		return true
	case []any:
		got, ok := got.([]any)
		if !ok || len(want) != len(got) {
			return false
		}
		if member == "Tags" || member == "AccessKeyMetadata" {
			want, got = sorted(want), sorted(got)
		}
		for i := range want {
			if !s.same("", want[i], got[i]) {
				return false
			}
		}
		return true
	case string:
		if want == anything {
			return true
		}
		got, ok := got.(string)
		return ok && (want == got || s.bind(want, got))
	}
	return false
}

func sorted(list []any) []any {
	return slices.SortedFunc(slices.Values(list), func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}
