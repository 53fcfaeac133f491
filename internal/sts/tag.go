package sts

import (
	"slices"
	"strings"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

// maxTags is how many session tags there are at most, inherited ones included.
const maxTags = 50

// tagging is what a session is tagged with.
type tagging struct {
	// passed are the tags of the request, all those and the inherited ones.
	passed, all []aws.Tag
	transitive  []string
}

// readTags checks the tags of a request. Nothing but the request and the session
// that makes it is looked at. Keys are equal without regard to case.
func readTags(caller *aws.Session, tags []Tag, transitive []string) (t tagging, err error) {
	for _, in := range tags {
		if holds(t.passed, *in.Key) {
			return t, invalidValue("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		if strings.HasPrefix(strings.ToLower(*in.Key), "aws:") {
			// The prefix is reserved (IAM User Guide, "Passing session tags"); AWS's
			// sentence is unconfirmed.
			return t, invalidValue("Tag keys cannot begin with aws:.")
		}
		t.passed = append(t.passed, aws.Tag{Key: *in.Key, Value: *in.Value})
	}
	for _, key := range transitive {
		if !holds(t.passed, key) {
			return t, invalidValue("The specified transitive tag key must be included in the requested tags.")
		}
	}
	t.all, t.transitive = slices.Clone(t.passed), slices.Clone(transitive)
	if caller != nil {
		for _, tag := range caller.Tags {
			switch {
			case !slices.ContainsFunc(caller.Transitive, func(key string) bool { return aws.SameTagKey(key, tag.Key) }):
				continue
			case holds(t.passed, tag.Key):
				return t, invalidValue("One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
			}
			t.all = append(t.all, tag)
			t.transitive = append(t.transitive, tag.Key)
		}
	}
	if len(t.all) > maxTags {
		return t, ErrValidation("1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to %d", maxTags)
	}
	return t, nil
}

func holds(tags []aws.Tag, key string) bool {
	return slices.ContainsFunc(tags, func(t aws.Tag) bool { return aws.SameTagKey(t.Key, key) })
}

func invalidValue(message string) error {
	return wire.Invalid(&aws.Error{Code: "InvalidParameterValue", Status: 400, Message: message})
}
