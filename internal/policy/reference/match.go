package reference

import "strings"

// char is one character of a pattern after variables have been replaced. A
// wildcard is a "*" or "?" that the policy's author wrote as such; the same
// characters out of a variable are ordinary (§3).
type char struct {
	r        rune
	wildcard bool
}

// pattern reads "*" and "?" as wildcards and does not look for variables.
func pattern(text string) []char {
	var out []char
	for _, r := range text {
		out = append(out, char{r, r == '*' || r == '?'})
	}
	return out
}

// literal is text in which nothing has a special meaning.
func literal(text string) []char {
	var out []char
	for _, r := range text {
		out = append(out, char{r, false})
	}
	return out
}

func textOf(chars []char) string {
	var out strings.Builder
	for _, c := range chars {
		out.WriteRune(c.r)
	}
	return out.String()
}

// glob reports whether p matches the whole text: "*" is any run, "?" one
// character (§2). matches[i][j] says that the first i characters of p match
// the first j characters of the text.
func glob(p []char, text string) bool {
	t := []rune(text)
	matches := make([][]bool, len(p)+1)
	for i := range matches {
		matches[i] = make([]bool, len(t)+1)
	}
	matches[0][0] = true
	for i, c := range p {
		for j := range len(t) + 1 {
			switch {
			case c.wildcard && c.r == '*':
				matches[i+1][j] = matches[i][j] || j > 0 && matches[i+1][j-1]
			case c.wildcard: // "?"
				matches[i+1][j] = j > 0 && matches[i][j-1]
			default:
				matches[i+1][j] = j > 0 && matches[i][j-1] && t[j-1] == c.r
			}
		}
	}
	return matches[len(p)][len(t)]
}

// globARN compares six colon-separated parts one by one; the sixth holds the
// rest, colons included (§2, §5.1 Arn operators). Parts that the pattern lacks
// at its end match anything; a text that lacks some is no ARN.
func globARN(p []char, text string) bool {
	parts := splitARN(p)
	for len(parts) < 6 {
		parts = append(parts, pattern("*"))
	}
	texts := strings.SplitN(text, ":", 6)
	if len(texts) != 6 {
		return false
	}
	for i := range parts {
		if !glob(parts[i], texts[i]) {
			return false
		}
	}
	return true
}

func splitARN(p []char) [][]char {
	parts := [][]char{nil}
	for _, c := range p {
		if c.r == ':' && len(parts) < 6 {
			parts = append(parts, nil)
			continue
		}
		last := len(parts) - 1
		parts[last] = append(parts[last], c)
	}
	return parts
}

// statementMatches tells whether action, resource and condition match (§2).
// The principal is looked at by the callers, which need to know how it matched.
func statementMatches(q request, k kind, p policy, s map[string]any) bool {
	return actionMatches(q, s) && resourceMatches(q, k, p, s) && conditionMatches(q, p, s)
}

// actionMatches follows §2, Action and NotAction.
func actionMatches(q request, s map[string]any) bool {
	listed := func(patterns any) bool {
		for _, a := range list(patterns) {
			if glob(pattern(lower(a.(string))), lower(q.Action)) {
				return true
			}
		}
		return false
	}
	if patterns, ok := s["Action"]; ok {
		return listed(patterns)
	}
	return !listed(s["NotAction"])
}

// lower folds the letters of which the names of actions are made.
func lower(action string) string {
	const upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, letter := range upper {
		action = strings.ReplaceAll(action, string(letter), string(letter+'a'-'A'))
	}
	return action
}

// resourceMatches follows §2, Resource and NotResource, and for patterns whose
// variables have no value the two rules of §3.
func resourceMatches(q request, k kind, p policy, s map[string]any) bool {
	if patterns, ok := s["Resource"]; ok {
		for _, r := range list(patterns) {
			if matched, _ := resourcePatternMatches(q, p, r.(string)); matched {
				return true
			}
		}
		return false
	}
	if patterns, ok := s["NotResource"]; ok {
		for _, r := range list(patterns) {
			matched, resolved := resourcePatternMatches(q, p, r.(string))
			if matched || !resolved {
				return false
			}
		}
		return true
	}
	// §12: a statement without Resource matches in trust policies; kms.md 8.1:
	// in key policies it does not.
	return k == trustKind
}

// resourcePatternMatches reports whether the pattern matches, and whether its
// variables all had a value.
func resourcePatternMatches(q request, p policy, text string) (matched, resolved bool) {
	// §2: "*" matches everything and alone matches operations without resource.
	if text == "*" {
		return true, true
	}
	parts := strings.SplitN(text, ":", 6)
	whole := pattern(text)
	if len(parts) == 6 {
		// §3: variables are looked for in the sixth part only.
		sixth, resolved := expand(q, p, parts[5])
		if !resolved {
			return false, false
		}
		whole = append(pattern(strings.Join(parts[:5], ":")+":"), sixth...)
	}
	if q.Resource == "*" {
		return false, true
	}
	return globARN(whole, q.Resource), true
}
