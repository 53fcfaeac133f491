package reference

import "strings"

// expand replaces the policy variables in text (§3). It reports false when a
// variable has neither value nor default.
func expand(q request, p policy, text string) ([]char, bool) {
	// §3, When: with any other version ${...} is literal text, in which "*" and
	// "?" keep their meaning as wildcards.
	if p["Version"] != "2012-10-17" {
		return pattern(text), true
	}
	before, rest, found := strings.Cut(text, "${")
	if !found {
		return pattern(text), true
	}
	inner, after, found := strings.Cut(rest, "}")
	if !found {
		return pattern(text), true
	}
	value, ok := variable(q, inner)
	if !ok {
		return nil, false
	}
	tail, ok := expand(q, p, after)
	if !ok {
		return nil, false
	}
	// §3, Substituted text: literal.
	return append(append(pattern(before), literal(value)...), tail...), true
}

// variable gives the text that stands for ${inner}.
func variable(q request, inner string) (string, bool) {
	// §3, Literals.
	if inner == "*" || inner == "?" || inner == "$" {
		return inner, true
	}
	// §3, Syntax: comma, optional space, single-quoted default.
	key, fallback, hasDefault := inner, "", false
	if name, quoted, ok := strings.Cut(inner, ","); ok {
		quoted = strings.TrimPrefix(quoted, " ")
		if len(quoted) >= 2 && quoted[0] == '\'' && quoted[len(quoted)-1] == '\'' {
			key, fallback, hasDefault = name, quoted[1:len(quoted)-1], true
		}
	}
	// §3, Which keys: multivalued keys cannot be used.
	if value, ok := q.lookup(key); ok && !value.Multivalued {
		return value.Strings[0], true
	}
	return fallback, hasDefault
}
