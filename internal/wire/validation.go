package wire

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/strongroom/strongroom/internal/aws"
)

const (
	// maxViolations bounds the sentence: a body full of empty list items would
	// otherwise come back thirty times its size. All violations are counted.
	maxViolations = 100
	// maxEcho bounds the values repeated in it, in bytes; a longer one is left
	// out, as a sensitive one is.
	maxEcho = 16 << 10
)

// noNUL is ours, not AWS's: PostgreSQL stores no U+0000 in text, and both engines
// must accept the same requests. The value stays out of the sentence, because
// that is stored too.
const noNUL = `Member must satisfy regular expression pattern: [^\u0000]*`

// Rule is what the model demands of a shape. The zero Rule demands nothing.
type Rule struct {
	// Min and Max bound a number, the characters of a string, the bytes of a blob
	// or the items of a list; nil is unbounded.
	Min, Max *int64
	// Bytes makes a string's length count in UTF-8 bytes.
	Bytes   bool
	Pattern *Pattern
	Enum    []string
}

// Pattern is a model's regular expression.
type Pattern struct {
	text string
	re   *regexp.Regexp
}

// NewPattern returns a pattern that shows itself as java, the model's own text,
// and matches whole values with re2, its translation by the generator. It panics
// if re2 does not compile; the generator has compiled it before.
func NewPattern(java, re2 string) *Pattern {
	return &Pattern{java, regexp.MustCompile(`\A(?:` + re2 + `)\z`)}
}

// Path is where a value lies inside an input; nil is the input itself. It is
// spelled out only when something is wrong there.
type Path struct {
	Parent *Path
	Name   string
	// Index is the 1-based position in a list, or 0.
	Index int
}

// append spells p the way AWS does: filters.1.member, rotationRules (spec
// secretsmanager.md 1.7).
func (p *Path) append(b []byte) []byte {
	if p == nil {
		return b
	}
	if p.Parent != nil {
		b = append(p.Parent.append(b), '.')
	}
	b = append(b, p.Name...)
	if p.Index > 0 {
		b = append(b, '.')
		b = strconv.AppendInt(b, int64(p.Index), 10)
		b = append(b, ".member"...)
	}
	return b
}

// Validation collects the violations of an input in model order. Generated code
// calls its methods once for each member, constrained or not.
type Validation struct {
	echo  bool
	count int
	said  []byte
}

// Err returns the violations as the service words them, or nil if there are none.
func (v *Validation) Err(s *Service) *aws.Error {
	if v.count == 0 {
		return nil
	}
	head := "1 validation error detected: "
	if v.count > 1 {
		head = strconv.Itoa(v.count) + " validation errors detected: "
	}
	return &aws.Error{Code: s.ValidationCode, Message: head + string(v.said), Framework: true}
}

// Required notes a member that must be present.
func (v *Validation) Required(at *Path, name string, absent bool) {
	if absent {
		// AWS shows the absent value as null where it shows values at all.
		v.note(at, name, "null ", "Member must not be null")
	}
}

// String checks a string; a list item is checked with name "". Nil is absent and
// passes.
func (v *Validation) String(at *Path, name string, s *string, r *Rule) {
	if s == nil {
		return
	}
	if strings.IndexByte(*s, 0) >= 0 {
		v.fail(at, name, hidden, noNUL)
		return
	}
	v.text(at, name, *s, r, func() (string, bool) { return *s, true })
}

// Secret checks a sensitive string, whose value is never repeated. U+0000 is
// allowed: it is stored sealed.
func (v *Validation) Secret(at *Path, name string, s *aws.SensitiveString, r *Rule) {
	if s != nil {
		v.text(at, name, string(*s), r, hidden)
	}
}

// Blob checks the length of a blob. Nil is absent and passes. Values of blobs
// are never repeated.
func (v *Validation) Blob(at *Path, name string, b []byte, r *Rule) {
	if b != nil {
		v.length(at, name, hidden, int64(len(b)), r)
	}
}

// Int32 checks a number. Nil is absent and passes.
func (v *Validation) Int32(at *Path, name string, n *int32, r *Rule) {
	if n != nil {
		v.number(at, name, int64(*n), r)
	}
}

// Int64 checks a number. Nil is absent and passes.
func (v *Validation) Int64(at *Path, name string, n *int64, r *Rule) {
	if n != nil {
		v.number(at, name, *n, r)
	}
}

// Texts checks a map of strings for what no store can hold, as String does.
func (v *Validation) Texts(at *Path, name string, m map[string]string) {
	for k, s := range m {
		if strings.IndexByte(k, 0) >= 0 || strings.IndexByte(s, 0) >= 0 {
			v.fail(at, name, hidden, noNUL)
			return
		}
	}
}

// List checks the length of a list. Nil is absent and passes; the items are
// checked one by one by the caller.
func List[T any](v *Validation, at *Path, name string, list []T, r *Rule) {
	if list != nil {
		v.length(at, name, func() (string, bool) { return renderList(list), true }, int64(len(list)), r)
	}
}

// shown gives a value as text, and whether it may be shown. It is a function so
// that values cost nothing unless something is wrong.
type shown func() (string, bool)

func hidden() (string, bool) { return "", false }

func (v *Validation) text(at *Path, name, s string, r *Rule, value shown) {
	if r == nil {
		return
	}
	if r.Min != nil || r.Max != nil {
		n := len(s)
		if !r.Bytes {
			n = utf8.RuneCountInString(s)
		}
		v.length(at, name, value, int64(n), r)
	}
	if r.Pattern != nil && !r.Pattern.re.MatchString(s) {
		v.fail(at, name, value, "Member must satisfy regular expression pattern: "+r.Pattern.text)
	}
	if r.Enum != nil && !slices.Contains(r.Enum, s) {
		v.fail(at, name, value, "Member must satisfy enum value set: ["+strings.Join(r.Enum, ", ")+"]")
	}
}

func (v *Validation) length(at *Path, name string, value shown, n int64, r *Rule) {
	v.bounds(at, name, value, n, r, "length")
}

func (v *Validation) number(at *Path, name string, n int64, r *Rule) {
	v.bounds(at, name, func() (string, bool) { return strconv.FormatInt(n, 10), true }, n, r, "value")
}

func (v *Validation) bounds(at *Path, name string, value shown, n int64, r *Rule, what string) {
	if r == nil {
		return
	}
	if r.Min != nil && n < *r.Min {
		v.fail(at, name, value, "Member must have "+what+" greater than or equal to "+strconv.FormatInt(*r.Min, 10))
	}
	if r.Max != nil && n > *r.Max {
		v.fail(at, name, value, "Member must have "+what+" less than or equal to "+strconv.FormatInt(*r.Max, 10))
	}
}

// fail notes a violation, with the value where it may be shown.
func (v *Validation) fail(at *Path, name string, value shown, constraint string) {
	seen := ""
	if v.echo && v.count < maxViolations {
		if s, ok := value(); ok && len(s) <= maxEcho {
			seen = "'" + s + "' "
		}
	}
	v.note(at, name, seen, constraint)
}

// note adds "Value 'x' at 'a.b' failed to satisfy constraint: …".
func (v *Validation) note(at *Path, name, seen, constraint string) {
	v.count++
	if v.count > maxViolations {
		return
	}
	if v.count > 1 {
		v.said = append(v.said, "; "...)
	}
	v.said = append(v.said, "Value "...)
	if v.echo {
		v.said = append(v.said, seen...)
	}
	v.said = append(v.said, "at '"...)
	if name != "" {
		at = &Path{Parent: at, Name: name}
	}
	v.said = at.append(v.said)
	v.said = append(v.said, "' failed to satisfy constraint: "...)
	v.said = append(v.said, constraint...)
}

// renderList prints a list as [a, b], and its structures as {member=value, …} in
// the manner of Java's maps, which AWS's own sentences show (unconfirmed for
// structures). Sensitive values and blobs print as placeholders.
func renderList(list any) string {
	return string(appendJava(nil, reflect.ValueOf(list)))
}

func appendJava(b []byte, v reflect.Value) []byte {
	if len(b) > maxEcho {
		return b // Too long to be shown: spare the rest.
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, "null"...)
		}
		return appendJava(b, v.Elem())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return append(b, "[blob]"...)
		}
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendJava(b, v.Index(i))
		}
		return append(b, ']')
	case reflect.Struct:
		b = append(b, '{')
		first := true
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				continue
			}
			if !first {
				b = append(b, ", "...)
			}
			first = false
			b = append(b, lowerFirst(v.Type().Field(i).Name)...)
			b = append(b, '=')
			b = appendJava(b, v.Field(i))
		}
		return append(b, '}')
	}
	// Fprint asks a sensitive value for its placeholder.
	return fmt.Append(b, v.Interface())
}

// lowerFirst spells a member as paths and audit records do: secretId, arn.
func lowerFirst(name string) string {
	if name == "ARN" {
		return "arn"
	}
	return string(name[0]|0x20) + name[1:]
}
