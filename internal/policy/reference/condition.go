package reference

import "strings"

// conditionMatches follows §5 rule 1: all operators and all keys must hold.
func conditionMatches(q request, p policy, s map[string]any) bool {
	operators, _ := s["Condition"].(map[string]any)
	for name, keys := range operators {
		for key, values := range keys.(map[string]any) {
			if !conditionHolds(q, p, name, key, values) {
				return false
			}
		}
	}
	return true
}

// conditionHolds decides one key under one operator.
func conditionHolds(q request, p policy, name, key string, values any) bool {
	op, _ := parseOperator(name)
	var wanted []string
	for _, v := range list(values) {
		wanted = append(wanted, scalar(v))
	}
	value, present := q.lookup(key)
	// §5.1 Null and §5.2: an empty set is the same as a missing key.
	if len(value.Strings) == 0 {
		present = false
	}

	// §5.1, Null.
	if op.base == "Null" {
		for _, w := range wanted {
			if strings.EqualFold(w, "true") && !present || strings.EqualFold(w, "false") && present {
				return true
			}
		}
		return false
	}

	if !present {
		switch {
		case op.ifExists: // §5.1 and, for ForAnyValue, §5.2
			return true
		case op.qualifier == "ForAllValues": // §5.2
			return true
		case op.qualifier == "ForAnyValue": // §5.2, also negated
			return false
		}
		return op.negated // §5.1, column "Key missing"
	}

	// §5.2: no qualifier on a multivalued key is like ForAnyValue for positive
	// operators and like ForAllValues for negated ones.
	qualifier := op.qualifier
	if qualifier == "" && value.Multivalued {
		qualifier = "ForAnyValue"
		if op.negated {
			qualifier = "ForAllValues"
		}
	}
	switch qualifier {
	case "ForAllValues":
		for _, r := range value.Strings {
			if r == "" { // §5.2: counts as null
				continue
			}
			if !valueHolds(q, p, op, r, wanted) {
				return false
			}
		}
		return true
	case "ForAnyValue":
		for _, r := range value.Strings {
			if valueHolds(q, p, op, r, wanted) {
				return true
			}
		}
		return false
	}
	return valueHolds(q, p, op, value.Strings[0], wanted)
}

// valueHolds is M(r) of §5.2: §5 rule 2 makes the policy values an OR for
// positive operators and a NOR for negated ones.
func valueHolds(q request, p policy, op operator, r string, wanted []string) bool {
	equalsOne := false
	for _, w := range wanted {
		if compare(q, p, op.base, r, w) {
			equalsOne = true
		}
	}
	return equalsOne != op.negated
}

// EachCondition calls seen for every condition key of every statement in the
// vector with its operator as written and whether it holds for the request, no
// matter whether the statement matches otherwise. Tests use it to measure how
// well generated vectors exercise the operators. Its errors are those of Decide.
func EachCondition(v Vector, seen func(operator string, held bool)) error {
	q, err := newRequest(v.Request)
	if err != nil {
		return err
	}
	l, err := parseLayers(v)
	if err != nil {
		return err
	}
	for _, policies := range [][]policy{l.identity, l.resource, l.boundary, l.session, l.endpoint, l.scp} {
		for _, p := range policies {
			for _, s := range list(p["Statement"]) {
				operators, _ := s.(map[string]any)["Condition"].(map[string]any)
				for name, keys := range operators {
					for key, values := range keys.(map[string]any) {
						seen(name, conditionHolds(q, p, name, key, values))
					}
				}
			}
		}
	}
	return nil
}
