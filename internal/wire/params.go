package wire

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/strongroom/strongroom/internal/aws"
)

// maxParameters bounds requestParameters in an audit record: CloudTrail cuts the
// field at 100 KB of a record's 256 KB and marks it omitted (spec audit-events.md
// 1.2).
const maxParameters = 100 << 10

// RequestParameters renders the input for the audit record: a JSON object with
// names like secretId, or null when there is no input to show. Sensitive members
// and blobs are left out wherever they stand; what grows too large is replaced by
// {"omitted":true}.
func (c *Call) RequestParameters() []byte { return c.AppendRequestParameters(nil) }

// AppendRequestParameters appends what RequestParameters returns.
func (c *Call) AppendRequestParameters(b []byte) []byte {
	v := reflect.ValueOf(c.Input)
	if c.Input == nil || v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return append(b, "null"...)
	}
	start := len(b)
	p := parameters{start + maxParameters}
	b = p.members(b, v.Elem())
	switch n := len(b) - start; {
	case n > maxParameters:
		return append(b[:start], `{"omitted":true}`...)
	case n == len("{}"):
		return append(b[:start], "null"...)
	}
	return b
}

// parameters renders inputs.
type parameters struct {
	end int // where too much has been appended
}

func (p parameters) members(b []byte, v reflect.Value) []byte {
	b = append(b, '{')
	start := len(b)
	for _, m := range shapeOf(v.Type()).members {
		f := v.Field(m.index)
		if !m.kept || f.IsZero() {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, m.lower...)
		b = append(b, `":`...)
		b = p.value(b, f)
	}
	return append(b, '}')
}

func (p parameters) value(b []byte, v reflect.Value) []byte {
	if len(b) > p.end {
		return append(b, "null"...) // Thrown away whole in the end: spare the rest.
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, "null"...)
		}
		return p.value(b, v.Elem())
	case reflect.String:
		return appendQuoted(b, v.String())
	case reflect.Struct:
		if v.Type() == timeType {
			return appendQuoted(b, v.Interface().(aws.Time).ISO())
		}
		return p.members(b, v)
	case reflect.Slice:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = p.value(b, v.Index(i))
		}
		return append(b, ']')
	case reflect.Map:
		if texts, ok := v.Interface().(map[string]string); ok {
			return p.texts(b, texts)
		}
		keys := v.MapKeys()
		slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
		b = append(b, '{')
		for i, k := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendQuoted(b, k.String())
			b = append(b, ':')
			b = p.value(b, v.MapIndex(k))
		}
		return append(b, '}')
	case reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10)
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.Float64:
		return strconv.AppendFloat(b, v.Float(), 'g', -1, 64)
	}
	return append(b, "null"...)
}

// texts renders an encryption context: KMS is asked for one on the path of every
// read of a secret, so it goes without reflection.
func (p parameters) texts(b []byte, m map[string]string) []byte {
	var few [8]string
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, k)
		b = append(b, ':')
		if len(b) > p.end {
			return append(b, "null}"...) // Thrown away whole in the end.
		}
		b = appendQuoted(b, m[k])
	}
	return append(b, '}')
}
