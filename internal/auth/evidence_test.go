package auth

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// globalKeys names exactly the keys that global and network answer for.
func TestGlobalKeysAreListed(t *testing.T) {
	var answered []string
	for _, name := range []string{"context.go", "endpoint.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && (f.Name.Name == "global" || f.Name.Name == "network") {
				answered = append(answered, cases(f)...)
			}
		}
	}
	var listed []string
	for _, key := range globalKeys {
		listed = append(listed, strings.ToLower(key))
	}
	slices.Sort(answered)
	slices.Sort(listed)
	if !slices.Equal(answered, listed) {
		t.Errorf("global answers for %q, listed are %q", answered, listed)
	}
}

// cases are the strings that the switches of a function tell apart.
func cases(f *ast.FuncDecl) (out []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		if c, ok := n.(*ast.CaseClause); ok {
			for _, x := range c.List {
				if lit, ok := x.(*ast.BasicLit); ok {
					key, _ := strconv.Unquote(lit.Value)
					out = append(out, key)
				}
			}
		}
		return true
	})
	return out
}
