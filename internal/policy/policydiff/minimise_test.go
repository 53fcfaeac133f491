package policydiff

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/policy/reference"
)

// minimise takes away whatever can go while fails still holds: policies,
// statements, elements, conditions, values, context keys, tags.
func minimise(v reference.Vector, fails func(reference.Vector) bool) reference.Vector {
	for again := true; again; {
		again = false
		// The largest pieces first: a policy gone spares looking into it.
		for _, path := range paths(tree(v), nil) {
			if w, ok := without(v, path); ok && fails(w) {
				v, again = w, true
				break
			}
		}
	}
	return v
}

// tree is a vector as JSON values. Numbers keep their text.
func tree(v reference.Vector) any {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var root any
	if dec.Decode(&root) != nil {
		return nil
	}
	return root
}

// paths lists the places of all members and elements, outer ones first. Keys
// are strings, positions ints.
func paths(node any, at []any) [][]any {
	var here, below [][]any
	child := func(key, value any) {
		path := append(slices.Clone(at), key)
		here = append(here, path)
		below = append(below, paths(value, path)...)
	}
	switch n := node.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(n)) {
			child(key, n[key])
		}
	case []any:
		for i, value := range n {
			child(i, value)
		}
	}
	return append(here, below...)
}

// without returns the vector without what stands at path. It fails when that
// cannot be missed: the question itself, or part of a policy whose text, with a
// member twice, does not survive decoding.
func without(v reference.Vector, path []any) (reference.Vector, bool) {
	if path[0] == "request" && (len(path) < 3 || path[1] != "context" && (path[1] != "principal" || path[2] != "tags")) {
		return v, false
	}
	root := remove(tree(v), path)
	text, err := json.Marshal(root)
	if err != nil {
		return v, false
	}
	var w reference.Vector
	if err := json.Unmarshal(text, &w); err != nil {
		return v, false
	}
	return w, size(w) < size(v) // or an absent member could go again and again
}

func size(v reference.Vector) int {
	text, err := json.Marshal(v)
	if err != nil {
		return 0
	}
	return len(text)
}

func remove(node any, path []any) any {
	key, last := path[0], len(path) == 1
	switch n := node.(type) {
	case map[string]any:
		name := key.(string)
		if last {
			delete(n, name)
			return n
		}
		n[name] = remove(n[name], path[1:])
	case []any:
		i := key.(int)
		if last {
			return slices.Delete(n, i, i+1)
		}
		n[i] = remove(n[i], path[1:])
	}
	return node
}

func TestMinimise(t *testing.T) {
	var v reference.Vector
	err := json.Unmarshal([]byte(`{"identity":[
		{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Action":["x:y","x:*"],"Resource":"*",
			"Condition":{"NumericLessThan":{"a:b":[1,2.50],"c:d":"5"},"Bool":{"e:f":true}}},{"Effect":"Deny","Action":"*","Resource":"*"}]},
		{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}],
		"boundary":{"Statement":[]},
		"request":{"principal":{"type":"User","account":"111122223333","tags":{"k":"v"}},"action":"x:y","resource":"*","context":{"a:b":"1","g:h":["i"]}}}`), &v)
	if err != nil {
		t.Fatal(err)
	}
	small := minimise(v, func(w reference.Vector) bool {
		text, err := json.Marshal(w)
		return err == nil && strings.Contains(string(text), "2.50") && strings.Contains(string(text), `"a:b":"1"`)
	})
	got, err := json.Marshal(small)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"","identity":[{"Statement":[{"Condition":{"NumericLessThan":{"a:b":[2.50]}}}]}],"resource":null,"boundary":null,"session":null,` +
		`"request":{"principal":{"type":"User","account":"111122223333"},"action":"x:y","resource":"*","context":{"a:b":"1"}},"expect":""}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
