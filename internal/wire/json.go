package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongroom/strongroom/internal/aws"
)

// The codec's rules, spelled out where they differ from, or must not drift with,
// the library's defaults. Names match by exact case, unknown members are ignored,
// null is absent. Duplicate members are refused: two readers of one request could
// otherwise see two different requests.
var (
	decodeRules = json.JoinOptions(
		jsontext.AllowDuplicateNames(false),
		jsontext.AllowInvalidUTF8(false),
		json.MatchCaseInsensitiveNames(false),
		json.RejectUnknownMembers(false),
		json.WithUnmarshalers(json.UnmarshalFromFunc(decodeTime)),
	)
	encodeRules = json.JoinOptions(
		// Maps print in the order of their keys, so equal answers are equal bytes.
		json.Deterministic(true),
		// The one place where sensitive values become text again.
		json.WithMarshalers(json.JoinMarshalers(
			json.MarshalToFunc(encodeSensitiveString),
			json.MarshalToFunc(encodeSensitiveBytes),
			json.MarshalToFunc(encodeTime),
		)),
	)
)

// decodeJSON reads a request body into in. An empty body counts as {}: servers of
// this protocol must take an operation without input from clients that send none
// (general AWS behaviour, unconfirmed).
func decodeJSON(body []byte, in any, most bounds) *aws.Error {
	start := bytes.TrimLeft(body, " \t\r\n")
	if len(start) == 0 {
		return nil
	}
	if start[0] != '{' {
		return serializationError("", "body is not an object")
	}
	if why := most.exceeded(body); why != "" {
		return serializationError("", why)
	}
	if err := json.Unmarshal(body, in, decodeRules); err != nil {
		return explainJSON(err)
	}
	return nil
}

// encodeJSON appends an answer to b.
func encodeJSON(b *bytes.Buffer, out any) error {
	return json.MarshalWrite(b, out, encodeRules)
}

// bounds are what a JSON text may hold.
type bounds struct{ nesting, members, elements int }

func (l *Limits) bounds() bounds { return bounds{l.Nesting, l.Members, l.Elements} }

var defaultBounds = bounds{defaultNesting, defaultMembers, defaultElements}

// exceeded says which bound a text exceeds: how deep brackets outside strings
// open, how many members all objects have together, how long a list is. It runs
// before the decoder, whose own bounds are too generous for a front door;
// malformed text it leaves to the decoder to find.
func (m bounds) exceeded(b []byte) string {
	var room [defaultNesting]int
	commas := room[:0] // :: open bracket → commas directly in it, -1 for an object
	members := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			if len(commas) >= m.nesting {
				return "body is nested too deeply"
			}
			in := 0
			if b[i] == '{' {
				in = -1
			}
			commas = append(commas, in)
		case '}', ']':
			if len(commas) > 0 {
				commas = commas[:len(commas)-1]
			}
		case ':':
			if members++; members > m.members {
				return "body has too many members"
			}
		case ',':
			if n := len(commas) - 1; n >= 0 && commas[n] >= 0 {
				if commas[n]++; commas[n] >= m.elements {
					return "body has too long a list"
				}
			}
		case '"':
			i = skipString(b, i+1)
		}
	}
	return ""
}

// skipString returns the index of the quote that ends the string starting at i,
// or len(b).
func skipString(b []byte, i int) int {
	for i < len(b) {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b)
		}
		i += n
		escapes := 0
		for escapes < n && b[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
		i++
	}
	return len(b)
}

// serializationError answers a body that is not what the protocol wants (spec
// secretsmanager.md 1.5). why is for the log and holds nothing of the body.
func serializationError(message, why string) *aws.Error {
	return &aws.Error{Code: "SerializationException", Message: message, Status: http.StatusBadRequest,
		Framework: true, Cause: errors.New(why)}
}

// explainJSON turns a decoder's error into the caller's. The library's own error
// is dropped, not wrapped: it can quote the value it choked on, and that value may
// be a secret on its way to a log.
func explainJSON(err error) *aws.Error {
	e, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			return serializationError("", "malformed JSON at byte "+strconv.FormatInt(s.ByteOffset, 10))
		}
		return serializationError("", "malformed JSON")
	}
	why := "JSON value does not fit at byte " + strconv.FormatInt(e.ByteOffset, 10)
	return serializationError(conversion(e.JSONKind, e.GoType), why)
}

// conversion words a mismatch of types the way the front end does. Its texts are
// known for few pairs (spec secretsmanager.md 1.5); the others get none.
func conversion(kind jsontext.Kind, t reflect.Type) string {
	if t == nil {
		return ""
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var class string
	switch t.Kind() {
	case reflect.String:
		class = "String"
	case reflect.Int32:
		class = "Integer"
	case reflect.Int64:
		class = "Long"
	case reflect.Bool:
		class = "Boolean"
	default:
		return ""
	}
	switch kind {
	case jsontext.KindString:
		return "STRING_VALUE can not be converted to a " + class
	case jsontext.KindNumber:
		if class == "Integer" || class == "Long" {
			return "" // A fraction, or too large.
		}
		return "NUMBER_VALUE can not be converted to a " + class
	case jsontext.KindTrue:
		return "TRUE_VALUE can not be converted to a " + class
	case jsontext.KindFalse:
		return "FALSE_VALUE can not be converted to a " + class
	case jsontext.KindBeginObject:
		return "Start of structure or map found where not expected."
	case jsontext.KindBeginArray:
		return "Start of list found where not expected"
	}
	return ""
}

func encodeSensitiveString(e *jsontext.Encoder, s aws.SensitiveString) error {
	return e.WriteToken(jsontext.String(string(s)))
}

func encodeSensitiveBytes(e *jsontext.Encoder, s aws.SensitiveBytes) error {
	b := append(e.AvailableBuffer(), '"')
	b = base64.StdEncoding.AppendEncode(b, s)
	return e.WriteValue(append(b, '"'))
}

func encodeTime(e *jsontext.Encoder, t aws.Time) error {
	return e.WriteValue(t.AppendEpoch(e.AvailableBuffer()))
}

// minTime and maxTime are years 1 and 9999 in epoch seconds, the range that all
// our stores and formats can hold.
const minTime, maxTime = -62135596800, 253402300799

var errTime = errors.New("not a time in epoch seconds")

// decodeTime reads epoch seconds, rounded to the milliseconds that encodeTime
// writes, so that reading what was written gives the same time.
func decodeTime(d *jsontext.Decoder, t *aws.Time) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	if v.Kind() != jsontext.KindNumber {
		return errTime
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f < minTime || f > maxTime {
		return errTime
	}
	t.Time = time.UnixMilli(int64(math.Round(f * 1e3))).UTC()
	return nil
}

// appendErrorJSON renders an error body (spec secretsmanager.md 1.3, kms.md 1).
func appendErrorJSON(b []byte, s *Service, e *aws.Error) []byte {
	b = append(b, `{"__type":`...)
	b = appendQuoted(b, e.Code)
	if !e.Bare && e.Message != "" {
		member := "message"
		if s != nil && !e.Framework {
			member = s.MessageMember
		}
		b = append(b, `,"`...)
		b = append(b, member...)
		b = append(b, `":`...)
		b = appendQuoted(b, e.Message)
	}
	return append(b, '}')
}

// appendQuoted appends s as a JSON string; what is not UTF-8 becomes U+FFFD.
func appendQuoted(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, strings.ToValidUTF8(s, "\uFFFD")) // Valid now, so no error.
	return b
}
