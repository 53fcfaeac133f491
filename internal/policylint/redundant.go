package policylint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/internal/policy"
)

// maxCompared bounds the comparisons of everything with everything: a policy of
// thousands of statements is checked for all else.
const maxCompared = 200

// redundant reports what can be left out without changing what the policy says:
// elements that another one of the same list covers, and statements that another one
// covers whole.
func (c *checker) redundant() {
	for _, st := range c.doc.Statements() {
		actions, _ := st.Actions()
		c.covered(st, CodeRedundantAction, actions, lowered)
		resources, _ := st.Resources()
		c.covered(st, CodeRedundantResource, resources, asWritten)
	}
	if c.doc.Len() > maxCompared {
		return
	}
	for i, st := range c.doc.Statements() {
		for j, other := range c.doc.Statements() {
			// Of two that cover each other the later one is the redundant one.
			if i == j || !statementCovers(other, st) || j > i && statementCovers(st, other) {
				continue
			}
			c.report(st, "", Suggestion, CodeRedundantStatement, "%s says everything that this statement says", label(other))
			break
		}
	}
}

func lowered(s string) string   { return strings.ToLower(s) }
func asWritten(s string) string { return s }

func (c *checker) covered(st policy.Statement, code string, patterns []string, fold func(string) string) {
	if len(patterns) > maxCompared {
		return
	}
	for i, p := range patterns {
		for j, other := range patterns {
			if i == j || !patternCovers(fold(other), fold(p)) || j > i && patternCovers(fold(p), fold(other)) {
				continue
			}
			c.report(st, p, Suggestion, code, "%s is covered by %s", p, other)
			break
		}
	}
}

// statementCovers reports whether a matches whatever b matches, with the same effect.
// It may miss that it does; it never claims what is not so.
func statementCovers(a, b policy.Statement) bool {
	if a.Effect() != b.Effect() {
		return false
	}
	aActions, aNot := a.Actions()
	bActions, bNot := b.Actions()
	if aNot || bNot || !allCovered(aActions, bActions, lowered) {
		return false
	}
	aResources, aNot := a.Resources()
	bResources, bNot := b.Resources()
	if aNot || bNot || len(aResources) == 0 != (len(bResources) == 0) || !allCovered(aResources, bResources, asWritten) {
		return false
	}
	aRefs, aNot := a.Principals()
	bRefs, bNot := b.Principals()
	if aNot != bNot || !slices.Equal(aRefs, bRefs) {
		return false
	}
	// Fewer conditions match more.
	theirs := map[string]bool{}
	for _, condition := range b.Conditions() {
		theirs[text(condition)] = true
	}
	for _, condition := range a.Conditions() {
		if !theirs[text(condition)] {
			return false
		}
	}
	return true
}

// text is a condition as one text, the same for equal ones only.
func text(c policy.Condition) string {
	b := fmt.Appendf(nil, "%q %q", c.Operator, strings.ToLower(c.Key))
	for _, v := range c.Values {
		b = fmt.Appendf(b, " %q", v.Text)
	}
	return string(b)
}

func allCovered(wide, narrow []string, fold func(string) string) bool {
	if len(wide)*len(narrow) > maxCompared*maxCompared {
		return false
	}
	for _, n := range narrow {
		found := false
		for _, w := range wide {
			found = found || patternCovers(fold(w), fold(n))
		}
		if !found {
			return false
		}
	}
	return true
}

// patternCovers compares patterns of actions or ARNs. Those of ARNs are compared part
// by part, as they match.
func patternCovers(wide, narrow string) bool {
	if wide == "*" || wide == narrow {
		return true
	}
	const arnParts = 6
	w, n := strings.SplitN(wide, ":", arnParts), strings.SplitN(narrow, ":", arnParts)
	if len(w) != len(n) {
		return false
	}
	for i := range w {
		if !covers(w[i], n[i]) {
			return false
		}
	}
	return true
}

// covers reports whether a wildcard pattern matches every text that another one
// matches, for which it has to match the other's own text: a "*" of the other can only
// be taken by a "*", a "?" by a "?" or a "*". Variables are texts like others, equal to
// themselves.
func covers(wide, narrow string) bool {
	w, n := 0, 0
	resumeW, resumeN := -1, 0
	for n < len(narrow) {
		switch {
		case w < len(wide) && wide[w] == '*':
			w++
			resumeW, resumeN = w, n
		case w < len(wide) && (wide[w] == narrow[n] || wide[w] == '?' && narrow[n] != '*' && narrow[n] < 0x80 && narrow[n] != '$'):
			w++
			n++
		case resumeW >= 0:
			resumeN++
			w, n = resumeW, resumeN
		default:
			return false
		}
	}
	for w < len(wide) && wide[w] == '*' {
		w++
	}
	return w == len(wide)
}

func label(st policy.Statement) string {
	if st.Sid() != "" {
		return fmt.Sprintf("statement %d (%s)", st.Number(), st.Sid())
	}
	return fmt.Sprintf("statement %d", st.Number())
}
