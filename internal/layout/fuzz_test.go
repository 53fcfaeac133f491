package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFuzzTargets: tools/fuzz runs every fuzz target that there is, and none starts
// from nothing.
func TestFuzzTargets(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Fuzz") {
				continue
			}
			want = append(want, f.Name.Name+" ./"+filepath.ToSlash(rel))
			if seeds, err := os.ReadDir(filepath.Join(filepath.Dir(path), "testdata", "fuzz", f.Name.Name)); !adds(f) && (err != nil || len(seeds) == 0) {
				t.Errorf("%s in %s has no seeds: give it some that are accepted, or the fuzzer has to find out what is", f.Name.Name, rel)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(root, "tools", "fuzz"), "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	run := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(want)
	slices.Sort(run)
	if !slices.Equal(want, run) {
		t.Errorf("tools/fuzz runs\n%s\nthere are\n%s", strings.Join(run, "\n"), strings.Join(want, "\n"))
	}
	if len(want) < 30 {
		t.Errorf("only %d targets: the search is broken", len(want))
	}
}

// adds reports whether a target adds seeds.
func adds(f *ast.FuncDecl) (found bool) {
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			if s, ok := c.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Add" {
				found = true
			}
		}
		return true
	})
	return found
}
