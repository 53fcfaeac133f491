package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// maxRenderDepth bounds recursion. The policies that reach it were parsed
// before, under a bound of their own; this one keeps the function safe alone.
const maxRenderDepth = 64

// Render prints a policy as AWS shows those of resources: two spaces of indent,
// " : " between name and value, lists in one line with their braces, members in
// the order given (recorded: spec kms.md 8.1, secretsmanager.md 7.1).
//
// Each AWS principal is replaced by what principal returns for it; nil leaves
// them all as they are. So a policy is stored with the unique ids of those it
// names and shown with their ARNs (spec iam-policy-evaluation.md 4).
func Render(text string, principal func(PrincipalRef) (string, error)) (string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	r := renderer{in: d, principal: principal}
	if err := r.value(0, 0, ""); err != nil {
		return "", fmt.Errorf("render policy: %w", err)
	}
	return r.out.String(), nil
}

type renderer struct {
	in        *json.Decoder
	out       bytes.Buffer
	principal func(PrincipalRef) (string, error)
}

// value prints the next value. path holds the names of the members around it,
// by which the places where principals stand are known.
func (r *renderer) value(depth, indent int, path string) error {
	if depth > maxRenderDepth {
		return fmt.Errorf("nested deeper than %d levels", maxRenderDepth)
	}
	token, err := r.in.Token()
	if err != nil {
		return err
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return r.object(depth, indent, path)
		}
		return r.array(depth, indent, path)
	case string:
		if r.principal != nil && (path == ".Statement.Principal.AWS" || path == ".Statement.NotPrincipal.AWS") {
			if t, err = r.principal(parsePrincipal("AWS", t)); err != nil {
				return err
			}
		}
		r.out.WriteString(quote(t))
	case json.Number:
		r.out.WriteString(t.String())
	case bool:
		fmt.Fprint(&r.out, t)
	case nil:
		r.out.WriteString("null")
	}
	return nil
}

func (r *renderer) object(depth, indent int, path string) error {
	r.out.WriteByte('{')
	empty := true
	for r.in.More() {
		if !empty {
			r.out.WriteByte(',')
		}
		empty = false
		token, err := r.in.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		r.newline(indent + 1)
		r.out.WriteString(quote(name))
		r.out.WriteString(" : ")
		if err := r.value(depth+1, indent+1, path+"."+name); err != nil {
			return err
		}
	}
	if empty {
		r.out.WriteByte(' ')
	} else {
		r.newline(indent)
	}
	return r.end('}')
}

func (r *renderer) array(depth, indent int, path string) error {
	r.out.WriteByte('[')
	for first := true; r.in.More(); first = false {
		if !first {
			r.out.WriteByte(',')
		}
		r.out.WriteByte(' ')
		if err := r.value(depth+1, indent, path); err != nil {
			return err
		}
	}
	r.out.WriteByte(' ')
	return r.end(']')
}

func (r *renderer) end(brace byte) error {
	token, err := r.in.Token()
	if err != nil {
		return err
	}
	if token != json.Delim(brace) {
		return io.ErrUnexpectedEOF
	}
	r.out.WriteByte(brace)
	return nil
}

func (r *renderer) newline(indent int) {
	r.out.WriteByte('\n')
	for range indent {
		r.out.WriteString("  ")
	}
}

// quote is a JSON string without the escapes that encoding/json adds for HTML.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) // a string always encodes, and a Buffer takes it
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}
