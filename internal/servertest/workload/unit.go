package workload

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"

	"github.com/strongroom/strongroom/internal/server"
)

// unit is what one writer changes by itself: a secret with its replica, a key
// with its aliases, or a user, group, role and policy that hang together.
type unit struct {
	kind   *kind
	name   string
	region string
	other  string // the other region
	steps  int

	// state is what is known to be there. With maybe, the answer of one change
	// was lost: it is state or maybe.after.
	state facts
	maybe *step
	// again is a change to be asked for once more, with the token it had: a
	// client that got no answer does that, and it does no harm.
	again *step
	// changed says that something was done to it since it was last looked at.
	changed bool

	// What only the client knows. Where an answer was lost, so is it.
	keys     map[string]string // secrets of access keys, by id
	password string
	seed     []byte // of the MFA device, until it is used
	cipher   []byte // something encrypted under the key
	session  server.Credentials
}

// kind is what units of a sort have in common.
type kind struct {
	name string
	ops  []op
	// weight is how often a writer turns to such a unit.
	weight int
	// life is how many changes a unit sees before the writer makes the next one
	// and leaves this one as it is; 0 = it is never left.
	life int
	read func(ctx context.Context, r *reading, u *unit) (facts, error)
	// hidden removes the facts that the API does not show in a state.
	hidden func(facts)
}

// op is an operation on a unit that changes something.
type op struct {
	name string // service:Operation
	// can says whether it succeeds in a state.
	can func(facts) bool
	// ready asks the server what the state does not tell; nil = nothing to ask.
	ready func(ctx context.Context, c *clients, u *unit) (bool, error)
	// apply changes the facts as the operation does.
	apply func(f facts, s *step)
	// do performs it and returns the id that the server chose, "" for none.
	do func(ctx context.Context, c *clients, u *unit, s *step) (id string, err error)
	// rare operations take long, so that they come up less often.
	rare bool
	// token says that asking again with the same token is harmless.
	token bool
	// quiet operations change nothing in the store, so that of their records the
	// last may be lost with the machine.
	quiet bool
}

// step is an operation about to be done, under way, or done.
type step struct {
	op    *op
	n     int    // chooses among the ways of doing it
	token string // ClientRequestToken
	mark  string // of its call
	after facts
}

// candidates is how many possible operations a writer weighs up.
const candidates = 3

// plan chooses what to do next: of a few that are possible the one that was done
// least, so that the ones which need much to be there come up as well. It is nil
// when nothing can be done.
func (u *unit) plan(ctx context.Context, c *clients, r *rand.Rand, done map[string]int) (*step, error) {
	if u.again != nil {
		return u.again, nil
	}
	var best *op
	left := candidates
	for _, i := range r.Perm(len(u.kind.ops)) {
		o := &u.kind.ops[i]
		if o.rare && r.IntN(3) > 0 || !o.can(u.state) {
			continue
		}
		if o.ready != nil {
			ok, err := o.ready(ctx, c, u)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
		}
		if best == nil || done[o.name] < done[best.name] {
			best = o
		}
		if left--; left == 0 {
			break
		}
	}
	if best == nil {
		return nil, nil
	}
	return u.step(best, r.IntN(1000)), nil
}

// step is operation o done in the n-th way.
func (u *unit) step(o *op, n int) *step {
	s := &step{op: o, n: n, after: maps.Clone(u.state)}
	u.steps++
	s.token = fmt.Sprintf("%s-%06d-00000000-0000-0000-000000000000", u.name, u.steps)
	o.apply(s.after, s)
	return s
}

// settled notes the answer of a step.
func (u *unit) settled(s *step, o outcome, id string) {
	u.changed = true
	switch o {
	case acknowledged:
		if id != "" {
			s.after.name(id)
		}
		u.state, u.again = s.after, nil
	case unknown:
		u.maybe, u.again = s, nil
	}
}

// resolve compares what was read with what may be there, takes it for the state,
// and returns the differences, "" for none. did says whether the change whose
// answer was lost has been made; both, that this cannot be told.
func (u *unit) resolve(got facts) (did, both bool, diff string) {
	if u.maybe == nil {
		return false, false, u.differs(u.state, got)
	}
	s := u.maybe
	u.maybe = nil
	if s.op.token {
		u.again = s
	}
	after := named(s.after, u.state, got)
	before, later := u.differs(u.state, got), u.differs(after, got)
	switch {
	case before == "" && later == "":
		return false, true, ""
	case before == "":
		return false, false, ""
	case later == "":
		u.state = after
		if s.op.token {
			u.again.after = after
		}
		return true, false, ""
	}
	u.again = nil
	return false, false, fmt.Sprintf("neither as before %s: %s; nor as after it: %s", s.op.name, before, later)
}

// named is after with the id that was read in the place of the one that the lost
// answer would have told.
func named(after, before, got facts) facts {
	out := maps.Clone(after)
	for name, value := range after {
		prefix, waits := trimUnnamed(name)
		if value == unnamed && got.has(name) {
			out.name(got[name])
		}
		if !waits {
			continue
		}
		for _, id := range got.below(prefix) {
			if !before.has(prefix + id) {
				out.name(id)
				break
			}
		}
	}
	return out
}

func trimUnnamed(name string) (string, bool) {
	n := len(name) - len(unnamed)
	return name[:max(n, 0)], n > 0 && name[n-1:] == "."+unnamed
}

func (u *unit) differs(want, got facts) string {
	if u.kind.hidden != nil {
		want, got = maps.Clone(want), maps.Clone(got)
		u.kind.hidden(want)
		u.kind.hidden(got)
	}
	return differences(want, got)
}
