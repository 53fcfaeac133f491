package reference

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// policy is a decoded policy document that has passed check: a JSON object
// with its members as encoding/json gives them, numbers as json.Number.
type policy = map[string]any

// kind says which elements a policy may have (§1, "Which elements where").
type kind string

const (
	identityKind kind = "identity policy" // also boundary, session and service control policies
	resourceKind kind = "resource policy" // also endpoint policies
	keyKind      kind = "key policy"
	trustKind    kind = "trust policy"
)

var (
	sidPattern      = regexp.MustCompile(`^[A-Za-z0-9]*$`)
	operatorPattern = regexp.MustCompile(`^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$`)
)

// parse decodes a policy and holds it against the grammar of §1.
func parse(k kind, raw json.RawMessage) (policy, error) {
	decoded, err := decode(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k, err)
	}
	p, ok := decoded.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is not an object", k)
	}
	if err := checkPolicy(k, p); err != nil {
		return nil, fmt.Errorf("%s: %w", k, err)
	}
	return p, nil
}

// decode reads one JSON value. §1: duplicate object keys are malformed, which
// encoding/json does not notice by itself.
func decode(raw []byte) (any, error) {
	if !json.Valid(raw) { // also bounds the depth of the recursion below
		return nil, errors.New("not JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return decodeValue(dec)
}

func decodeValue(dec *json.Decoder) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		object := map[string]any{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			if _, twice := object[name.(string)]; twice {
				return nil, fmt.Errorf("duplicate member %q", name)
			}
			object[name.(string)], err = decodeValue(dec)
			if err != nil {
				return nil, err
			}
		}
		_, err = dec.Token()
		return object, err
	case json.Delim('['):
		array := []any{}
		for dec.More() {
			item, err := decodeValue(dec)
			if err != nil {
				return nil, err
			}
			array = append(array, item)
		}
		_, err = dec.Token()
		return array, err
	}
	return token, nil
}

func checkPolicy(k kind, p policy) error {
	// §1: element names are case-sensitive, unknown ones malformed.
	for name, value := range p {
		switch name {
		case "Version":
			if value != "2008-10-17" && value != "2012-10-17" {
				return fmt.Errorf("unknown Version %v", value)
			}
		case "Id":
			if _, ok := value.(string); !ok {
				return errors.New("element Id is not a string")
			}
		case "Statement":
		default:
			return fmt.Errorf("unknown element %q", name)
		}
	}
	statements, ok := p["Statement"]
	if !ok || len(list(statements)) == 0 {
		return errors.New("no Statement")
	}
	for _, s := range list(statements) {
		statement, ok := s.(map[string]any)
		if !ok {
			return errors.New("element Statement is not a list of objects")
		}
		if err := checkStatement(k, statement); err != nil {
			return err
		}
	}
	if k != identityKind {
		return nil
	}
	// §1, Sid: identity policies allow letters and digits, each Sid once.
	seen := map[string]bool{}
	for _, s := range list(statements) {
		sid, _ := s.(map[string]any)["Sid"].(string)
		if !sidPattern.MatchString(sid) {
			return fmt.Errorf("bad Sid %q", sid)
		}
		if sid != "" && seen[sid] {
			return fmt.Errorf("duplicate Sid %q", sid)
		}
		seen[sid] = true
	}
	return nil
}

func checkStatement(k kind, s map[string]any) error {
	for name, value := range s {
		var err error
		switch name {
		case "Sid":
			if _, ok := value.(string); !ok {
				err = errors.New("is not a string")
			}
		case "Effect": // §1: exactly Allow or Deny
			if value != "Allow" && value != "Deny" {
				err = errors.New("is neither Allow nor Deny")
			}
		case "Action", "NotAction", "Resource", "NotResource":
			err = checkStrings(value)
		case "Principal", "NotPrincipal":
			err = checkPrincipal(value)
		case "Condition":
			err = checkCondition(value)
		default:
			err = errors.New("is an unknown element")
		}
		if err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
	}
	has := func(name string) bool { _, ok := s[name]; return ok }
	if !has("Effect") {
		return errors.New("no Effect")
	}
	if has("Action") == has("NotAction") {
		return errors.New("needs one of Action and NotAction")
	}
	if has("Resource") && has("NotResource") {
		return errors.New("has both Resource and NotResource")
	}
	if has("Principal") && has("NotPrincipal") {
		return errors.New("has both Principal and NotPrincipal")
	}
	resource := has("Resource") || has("NotResource")
	principal := has("Principal") || has("NotPrincipal")

	// §1, "Which elements where".
	switch {
	case k == identityKind && principal:
		return errors.New("has a principal")
	case k != identityKind && !principal:
		return errors.New("has no principal")
	case k == trustKind && resource:
		return errors.New("has a resource")
	case k != trustKind && k != keyKind && !resource:
		return errors.New("has no resource") // kms.md 8.1 lets key policies do without
	}
	// §1, NotPrincipal: not in trust policies. §4: reject with Allow.
	if has("NotPrincipal") && (k == trustKind || s["Effect"] == "Allow") {
		return errors.New("may not have NotPrincipal")
	}
	return nil
}

func checkStrings(value any) error {
	items := list(value)
	if len(items) == 0 {
		return errors.New("is empty")
	}
	for _, item := range items {
		if _, ok := item.(string); !ok {
			return errors.New("holds something that is not a string")
		}
	}
	return nil
}

func checkPrincipal(value any) error {
	if value == "*" {
		return nil
	}
	members, ok := value.(map[string]any)
	if !ok || len(members) == 0 {
		return errors.New(`is neither "*" nor an object with members`)
	}
	for name, names := range members {
		switch name {
		case "AWS", "Service", "Federated", "CanonicalUser":
		default:
			return fmt.Errorf("has unknown type %q", name)
		}
		if err := checkStrings(names); err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
		for _, n := range list(names) {
			if name == "AWS" && n == "*" {
				continue
			}
			// §4: partial wildcards are invalid.
			if strings.ContainsAny(n.(string), "*?") {
				return fmt.Errorf("has wildcards in %v", n)
			}
		}
	}
	return nil
}

func checkCondition(value any) error {
	operators, ok := value.(map[string]any)
	if !ok {
		return errors.New("is not an object")
	}
	for name, keys := range operators {
		op, ok := parseOperator(name)
		if !ok {
			return fmt.Errorf("has unknown operator %q", name)
		}
		members, ok := keys.(map[string]any)
		if !ok {
			return fmt.Errorf("has operator %s that is not an object", name)
		}
		for key, values := range members {
			for _, v := range list(values) {
				switch v.(type) {
				case string, bool, json.Number:
				default: // null, object or nested array
					return fmt.Errorf("has a bad value for %q", key)
				}
				// §1.1, "Legacy parsing": an unparsable value under a Date operator.
				if _, ok := parseDate(scalar(v)); !ok && strings.HasPrefix(op.base, "Date") {
					return fmt.Errorf("has a date for %q that is none", key)
				}
			}
		}
	}
	return nil
}

// operator is a condition operator taken apart (§5.1, §5.2).
type operator struct {
	qualifier string // "", "ForAllValues" or "ForAnyValue"
	base      string // the positive operator: "StringEquals" for StringNotEquals
	negated   bool
	ifExists  bool
}

func parseOperator(name string) (operator, bool) {
	parts := operatorPattern.FindStringSubmatch(name)
	if parts == nil {
		return operator{}, false
	}
	op := operator{qualifier: parts[1], base: parts[2], ifExists: parts[3] != ""}
	switch op.base {
	case "StringEquals", "StringEqualsIgnoreCase", "StringLike",
		"NumericEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals",
		"DateEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals",
		"Bool", "BinaryEquals", "IpAddress", "ArnEquals", "ArnLike":
		return op, true
	case "StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "NumericNotEquals", "DateNotEquals",
		"NotIpAddress", "ArnNotEquals", "ArnNotLike":
		op.base = strings.Replace(op.base, "Not", "", 1)
		op.negated = true
		return op, true
	case "Null": // §5.1: IfExists goes with any operator but Null
		return op, op.qualifier == "" && !op.ifExists
	}
	return operator{}, false
}

// list undoes the optional brackets of §1: a bare value is a list of one.
func list(value any) []any {
	if items, ok := value.([]any); ok {
		return items
	}
	return []any{value}
}

// scalar is the text of a condition value (§1: string, number or boolean).
func scalar(value any) string {
	switch v := value.(type) {
	case bool:
		if v {
			return "true"
		}
		return "false"
	case json.Number:
		return v.String()
	}
	return value.(string)
}
