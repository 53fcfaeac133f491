package iam

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

// maxTags is how many tags an entity has at most (spec iam-sts.md 3.2).
const maxTags = 50

// tagRule says when two tag keys are one: those of users and roles differ in more
// than case, those of policies in anything (spec iam-sts.md 3.1).
type tagRule struct {
	same      func(a, b string) bool
	duplicate string
}

var (
	foldedTags = tagRule{aws.SameTagKey, "Duplicate tag keys found. Please note that Tag keys are case insensitive."}
	exactTags  = tagRule{func(a, b string) bool { return a == b }, "Duplicate tag keys found."}
)

// read checks what the model cannot say of the tags of a request.
func (r tagRule) read(in []Tag) ([]aws.Tag, error) {
	var out []aws.Tag
	for _, t := range in {
		if r.index(out, *t.Key) >= 0 {
			return nil, wire.Invalid(ErrInvalidInput("%s", r.duplicate))
		}
		out = append(out, aws.Tag{Key: *t.Key, Value: *t.Value})
	}
	return out, nil
}

func (r tagRule) index(tags []aws.Tag, key string) int {
	return slices.IndexFunc(tags, func(t aws.Tag) bool { return r.same(t.Key, key) })
}

// add overlays held with more; a key in another case replaces the old one. held
// may be shared with a decision and is not changed.
func (r tagRule) add(held, more []aws.Tag) ([]aws.Tag, error) {
	out := append([]aws.Tag{}, held...)
	for _, t := range more {
		if i := r.index(out, t.Key); i >= 0 {
			out[i] = t
		} else {
			out = append(out, t)
		}
	}
	if len(out) > maxTags {
		return nil, ErrLimitExceeded("The number of tags has reached the maximum limit.")
	}
	return out, nil
}

// remove leaves the tags with these keys out; keys that are not there are no
// fault.
func (r tagRule) remove(held []aws.Tag, keys []string) []aws.Tag {
	out := []aws.Tag{}
	for _, t := range held {
		if !slices.ContainsFunc(keys, func(k string) bool { return r.same(k, t.Key) }) {
			out = append(out, t)
		}
	}
	return out
}

func wireTags(tags []aws.Tag) []Tag {
	var out []Tag
	for i := range tags {
		out = append(out, Tag{Key: &tags[i].Key, Value: &tags[i].Value})
	}
	return out
}

// pageOfTags is a page of an entity's tags, by key.
func pageOfTags(tags []aws.Tag, after string, limit int) ([]Tag, *string) {
	tags = slices.SortedFunc(slices.Values(tags), func(a, b aws.Tag) int { return strings.Compare(a.Key, b.Key) })
	tags, marker := cut(tags, func(t aws.Tag) string { return t.Key }, after, limit)
	return append([]Tag{}, wireTags(tags)...), marker
}

// tagKeys is the condition key of a request that names tags by their keys alone.
func tagKeys(keys []string) []auth.Key {
	return []auth.Key{{Name: "aws:TagKeys", Values: keys, Multi: true}}
}

// validTagMarker takes any text that can be a tag's key: it never reaches the
// store.
func validTagMarker(text string) bool { return text != "" && utf8.ValidString(text) }
