package wire

import (
	"encoding/base64"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/strongroom/strongroom/internal/aws"
)

// shape is what the reflecting codecs (form, XML, audit parameters) know of a
// generated structure. It is worked out once for each type.
type shape struct{ members []member }

type member struct {
	index int
	// name is the wire's spelling, lower the audit record's.
	name, lower string
	// kept is false for what audit records never show: sensitive values and blobs.
	kept bool
}

var (
	shapes sync.Map // reflect.Type → *shape; grows only with types of the program.

	timeType            = reflect.TypeFor[aws.Time]()
	sensitiveStringType = reflect.TypeFor[aws.SensitiveString]()
)

func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := &shape{members: make([]member, 0, t.NumField())}
	for f := range t.Fields() {
		name := f.Name
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "" {
			name = tag // a few members begin with a small letter
		}
		s.members = append(s.members, member{
			index: f.Index[0],
			name:  name,
			lower: lowerFirst(name),
			kept:  !hiddenType(f.Type),
		})
	}
	shapes.Store(t, s)
	return s
}

// hiddenType says whether values of t, or of its items, stay out of audit records.
// Blobs do even where the model does not mark them: they are ciphertext,
// attestations and the like, of no use there and of any size.
func hiddenType(t reflect.Type) bool {
	for {
		switch {
		case t == sensitiveStringType:
			return true
		case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
			return true
		case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice, t.Kind() == reflect.Map:
			t = t.Elem()
		default:
			return false
		}
	}
}

// appendScalar appends a non-structure, non-list value as Query services spell it
// in both directions. It reports false for other kinds.
func appendScalar(b []byte, v reflect.Value) ([]byte, bool) {
	switch v.Kind() {
	case reflect.String:
		return append(b, v.String()...), true
	case reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10), true
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), true
	case reflect.Float64:
		return strconv.AppendFloat(b, v.Float(), 'g', -1, 64), true
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return base64.StdEncoding.AppendEncode(b, v.Bytes()), true
		}
	case reflect.Struct:
		if v.Type() == timeType {
			return append(b, v.Interface().(aws.Time).ISO()...), true
		}
	}
	return b, false
}
