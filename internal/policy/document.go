package policy

import (
	"iter"
	"strings"
)

// The versions of the language. A document without one behaves as 2008-10-17.
const (
	Version2008 = "2008-10-17"
	Version2012 = "2012-10-17"
)

// Document is a parsed and compiled policy. It never changes and is safe for
// concurrent use.
type Document struct {
	source     string
	version    string // as written, possibly empty
	id         string
	statements []statement
	// masks are, statement by statement, the services whose actions can match
	// (see serviceBit), and services their union. They lie together so that
	// passing over other services' statements touches little memory.
	masks    []uint64
	services uint64
}

// Source returns a copy of the text that was parsed, byte for byte.
func (d *Document) Source() []byte { return []byte(d.source) }

// Version returns the Version element as written, empty when there is none.
func (d *Document) Version() string { return d.version }

// ID returns the Id element, empty when there is none.
func (d *Document) ID() string { return d.id }

// Size is the number of characters outside white space, the measure of IAM's
// quotas (spec iam-policy-evaluation.md 1). White space inside strings counts.
func (d *Document) Size() int {
	size, quoted, escaped := 0, false, false
	for _, r := range d.source {
		switch {
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		}
		if quoted || !strings.ContainsRune(" \t\r\n", r) {
			size++
		}
	}
	return size
}

// Len returns the number of statements, at least one.
func (d *Document) Len() int { return len(d.statements) }

// Statements yields the statements in order.
func (d *Document) Statements() iter.Seq2[int, Statement] {
	return func(yield func(int, Statement) bool) {
		for i := range d.statements {
			if !yield(i, Statement{&d.statements[i]}) {
				return
			}
		}
	}
}

// Statement returns the statement at an index from 0 to Len()-1, such as that
// of a [Decision].
func (d *Document) Statement(i int) Statement { return Statement{&d.statements[i]} }

// Principals yields every element of every Principal and NotPrincipal, so that
// the keeper of the policy can check that they exist.
func (d *Document) Principals() iter.Seq[PrincipalRef] {
	return func(yield func(PrincipalRef) bool) {
		for i := range d.statements {
			for _, ref := range d.statements[i].principal.refs {
				if !yield(ref) {
					return
				}
			}
		}
	}
}

// Position is a place in the text of a policy, both numbers from 1. Columns
// count characters.
type Position struct{ Line, Column int }

// Effect is what a statement does.
type Effect string

// The two effects.
const (
	EffectAllow Effect = "Allow"
	EffectDeny  Effect = "Deny"
)

// Statement is a view of one statement of a [Document].
type Statement struct{ s *statement }

// Sid returns the statement's Sid, empty when it has none.
func (s Statement) Sid() string { return s.s.sid }

// Effect returns Allow or Deny.
func (s Statement) Effect() Effect { return s.s.effect() }

// Start is the position of the opening brace.
func (s Statement) Start() Position { return s.s.start }

// End is the position just after the closing brace.
func (s Statement) End() Position { return s.s.end }

// Actions returns the elements of Action, or of NotAction when not is true, as
// written.
func (s Statement) Actions() (patterns []string, not bool) {
	for i := range s.s.actions {
		patterns = append(patterns, s.s.actions[i].source)
	}
	return patterns, s.s.notAction
}

// Resources returns the elements of Resource, or of NotResource when not is
// true, as written; none when the statement has neither element.
func (s Statement) Resources() (patterns []string, not bool) {
	for i := range s.s.resources {
		patterns = append(patterns, s.s.resources[i].source)
	}
	return patterns, s.s.notResource
}

// Principals returns the elements of Principal, or of NotPrincipal when not is
// true; none when the statement has neither element.
func (s Statement) Principals() (refs []PrincipalRef, not bool) {
	return append(refs, s.s.principal.refs...), s.s.principal.negated
}

// Keys returns the condition keys of the statement as written.
func (s Statement) Keys() []string {
	var keys []string
	for i := range s.s.conditions {
		keys = append(keys, s.s.conditions[i].written)
	}
	return keys
}

// statement is a compiled statement.
type statement struct {
	deny         bool
	notAction    bool
	notResource  bool
	hasResource  bool
	hasPrincipal bool
	actions      []actionPattern
	resources    []arnPattern
	conditions   []condition
	principal    naming

	sid        string
	index      int
	start, end Position
}

func (st *statement) effect() Effect {
	if st.deny {
		return EffectDeny
	}
	return EffectAllow
}

// actionPattern matches lower-case actions.
type actionPattern struct {
	source string
	text   string // lower case, encoded; without the last run for shapePrefix
	shape  shape
}

func compileAction(source string) actionPattern {
	p := compile(lowerASCII(source), true, false)
	return actionPattern{source: source, text: p.text, shape: p.shape}
}

// lowerASCII is how both sides of an action are folded. The full tables of
// Unicode would let a KELVIN SIGN stand for the k of "kms".
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func (a *actionPattern) matches(action []byte) bool {
	switch a.shape {
	case shapeExact:
		return a.text == string(action)
	case shapePrefix:
		return len(action) >= len(a.text) && string(action[:len(a.text)]) == a.text
	case shapeAll:
		return true
	}
	return glob(a.text, action)
}

// serviceBit hashes the service of a lower-case action to one of 64 bits.
// Statements keep the union over their patterns, so that one AND passes over
// the many that speak of other services. Collisions only cost time.
func serviceBit[S string | []byte](action S) uint64 {
	h := uint32(2166136261)
	for i := range len(action) {
		if action[i] == ':' {
			break
		}
		h = (h ^ uint32(action[i])) * 16777619
	}
	return 1 << (h >> 26)
}

const allServices = ^uint64(0)

// mask returns the services whose actions the statement can match.
func (st *statement) mask() uint64 {
	if st.notAction {
		return allServices
	}
	var mask uint64
	for i := range st.actions {
		service, _, found := strings.Cut(st.actions[i].text, ":")
		if !found || hasWildcard(service) {
			return allServices
		}
		mask |= serviceBit(service)
	}
	return mask
}

func hasWildcard(encoded string) bool {
	return strings.IndexByte(encoded, anyRun) >= 0 || strings.IndexByte(encoded, anyChar) >= 0
}
