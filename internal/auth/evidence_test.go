package auth

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// globalKeys names exactly the keys that facts answers for of every request.
func TestGlobalKeysAreListed(t *testing.T) {
	var answered []string
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			// The methods of facts, which answer for keys.
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name != "resourceTag" {
				if star, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok && star.X.(*ast.Ident).Name == "facts" {
					answered = append(answered, cases(f)...)
				}
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
