package randomops

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// wrongTags are the rules of 10.1 for a request's tags.
func wrongTags(o op, have []tag, most int) answer {
	after := map[string]bool{}
	for _, t := range have {
		after[t.key] = true
	}
	seen := map[string]bool{}
	for _, t := range o.objects("Tags") {
		k := t["Key"].(string)
		if seen[k] || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return fail("InvalidParameterException", anything)
		}
		seen[k] = true
	}
	maps.Copy(after, seen)
	if len(after) > most {
		return fail("InvalidParameterException", anything)
	}
	return answer{}
}

// merge adds tags by key (10.1).
func (s *secret) merge(list []object) {
	for _, t := range list {
		k, v := fmt.Sprint(t["Key"]), fmt.Sprint(t["Value"])
		s.tags = slices.DeleteFunc(s.tags, func(t tag) bool { return t.key == k })
		s.tags = append(s.tags, tag{k, v})
		s.tagged = true
	}
}

// tag is TagResource (10.1); the answer is empty (1.2).
func (m *model) tag(o op) answer {
	if badName(o.text("SecretId")) {
		return errName
	}
	if a := wrongTags(o, nil, 50); a.code != "" {
		return a
	}
	s, a := m.enter(o, false, false)
	if a.code != "" {
		return a
	}
	if a := wrongTags(o, s.tags, m.limits.tags); a.code != "" {
		return a
	}
	before := slices.Clone(s.tags)
	s.merge(o.objects("Tags"))
	if slices.ContainsFunc(s.tags, func(t tag) bool { return !slices.Contains(before, t) }) {
		m.touch(s)
	}
	return ok(object{})
}

// untag is UntagResource (10.1).
func (m *model) untag(o op) answer {
	s, a := m.enter(o, false, false)
	if a.code != "" {
		return a
	}
	before := len(s.tags)
	s.tags = slices.DeleteFunc(s.tags, func(t tag) bool { return slices.Contains(o.texts("TagKeys"), t.key) })
	if len(s.tags) < before {
		m.touch(s)
	}
	return ok(object{})
}
