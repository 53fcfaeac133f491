package reference

import (
	"regexp"
	"strings"
)

// withDefault is what may follow "${" (§3, Syntax): comma, optional space,
// single-quoted default, which may hold a brace.
var withDefault = regexp.MustCompile(`^([^,}]*), ?'([^']*)'\}`)

// expand replaces the policy variables in text (§3). It reports false when a
// variable has neither value nor default.
func expand(q request, p policy, text string) ([]char, bool) {
	// §3, When: with any other version ${...} is literal text, in which "*" and
	// "?" keep their meaning as wildcards.
	if p["Version"] != "2012-10-17" {
		return pattern(text), true
	}
	before, rest, found := strings.Cut(text, "${")
	if !found || !strings.Contains(rest, "}") {
		return pattern(text), true
	}
	value, after, ok := variable(q, rest)
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

// variable replaces the variable that text, which follows "${", begins with, and
// returns what comes after its brace. It reports false when there is neither
// value nor default.
func variable(q request, text string) (value, after string, ok bool) {
	if parts := withDefault.FindStringSubmatch(text); parts != nil {
		after = text[len(parts[0]):]
		if value, ok := valueOf(q, parts[1]); ok {
			return value, after, true
		}
		return parts[2], after, true
	}
	name, after, _ := strings.Cut(text, "}")
	// §3, Literals.
	if name == "*" || name == "?" || name == "$" {
		return name, after, true
	}
	value, ok = valueOf(q, name)
	return value, after, ok
}

// valueOf follows §3, Which keys: multivalued keys cannot be used.
func valueOf(q request, name string) (string, bool) {
	value, ok := q.lookup(name)
	if !ok || value.Multivalued {
		return "", false
	}
	return value.Strings[0], true
}
