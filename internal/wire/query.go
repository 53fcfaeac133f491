package wire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/strongroom/strongroom/internal/aws"
)

// maxSegments bounds the dotted parts of a parameter's name. The deepest modelled
// name has seven.
const maxSegments = 32

// form is a parsed parameter list. Names are unique: of two values under one name
// a proxy might see the one and we the other.
type form map[string]string

// errForm describes a malformed parameter list; it quotes nothing of it.
var errForm = errors.New("malformed parameters")

// add parses URL-encoded text into f. In all, f may hold limit parameters.
func (f form) add(text string, limit int) error {
	for text != "" {
		var pair string
		pair, text, _ = strings.Cut(text, "&")
		if pair == "" {
			continue
		}
		if len(f) >= limit {
			return fmt.Errorf("%w: more than %d", errForm, limit)
		}
		k, v, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(k)
		if err != nil {
			return fmt.Errorf("%w: bad escape in a name", errForm)
		}
		value, err := url.QueryUnescape(v)
		if err != nil {
			return fmt.Errorf("%w: bad escape in a value", errForm)
		}
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return fmt.Errorf("%w: not UTF-8", errForm)
		}
		if _, twice := f[name]; twice {
			return fmt.Errorf("%w: a name occurs twice", errForm)
		}
		f[name] = value
	}
	return nil
}

// malformedQuery answers a parameter list that cannot be read (AWS common
// errors; the status is the documented one).
func malformedQuery(cause error) *aws.Error {
	return &aws.Error{Code: "MalformedQueryString", Message: "The query string contains a syntax error.",
		Status: http.StatusNotFound, Framework: true, Cause: cause}
}

// malformedInput answers parameters that do not fit the operation's input
// (general behaviour of Query services, unconfirmed for IAM and STS).
func malformedInput(why string) *aws.Error {
	return &aws.Error{Code: "MalformedInput", Status: http.StatusBadRequest, Framework: true, Cause: errors.New(why)}
}

// node is a parameter name split at its dots, shared prefixes joined. The nodes
// are as many as the text has segments, so an index like member.1000000000 costs
// one node, not a list of that length.
type node struct {
	value    *string
	children map[string]*node
}

func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	return n.children[name]
}

func (f form) tree() (*node, error) {
	root := &node{}
	for name, value := range f {
		if strings.Count(name, ".") >= maxSegments {
			return nil, fmt.Errorf("%w: name too deep", errForm)
		}
		n := root
		for part := range strings.SplitSeq(name, ".") {
			next := n.children[part]
			if next == nil {
				if n.children == nil {
					n.children = make(map[string]*node)
				}
				next = &node{}
				n.children[part] = next
			}
			n = next
		}
		n.value = &value
	}
	return root, nil
}

// decodeQuery reads parameters into in, whose lists may have elements items. Those
// the input does not have are ignored.
func decodeQuery(f form, in any, elements int) *aws.Error {
	root, err := f.tree()
	if err != nil {
		return malformedQuery(err)
	}
	if err := querySetter(elements).setStruct(reflect.ValueOf(in).Elem(), root); err != nil {
		return malformedInput(err.Error())
	}
	return nil
}

// querySetter sets the members of an input; it is how long a list may be.
type querySetter int

func (q querySetter) setStruct(v reflect.Value, n *node) error {
	for _, m := range shapeOf(v.Type()).members {
		if c := n.child(m.name); c != nil {
			if err := q.setValue(v.Field(m.index), c); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return nil
}

var (
	errNotScalar = errors.New("parts where a value is expected")
	errNotGroup  = errors.New("a value where parts are expected")
	errIndex     = errors.New("bad list index")
	errLong      = errors.New("too long a list")
	errValue     = errors.New("value of the wrong type")
)

func (q querySetter) setValue(v reflect.Value, n *node) error {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		if err := q.setValue(p.Elem(), n); err != nil {
			return err
		}
		v.Set(p)
		return nil
	case t.Kind() == reflect.Struct && t != timeType:
		if n.value != nil {
			return errNotGroup
		}
		return q.setStruct(v, n)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return q.setList(v, n)
	case t.Kind() == reflect.Map:
		return q.setMap(v, n)
	}
	if n.value == nil || n.children != nil {
		return errNotScalar
	}
	return setScalar(v, *n.value)
}

// items returns the children of n.part in the order of their 1-based indices.
// Gaps close up. An empty value, as SDKs send for an empty list, has no items.
func items(n *node, part string, most int) ([]*node, error) {
	if n.value != nil {
		if *n.value != "" || n.children != nil {
			return nil, errNotGroup
		}
		return nil, nil
	}
	type item struct {
		index int
		node  *node
	}
	group := n.child(part)
	if group == nil || group.value != nil {
		return nil, errNotGroup
	}
	if len(group.children) > most {
		return nil, errLong
	}
	list := make([]item, 0, len(group.children))
	for text, c := range group.children {
		i, err := strconv.ParseInt(text, 10, 32)
		// One spelling for each index: "01" and "+1" would be a second item 1.
		if err != nil || i < 1 || strconv.FormatInt(i, 10) != text {
			return nil, errIndex
		}
		list = append(list, item{int(i), c})
	}
	slices.SortFunc(list, func(a, b item) int { return a.index - b.index })
	nodes := make([]*node, len(list))
	for i := range list {
		nodes[i] = list[i].node
	}
	return nodes, nil
}

func (q querySetter) setList(v reflect.Value, n *node) error {
	nodes, err := items(n, "member", int(q))
	if err != nil {
		return err
	}
	list := reflect.MakeSlice(v.Type(), len(nodes), len(nodes))
	for i, c := range nodes {
		if err := q.setValue(list.Index(i), c); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

func (q querySetter) setMap(v reflect.Value, n *node) error {
	nodes, err := items(n, "entry", int(q))
	if err != nil {
		return err
	}
	t := v.Type()
	m := reflect.MakeMapWithSize(t, len(nodes))
	for _, c := range nodes {
		kn, vn := c.child("key"), c.child("value")
		if kn == nil || vn == nil {
			return errNotGroup
		}
		key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		if err := q.setValue(key, kn); err != nil {
			return err
		}
		if err := q.setValue(value, vn); err != nil {
			return err
		}
		if m.MapIndex(key).IsValid() {
			return errValue // Twice the same key, as in form.add.
		}
		m.SetMapIndex(key, value)
	}
	v.Set(m)
	return nil
}

func setScalar(v reflect.Value, s string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
		return nil
	case reflect.Bool:
		if s != "true" && s != "false" {
			return errValue
		}
		v.SetBool(s == "true")
		return nil
	case reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if err != nil {
			return errValue
		}
		v.SetInt(i)
		return nil
	case reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return errValue
		}
		v.SetFloat(f)
		return nil
	case reflect.Slice:
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil {
			return errValue
		}
		v.SetBytes(b)
		return nil
	case reflect.Struct:
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return errValue
		}
		v.Set(reflect.ValueOf(aws.Time{Time: t.UTC()}))
		return nil
	}
	return errValue
}
