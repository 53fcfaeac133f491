package policylint

import (
	"slices"
	"strings"

	"github.com/strongroom/strongroom/internal/catalog"
	"github.com/strongroom/strongroom/internal/policy"
)

// operator is a condition operator taken apart.
type operator struct {
	base              string
	forAll, forAny    bool
	ifExists, negated bool
}

func parseOperator(name string) operator {
	var o operator
	name, o.forAll = strings.CutPrefix(name, "ForAllValues:")
	name, o.forAny = strings.CutPrefix(name, "ForAnyValue:")
	o.base, o.ifExists = strings.CutSuffix(name, "IfExists")
	o.negated = strings.Contains(o.base, "Not")
	return o
}

// condition looks at one condition. Unless known is set, the statement may be about
// actions that the catalog does not know, and any key may be theirs.
func (c *checker) condition(st policy.Statement, condition policy.Condition, known bool) {
	o := parseOperator(condition.Operator)
	key, exists := catalog.LookupKey(condition.Key)
	switch prefix, _, _ := strings.Cut(condition.Key, ":"); {
	case !exists && (strings.EqualFold(prefix, "aws") || catalog.Known(prefix)):
		c.report(st, condition.Key, Error, CodeInvalidConditionKey, "there is no condition key %s", condition.Key)
		return
	case !exists && known:
		c.report(st, condition.Key, Warning, CodeInapplicableKey, "no action of the statement has the condition key %s", condition.Key)
		return
	case !exists:
		return
	}
	if known {
		c.applicable(st, condition, o)
	}
	c.types(st, condition, o, key)
	c.values(st, condition, o)
}

// applicable reports a key that requests for the statement's actions never have.
func (c *checker) applicable(st policy.Statement, condition policy.Condition, o operator) {
	actions, _ := st.Actions()
	var without []string
	with := 0
	for _, pattern := range actions {
		has, exists := false, false
		for action := range catalog.Match(pattern) {
			exists = true
			if _, ok := action.Key(condition.Key); ok {
				has = true
				break
			}
		}
		switch {
		case has:
			with++
		case exists && !withAssumeRole(pattern):
			without = append(without, pattern)
		}
	}
	switch {
	case len(without) == 0 || o.base == "Null":
		return
	case with == 0:
		c.report(st, condition.Key, Warning, CodeInapplicableKey, "no action of the statement has the condition key %s, so the condition %s", condition.Key, always(o))
	case !o.negated && !o.ifExists && !o.forAll:
		c.report(st, condition.Key, Warning, CodeInapplicableKey, "requests for %s never have the condition key %s, so the statement never matches them",
			strings.Join(without, ", "), condition.Key)
	}
}

// withAssumeRole reports the actions that are asked for together with sts:AssumeRole,
// in the context of its request, whatever the reference lists for them.
func withAssumeRole(action string) bool {
	return strings.EqualFold(action, "sts:TagSession") || strings.EqualFold(action, "sts:SetSourceIdentity") || strings.EqualFold(action, "sts:SetContext")
}

// always says what a condition comes to whose key is missing.
func always(o operator) string {
	if o.ifExists || o.forAll || o.negated && !o.forAny {
		return "always holds"
	}
	return "never holds"
}

// types reports operators for another type than the key's.
func (c *checker) types(st policy.Statement, condition policy.Condition, o operator, key catalog.Key) {
	switch {
	case o.base == "Null":
		return
	case key.Multi() && !o.forAll && !o.forAny:
		c.report(st, condition.Operator, Warning, CodeMissingSetOperator,
			"%s can have several values: write ForAnyValue: or ForAllValues: before %s", key.Name(), condition.Operator)
	case !key.Multi() && o.forAll:
		c.report(st, condition.Operator, SecurityWarning, CodeForAllValuesSingle,
			"%s has one value; ForAllValues also holds when the request does not have it", key.Name())
	}
	if fits := operators(key); !slices.Contains(fits, family(o.base)) {
		c.report(st, condition.Operator, Warning, CodeTypeMismatch, "%s is of type %s, for which %s is not the operator: use one of %s",
			key.Name(), key.Type(), condition.Operator, strings.Join(fits, ", "))
	}
}

// family is the type that an operator compares.
func family(base string) string {
	switch {
	case base == "Bool", base == "BinaryEquals":
		return base
	case strings.HasSuffix(base, "IpAddress"):
		return "IpAddress"
	}
	for _, prefix := range []string{"String", "Numeric", "Date", "Arn"} {
		if strings.HasPrefix(base, prefix) {
			return prefix
		}
	}
	return base
}

// operators are the families that fit a key. An ARN may be compared as text; a moment
// as seconds since 1970, if that is what the key holds.
func operators(key catalog.Key) []string {
	switch key.Type() {
	case catalog.ARN:
		return []string{"Arn", "String"}
	case catalog.Bool:
		return []string{"Bool"}
	case catalog.Numeric:
		return []string{"Numeric"}
	case catalog.IP:
		return []string{"IpAddress"}
	case catalog.Date:
		if key.Name() == "aws:EpochTime" {
			return []string{"Date", "Numeric"}
		}
		return []string{"Date"}
	}
	// The reference calls some keys strings that hold ARNs.
	return []string{"String", "Arn"}
}

// values reports values that equal nothing.
func (c *checker) values(st policy.Statement, condition policy.Condition, o operator) {
	if len(condition.Values) == 0 {
		c.report(st, condition.Key, Warning, CodeInvalidValue, "%s has no values, so the condition compares with nothing", condition.Key)
	}
	for _, value := range condition.Values {
		switch {
		case !value.Usable:
			c.report(st, value.Text, Warning, CodeInvalidValue, "%q is no value for %s and equals nothing", value.Text, condition.Operator)
		case strings.HasPrefix(o.base, "String") && !strings.HasSuffix(o.base, "Like") && strings.ContainsAny(withoutVariables(value.Text), "*?"):
			c.report(st, value.Text, Warning, CodeWildcardWithoutLike, `in %s the "*" or "?" of %q is the character itself; StringLike has wildcards`, condition.Operator, value.Text)
		}
	}
}

// withoutVariables takes "${…}" out of a text: "${*}" is meant as it is.
func withoutVariables(text string) string {
	var b strings.Builder
	for {
		start := strings.Index(text, "${")
		if start < 0 {
			break
		}
		end := strings.IndexByte(text[start:], '}')
		if end < 0 {
			break
		}
		b.WriteString(text[:start])
		text = text[start+end+1:]
	}
	b.WriteString(text)
	return b.String()
}

// forAllValues reports an Allow that is given when the key is missing altogether,
// because no Null condition asks for it.
func (c *checker) forAllValues(st policy.Statement) {
	if st.Effect() != policy.EffectAllow {
		return
	}
	conditions := st.Conditions()
	for _, condition := range conditions {
		key, exists := catalog.LookupKey(condition.Key)
		if !parseOperator(condition.Operator).forAll || exists && !key.Multi() {
			continue // single-valued keys are reported by their type
		}
		guarded := slices.ContainsFunc(conditions, func(other policy.Condition) bool {
			return other.Operator == "Null" && strings.EqualFold(other.Key, condition.Key) &&
				slices.ContainsFunc(other.Values, func(v policy.ConditionValue) bool { return strings.EqualFold(v.Text, "false") })
		})
		if !guarded {
			c.report(st, condition.Operator, SecurityWarning, CodeForAllValues,
				`ForAllValues holds when the request has no %s at all; add "Null": {%q: "false"} if it must have some`, condition.Key, condition.Key)
		}
	}
}
