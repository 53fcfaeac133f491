package catalog

import (
	"iter"
	"strings"
)

// ResourceType is a kind of resource that policies can name.
type ResourceType struct {
	service *service
	row     *resourceType
}

// Name returns the type's name within its service, such as "Secret".
func (t ResourceType) Name() string { return t.row.name }

// ARN returns the form of its ARNs, such as
// "arn:${Partition}:kms:${Region}:${Account}:key/${KeyId}".
func (t ResourceType) ARN() string { return t.row.arn }

// Keys yields the condition keys that every request about such a resource has.
func (t ResourceType) Keys() iter.Seq[Key] {
	return func(yield func(Key) bool) {
		for i := range len(t.row.keys) {
			if !yield(Key{&t.service.keys[t.row.keys[i]]}) {
				return
			}
		}
	}
}

// Fits reports whether an ARN has the type's form. A variable of the form stands
// for any text but none.
func (t ResourceType) Fits(arn string) bool { return t.overlaps(arn, plain) }

// CanMatch reports whether a pattern of a policy can match an ARN of the type.
func (t ResourceType) CanMatch(text string) bool { return t.overlaps(text, pattern) }

// arnParts is the number of colon-separated parts of an ARN; the last holds all
// the rest.
const arnParts = 6

// syntax is how a text is written.
type syntax uint8

const (
	plain   syntax = iota // an ARN: every character is meant
	form                  // a form of the catalog: "${Name}" is at least one character
	pattern               // of a policy: "*", "?", and "${key}" for any text
)

// overlaps compares part by part, as policies do.
func (t ResourceType) overlaps(text string, how syntax) bool {
	arn := t.row.arn
	for i := range arnParts {
		want, have := arn, text
		if i < arnParts-1 {
			want, arn, _ = strings.Cut(arn, ":")
			var more bool
			if have, text, more = strings.Cut(text, ":"); !more {
				if how == plain {
					return false
				}
				// The engine fills up what a short pattern lacks with "*".
				text = "*"
			}
		}
		if !overlap(elements(want, form), elements(have, how)) {
			return false
		}
	}
	return true
}

// element is one character of a pattern, or a wildcard.
type element struct {
	char byte
	kind elementKind
}

type elementKind uint8

const (
	literal elementKind = iota
	anyChar
	anyRun
)

// elements takes a text apart.
func elements(text string, how syntax) []element {
	out := make([]element, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case how != plain && c == '$':
			inner, _, closed := strings.Cut(strings.TrimPrefix(text[i:], "${"), "}")
			if !closed || !strings.HasPrefix(text[i:], "${") {
				out = append(out, element{char: c})
				continue
			}
			i += len("${") + len(inner)
			switch {
			case how == form:
				out = append(out, element{kind: anyChar}, element{kind: anyRun})
			case inner == "*" || inner == "?" || inner == "$":
				out = append(out, element{char: inner[0]})
			default:
				out = append(out, element{kind: anyRun})
			}
		case how == pattern && c == '*':
			out = append(out, element{kind: anyRun})
		case how == pattern && c == '?':
			out = append(out, element{kind: anyChar})
		default:
			out = append(out, element{char: c})
		}
	}
	return out
}

// overlap reports whether some text matches both patterns. It fills one row of
// "can the rests overlap" after the other, so it costs the product of the lengths.
func overlap(a, b []element) bool {
	next := make([]bool, len(b)+1)
	row := make([]bool, len(b)+1)
	for i := len(a); i >= 0; i-- {
		for j := len(b); j >= 0; j-- {
			switch {
			case i == len(a) && j == len(b):
				row[j] = true
			case i < len(a) && a[i].kind == anyRun:
				// The run ends here, or takes what b's next element stands for.
				row[j] = next[j] || j < len(b) && row[j+1]
			case j < len(b) && b[j].kind == anyRun:
				row[j] = row[j+1] || i < len(a) && next[j]
			case i == len(a) || j == len(b):
				row[j] = false
			default:
				row[j] = next[j+1] && (a[i].kind == anyChar || b[j].kind == anyChar || a[i].char == b[j].char)
			}
		}
		row, next = next, row
	}
	return next[0]
}
