package reference

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
)

// Public reports whether a resource policy grants broad access (§11). Its error
// is that of a malformed policy.
func Public(text json.RawMessage) (bool, error) {
	p, err := parse(resourceKind, text)
	if err != nil {
		return false, err
	}
	for _, s := range list(p["Statement"]) {
		statement := s.(map[string]any)
		// Deny statements and unrelated Allows never make it public.
		if statement["Effect"] == "Allow" && !fixedPrincipals(statement["Principal"]) && !pinned(statement) {
			return true, nil
		}
	}
	return false, nil
}

// fixedForms are the principals of §11 rule 1, as §4 writes them.
var fixedForms = []*regexp.Regexp{
	regexp.MustCompile(`^\d{12}$`),
	regexp.MustCompile(`^arn:aws:iam::\d{12}:root$`),
	regexp.MustCompile(`^arn:aws:iam::\d{12}:(user|role)/(.*[^/])$`),
	regexp.MustCompile(`^arn:aws:sts::\d{12}:assumed-role/[^/]+/[^/]+$`),
	regexp.MustCompile(`^arn:aws:sts::\d{12}:federated-user/[^/]+$`),
	regexp.MustCompile(`^(AIDA|AROA)[A-Z0-9]{12,124}$`),
}

// fixedPrincipals is rule 1.
func fixedPrincipals(principal any) bool {
	members, ok := principal.(map[string]any)
	if !ok || members["Federated"] != nil {
		return false // "*", or a provider that vouches for whoever signs up with it
	}
	if members["AWS"] == nil {
		return true
	}
	for _, name := range list(members["AWS"]) {
		fixed := false
		for _, form := range fixedForms {
			fixed = fixed || form.MatchString(name.(string))
		}
		if !fixed {
			return false
		}
	}
	return true
}

// pinned is rule 2: one condition that holds the callers to fixed values is
// enough. Negated operators never do (rule 3).
func pinned(s map[string]any) bool {
	operators, _ := s["Condition"].(map[string]any)
	for name, keys := range operators {
		op, _ := parseOperator(name)
		if op.negated || op.ifExists || op.qualifier == "ForAllValues" {
			continue
		}
		for key, values := range keys.(map[string]any) {
			pins := len(list(values)) > 0
			for _, v := range list(values) {
				pins = pins && fixedValue(op.base, strings.ToLower(key), scalar(v))
			}
			if pins {
				return true
			}
		}
	}
	return false
}

func fixedValue(base, key, value string) bool {
	isText := base == "StringEquals" || base == "StringEqualsIgnoreCase" || base == "StringLike"
	isARN := base == "ArnEquals" || base == "ArnLike"
	if strings.Contains(value, "${") {
		return false
	}
	exact := !strings.ContainsAny(value, "*?")
	switch key {
	case "aws:sourceip", "aws:vpcsourceip":
		return (isText || base == "IpAddress") && narrow(value)
	case "aws:principalarn", "aws:sourcearn":
		if isARN {
			// Parts that an ARN lacks match anything, so it must have all six.
			parts := strings.SplitN(value, ":", 6)
			return len(parts) == 6 && (exact || fixedForms[0].MatchString(parts[4]))
		}
		return isText && exact
	case "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:principalservicename",
		"aws:userid", "aws:sourceaccount", "aws:sourceowner", "aws:sourcevpc", "aws:sourcevpce",
		"aws:sourceorgid", "kms:calleraccount":
		return isText && exact
	}
	return false
}

// narrow reports whether an address range is at least /8, or /32 in IPv6. The
// private ranges of RFC 1918 all are.
func narrow(text string) bool {
	if address, err := netip.ParseAddr(text); err == nil {
		return address.Zone() == ""
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return false
	}
	switch {
	case prefix.Addr().Is4():
		return prefix.Bits() >= 8
	case prefix.Addr().Is4In6() && prefix.Bits() >= 96:
		return prefix.Bits()-96 >= 8
	}
	return prefix.Bits() >= 32
}
