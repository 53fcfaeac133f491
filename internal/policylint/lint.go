// Package policylint finds what is wrong, dangerous or pointless in a policy that is
// nevertheless a policy, in the manner of AWS's Access Analyzer: actions that do not
// exist, resources that no action of the statement works on, condition keys that no
// request will have, operators that do not fit, and statements that add nothing.
//
// It advises and never decides: IAM stores policies about services that it has never
// heard of, and so does this server. The one invariant: every finding is true of the
// policy as the engine reads it, so that silence may be doubted but a finding not.
package policylint

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/internal/policy"
)

// Severity is how much a finding matters; Access Analyzer's four.
type Severity uint8

// The severities, from the lightest.
const (
	Suggestion Severity = iota + 1
	Warning
	SecurityWarning
	Error
)

// String returns the severity as findings print it.
func (s Severity) String() string {
	switch s {
	case Suggestion:
		return "suggestion"
	case Warning:
		return "warning"
	case SecurityWarning:
		return "security warning"
	}
	return "error"
}

// The codes of findings, in Access Analyzer's spelling where it has one.
const (
	CodeInvalidPolicy        = "INVALID_POLICY"
	CodeInvalidAction        = "INVALID_ACTION"
	CodeUnknownService       = "UNKNOWN_SERVICE"
	CodeResourceMismatch     = "RESOURCE_MISMATCH"
	CodeInvalidConditionKey  = "INVALID_CONDITION_KEY"
	CodeInapplicableKey      = "INAPPLICABLE_CONDITION_KEY"
	CodeTypeMismatch         = "TYPE_MISMATCH"
	CodeInvalidValue         = "INVALID_CONDITION_VALUE"
	CodeWildcardWithoutLike  = "WILDCARD_WITHOUT_LIKE_OPERATOR"
	CodeForAllValues         = "FORALLVALUES_WITHOUT_NULL_CHECK"
	CodeForAllValuesSingle   = "FORALLVALUES_WITH_SINGLE_VALUED_KEY"
	CodeMissingSetOperator   = "MULTIVALUED_KEY_WITHOUT_SET_OPERATOR"
	CodeMissingVersion       = "MISSING_VERSION"
	CodeAllowWithNotAction   = "ALLOW_WITH_NOT_ACTION"
	CodeAllowWithNotResource = "ALLOW_WITH_NOT_RESOURCE"
	CodePassRoleWithStar     = "PASS_ROLE_WITH_STAR_IN_RESOURCE"
	CodePublic               = "PUBLIC_ACCESS"
	CodeRedundantStatement   = "REDUNDANT_STATEMENT"
	CodeRedundantAction      = "REDUNDANT_ACTION"
	CodeRedundantResource    = "REDUNDANT_RESOURCE"
)

// Finding is one thing to look at.
type Finding struct {
	Severity Severity
	Code     string
	// Statement is the statement's number from 1, 0 for the policy as a whole, and Sid
	// its Sid.
	Statement int
	Sid       string
	// Line is where it stands in the text, from 1.
	Line    int
	Message string
}

// Check looks at a policy meant for a kind of place. What is no policy, or may not
// stand there, is one finding with IAM's own sentence.
func Check(src []byte, kind policy.Kind) []Finding {
	doc, err := policy.ParseAs(src, kind)
	if err != nil {
		return []Finding{refused(src, err)}
	}
	c := checker{doc: doc, kind: kind, lines: strings.Split(string(src), "\n")}
	c.document()
	for _, st := range doc.Statements() {
		c.statement(st)
	}
	c.redundant()
	slices.SortStableFunc(c.findings, func(a, b Finding) int { return a.Line - b.Line })
	return c.findings
}

// Guess returns the kind that a policy most likely is: one with principals belongs to
// a resource or, when it has no resources, to a role.
func Guess(src []byte) policy.Kind {
	doc, err := policy.Parse(src)
	if err != nil {
		return policy.KindIdentity
	}
	resources := false
	principals := false
	for _, st := range doc.Statements() {
		refs, _ := st.Principals()
		patterns, _ := st.Resources()
		principals, resources = principals || len(refs) > 0, resources || len(patterns) > 0
	}
	switch {
	case !principals:
		return policy.KindIdentity
	case !resources:
		return policy.KindTrust
	}
	return policy.KindResource
}

func refused(src []byte, err error) Finding {
	f := Finding{Severity: Error, Code: CodeInvalidPolicy, Line: 1, Message: err.Error()}
	if parse, ok := errors.AsType[*policy.ParseError](err); ok {
		f.Line = parse.Line
		if !strings.Contains(f.Message, parse.Msg) {
			f.Message += " (" + parse.Msg + ")"
		}
	}
	return f
}

// checker gathers the findings on one document.
type checker struct {
	doc      *policy.Document
	kind     policy.Kind
	lines    []string
	findings []Finding
}

// report adds a finding about a statement. It points at the line that holds text, when
// there is one, and otherwise at the statement's first.
func (c *checker) report(st policy.Statement, text string, severity Severity, code, format string, args ...any) {
	c.findings = append(c.findings, Finding{
		Severity: severity, Code: code, Statement: st.Number(), Sid: st.Sid(), Line: c.line(st, text), Message: fmt.Sprintf(format, args...),
	})
}

func (c *checker) line(st policy.Statement, text string) int {
	first, last := st.Start().Line, st.End().Line
	quoted, err := json.Marshal(text)
	if text == "" || err != nil {
		return first
	}
	for n := first; n <= last && n <= len(c.lines); n++ {
		if strings.Contains(c.lines[n-1], string(quoted)) {
			return n
		}
	}
	return first
}

// document looks at what concerns the policy as a whole.
func (c *checker) document() {
	if c.doc.Version() != policy.Version2012 {
		for n, line := range c.lines {
			if strings.Contains(line, "${") {
				c.findings = append(c.findings, Finding{Severity: Warning, Code: CodeMissingVersion, Line: n + 1,
					Message: `without "Version": "2012-10-17" a variable such as ${aws:username} is plain text`})
				break
			}
		}
	}
	if c.kind == policy.KindResource {
		if public, reason := c.doc.Public(); public {
			c.findings = append(c.findings, Finding{Severity: SecurityWarning, Code: CodePublic, Line: 1, Message: "grants access to everyone: " + reason})
		}
	}
}

// statement looks at one statement by itself.
func (c *checker) statement(st policy.Statement) {
	actions, notAction := st.Actions()
	resources, notResource := st.Resources()
	if st.Effect() == policy.EffectAllow {
		if notAction {
			c.report(st, "NotAction", SecurityWarning, CodeAllowWithNotAction,
				"Allow with NotAction grants every action that it does not list, also those of services to come; list what is granted in Action")
		}
		if notResource {
			c.report(st, "NotResource", SecurityWarning, CodeAllowWithNotResource,
				"Allow with NotResource grants access to everything that it does not list; list what is granted in Resource")
		}
		if !notAction && !notResource {
			c.passRole(st, actions, resources)
		}
	}
	known := c.actions(st, actions)
	if !notAction && !notResource && len(resources) > 0 {
		c.resources(st, actions, resources, known)
	}
	for _, condition := range st.Conditions() {
		c.condition(st, condition, !notAction && known)
	}
	c.forAllValues(st)
}
