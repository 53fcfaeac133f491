package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// String lays the explanation out for a terminal: the decision, every policy
// with its statements and why each did or did not match, then what to change.
// Whatever came from a request or a policy is quoted unless it is plain text,
// so that none of it can speak to the terminal.
func (x *Explanation) String() string {
	var b strings.Builder
	b.WriteString(x.Decision.Outcome.String())
	switch {
	case x.Decision.Outcome != Allow:
		b.WriteString(", " + show(x.Decision.Reason(x.Action)))
	case x.Decision.Statement >= 0:
		b.WriteString(", by " + x.Decision.Layer.withArticle())
	default:
		b.WriteString(", the caller is the account's root user")
	}
	fmt.Fprintf(&b, "\n  caller    %s\n  action    %s\n  resource  %s", show(x.Caller), show(x.Action), show(x.Resource))
	if x.Account != "" {
		fmt.Fprintf(&b, " (of account %s)", show(x.Account))
	}
	b.WriteString("\n")
	for i := range x.Policies {
		x.Policies[i].write(&b)
	}
	for i, text := range x.Withheld {
		if i == 0 {
			b.WriteString("\nNot shown:\n")
		}
		fmt.Fprintf(&b, "  %s\n", text)
	}
	if len(x.Changes) > 0 {
		b.WriteString("\nTo have it allowed:\n")
	}
	for i, c := range x.Changes {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, c.Text)
		if c.Add != "" {
			fmt.Fprintf(&b, "     %s\n", show(c.Add))
		}
		if c.Nearest != "" {
			fmt.Fprintf(&b, "     (%s)\n", c.Nearest)
		}
	}
	return b.String()
}

func (p *PolicyTrace) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s\n", p.label())
	for i := range p.Statements {
		st := &p.Statements[i]
		verdict := "does not match"
		if st.Matched {
			verdict = "matches"
		}
		fmt.Fprintf(b, "  %s, line %d: %s\n", st.label(), st.Start.Line, verdict)
		for _, miss := range st.Misses {
			fmt.Fprintf(b, "    %-12s %s\n", miss.Element, miss.Detail)
		}
		for _, c := range st.Conditions {
			if c.Held {
				fmt.Fprintf(b, "    %-12s %s\n", "(condition)", c.String())
			}
		}
	}
}

func (p *PolicyTrace) label() string {
	text := p.Layer.String()
	if p.ID != "" {
		text += " " + show(p.ID)
	}
	if p.Version != "" {
		text += " (" + show(p.Version) + ")"
	}
	return text
}

func (st *StatementTrace) label() string {
	text := fmt.Sprintf("statement %d", st.Index+1)
	if st.Sid != "" {
		text += " " + strconv.Quote(st.Sid)
	}
	return text + " (" + string(st.Effect) + ")"
}

// String writes a condition with both sides.
func (c ConditionTrace) String() string {
	got := "the key is missing"
	switch {
	case c.Hidden:
		got = "what the request has is not shown"
	case c.Present:
		got = "the request has " + list(c.Got)
	}
	return fmt.Sprintf("%s %s %s; %s", show(c.Operator), show(c.Key), list(c.Want), got)
}

func listPrincipals(refs []PrincipalRef) string {
	if len(refs) == 0 {
		return "no Principal element"
	}
	texts := make([]string, 0, len(refs))
	for _, ref := range refs {
		texts = append(texts, ref.Type+" "+ref.Value)
	}
	return list(texts)
}

// listed is how many values an explanation shows; policies may have thousands.
const listed = 10

func list(texts []string) string {
	if len(texts) == 0 {
		return "(none)"
	}
	var b strings.Builder
	for i, text := range texts {
		if i == listed {
			fmt.Fprintf(&b, " or %d more", len(texts)-listed)
			break
		}
		if i > 0 {
			b.WriteString(" or ")
		}
		b.WriteString(strconv.Quote(text))
	}
	return b.String()
}

// show returns plain text as it is and quotes the rest.
func show(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
