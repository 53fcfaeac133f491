package kms

import (
	"strings"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

// tagsFromWire checks what the model cannot say (spec kms.md 7). Keys are
// compared with case.
func tagsFromWire(in []Tag, most int) ([]aws.Tag, error) {
	if len(in) > most {
		return nil, wire.Invalid(ErrTag("Too many tags"))
	}
	seen := make(map[string]bool, len(in))
	var tags []aws.Tag
	for _, t := range in {
		if seen[*t.TagKey] {
			return nil, wire.Invalid(ErrTag("Duplicate tag keys"))
		}
		seen[*t.TagKey] = true
		if len(*t.TagKey) >= 4 && strings.EqualFold((*t.TagKey)[:4], "aws:") {
			return nil, wire.Invalid(ErrTag("Tags beginning with aws: are reserved"))
		}
		tags = append(tags, aws.Tag{Key: *t.TagKey, Value: *t.TagValue})
	}
	return tags, nil
}
