package workload

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// facts are the state of an object: what is true of it, by name. An object that
// does not exist has none.
type facts map[string]string

// has says whether there is a fact, or, of names that end with a dot, any below
// it.
func (f facts) has(name string) bool {
	if strings.HasSuffix(name, ".") {
		return len(f.below(name)) > 0
	}
	_, ok := f[name]
	return ok
}

// lacks says that none of the names is there.
func (f facts) lacks(names ...string) bool { return !slices.ContainsFunc(names, f.has) }

// below are the rests of the names that begin with prefix, in order.
func (f facts) below(prefix string) []string {
	var out []string
	for name := range f {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			out = append(out, rest)
		}
	}
	slices.Sort(out)
	return out
}

// drop removes all facts whose names begin with prefix.
func (f facts) drop(prefix string) {
	maps.DeleteFunc(f, func(name, _ string) bool { return strings.HasPrefix(name, prefix) })
}

// unnamed stands in a name for an id that the server chooses and that an answer
// has not told.
const unnamed = "?"

// name puts a server's id in the place that waits for it.
func (f facts) name(id string) {
	for name, value := range maps.Clone(f) {
		if strings.HasSuffix(name, "."+unnamed) {
			delete(f, name)
			f[strings.TrimSuffix(name, unnamed)+id] = value
		} else if value == unnamed {
			f[name] = id
		}
	}
}

// differences are the facts that are not the same in both, "" for none.
func differences(want, got facts) string {
	var out []string
	names := maps.Clone(want)
	maps.Copy(names, got)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		w, wanted := want[name]
		g, there := got[name]
		switch {
		case !wanted:
			out = append(out, fmt.Sprintf("%s is %q, want none", name, g))
		case !there:
			out = append(out, fmt.Sprintf("%s is gone, want %q", name, w))
		case w != g:
			out = append(out, fmt.Sprintf("%s is %q, want %q", name, g, w))
		}
	}
	return strings.Join(out, "; ")
}
