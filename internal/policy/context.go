package policy

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Value is what a request says about one condition key.
type Value struct {
	// One is the value of a single-valued key.
	One string
	// Many are the values of a multivalued key. None at all counts as if the
	// key were missing.
	Many []string
	// Multi marks a multivalued key.
	Multi bool
}

// Entry is one condition key of a request with its value.
type Entry struct {
	Key   string // lower case
	Value Value
}

// Tag is a key and a value; what it is attached to depends on where it stands.
type Tag struct{ Key, Value string }

// Provider computes condition keys on demand, for those too dear to fill in
// for every request. Implementations get the key in lower case and must give
// the same answer throughout one evaluation.
type Provider interface {
	ContextValue(key string) (Value, bool)
}

// Context holds the condition keys of a request (spec
// iam-policy-evaluation.md 6). The zero value is empty and ready for use.
// Reset keeps the memory, so that a pooled Context is filled again without
// allocating. Filling it is for one goroutine; evaluating many requests
// against a filled one is for any number.
//
// The keys that follow from the principal and the resource account
// (aws:PrincipalArn, aws:PrincipalAccount, aws:PrincipalType, aws:userid,
// aws:username, aws:PrincipalTag/…, aws:ResourceAccount) need not be filled
// in: the engine derives them from the request unless they are given here.
type Context struct {
	// Provider, if set, is asked for keys that are not filled in, before the
	// derived ones.
	Provider Provider

	entries []Entry
	tags    []tagSet
}

type tagSet struct {
	prefix string // "aws:resourcetag/"
	tags   []Tag
}

// Reset empties the context and keeps its memory.
func (c *Context) Reset() {
	clear(c.entries)
	clear(c.tags)
	*c = Context{entries: c.entries[:0], tags: c.tags[:0]}
}

// Set gives a single-valued key its value. The key's case does not matter; in
// lower case it costs nothing. A key set twice keeps the last value.
func (c *Context) Set(key, value string) {
	c.entries = append(c.entries, Entry{strings.ToLower(key), Value{One: value}})
}

// SetMany gives a multivalued key its values, which the context keeps and the
// caller must not change afterwards.
func (c *Context) SetMany(key string, values []string) {
	c.entries = append(c.entries, Entry{strings.ToLower(key), Value{Many: values, Multi: true}})
}

// SetTags makes each tag the single-valued key of prefix and tag name, for
// prefixes such as "aws:ResourceTag/" and "kms:EncryptionContext:", without
// building those names; a prefix in lower case costs nothing. Names are
// compared without regard to case; the first of several that differ only in
// case wins. The context keeps the slice, which must not change afterwards.
func (c *Context) SetTags(prefix string, tags []Tag) {
	c.tags = append(c.tags, tagSet{strings.ToLower(prefix), tags})
}

// Lookup returns the value of a key given in lower case.
func (c *Context) Lookup(key string) (Value, bool) {
	// From the end, so that the last value set is the one found.
	for i := len(c.entries) - 1; i >= 0; i-- {
		if c.entries[i].Key == key {
			return c.entries[i].Value, true
		}
	}
	for i := range c.tags {
		if name, ok := strings.CutPrefix(key, c.tags[i].prefix); ok {
			if value, ok := findTag(c.tags[i].tags, name); ok {
				return Value{One: value}, true
			}
		}
	}
	if c.Provider != nil {
		return c.Provider.ContextValue(key)
	}
	return Value{}, false
}

// All yields every key that was filled in, for audit records; keys that only
// the Provider knows are not among them.
func (c *Context) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		seen := make(map[string]bool)
		for i := len(c.entries) - 1; i >= 0; i-- {
			e := c.entries[i]
			if !seen[e.Key] && !yield(e.Key, e.Value) {
				return
			}
			seen[e.Key] = true
		}
		for _, set := range c.tags {
			for _, tag := range set.tags {
				key := set.prefix + strings.ToLower(tag.Key)
				if !seen[key] && !yield(key, Value{One: tag.Value}) {
					return
				}
				seen[key] = true
			}
		}
	}
}

func findTag(tags []Tag, lower string) (string, bool) {
	for i := range tags {
		if equalLower(tags[i].Key, lower) {
			return tags[i].Value, true
		}
	}
	return "", false
}

// equalLower reports whether s in lower case is lower. strings.EqualFold would
// fold more than the lower case that keys were compiled with, and two tags
// could answer for one name.
func equalLower(s, lower string) bool {
	for _, r := range s {
		l, size := utf8.DecodeRuneInString(lower)
		if size == 0 || unicode.ToLower(r) != l {
			return false
		}
		lower = lower[size:]
	}
	return lower == ""
}

// derived gives the keys that follow from the request itself. Service
// principals have no aws:PrincipalType in the specification and get none.
func (e *evaluation) derived(key string) (string, bool) {
	name, ok := strings.CutPrefix(key, "aws:")
	if !ok {
		return "", false
	}
	p := e.q.Principal
	value := ""
	switch name {
	case "principalarn":
		value = p.policyARN()
	case "principalaccount":
		value = p.Account
	case "principaltype":
		value = p.conditionType()
	case "userid":
		value = p.UserID
	case "username":
		if p.Type == User {
			value = p.UserName
		}
	case "resourceaccount":
		value = e.account
	default:
		if tag, ok := strings.CutPrefix(name, "principaltag/"); ok {
			return findTag(p.Tags, tag)
		}
	}
	return value, value != ""
}

// lookup finds a key of the request and remembers the answer, which is the same
// throughout the evaluation.
func (e *evaluation) lookup(key string) (Value, bool) {
	s := e.look(key)
	return s.value, s.present
}

// look is lookup without the copy. The entry stands until four other keys have been
// looked up.
func (e *evaluation) look(key string) *seenKey {
	for i := range e.seen {
		if s := &e.seen[i]; s.key == key && key != "" {
			return s
		}
	}
	v, ok := e.find(key)
	s := &e.seen[e.next%len(e.seen)]
	*s = seenKey{key, v, ok}
	e.next++
	return s
}

// find looks a key up. A multivalued key without values is missing.
func (e *evaluation) find(key string) (Value, bool) {
	if e.q.Context != nil {
		if v, ok := e.q.Context.Lookup(key); ok {
			return v, !v.Multi || len(v.Many) > 0
		}
	}
	one, ok := e.derived(key)
	return Value{One: one}, ok
}

// single finds the value to put in for a variable.
func (e *evaluation) single(key string) (string, bool) {
	v, ok := e.lookup(key)
	if !ok || v.Multi || !utf8.ValidString(v.One) {
		// A stray byte could be one of the two that stand for wildcards.
		return "", false
	}
	return v.One, true
}
