package secretsmanager

import (
	"slices"
	"strings"
	"unicode"
)

// matches applies the filters of ListSecrets and BatchGetSecretValue (spec 8.1):
// all filters must hold, of a filter's values one must.
func matches(sec *secret, filters []Filter) bool {
	for _, f := range filters {
		if !slices.ContainsFunc(f.Values, func(v string) bool { return matchesValue(sec, deref(f.Key), v) }) {
			return false
		}
	}
	return true
}

// matchesValue decides one value; a leading "!" turns it round.
func matchesValue(sec *secret, key, value string) bool {
	if rest, negated := strings.CutPrefix(value, "!"); negated {
		return !matchesPositive(sec, key, rest)
	}
	return matchesPositive(sec, key, value)
}

// matchesPositive: most keys compare a prefix of the whole text, with case;
// description and all compare words, without.
func matchesPositive(sec *secret, key, value string) bool {
	switch key {
	case "name":
		return strings.HasPrefix(sec.Name, value)
	case "primary-region":
		return strings.HasPrefix(sec.PrimaryRegion, value) && sec.PrimaryRegion != ""
	case "owning-service":
		return strings.HasPrefix(sec.OwningService, value) && sec.OwningService != ""
	case "tag-key":
		for _, t := range sec.Tags {
			if strings.HasPrefix(t.Key, value) {
				return true
			}
		}
	case "tag-value":
		for _, t := range sec.Tags {
			if strings.HasPrefix(t.Value, value) {
				return true
			}
		}
	case "description":
		// As for all, but upper case begins no word here (unconfirmed, spec 8.1).
		return wordsMatch(split(value, false), split(sec.Description, false))
	case "all":
		words := append(splitWords(sec.Name), splitWords(sec.Description)...)
		for _, t := range sec.Tags {
			words = append(append(words, splitWords(t.Key)...), splitWords(t.Value)...)
		}
		return wordsMatch(splitWords(value), words)
	}
	return false
}

// wordsMatch: every wanted word begins some word of the text, in any order.
// Nothing wanted matches nothing (recorded for special characters alone).
func wordsMatch(wanted, words []string) bool {
	for _, w := range wanted {
		if !slices.ContainsFunc(words, func(word string) bool { return hasPrefixFold(word, w) }) {
			return false
		}
	}
	return len(wanted) > 0
}

func hasPrefixFold(s, prefix string) bool {
	return strings.HasPrefix(strings.ToLower(s), strings.ToLower(prefix))
}

func notAlphanumeric(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// splitWords breaks text as the key "all" does (spec 8.1): at every character
// that is neither letter nor digit, between letters and digits, where lower case
// turns to upper, and before the last capital of a run that lower case follows
// (HTTPServer is HTTP and Server).
func splitWords(text string) []string { return split(text, true) }

// split is splitWords with or without the boundaries between cases.
func split(text string, cases bool) []string {
	var words []string
	for _, part := range strings.FieldsFunc(text, notAlphanumeric) {
		runes := []rune(part)
		start := 0
		for i := 1; i < len(runes); i++ {
			if boundary(runes, i, cases) {
				words = append(words, string(runes[start:i]))
				start = i
			}
		}
		words = append(words, string(runes[start:]))
	}
	return words
}

// boundary reports whether a new word begins at i, which is at least 1.
func boundary(r []rune, i int, cases bool) bool {
	before, at := r[i-1], r[i]
	switch {
	case unicode.IsDigit(before) != unicode.IsDigit(at):
		return true
	case !cases:
		return false
	case unicode.IsLower(before) && unicode.IsUpper(at):
		return true
	case unicode.IsUpper(before) && unicode.IsUpper(at) && i+1 < len(r) && unicode.IsLower(r[i+1]):
		return true
	}
	return false
}
