package policy

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// maxSource bounds what Parse reads. The largest policy AWS stores is a
	// key policy of 32 KB (spec iam-policy-evaluation.md 1), so a mebibyte
	// leaves room for every white space and refuses the rest before any work.
	maxSource = 1 << 20
	// maxDepth bounds recursion. The grammar needs seven levels; the rest is
	// room to tell "not a policy" from "not JSON".
	maxDepth = 32
	// maxStatements bounds the work of one evaluation.
	maxStatements = 4096
)

type nodeKind uint8

const (
	nodeNull nodeKind = iota
	nodeBool
	nodeNumber
	nodeString
	nodeArray
	nodeObject
)

// node is one JSON value with the place it came from. encoding/json would
// hide duplicate members, fold the case of names and lose positions, and each
// of the three decides whether a policy is accepted.
type node struct {
	kind     nodeKind
	pos, end int
	text     string // decoded string, number or boolean as written
	items    []node
	members  []member
}

type member struct {
	name  string
	pos   int
	value node
}

func (n *node) member(name string) *member {
	for i := range n.members {
		if n.members[i].name == name {
			return &n.members[i]
		}
	}
	return nil
}

// scanner reads strict RFC 8259 JSON. Duplicate member names are JSON, but no
// policy, so the first is noted and the scan goes on: text that is not JSON at
// all has the stronger claim to the error message.
type scanner struct {
	src       string
	pos       int
	duplicate *ParseError
}

func scan(src string) (node, *ParseError) {
	s := scanner{src: src}
	root, err := s.value(0)
	if err != nil {
		return node{}, err
	}
	s.space()
	if s.pos != len(src) {
		return node{}, s.fail(s.pos, "text after the end of the policy")
	}
	if s.duplicate != nil {
		return node{}, s.duplicate
	}
	return root, nil
}

func (s *scanner) fail(pos int, format string, args ...any) *ParseError {
	return newParseError(s.src, pos, InvalidJSON, fmt.Sprintf(format, args...))
}

func (s *scanner) space() {
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) value(depth int) (node, *ParseError) {
	s.space()
	if depth > maxDepth {
		return node{}, s.fail(s.pos, "nested deeper than %d levels", maxDepth)
	}
	if s.pos == len(s.src) {
		return node{}, s.fail(s.pos, "unexpected end of text")
	}
	start := s.pos
	switch c := s.src[s.pos]; {
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"':
		text, err := s.string()
		return node{kind: nodeString, pos: start, end: s.pos, text: text}, err
	case c == '-' || '0' <= c && c <= '9':
		err := s.number()
		return node{kind: nodeNumber, pos: start, end: s.pos, text: s.src[start:s.pos]}, err
	}
	for _, word := range [...]struct {
		text string
		kind nodeKind
	}{{"true", nodeBool}, {"false", nodeBool}, {"null", nodeNull}} {
		if strings.HasPrefix(s.src[s.pos:], word.text) {
			s.pos += len(word.text)
			return node{kind: word.kind, pos: start, end: s.pos, text: word.text}, nil
		}
	}
	return node{}, s.fail(s.pos, "expected a value")
}

func (s *scanner) object(depth int) (node, *ParseError) {
	n := node{kind: nodeObject, pos: s.pos}
	s.pos++
	s.space()
	if s.pos < len(s.src) && s.src[s.pos] == '}' {
		s.pos++
		n.end = s.pos
		return n, nil
	}
	// A set instead of a walk over the members keeps an object of a hundred
	// thousand names linear.
	seen := make(map[string]struct{})
	for {
		s.space()
		m := member{pos: s.pos}
		if s.pos == len(s.src) || s.src[s.pos] != '"' {
			return node{}, s.fail(s.pos, "expected a member name in quotes")
		}
		var err *ParseError
		if m.name, err = s.string(); err != nil {
			return node{}, err
		}
		if _, dup := seen[m.name]; dup && s.duplicate == nil {
			s.duplicate = newParseError(s.src, m.pos, InvalidGrammar, fmt.Sprintf("%s appears twice", clip(m.name)))
		}
		seen[m.name] = struct{}{}
		s.space()
		if s.pos == len(s.src) || s.src[s.pos] != ':' {
			return node{}, s.fail(s.pos, "expected ':' after %s", clip(m.name))
		}
		s.pos++
		if m.value, err = s.value(depth + 1); err != nil {
			return node{}, err
		}
		n.members = append(n.members, m)
		more, err := s.separator('}')
		if err != nil {
			return node{}, err
		}
		if !more {
			n.end = s.pos
			return n, nil
		}
	}
}

func (s *scanner) array(depth int) (node, *ParseError) {
	n := node{kind: nodeArray, pos: s.pos}
	s.pos++
	s.space()
	if s.pos < len(s.src) && s.src[s.pos] == ']' {
		s.pos++
		n.end = s.pos
		return n, nil
	}
	for {
		item, err := s.value(depth + 1)
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, item)
		more, err := s.separator(']')
		if err != nil {
			return node{}, err
		}
		if !more {
			n.end = s.pos
			return n, nil
		}
	}
}

// separator reads a comma, which announces more, or the closing byte.
func (s *scanner) separator(closing byte) (more bool, err *ParseError) {
	s.space()
	if s.pos == len(s.src) {
		return false, s.fail(s.pos, "unexpected end of text, expected ',' or '%c'", closing)
	}
	switch s.src[s.pos] {
	case ',':
		s.pos++
		return true, nil
	case closing:
		s.pos++
		return false, nil
	}
	return false, s.fail(s.pos, "expected ',' or '%c'", closing)
}

func (s *scanner) number() *ParseError {
	digits := func() bool {
		start := s.pos
		for s.pos < len(s.src) && '0' <= s.src[s.pos] && s.src[s.pos] <= '9' {
			s.pos++
		}
		return s.pos > start
	}
	at := func(chars string) bool {
		return s.pos < len(s.src) && strings.IndexByte(chars, s.src[s.pos]) >= 0
	}
	start := s.pos
	if at("-") {
		s.pos++
	}
	first := s.pos
	if !digits() || s.src[first] == '0' && s.pos > first+1 {
		return s.fail(start, "malformed number")
	}
	if at(".") {
		s.pos++
		if !digits() {
			return s.fail(start, "malformed number")
		}
	}
	if at("eE") {
		s.pos++
		if at("+-") {
			s.pos++
		}
		if !digits() {
			return s.fail(start, "malformed number")
		}
	}
	return nil
}

// string decodes a quoted string. Text that is not UTF-8, and half of a
// surrogate pair, is refused rather than replaced: two different policies must
// not decode to the same one.
func (s *scanner) string() (string, *ParseError) {
	open := s.pos
	s.pos++
	start := s.pos
	var b []byte // nil while the text needs no decoding
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case c == '"':
			text := s.src[start:s.pos]
			if b != nil {
				text = string(append(b, text...))
			}
			s.pos++
			return text, nil
		case c == '\\':
			b = append(b, s.src[start:s.pos]...)
			var err *ParseError
			if b, err = s.escape(b); err != nil {
				return "", err
			}
			start = s.pos
		case c < 0x20:
			return "", s.fail(s.pos, "control character in a string")
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, size := utf8.DecodeRuneInString(s.src[s.pos:])
			if r == utf8.RuneError && size == 1 {
				return "", s.fail(s.pos, "text is not UTF-8")
			}
			s.pos += size
		}
	}
	return "", s.fail(open, "string without an end")
}

func (s *scanner) escape(b []byte) ([]byte, *ParseError) {
	start := s.pos
	s.pos++
	if s.pos == len(s.src) {
		return nil, s.fail(start, "string without an end")
	}
	c := s.src[s.pos]
	s.pos++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return append(b, "\"\\/\b\f\n\r\t"[i]), nil
	}
	if c != 'u' {
		return nil, s.fail(start, "unknown escape in a string")
	}
	r, ok := s.hex()
	if !ok {
		return nil, s.fail(start, "malformed \\u escape")
	}
	if utf16.IsSurrogate(r) {
		low, paired := rune(0), false
		if strings.HasPrefix(s.src[s.pos:], `\u`) {
			s.pos += 2
			low, paired = s.hex()
		}
		if r = utf16.DecodeRune(r, low); !paired || r == utf8.RuneError {
			return nil, s.fail(start, "half of a surrogate pair")
		}
	}
	return utf8.AppendRune(b, r), nil
}

func (s *scanner) hex() (rune, bool) {
	if len(s.src)-s.pos < 4 {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s.src[s.pos : s.pos+4]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	s.pos += 4
	return r, true
}

// clip quotes a name for an error message and keeps it short: the message may
// be logged, and its reader chose the length of the name.
func clip(name string) string {
	const most = 64
	if len(name) <= most {
		return fmt.Sprintf("%q", name)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return fmt.Sprintf("%q…", name[:cut])
}
