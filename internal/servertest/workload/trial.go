package workload

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Trial is one change of an object of its own, so that something can happen in
// the middle of it. A load and its trials are verified together.
type Trial struct {
	w  *writer
	u  *unit
	op *op
}

// Trial is for an operation, by its name: service:Operation.
func (w *Workload) Trial(operation string) *Trial {
	for _, k := range kinds {
		for i := range k.ops {
			if k.ops[i].name == operation {
				return &Trial{w.trials, w.trials.own(k), &k.ops[i]}
			}
		}
	}
	panic("no operation is called " + operation)
}

// Changes are the operations that change something in the store.
func Changes() []string {
	return slices.DeleteFunc(Operations(), func(name string) bool { return strings.HasPrefix(name, "sts:") })
}

// own is a unit for a trial; all of the account share the one that there is.
func (x *writer) own(k *kind) *unit {
	if k == &account {
		all := x.w.writers[0].units
		return all[slices.IndexFunc(all, func(u *unit) bool { return u.kind == k })]
	}
	return x.add(k, 0)
}

// Prepare makes what the operation needs.
func (t *Trial) Prepare(ctx context.Context) error {
	path, ok := t.u.path(t.op)
	if !ok {
		return fmt.Errorf("%s: no way leads from %v to where it is possible", t.op.name, t.u.state)
	}
	for _, o := range path {
		if err := t.await(ctx, o); err != nil {
			return err
		}
		if err := t.perform(o); err != nil {
			return fmt.Errorf("prepare %s: %w", t.op.name, err)
		}
	}
	return t.await(ctx, t.op)
}

// Do makes the change, by one call and no other. It returns false when no answer
// came.
func (t *Trial) Do() (answered bool, err error) {
	if _, ok := changing(t.op, t.u.state); !ok && t.u.again == nil {
		return false, fmt.Errorf("%s changes nothing in %v", t.op.name, t.u.state)
	}
	err = t.perform(t.op)
	if t.u.maybe != nil {
		return false, nil
	}
	return err == nil, err
}

// Again says whether Do has something to do: a change, or a question for the
// answer that was lost. It has not where what the client needs went with an
// answer, such as a password.
func (t *Trial) Again(ctx context.Context) (bool, error) {
	if t.u.again != nil {
		return true, nil
	}
	if _, ok := changing(t.op, t.u.state); !ok {
		return false, nil
	}
	if t.op.ready == nil {
		return true, nil
	}
	return t.op.ready(ctx, (*t.w.w.nodes.Load())[0], t.u)
}

// ways is how many ways of doing an operation are looked at.
const ways = 6

// changing is a way of doing an operation that is possible and changes something.
// It is never 0, in which a deletion is for good.
func changing(o *op, state facts) (n int, ok bool) {
	if !o.can(state) {
		return 0, false
	}
	for n := 1; n <= ways; n++ {
		after := maps.Clone(state)
		o.apply(after, &step{op: o, n: n, token: "t"})
		if differences(state, after) != "" {
			return n, true
		}
	}
	return 0, false
}

// awaitTime bounds the wait for a replica.
const awaitTime = 60 * time.Second

// await waits until the server is ready for an operation.
func (t *Trial) await(ctx context.Context, o *op) error {
	if o.ready == nil {
		return nil
	}
	for deadline := time.Now().Add(awaitTime); ; time.Sleep(20 * time.Millisecond) {
		ok, err := o.ready(ctx, (*t.w.w.nodes.Load())[0], t.u)
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server is not ready for %s of %s", o.name, t.u.name)
		}
	}
}

// perform does an operation, or the one to be done again.
func (t *Trial) perform(o *op) error {
	s := t.u.again
	if s == nil {
		n, _ := changing(o, t.u.state)
		s = t.u.step(o, n)
	}
	switch t.w.do((*t.w.w.nodes.Load())[0], t.u, s) {
	case acknowledged:
		return nil
	case refused:
		if err := t.w.w.refusal.Swap(nil); err != nil {
			return *err
		}
		return fmt.Errorf("%s is refused", o.name)
	case unsent:
		return fmt.Errorf("%s: nobody was there to take it", o.name)
	}
	return fmt.Errorf("the answer of %s is lost", o.name)
}

// path is the shortest way from the unit's state to one in which an operation is
// possible.
func (u *unit) path(target *op) ([]*op, bool) {
	type place struct {
		state facts
		path  []*op
	}
	seen := map[string]bool{}
	for next := []place{{u.state, nil}}; len(next) > 0; {
		var further []place
		for _, p := range next {
			if _, ok := changing(target, p.state); ok && knows(target, p.path, u) {
				return p.path, true
			}
			for i := range u.kind.ops {
				o := &u.kind.ops[i]
				n, ok := changing(o, p.state)
				if !ok || !knows(o, p.path, u) {
					continue
				}
				after := maps.Clone(p.state)
				o.apply(after, &step{op: o, n: n, token: fmt.Sprint("t", len(p.path))})
				after.name("id")
				if key := fmt.Sprint(after); !seen[key] {
					seen[key] = true
					further = append(further, place{after, append(slices.Clone(p.path), o)})
				}
			}
		}
		next = further
	}
	return nil, false
}

// knows says whether the client has what it needs for an operation, which the
// state does not tell: the password and the seed are known behind what made them.
func knows(o *op, path []*op, u *unit) bool {
	made := func(names ...string) bool {
		return slices.ContainsFunc(path, func(p *op) bool { return slices.Contains(names, p.name) })
	}
	switch o.name {
	case "iam:ChangePassword":
		_, key := ownKey(u)
		return (u.password != "" || made("iam:CreateLoginProfile", "iam:UpdateLoginProfile")) && (key || made("iam:CreateAccessKey"))
	case "iam:EnableMFADevice":
		return u.seed != nil || made("iam:CreateVirtualMFADevice")
	}
	return true
}
