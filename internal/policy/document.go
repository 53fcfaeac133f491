package policy

import (
	"iter"
	"slices"
	"strings"
	"unique"
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
	// gates are, statement by statement, what a request must have for the
	// statement to match at all, and services the union of theirs. They lie
	// together so that passing over statements about other services and actions
	// touches little memory.
	gates    []gate
	services uint64
}

// Source returns a copy of the text that was parsed, byte for byte.
func (d *Document) Source() []byte { return []byte(d.source) }

// Bytes is the length of the text that was parsed.
func (d *Document) Bytes() int { return len(d.source) }

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

// Memory is about how many bytes the document takes, for caches to bound. That is
// not the length of its text: a policy of the shortest elements takes fifty times as
// much, and whoever may write policies chooses.
func (d *Document) Memory() int {
	// As measured, with some room; the text is kept, and patterns keep pieces of it.
	const ofStatement, ofAction, ofElement, ofCharacter = 576, 64, 360, 26
	n := ofCharacter * len(d.source)
	for i := range d.statements {
		st := &d.statements[i]
		n += ofStatement + ofAction*len(st.actions) + ofElement*(len(st.resources)+len(st.principal.refs)+len(st.conditions))
		for j := range st.conditions {
			n += ofElement * len(st.conditions[j].values)
		}
	}
	return n
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

// Number is the statement's place in its document, from 1.
func (s Statement) Number() int { return s.s.index + 1 }

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

// Conditions returns the conditions of the statement.
func (s Statement) Conditions() []Condition {
	var out []Condition
	for i := range s.s.conditions {
		c := &s.s.conditions[i]
		condition := Condition{Operator: c.name, Key: c.written}
		for j := range c.values {
			condition.Values = append(condition.Values, ConditionValue{c.values[j].written, c.values[j].usable})
		}
		out = append(out, condition)
	}
	return out
}

// Condition is one key under one operator, as written.
type Condition struct {
	Operator, Key string
	Values        []ConditionValue
}

// ConditionValue is one value of a condition. One that does not read as what the
// operator compares is not usable and equals nothing.
type ConditionValue struct {
	Text   string
	Usable bool
}

// statement is a compiled statement.
type statement struct {
	deny         bool
	notAction    bool
	notResource  bool
	hasResource  bool
	hasPrincipal bool
	everything   bool // Resource is or holds "*"
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
	return actionPattern{source: source, text: shared(p.text), shape: p.shape}
}

// shared returns the one copy of a text that many policies hold. The same few
// actions and condition keys stand in all of them, so comparing stays in the
// nearest cache, and equal keys are equal at a glance.
func shared(text string) string { return unique.Make(text).Value() }

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

// gate says cheaply that a statement cannot match. What passes is compared in
// full, so hashes that collide only cost time.
type gate struct {
	services  uint64 // bits of the services whose actions can match, see actionBits
	actions   uint64 // bits of the actions that can match, see actionBits
	resources uint64 // bits of how the resources that can match begin, see resourceBits
}

const anyBit = ^uint64(0)

func (g *gate) open(e *evaluation) bool {
	return g.services&e.bits.services != 0 && g.actions&e.bits.actions != 0 && g.resources&e.bits.resources != 0
}

// hash is FNV-1a, which can go on from where another text ended.
func hash[S string | []byte](h uint32, text S) uint32 {
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * 16777619
	}
	return h
}

const noHash = 2166136261

// bit makes one of 64 bits of a hash.
func bit(h uint32) uint64 { return 1 << (h >> 26) }

// actionBits hashes the service of a lower-case action, and the whole of it.
func actionBits[S string | []byte](action S) (service, all uint64) {
	for i := range len(action) {
		if action[i] == ':' {
			h := hash(noHash, action[:i])
			return bit(h), bit(hash(h, action[i:]))
		}
	}
	h := hash(noHash, action)
	return bit(h), bit(h)
}

// beginnings are how much of the last part of an ARN is hashed: enough to get past
// "secret:" and its like, and as much as a pattern has before its first wildcard.
var beginnings = [...]int{8, 12, 16}

// resourceBits hashes every beginning of the last part of a resource's ARN. A
// resource that is none has a bit all the same, for the patterns that match all.
func resourceBits(last string) uint64 {
	bits, h, done := uint64(1), uint32(noHash), 0
	for _, n := range beginnings {
		if n > len(last) {
			break
		}
		h = hash(h, last[done:n])
		bits |= bit(h)
		done = n
	}
	return bits
}

// beginningBits hashes the longest beginning that a pattern spells out.
func (a *arnPattern) beginningBits() uint64 {
	last := &a.parts[arnParts-1]
	if last.shape != shapeExact && last.shape != shapePrefix {
		return anyBit
	}
	for _, n := range slices.Backward(beginnings[:]) {
		if n <= len(last.text) {
			return bit(hash(noHash, last.text[:n]))
		}
	}
	return anyBit
}

// gate returns the union over the statement's patterns.
func (st *statement) gate() gate {
	g := gate{resources: anyBit}
	g.services, g.actions = st.actionGate()
	if st.hasResource && !st.notResource {
		g.resources = 0
		for i := range st.resources {
			g.resources |= st.resources[i].beginningBits()
		}
	}
	return g
}

func (st *statement) actionGate() (services, actions uint64) {
	if st.notAction {
		return anyBit, anyBit
	}
	for i := range st.actions {
		a := &st.actions[i]
		service, _, found := strings.Cut(a.text, ":")
		if !found || hasWildcard(service) {
			return anyBit, anyBit
		}
		serviceBit, whole := actionBits(a.text)
		services |= serviceBit
		if a.shape != shapeExact {
			whole = anyBit
		}
		actions |= whole
	}
	return services, actions
}

func hasWildcard(encoded string) bool {
	return strings.IndexByte(encoded, anyRun) >= 0 || strings.IndexByte(encoded, anyChar) >= 0
}
