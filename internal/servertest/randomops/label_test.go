package randomops

import (
	"slices"
	"time"
)

const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
	pending  = "AWSPENDING"
)

// plan says which labels every version has once version id has joined (3.2).
func (s *secret) plan(id string, stages []string) map[string][]string {
	after := map[string][]string{id: nil}
	for _, v := range s.versions {
		after[v.id] = slices.Clone(v.stages)
	}
	take := func(label string) {
		for id := range after {
			after[id] = slices.DeleteFunc(after[id], func(l string) bool { return l == label })
		}
	}
	give := func(id, label string) {
		take(label)
		after[id] = append(after[id], label)
	}
	c := s.holder(current)
	becomes := len(stages) == 0 || slices.Contains(stages, current) || c == nil
	if becomes {
		take(pending)
		give(id, current)
		if c != nil {
			give(c.id, previous)
		}
	}
	for _, label := range stages {
		give(id, label)
	}
	return after
}

func (s *secret) relabel(after map[string][]string) {
	for _, v := range s.versions {
		v.stages = after[v.id]
	}
}

func total(after map[string][]string) (n int) {
	for _, stages := range after {
		n += len(stages)
	}
	return n
}

// makeRoom prunes the oldest label-less versions older than a day, as far as the
// quota asks (3.4).
func (m *model) makeRoom(s *secret, after map[string][]string) answer {
	excess := len(s.versions) + 1 - m.limits.versions
	doomed := map[string]bool{}
	for _, v := range s.versions {
		if len(doomed) < excess && len(after[v.id]) == 0 && m.clock.t.Sub(v.created) >= 24*time.Hour {
			doomed[v.id] = true
		}
	}
	if len(doomed) < excess {
		return fail("LimitExceededException", anything)
	}
	s.versions = slices.DeleteFunc(s.versions, func(v *version) bool { return doomed[v.id] })
	return answer{}
}

// moveLabel is 3.3.
func (m *model) moveLabel(o op) answer {
	label, from, to := o.text("VersionStage"), o.text("RemoveFromVersionId"), o.text("MoveToVersionId")
	if badName(o.text("SecretId")) {
		return errName
	}
	if from == "" && to == "" {
		return fail("InvalidParameterException", anything)
	}
	s, a := m.enter(o, false, false)
	if a.code != "" {
		return a
	}
	for _, id := range []string{to, from} {
		if id != "" && s.version(id) == nil {
			return noVersion(id)
		}
	}
	holder := s.holder(label)
	target := s.version(to)
	switch {
	case from != "" && (holder == nil || holder.id != from):
		return fail("InvalidParameterException", "When you move staging label %s, if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label %s.", label, label)
	case target == nil && label == current:
		return fail("InvalidParameterException", "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.")
	case target != nil && holder == target:
		return ok(named(s)) // no change
	case target != nil && holder != nil && from == "":
		return fail("InvalidParameterException", "The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", label, holder.id)
	}
	after := map[string][]string{}
	for _, v := range s.versions {
		after[v.id] = slices.Clone(v.stages)
	}
	take := func(label string) {
		for id := range after {
			after[id] = slices.DeleteFunc(after[id], func(l string) bool { return l == label })
		}
	}
	take(label)
	if target != nil {
		after[to] = append(after[to], label)
	}
	if label == current && holder != nil {
		take(previous)
		after[holder.id] = append(after[holder.id], previous)
	}
	if total(after) > m.limits.labels {
		return fail("LimitExceededException", anything)
	}
	s.relabel(after)
	m.touch(s)
	return ok(named(s))
}
