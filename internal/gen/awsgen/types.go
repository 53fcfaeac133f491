package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// structures writes inputs, outputs and the structures they hold.
func (g *generator) structures() error {
	outputs := map[string]string{} // the first type of each output shape
	for _, name := range g.settings.Built {
		op := g.model.Operations[name]
		if err := g.structure(name+"Input", "is the input of "+name+".", op.Input); err != nil {
			return err
		}
		if first := outputOf(op, outputs); first != "" {
			g.p("// %sOutput is the output of %[1]s.", name)
			g.p("type %sOutput = %s\n", name, first)
		} else if err := g.structure(name+"Output", "is the output of "+name+".", op.Output); err != nil {
			return err
		} else if op.Output != nil {
			outputs[op.Output.Shape] = name + "Output"
		}
		if err := g.validator(name+"Input", op.Input, true); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.types)) {
		if g.roots[name] {
			continue
		}
		r := &ref{Shape: name}
		if err := g.structure(name, "is a structure of the API.", r); err != nil {
			return err
		}
		if g.checked[name] {
			if err := g.validator(name, r, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// outputOf returns the type that was written for an operation's output shape, if any.
func outputOf(op operation, outputs map[string]string) string {
	if op.Output == nil {
		return ""
	}
	return outputs[op.Output.Shape]
}

func (g *generator) structure(name, comment string, r *ref) error {
	g.p("// %s %s", name, comment)
	if r == nil || len(g.model.Shapes[r.Shape].Members) == 0 {
		g.p("type %s struct{}\n", name)
		return nil
	}
	g.p("type %s struct {", name)
	for _, m := range g.model.Shapes[r.Shape].Members {
		if f := upperFirst(m.name); f == "" || f[0] < 'A' || f[0] > 'Z' {
			return fmt.Errorf("%s: member %s cannot be a field", r.Shape, m.name)
		}
		t, err := g.memberType(m.ref.Shape)
		if err != nil {
			return err
		}
		// Codecs take the wire's name from the tag.
		g.p("%s %s `json:%q`", upperFirst(m.name), t, m.name+",omitzero")
	}
	g.p("}\n")
	if g.holdsSensitive(r.Shape, nil) {
		g.p("// Format prints the name alone, whatever the verb: see [aws.FormatName].")
		g.p("func (%s) Format(f fmt.State, _ rune) { aws.FormatName(f, %q) }\n", name, name)
	}
	return nil
}

// holdsSensitive reports whether values of a shape hold sensitive ones, at any
// depth. above are the shapes that led here, for those that hold themselves.
func (g *generator) holdsSensitive(name string, above []string) bool {
	if slices.Contains(above, name) {
		return false
	}
	s, above := g.model.Shapes[name], append(above, name)
	if s.Sensitive {
		return true
	}
	switch s.Type {
	case "structure":
		for _, m := range s.Members {
			if g.holdsSensitive(m.ref.Shape, above) {
				return true
			}
		}
	case "list":
		return g.holdsSensitive(s.Member.Shape, above)
	case "map":
		return g.holdsSensitive(s.Value.Shape, above)
	}
	return false
}

// memberType is the type of a member: nil or a nil pointer is absent.
func (g *generator) memberType(name string) (string, error) {
	t, err := g.itemType(name)
	if err != nil {
		return "", err
	}
	if s := g.model.Shapes[name]; s.Type != "blob" && s.Type != "list" && s.Type != "map" {
		t = "*" + t
	}
	return t, nil
}

// itemType is the type of a list's item.
func (g *generator) itemType(name string) (string, error) {
	s := g.model.Shapes[name]
	switch s.Type {
	case "string":
		if s.Sensitive {
			return "aws.SensitiveString", nil
		}
		return "string", nil
	case "blob":
		if s.Sensitive {
			return "aws.SensitiveBytes", nil
		}
		return "[]byte", nil
	}
	if s.Sensitive {
		return "", fmt.Errorf("shape %s: sensitive %s", name, s.Type)
	}
	switch s.Type {
	case "integer":
		return "int32", nil
	case "long":
		return "int64", nil
	case "boolean":
		return "bool", nil
	case "double":
		return "float64", nil
	case "timestamp":
		return "aws.Time", nil
	case "structure":
		return name, nil
	case "list":
		t, err := g.itemType(s.Member.Shape)
		return "[]" + t, err
	case "map":
		if k := g.model.Shapes[s.Key.Shape]; k.Type != "string" || k.Sensitive {
			return "", fmt.Errorf("map %s: key is no plain string", name)
		}
		t, err := g.itemType(s.Value.Shape)
		return "map[string]" + t, err
	}
	return "", fmt.Errorf("shape %s: type %s", name, s.Type)
}

// validator writes the checks of a structure: Validate for an input, validate for
// what inputs hold.
func (g *generator) validator(name string, r *ref, input bool) error {
	head := fmt.Sprintf("func (x *%s) validate(v *wire.Validation, at *wire.Path) {", name)
	at := "at"
	if input {
		g.p("// Validate checks x against the model's constraints.")
		head = fmt.Sprintf("func (x *%s) Validate(v *wire.Validation) {", name)
		at = "nil"
	}
	if r == nil || len(g.model.Shapes[r.Shape].Members) == 0 {
		g.p("func (*%s) Validate(*wire.Validation) {}\n", name)
		return nil
	}
	g.p("%s", head)
	s := g.model.Shapes[r.Shape]
	for _, m := range s.Members {
		path := lowerFirst(m.name)
		if slices.Contains(s.Required, m.name) {
			g.p("v.Required(%s, %q, x.%s == nil)", at, path, upperFirst(m.name))
		}
		if err := g.check(at, path, "x."+upperFirst(m.name), m.ref.Shape); err != nil {
			return fmt.Errorf("%s.%s: %w", r.Shape, m.name, err)
		}
	}
	g.p("}\n")
	return nil
}

// check writes the checks of one member.
func (g *generator) check(at, path, field, name string) error {
	s := g.model.Shapes[name]
	rule, err := g.rule(name)
	if err != nil {
		return err
	}
	switch s.Type {
	case "string", "blob", "integer", "long":
		method := map[string]string{"string": "String", "blob": "Blob", "integer": "Int32", "long": "Int64"}[s.Type]
		if s.Type == "string" && s.Sensitive {
			method = "Secret"
		}
		if method == "String" || rule != "nil" {
			g.p("v.%s(%s, %q, %s, %s)", method, at, path, field, rule)
		}
		return nil
	case "boolean", "timestamp":
		return nil
	case "structure":
		g.p("if %s != nil {", field)
		g.p("%s.validate(v, &wire.Path{%sName: %q})\n}", field, parent(at), path)
		return nil
	case "list":
		if rule != "nil" {
			g.p("wire.List(v, %s, %q, %s, %s)", at, path, field, rule)
		}
		return g.checkItems(at, path, field, s.Member.Shape)
	case "map":
		t, err := g.itemType(name)
		if err != nil {
			return err
		}
		for _, part := range []string{name, s.Key.Shape, s.Value.Shape} {
			if r, err := g.rule(part); err != nil || r != "nil" || t != "map[string]string" {
				return fmt.Errorf("map %s: checks of maps are known for unbounded strings only", name)
			}
		}
		g.p("v.Texts(%s, %q, %s)", at, path, field)
		return nil
	}
	return fmt.Errorf("shape %s: no checks known for type %s", name, s.Type)
}

func (g *generator) checkItems(at, path, field, item string) error {
	s := g.model.Shapes[item]
	rule, err := g.rule(item)
	if err != nil {
		return err
	}
	g.p("for i := range %s {", field)
	p := fmt.Sprintf("&wire.Path{%sName: %q, Index: i + 1}", parent(at), path)
	switch {
	case s.Type == "structure":
		g.p("%s[i].validate(v, %s)", field, p)
	case s.Type == "string" && !s.Sensitive:
		g.p("v.String(%s, \"\", &%s[i], %s)", p, field, rule)
	default:
		return fmt.Errorf("shape %s: no checks known for lists of type %s", item, s.Type)
	}
	g.p("}")
	return nil
}

// parent writes a path's Parent, which an input itself does not have.
func parent(at string) string {
	if at == "nil" {
		return ""
	}
	return "Parent: " + at + ", "
}

// rule returns the name of the variable that holds a shape's constraints, or nil.
func (g *generator) rule(name string) (string, error) {
	s := g.model.Shapes[name]
	if s.Min == nil && s.Max == nil && s.Pattern == "" && s.Enum == nil {
		return "nil", nil
	}
	g.rules[name] = true
	return "rule" + upperFirst(name), nil
}

// ruleVars writes the constraints that the checks refer to.
func (g *generator) ruleVars() error {
	if len(g.rules) == 0 {
		return nil
	}
	g.p("var (")
	for _, name := range slices.Sorted(maps.Keys(g.rules)) {
		s := g.model.Shapes[name]
		var parts []string
		// A length is never below zero, so such a bound says nothing.
		number := s.Type == "integer" || s.Type == "long"
		if s.Min != nil && (*s.Min != 0 || number) {
			parts = append(parts, fmt.Sprintf("Min: new(int64(%d))", *s.Min))
		}
		if s.Max != nil {
			parts = append(parts, fmt.Sprintf("Max: new(int64(%d))", *s.Max))
		}
		if g.overrides.Shapes[name].LengthInBytes {
			parts = append(parts, "Bytes: true")
		}
		if s.Pattern != "" {
			check := s.Pattern
			if c := g.overrides.Shapes[name].Check; c != "" {
				check = c
			}
			re2, err := translatePattern(check)
			if err != nil {
				return fmt.Errorf("shape %s: %w", name, err)
			}
			parts = append(parts, "Pattern: wire.NewPattern("+quote(s.Pattern)+", "+quote(re2)+")")
		}
		if s.Enum != nil {
			parts = append(parts, fmt.Sprintf("Enum: %#v", s.Enum))
		}
		g.p("rule%s = &wire.Rule{%s}", upperFirst(name), strings.Join(parts, ", "))
	}
	g.p(")\n")
	return nil
}

// enumerations writes the values of enums as constants.
func (g *generator) enumerations() error {
	for _, name := range slices.Sorted(maps.Keys(g.enums)) {
		prefix := strings.TrimSuffix(strings.TrimSuffix(upperFirst(name), "StringType"), "Type")
		g.p("// Values of %s.\nconst (", name)
		for _, v := range g.model.Shapes[name].Enum {
			g.p("%s%s = %q", prefix, camel(v), v)
		}
		g.p(")\n")
	}
	return nil
}

// camel spells an enum value as the AWS SDKs do: ENCRYPT_DECRYPT → EncryptDecrypt,
// tag-key → TagKey, InSync → InSync.
func camel(v string) string {
	var b strings.Builder
	for _, part := range strings.FieldsFunc(v, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if v == strings.ToUpper(v) {
			part = strings.ToLower(part)
		}
		b.WriteString(upperFirst(part))
	}
	return b.String()
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// lowerFirst spells a member as in paths.
func lowerFirst(s string) string {
	if s == "ARN" {
		return "arn"
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// quote prefers backquotes, in which patterns stay readable.
func quote(s string) string {
	if strconv.CanBackquote(s) {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}
