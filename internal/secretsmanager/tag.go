package secretsmanager

import (
	"context"
	"strings"
	"unicode"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// newTags checks tags given at creation or by TagResource. The texts of these
// refusals are unconfirmed in spec 10.1.
func (s *Service) newTags(in []Tag) ([]aws.Tag, error) {
	seen := make(map[string]bool, len(in))
	var out []aws.Tag
	for _, t := range in {
		key, value := deref(t.Key), deref(t.Value)
		switch {
		case key == "":
			return nil, wire.Invalid(ErrInvalidParameter("You must provide a value for the tag key."))
		case len(key) >= 4 && strings.EqualFold(key[:4], "aws:"):
			return nil, wire.Invalid(ErrInvalidParameter("Tag keys can't start with the reserved prefix aws:."))
		case !tagText(key) || !tagText(value):
			return nil, wire.Invalid(ErrInvalidParameter("Tag keys and values can contain letters, digits, blanks and the characters + - = . _ : / @ only."))
		case seen[key]:
			return nil, wire.Invalid(ErrInvalidParameter("Duplicate tag keys found: %s.", key))
		}
		seen[key] = true
		out = append(out, aws.Tag{Key: key, Value: value})
	}
	if len(out) > s.quotas.TagsPerSecret {
		return nil, wire.Invalid(errTooManyTags(s.quotas.TagsPerSecret))
	}
	return out, nil
}

// tagText reports whether a tag may hold s (spec 10.1).
func tagText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsNumber(r) && !unicode.Is(unicode.Zs, r) && !strings.ContainsRune("+-=._:/@", r)
	})
}

func errTooManyTags(limit int) *aws.Error {
	return ErrInvalidParameter("You can't have more than %d tags on a secret.", limit)
}

// TagResource sets tags by key.
func (s *Service) TagResource(ctx context.Context, in *TagResourceInput) (*TagResourceOutput, error) {
	if err := checkID(*in.SecretId); err != nil {
		return nil, err
	}
	tags, err := s.newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return retry(func() (*TagResourceOutput, error) {
		sec, err := s.open(ctx, "TagResource", *in.SecretId, auth.RequestTags(tags)...)
		if err != nil {
			return nil, err
		}
		next := append([]aws.Tag{}, sec.Tags...)
		for _, t := range tags {
			next = setTag(next, t)
		}
		return &TagResourceOutput{}, s.retag(ctx, sec, "TagResource", next, auth.RequestTags(tags))
	})
}

// UntagResource removes tags by key; keys that are not there are ignored.
func (s *Service) UntagResource(ctx context.Context, in *UntagResourceInput) (*UntagResourceOutput, error) {
	return retry(func() (*UntagResourceOutput, error) {
		keys := []auth.Key{{Name: "aws:TagKeys", Values: in.TagKeys, Multi: true}}
		sec, err := s.open(ctx, "UntagResource", *in.SecretId, keys...)
		if err != nil {
			return nil, err
		}
		remove := make(map[string]bool, len(in.TagKeys))
		for _, k := range in.TagKeys {
			remove[k] = true
		}
		next := []aws.Tag{}
		for _, t := range sec.Tags {
			if !remove[t.Key] {
				next = append(next, t)
			}
		}
		if sec.Tags == nil {
			next = nil
		}
		return &UntagResourceOutput{}, s.retag(ctx, sec, "UntagResource", next, keys)
	})
}

func setTag(tags []aws.Tag, t aws.Tag) []aws.Tag {
	for i := range tags {
		if tags[i].Key == t.Key {
			tags[i].Value = t.Value
			return tags
		}
	}
	return append(tags, t)
}

// retag stores the tags, unless the caller would lose the very permission it
// uses: a caller whose rights hang on a tag must not tag itself out (spec 10.1).
func (s *Service) retag(ctx context.Context, sec *secret, action string, next []aws.Tag, keys []auth.Key) error {
	if err := sec.writable(); err != nil {
		return err
	}
	if len(next) > s.quotas.TagsPerSecret {
		return errTooManyTags(s.quotas.TagsPerSecret)
	}
	after := *sec
	after.Tags = next
	request, err := s.request(&after, action, sec.arn(), keys)
	if err != nil {
		return err
	}
	allowed, err := s.auth.Would(ctx, request)
	if err != nil {
		return err
	}
	if !allowed {
		return &aws.Error{Code: "AccessDeniedException", Message: "You can't change the tags of this secret because you would lose access to it."}
	}
	if encodeTags(next) == encodeTags(sec.Tags) {
		return nil
	}
	return s.change(ctx, sec, func(tx store.Tx, now *secret) error {
		now.Tags = next
		return s.save(tx, now)
	})
}

func wireTags(tags []aws.Tag) []Tag {
	if tags == nil {
		return nil
	}
	out := make([]Tag, len(tags))
	for i, t := range tags {
		out[i] = Tag{Key: &t.Key, Value: &t.Value}
	}
	return out
}
