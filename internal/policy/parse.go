package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrorKind says how a text fails to be a policy.
type ErrorKind uint8

const (
	// InvalidJSON: the text is not JSON, or goes beyond the bounds of this
	// package on size and nesting.
	InvalidJSON ErrorKind = iota + 1
	// InvalidGrammar: JSON, but not a policy: an unknown, missing, repeated or
	// wrongly typed element.
	InvalidGrammar
	// InvalidVersion: a policy but for its Version, which is neither of the two
	// that exist.
	InvalidVersion
	// LegacyParsing: a policy but for what IAM calls a failure of "legacy
	// parsing": Effect in the wrong case, or a date that is none.
	LegacyParsing
)

// ParseError is why [Parse] refused a text, and where.
type ParseError struct {
	Offset       int // in bytes, from 0
	Line, Column int // from 1; columns count characters
	Kind         ErrorKind
	Msg          string

	version string // the document's Version, for IAM's order of checks
}

// Error implements error.
func (e *ParseError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Msg)
}

func newParseError(src string, offset int, kind ErrorKind, msg string) *ParseError {
	at := cursor{src: src, at: Position{1, 1}}.to(offset)
	return &ParseError{Offset: offset, Line: at.at.Line, Column: at.at.Column, Kind: kind, Msg: msg}
}

// cursor turns rising offsets into positions, reading the text once.
type cursor struct {
	src    string
	offset int
	at     Position
}

func (c cursor) to(offset int) cursor {
	for c.offset < offset {
		if c.src[c.offset] == '\n' {
			c.at = Position{c.at.Line + 1, 1}
			c.offset++
			continue
		}
		_, size := utf8.DecodeRuneInString(c.src[c.offset:])
		c.offset += size
		c.at.Column++
	}
	return c
}

// Parse reads a policy of any kind (grammar of spec iam-policy-evaluation.md
// 1) and compiles it. Errors are of type *[ParseError]. What only some kinds
// of policy allow is for [Document.Validate].
func Parse(src []byte) (*Document, error) {
	d, err := parse(src)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func parse(src []byte) (*Document, *ParseError) {
	if len(src) > maxSource {
		return nil, &ParseError{Line: 1, Column: 1, Kind: InvalidJSON, Msg: fmt.Sprintf("policy longer than %d bytes", maxSource)}
	}
	text := string(src)
	root, err := scan(text)
	if err != nil {
		return nil, err
	}
	p := parser{src: text, doc: &Document{source: text}, cursor: cursor{src: text, at: Position{1, 1}}}
	if err := p.document(&root); err != nil {
		return nil, err
	}
	for _, late := range []*ParseError{p.version, p.legacy} {
		if late != nil {
			late.version = p.doc.version
			return nil, late
		}
	}
	return p.doc, nil
}

// parser turns JSON into a Document. Errors of grammar end it at once; those
// of version and legacy parsing are kept to the end, since IAM reports any
// error of grammar before them.
type parser struct {
	src             string
	doc             *Document
	cursor          cursor
	variables       bool
	version, legacy *ParseError
}

func (p *parser) fail(pos int, format string, args ...any) *ParseError {
	return newParseError(p.src, pos, InvalidGrammar, fmt.Sprintf(format, args...))
}

// late keeps the first error of a kind that is reported only when the grammar
// is right.
func (p *parser) late(slot **ParseError, kind ErrorKind, pos int, format string, args ...any) {
	if *slot == nil {
		*slot = newParseError(p.src, pos, kind, fmt.Sprintf(format, args...))
	}
}

func (p *parser) document(root *node) *ParseError {
	if root.kind != nodeObject {
		return p.fail(root.pos, "a policy is an object")
	}
	for i := range root.members {
		switch m := &root.members[i]; m.name {
		case "Version", "Id":
			if m.value.kind != nodeString {
				return p.fail(m.value.pos, "%s is a string", m.name)
			}
		case "Statement":
		default:
			return p.fail(m.pos, "unknown element %s", clip(m.name))
		}
	}
	if m := root.member("Id"); m != nil {
		p.doc.id = m.value.text
	}
	if m := root.member("Version"); m != nil {
		p.doc.version = m.value.text
		if p.doc.version != Version2008 && p.doc.version != Version2012 {
			p.late(&p.version, InvalidVersion, m.value.pos, "Version is %q or %q", Version2012, Version2008)
		}
	}
	p.variables = p.doc.version == Version2012
	m := root.member("Statement")
	if m == nil {
		return p.fail(root.pos, "Statement is missing")
	}
	statements := []node{m.value}
	if m.value.kind == nodeArray {
		statements = m.value.items
	}
	if len(statements) == 0 {
		return p.fail(m.value.pos, "Statement is empty")
	}
	if len(statements) > maxStatements {
		return p.fail(m.value.pos, "more than %d statements", maxStatements)
	}
	p.doc.statements = make([]statement, len(statements))
	p.doc.gates = make([]gate, len(statements))
	for i := range statements {
		st := &p.doc.statements[i]
		st.index = i
		if err := p.statement(st, &statements[i]); err != nil {
			return err
		}
		p.doc.gates[i] = st.gate()
		p.doc.services |= p.doc.gates[i].services
	}
	return nil
}

func (p *parser) statement(st *statement, n *node) *ParseError {
	if n.kind != nodeObject {
		return p.fail(n.pos, "a statement is an object")
	}
	p.cursor = p.cursor.to(n.pos)
	st.start = p.cursor.at
	p.cursor = p.cursor.to(n.end)
	st.end = p.cursor.at
	for i := range n.members {
		if err := p.element(st, &n.members[i]); err != nil {
			return err
		}
	}
	for _, name := range [...]string{"Action", "Resource", "Principal"} {
		if not := n.member("Not" + name); not != nil && n.member(name) != nil {
			return p.fail(not.pos, "both %s and Not%s", name, name)
		}
	}
	if n.member("Effect") == nil {
		return p.fail(n.pos, "Effect is missing")
	}
	return nil
}

func (p *parser) element(st *statement, m *member) *ParseError {
	switch m.name {
	case "Sid":
		if m.value.kind != nodeString {
			return p.fail(m.value.pos, "Sid is a string")
		}
		st.sid = m.value.text
	case "Effect":
		return p.effect(st, &m.value)
	case "Action", "NotAction":
		texts, err := p.strings(m)
		if err != nil {
			return err
		}
		st.notAction = m.name == "NotAction"
		for _, text := range texts {
			st.actions = append(st.actions, compileAction(text))
		}
	case "Resource", "NotResource":
		texts, err := p.strings(m)
		if err != nil {
			return err
		}
		st.hasResource, st.notResource = true, m.name == "NotResource"
		for _, text := range texts {
			a := compileResource(text, p.variables)
			st.resources = append(st.resources, a)
			st.everything = st.everything || a.all
		}
	case "Principal", "NotPrincipal":
		st.hasPrincipal, st.principal.negated = true, m.name == "NotPrincipal"
		return p.principal(&st.principal, m)
	case "Condition":
		return p.condition(st, &m.value)
	default:
		return p.fail(m.pos, "unknown element %s", clip(m.name))
	}
	return nil
}

func (p *parser) effect(st *statement, n *node) *ParseError {
	switch {
	case n.kind != nodeString:
		return p.fail(n.pos, "Effect is a string")
	case n.text == string(EffectAllow):
	case n.text == string(EffectDeny):
		st.deny = true
	case strings.EqualFold(n.text, string(EffectAllow)), strings.EqualFold(n.text, string(EffectDeny)):
		p.late(&p.legacy, LegacyParsing, n.pos, "Effect is Allow or Deny, in this case")
	default:
		return p.fail(n.pos, "Effect is Allow or Deny")
	}
	return nil
}

// strings reads a string or a list of strings.
func (p *parser) strings(m *member) ([]string, *ParseError) {
	switch m.value.kind {
	case nodeString:
		return []string{m.value.text}, nil
	case nodeArray:
		texts := make([]string, 0, len(m.value.items))
		for i := range m.value.items {
			item := &m.value.items[i]
			if item.kind != nodeString {
				return nil, p.fail(item.pos, "%s holds strings", clip(m.name))
			}
			texts = append(texts, item.text)
		}
		return texts, nil
	}
	return nil, p.fail(m.value.pos, "%s is a string or a list of strings", clip(m.name))
}

func (p *parser) principal(into *naming, m *member) *ParseError {
	if m.value.kind == nodeString {
		if m.value.text != "*" {
			return p.fail(m.value.pos, `%s is "*" or an object`, m.name)
		}
		into.refs = []PrincipalRef{parsePrincipal("AWS", "*")}
		into.everyone = true
		return nil
	}
	if m.value.kind != nodeObject || len(m.value.members) == 0 {
		return p.fail(m.value.pos, `%s is "*" or an object`, m.name)
	}
	for i := range m.value.members {
		kind := &m.value.members[i]
		switch kind.name {
		case "AWS", "Service", "Federated", "CanonicalUser":
		default:
			return p.fail(kind.pos, "unknown type of principal %s", clip(kind.name))
		}
		texts, err := p.strings(kind)
		if err != nil {
			return err
		}
		if len(texts) == 0 {
			return p.fail(kind.value.pos, "%s is empty", kind.name)
		}
		for _, text := range texts {
			ref := parsePrincipal(kind.name, text)
			into.refs = append(into.refs, ref)
			into.everyone = into.everyone || ref.Kind == Everyone
		}
	}
	return nil
}

func (p *parser) condition(st *statement, n *node) *ParseError {
	if n.kind != nodeObject {
		return p.fail(n.pos, "Condition is an object")
	}
	for i := range n.members {
		m := &n.members[i]
		t, ok := parseTest(m.name)
		if !ok {
			return p.fail(m.pos, "unknown operator %s", clip(m.name))
		}
		if m.value.kind != nodeObject {
			return p.fail(m.value.pos, "%s is an object", m.name)
		}
		for j := range m.value.members {
			key := &m.value.members[j]
			c := condition{test: t, name: m.name, key: shared(strings.ToLower(key.name)), written: key.name}
			if err := p.operands(&c, key); err != nil {
				return err
			}
			st.conditions = append(st.conditions, c)
		}
	}
	return nil
}

func (p *parser) operands(c *condition, key *member) *ParseError {
	items := []node{key.value}
	if key.value.kind == nodeArray {
		items = key.value.items
	}
	for i := range items {
		item := &items[i]
		switch item.kind {
		case nodeString, nodeNumber, nodeBool:
		default:
			return p.fail(item.pos, "a condition value is a string, a number or a Boolean")
		}
		o := compileOperand(c.op, item.text, p.variables && c.op.takesVariables())
		if c.op.isDate() && !o.usable {
			p.late(&p.legacy, LegacyParsing, item.pos, "%s is no date", clip(item.text))
		}
		c.values = append(c.values, o)
	}
	return nil
}
