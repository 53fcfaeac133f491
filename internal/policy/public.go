package policy

import (
	"fmt"
	"strings"
)

// Public reports whether the policy, on a resource, grants broad access, and
// why (spec iam-policy-evaluation.md 11, secretsmanager.md 7.3). AWS proves
// this by automated reasoning; these are the published rules of S3, which err
// on the side of public. The reason is for people and empty when the policy is
// not public.
//
// One Allow whose callers are not a fixed set makes a policy public. The set
// is fixed when Principal names accounts, users, roles, sessions or services
// only, or when a condition pins it to fixed values. Which actions and
// resources are granted does not matter, and no Deny narrows.
func (d *Document) Public() (public bool, reason string) {
	for i := range d.statements {
		st := &d.statements[i]
		if st.deny || !st.hasPrincipal {
			continue
		}
		open := st.openTo()
		if open == "" || st.pinned() {
			continue
		}
		return true, fmt.Sprintf("%s allows %s, and no condition narrows that to fixed values", Statement{st}.label(), open)
	}
	return false, ""
}

func (s Statement) label() string {
	if s.s.sid == "" {
		return fmt.Sprintf("statement %d", s.s.index+1)
	}
	return fmt.Sprintf("statement %d (%s)", s.s.index+1, clip(s.s.sid))
}

// openTo says who makes the statement's callers an open set, empty when none.
func (st *statement) openTo() string {
	if st.principal.negated {
		return "everyone but the listed"
	}
	for i := range st.principal.refs {
		switch ref := &st.principal.refs[i]; ref.Kind {
		case AccountPrincipal, UserPrincipal, RolePrincipal, SessionPrincipal, FederatedSession, EntityID,
			ServicePrincipal, CanonicalUser:
		case Everyone:
			return "everyone"
		default:
			// A provider vouches for whoever signs up with it.
			return ref.Type + " " + clip(ref.Value)
		}
	}
	return ""
}

func (st *statement) pinned() bool {
	for i := range st.conditions {
		if st.conditions[i].pins() {
			return true
		}
	}
	return false
}

// pins reports whether a condition admits only callers with fixed values.
func (c *condition) pins() bool {
	if c.negated || c.ifExists || c.quantifier == forAll || len(c.values) == 0 {
		return false
	}
	address, arn := false, false
	switch c.key {
	case "aws:sourceip", "aws:vpcsourceip":
		address = true
	case "aws:principalarn", "aws:sourcearn":
		arn = true
	case "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:principalservicename",
		"aws:userid", "aws:sourceaccount", "aws:sourceowner", "aws:sourcevpc", "aws:sourcevpce",
		"aws:sourceorgid", "kms:calleraccount":
	default:
		return false
	}
	// An operator for another kind of key is never true, but nothing to rest on.
	var fixed func(string) bool
	switch {
	case address && (c.op == opIP || c.op <= opStringLike):
		fixed = fixedRange
	case arn && c.op == opARN:
		fixed = fixedARN
	case c.op <= opStringLike:
		fixed = fixedText
	default:
		return false
	}
	// The values are alternatives, so each must be fixed.
	for i := range c.values {
		if !fixed(c.values[i].written) {
			return false
		}
	}
	return true
}

// fixedText refuses wildcards and variables, also where the operator or the
// document's version would read them as text.
func fixedText(s string) bool {
	return !strings.ContainsAny(s, "*?") && !strings.Contains(s, "${")
}

// fixedARN accepts wildcards as long as the account is fixed. A variable is
// never fixed, not even behind the account: its value may hold colons. Nor is
// an ARN that lacks parts, for those match anything: "arn:aws:iam" is everybody.
func fixedARN(s string) bool {
	parts, ok := splitARN(s)
	return ok && !strings.Contains(s, "${") && (fixedText(s) || isAccount(parts[4]))
}

// The widest ranges that still count as fixed. Private ranges of RFC 1918,
// which S3 never calls public, are all narrower.
const (
	widestIPv4 = 8
	widestIPv6 = 32
)

func fixedRange(s string) bool {
	prefix, ok := parsePrefix(s)
	if !ok {
		return false
	}
	if prefix.Addr().Is4() {
		return prefix.Bits() >= widestIPv4
	}
	return prefix.Bits() >= widestIPv6
}
