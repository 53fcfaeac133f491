package policy

import (
	"bytes"
	"strings"
)

// The two wildcards inside a compiled pattern. Neither byte occurs in UTF-8,
// so a literal '*' (from ${*}, or from a value put in for a variable) can
// never be taken for one.
const (
	anyRun  = 0xFF
	anyChar = 0xFE
)

type shape uint8

const (
	shapeExact    shape = iota // no wildcard
	shapePrefix                // one run of anything, at the end
	shapeAll                   // matches every text
	shapeGlob                  // any other mixture of wildcards
	shapeTemplate              // holds variables, expanded for each request
)

// pattern is a text with wildcards and policy variables, compiled.
type pattern struct {
	text  string // what to compare; without the last run for shapePrefix
	shape shape
	// template holds the pieces of a shapeTemplate. Few patterns have variables, and
	// a pointer keeps the others small: six of them make an ARN.
	template *[]piece
}

// pieces are those of a pattern with variables; others have none.
func (p *pattern) pieces() []piece {
	if p.template == nil {
		return nil
	}
	return *p.template
}

// piece is one stretch of a pattern that holds variables: either compiled
// text, or a variable.
type piece struct {
	text       string
	isVariable bool
	key        string // lower-case context key
	fallback   string
	hasDefault bool
}

// compile reads a text of a policy. Wildcards count when wild is set,
// variables when variables is set (documents of version 2012-10-17 only).
func compile(text string, wild, variables bool) pattern {
	if variables && strings.Contains(text, "${") {
		return flatten(split(text, wild))
	}
	return compiled(encode(text, wild))
}

// compiled chooses the cheapest comparison for an encoded text.
func compiled(text string) pattern {
	runs := strings.IndexByte(text, anyRun)
	chars := strings.IndexByte(text, anyChar)
	switch {
	case runs < 0 && chars < 0:
		return pattern{text: text}
	case len(text) == 1 && runs == 0:
		return pattern{shape: shapeAll}
	case chars < 0 && runs == len(text)-1:
		return pattern{text: text[:runs], shape: shapePrefix}
	}
	return pattern{text: text, shape: shapeGlob}
}

func encode(text string, wild bool) string {
	if !wild || !strings.ContainsAny(text, "*?") {
		return text
	}
	b := []byte(text)
	for i, c := range b {
		switch c {
		case '*':
			b[i] = anyRun
		case '?':
			b[i] = anyChar
		}
	}
	return string(b)
}

// split cuts a text at its variables. "${*}", "${?}" and "${$}" are the bare
// characters; "${" without an end is text.
func split(text string, wild bool) []piece {
	var pieces []piece
	for {
		start := strings.Index(text, "${")
		if start < 0 {
			break
		}
		p, size := variable(text[start:])
		if size == 0 {
			break
		}
		pieces = append(pieces, piece{text: encode(text[:start], wild)}, p)
		text = text[start+size:]
	}
	return append(pieces, piece{text: encode(text, wild)})
}

// variable reads one "${…}" at the start of text and says how many bytes it
// took, 0 when it never ends. What is neither a key nor a key with a default
// is taken whole as a key; no request has such a key, so it has no value.
func variable(text string) (piece, int) {
	end := strings.IndexByte(text, '}')
	if end < 0 {
		return piece{}, 0
	}
	inner := text[len("${"):end]
	switch inner {
	case "*", "?", "$":
		return piece{text: inner}, end + 1
	}
	// A quoted default may hold a brace, so it is read before the first '}'
	// is believed.
	if comma := strings.IndexByte(inner, ','); comma >= 0 {
		rest := strings.TrimPrefix(text[len("${")+comma+1:], " ")
		if quoted, ok := strings.CutPrefix(rest, "'"); ok {
			if fallback, after, ok := strings.Cut(quoted, "'"); ok && strings.HasPrefix(after, "}") {
				size := len(text) - len(after) + 1
				return piece{isVariable: true, key: strings.ToLower(inner[:comma]), fallback: fallback, hasDefault: true}, size
			}
		}
	}
	return piece{isVariable: true, key: strings.ToLower(inner)}, end + 1
}

// flatten makes a template, or plain text where the variables were all bare
// characters.
func flatten(pieces []piece) pattern {
	var text strings.Builder
	for _, piece := range pieces {
		if piece.isVariable {
			return pattern{shape: shapeTemplate, template: &pieces}
		}
		text.WriteString(piece.text)
	}
	return compiled(text.String())
}

// expand appends the compiled text of a template with its variables replaced. It
// fails when a variable has neither value nor default, and when the values come to
// more than most bytes: they are literal, so the text they are compared with would
// have to hold them all, and a short template must not be blown up to megabytes.
func (p *pattern) expand(dst []byte, e *evaluation, most int) ([]byte, bool) {
	pieces := p.pieces()
	for i := range pieces {
		piece := &pieces[i]
		if !piece.isVariable {
			dst = append(dst, piece.text...)
			continue
		}
		value, ok := e.single(piece.key)
		switch {
		case ok:
		case piece.hasDefault:
			value = piece.fallback
		default:
			return dst, false
		}
		if most -= len(value); most < 0 {
			return dst, false
		}
		dst = append(dst, value...)
	}
	return dst, true
}

// resolved says whether every variable of a pattern has a value.
func (p *pattern) resolved(e *evaluation) bool {
	for _, piece := range p.pieces() {
		if !piece.isVariable || piece.hasDefault {
			continue
		}
		if _, ok := e.single(piece.key); !ok {
			return false
		}
	}
	return true
}

// matches compares a pattern without variables.
func (p *pattern) matches(s string) bool {
	switch p.shape {
	case shapeExact:
		return p.text == s
	case shapePrefix:
		return strings.HasPrefix(s, p.text)
	case shapeAll:
		return true
	}
	return glob(p.text, s)
}

// matchesIn compares a pattern that may hold variables; one without a value matches
// nothing.
func (p *pattern) matchesIn(s string, e *evaluation) bool {
	if p.shape != shapeTemplate {
		return p.matches(s)
	}
	var room [expandRoom]byte
	text, ok := p.expand(room[:0], e, len(s))
	return ok && glob(text, s)
}

// expandRoom is the size of the stack buffer that templates are expanded
// into; longer results move to the heap.
const expandRoom = 256

// arnParts is the number of colon-separated parts of an ARN. The last holds
// all the rest, colons included.
const arnParts = 6

// splitARN cuts an ARN into its parts; ok is false for a text with fewer.
func splitARN(s string) (parts [arnParts]string, ok bool) {
	for i := range arnParts - 1 {
		colon := strings.IndexByte(s, ':')
		if colon < 0 {
			return parts, false
		}
		parts[i], s = s[:colon], s[colon+1:]
	}
	parts[arnParts-1] = s
	return parts, true
}

// arnPattern is a pattern for ARNs: six patterns, none of which sees more than
// its own part.
type arnPattern struct {
	all    bool // the pattern "*" alone, the only one that matches no resource
	parts  [arnParts]pattern
	source string
}

// compileResource reads an element of Resource or NotResource, where
// variables count in the sixth part only (spec iam-policy-evaluation.md 3).
func compileResource(source string, variables bool) arnPattern {
	a := arnPattern{source: source, all: source == "*"}
	texts := strings.SplitN(source, ":", arnParts)
	for i := range a.parts {
		text := "*"
		if i < len(texts) {
			text = texts[i]
		}
		a.parts[i] = compile(text, true, variables && i == arnParts-1)
	}
	return a
}

// compileARN reads a value of an ARN condition that holds no variables. What
// "${*}" and its like stand for is text by now, so the parts are cut from the
// compiled form.
func compileARN(text pattern) arnPattern {
	var a arnPattern
	encoded := text.text
	switch text.shape {
	case shapePrefix, shapeAll:
		encoded += "\xff"
	}
	texts := strings.SplitN(encoded, ":", arnParts)
	for i := range a.parts {
		a.parts[i] = pattern{shape: shapeAll}
		if i < len(texts) {
			a.parts[i] = compiled(texts[i])
		}
	}
	return a
}

// matchesParts compares a pattern without variables.
func (a *arnPattern) matchesParts(arn *[arnParts]string) bool {
	for i := range a.parts {
		if !a.parts[i].matches(arn[i]) {
			return false
		}
	}
	return true
}

// resolved says whether every variable of the pattern has a value.
func (a *arnPattern) resolved(e *evaluation) bool { return a.parts[arnParts-1].resolved(e) }

// matches compares with the resource of the request.
func (a *arnPattern) matches(e *evaluation) bool {
	if a.all {
		return true
	}
	if !e.hasARN {
		return false
	}
	// The last part tells resources apart best; "arn", the partition and the service
	// seldom do. Variables are replaced only when the rest fits.
	last := &a.parts[arnParts-1]
	if last.shape != shapeTemplate && !last.matches(e.arn[arnParts-1]) {
		return false
	}
	for i := arnParts - 2; i >= 0; i-- {
		if !a.parts[i].matches(e.arn[i]) {
			return false
		}
	}
	return last.shape != shapeTemplate || last.matchesIn(e.arn[arnParts-1], e)
}

// matchARN compares an encoded ARN pattern, part by part, with an ARN. Parts
// that the pattern lacks match anything.
func matchARN(p []byte, arn *[arnParts]string) bool {
	for i := range arnParts {
		end := len(p)
		if i < arnParts-1 {
			if colon := bytes.IndexByte(p, ':'); colon >= 0 {
				end = colon
			}
		}
		if !glob(p[:end], arn[i]) {
			return false
		}
		if end == len(p) {
			return true
		}
		p = p[end+1:]
	}
	return true
}
