package randomops

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// list is ListSecrets (2.9, 8).
func (m *model) list(o op) answer {
	if a := m.authorize(o.who, o.name, "", place{account: principals[o.who].account}); a.code != "" {
		return a
	}
	if o.has("NextToken") {
		return fail("InvalidNextTokenException", anything)
	}
	list := []object{}
	selected, rank := m.selected(o)
	for _, s := range selected {
		b := s.members()
		if labels := s.labels(); len(labels) > 0 {
			b["SecretVersionsToStages"] = labels
		}
		list = append(list, b)
	}
	return answer{body: object{"SecretList": list}, rank: rank}
}

// selected are the secrets of the caller's account and region that a request's
// filters let through, and their order (8.2). Who comes first among equals is not
// specified.
func (m *model) selected(o op) (list []*secret, rank map[string]int) {
	for _, s := range m.secrets {
		if s.account == principals[o.who].account && s.region == o.region &&
			(s.deleted.IsZero() || o.flag("IncludePlannedDeletion")) && s.passes(o.objects("Filters")) {
			list = append(list, s)
		}
	}
	compare := func(a, b *secret) int {
		switch o.text("SortBy") {
		case "last-accessed-date":
			return a.listed.Compare(b.listed)
		case "last-changed-date":
			return a.changed.Compare(b.changed)
		case "name":
			return strings.Compare(a.name, b.name)
		}
		return a.created.Compare(b.created)
	}
	rank = map[string]int{}
	for _, s := range list {
		for _, other := range list {
			order := compare(other, s)
			if order < 0 != (o.text("SortOrder") == "desc") && order != 0 {
				rank[s.arn()]++
			}
		}
	}
	return list, rank
}

// passes: filters are ANDed, the values of one are ORed, "!" negates (8.1).
func (s *secret) passes(filters []object) bool {
	for _, f := range filters {
		key, values := f["Key"].(string), f["Values"].([]string)
		if !slices.ContainsFunc(values, func(v string) bool {
			positive, negated := strings.CutPrefix(v, "!")
			return s.matches(key, positive) != negated
		}) {
			return false
		}
	}
	return true
}

func (s *secret) matches(key, value string) bool {
	prefix := func(list ...string) bool {
		return slices.ContainsFunc(list, func(x string) bool { return x != "" && strings.HasPrefix(x, value) })
	}
	var keys, values []string
	for _, t := range s.tags {
		keys, values = append(keys, t.key), append(values, t.value)
	}
	switch key {
	case "name":
		return prefix(s.name)
	case "tag-key":
		return prefix(keys...)
	case "tag-value":
		return prefix(values...)
	case "primary-region":
		return prefix(s.primary)
	case "owning-service":
		return false
	case "description":
		return wordsMatch(strings.Fields(value), strings.Fields(s.description))
	case "all":
		var found []string
		for _, text := range slices.Concat([]string{s.name, s.description}, keys, values) {
			found = append(found, words(text)...)
		}
		return wordsMatch(words(value), found)
	}
	panic(key)
}

// wordsMatch: every asked word begins some found word, whatever the case; nothing
// asked matches nothing.
func wordsMatch(asked, found []string) bool {
	for _, w := range asked {
		if !slices.ContainsFunc(found, func(x string) bool { return strings.HasPrefix(strings.ToLower(x), strings.ToLower(w)) }) {
			return false
		}
	}
	return len(asked) > 0
}

// words splits for the filter "all" (8.1): at what is neither letter nor digit, from
// lower to upper case, before the last capital of a run that goes on in lower case,
// and between letters and digits.
func words(text string) (list []string) {
	runes := []rune(text)
	start := 0
	flush := func(end int) {
		if end > start {
			list = append(list, string(runes[start:end]))
		}
		start = end
	}
	for i, r := range runes {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush(i)
			start = i + 1
			continue
		}
		if i == start {
			continue
		}
		before := runes[i-1]
		switch {
		case unicode.IsLower(before) && unicode.IsUpper(r),
			unicode.IsDigit(before) != unicode.IsDigit(r),
			unicode.IsUpper(before) && unicode.IsUpper(r) && i+1 < len(runes) && unicode.IsLower(runes[i+1]):
			flush(i)
		}
	}
	flush(len(runes))
	return list
}

// batchGet is 2.7.
func (m *model) batchGet(o op) answer {
	ids := o.texts("SecretIdList")
	switch {
	case o.has("SecretIdList") == o.has("Filters"):
		return fail("InvalidParameterException", "Either 'SecretIdList' or 'Filters' must be provided, but not both.")
	case o.has("MaxResults") && !o.has("Filters"):
		return fail("InvalidParameterException", "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided.")
	}
	var rank map[string]int
	own := place{account: principals[o.who].account}
	if a := m.authorize(o.who, o.name, "", own); a.code != "" {
		return a
	}
	if o.has("Filters") {
		if a := m.authorize(o.who, "ListSecrets", "", own); a.code != "" {
			return a
		}
		var selected []*secret
		selected, rank = m.selected(o)
		for _, s := range selected {
			ids = append(ids, s.arn())
		}
	}
	values, errors := []object{}, []object{}
	for _, id := range ids {
		one := m.get(op{name: "GetSecretValue", who: o.who, region: o.region, in: object{"SecretId": id}})
		if one.code != "" {
			errors = append(errors, object{"SecretId": id, "ErrorCode": one.code, "Message": one.message})
			continue
		}
		values = append(values, one.body)
	}
	return answer{body: object{"SecretValues": values, "Errors": errors}, rank: rank}
}

// password is GetRandomPassword (9). Of the password only the shape is known: the
// comparison puts its own words for it in its place.
func (m *model) password(o op) answer {
	length := 32
	if o.has("PasswordLength") {
		length = o.number("PasswordLength")
	}
	if a := m.authorize(o.who, o.name, "", place{account: principals[o.who].account}); a.code != "" {
		return a
	}
	required := 0
	var left, emptied int
	for _, c := range classes {
		if o.flag(c.exclude) {
			continue
		}
		required++
		if strings.Trim(c.chars, o.text("ExcludeCharacters")) == "" {
			emptied++
		} else {
			left++
		}
	}
	each := !o.has("RequireEachIncludedType") || o.flag("RequireEachIncludedType")
	switch {
	case left == 0 && !o.flag("IncludeSpace"):
		return fail("InvalidParameterException", "All characters have been excluded from selection")
	case each && emptied > 0:
		return fail("InvalidParameterException", "All characters of the desired type have been excluded")
	case each && required > length:
		return fail("InvalidParameterException", "Password length is too short based on the required types.")
	}
	return ok(object{"RandomPassword": fmt.Sprintf("%d characters as asked", length)})
}

var classes = []struct{ exclude, chars string }{
	{"ExcludeUppercase", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
	{"ExcludeLowercase", "abcdefghijklmnopqrstuvwxyz"},
	{"ExcludeNumbers", "0123456789"},
	{"ExcludePunctuation", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"},
}

// shape says of a password what the model says when it is as asked.
func shape(o op, password string) string {
	allowed := ""
	each := !o.has("RequireEachIncludedType") || o.flag("RequireEachIncludedType")
	for _, c := range classes {
		if o.flag(c.exclude) {
			continue
		}
		allowed += c.chars
		if each && !strings.ContainsAny(password, c.chars) {
			return "no " + c.chars
		}
	}
	if o.flag("IncludeSpace") {
		allowed += " "
	}
	if extra := strings.Trim(password, allowed); extra != "" || strings.ContainsAny(password, o.text("ExcludeCharacters")) {
		return "characters that were excluded"
	}
	return fmt.Sprintf("%d characters as asked", len(password))
}
