package catalog

import (
	"iter"
	"sort"
	"strings"
)

// Access is the access level of an action.
type Access uint8

// The access levels.
const (
	List Access = iota + 1
	Read
	Write
	Tagging
	Permissions
)

// String returns the level as the Service Authorization Reference spells it.
func (a Access) String() string {
	switch a {
	case List:
		return "List"
	case Read:
		return "Read"
	case Write:
		return "Write"
	case Tagging:
		return "Tagging"
	case Permissions:
		return "Permissions management"
	}
	return "unknown"
}

// service is one service; its tables are sorted by folded name.
type service struct {
	prefix  string
	keys    []key
	types   []resourceType
	actions []action
}

// action is a row of a service. The strings hold indices, one byte each, into the
// service's other tables.
type action struct {
	name     string
	access   Access
	types    string
	required string
	keys     string
}

type resourceType struct {
	name string
	arn  string
	keys string
}

// Action is an action of a known service.
type Action struct {
	service *service
	row     *action
}

// Lookup returns the action of a full name such as "secretsmanager:GetSecretValue".
// As in policies, case does not matter.
func Lookup(name string) (Action, bool) {
	prefix, name, found := strings.Cut(name, ":")
	s := find(prefix)
	if !found || s == nil {
		return Action{}, false
	}
	i := search(len(s.actions), name, func(i int) string { return s.actions[i].name })
	if i < 0 {
		return Action{}, false
	}
	return Action{s, &s.actions[i]}, true
}

// Known reports whether a service prefix, in any case, is in the catalog.
func Known(prefix string) bool { return find(prefix) != nil }

// Services yields the prefixes in order.
func Services() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range services {
			if !yield(services[i].prefix) {
				return
			}
		}
	}
}

// Match yields the actions that a pattern of a policy's Action element matches, in
// the order of their names. "*" alone matches all.
func Match(pattern string) iter.Seq[Action] {
	pattern = lower(pattern)
	return func(yield func(Action) bool) {
		var room [128]byte
		for i := range services {
			s := &services[i]
			for j := range s.actions {
				full := append(append(append(room[:0], s.prefix...), ':'), s.actions[j].name...)
				if glob(pattern, full) && !yield(Action{s, &s.actions[j]}) {
					return
				}
			}
		}
	}
}

// Service returns the prefix, such as "secretsmanager".
func (a Action) Service() string { return a.service.prefix }

// Operation returns the name without the prefix.
func (a Action) Operation() string { return a.row.name }

// Name returns the full name in the spelling of the reference.
func (a Action) Name() string { return a.service.prefix + ":" + a.row.name }

// Access returns the access level.
func (a Action) Access() Access { return a.row.access }

// ResourceTypes yields the kinds of resources that the action can be limited to.
// With none a statement about it must say "*".
func (a Action) ResourceTypes() iter.Seq[ResourceType] {
	return func(yield func(ResourceType) bool) {
		for i := range len(a.row.types) {
			if !yield(ResourceType{a.service, &a.service.types[a.row.types[i]]}) {
				return
			}
		}
	}
}

// HasResources reports whether the action works on resources at all.
func (a Action) HasResources() bool { return a.row.types != "" }

// Requires reports whether every request for the action names a resource of type t.
func (a Action) Requires(t ResourceType) bool {
	for i := range len(a.row.required) {
		if &a.service.types[a.row.required[i]] == t.row {
			return true
		}
	}
	return false
}

// Accepts reports whether an ARN has the form of one of the action's resource types.
func (a Action) Accepts(arn string) bool {
	for t := range a.ResourceTypes() {
		if t.Fits(arn) {
			return true
		}
	}
	return false
}

// CanMatch reports whether a pattern of a policy's Resource element can match a
// resource of the action: any for "*", which also stands for no resource. Policy
// variables in it can be anything.
func (a Action) CanMatch(pattern string) bool {
	if pattern == "*" {
		return true
	}
	for t := range a.ResourceTypes() {
		if t.CanMatch(pattern) {
			return true
		}
	}
	return false
}

// find returns a service by its prefix in any case.
func find(prefix string) *service {
	i := search(len(services), prefix, func(i int) string { return services[i].prefix })
	if i < 0 {
		return nil
	}
	return &services[i]
}

// search finds name in a table that is sorted by folded names; -1 if it is not there.
func search(n int, name string, at func(int) string) int {
	i := sort.Search(n, func(i int) bool { return compareFold(at(i), name) >= 0 })
	if i < n && compareFold(at(i), name) == 0 {
		return i
	}
	return -1
}

// compareFold compares without regard to the case of ASCII letters, which are all
// that names have.
func compareFold(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		x, y := lowerByte(a[i]), lowerByte(b[i])
		if x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func lower(s string) string {
	for i := range len(s) {
		if c := s[i]; c != lowerByte(c) {
			b := []byte(s)
			for i := range b {
				b[i] = lowerByte(b[i])
			}
			return string(b)
		}
	}
	return s
}

// glob matches a pattern in lower case against a name in any case.
func glob(pattern string, name []byte) bool {
	p, n := 0, 0
	resumeP, resumeN := -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			p++
			resumeP, resumeN = p, n
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == lowerByte(name[n])):
			p++
			n++
		case resumeP >= 0:
			resumeN++
			p, n = resumeP, resumeN
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
