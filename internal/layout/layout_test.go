// Package layout holds no code: its test is the map of the tree. It fails when a
// package imports upwards, or a slice another slice.
package layout

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/strongroom/strongroom/"

// layers from the bottom up; imports point downwards, or sideways only where
// sideways says so. A package below a listed one belongs to its layer.
var layers = [][]string{
	{"internal/aws", "internal/panics", "internal/memory", "internal/sigv4", "internal/policy", "internal/catalog", "internal/policylint"},                                            // values
	{"internal/store", "internal/wire", "internal/seal", "internal/keyring", "internal/jobs", "internal/ca", "internal/config", "internal/egress", "internal/oidc", "internal/limit"}, // machinery
	{"internal/auth", "internal/audit", "internal/backup", "internal/ship", "internal/denial", "internal/endpoint"},                                                                   // shared duties
	{"internal/iam", "internal/sts", "internal/kms", "internal/secretsmanager"},                                                                                                       // slices
	{"internal/server"},
	{"internal/cli"},
	{"cmd"},
}

// sideways are the imports inside a layer that the design knows of.
var sideways = map[string][]string{
	"internal/policylint": {"internal/policy", "internal/catalog"},
	"internal/seal":       {"internal/keyring/envelope"},
	"internal/keyring":    {"internal/seal", "internal/store", "internal/keyring/envelope"},
	"internal/jobs":       {"internal/store"},
	"internal/denial":     {"internal/auth"},
	"internal/ship":       {"internal/backup"},
}

// pure packages import the standard library only (and themselves).
var pure = []string{"internal/policy", "internal/sigv4", "internal/catalog"}

// outside are not part of the product: tests and tools may import anything.
var outside = []string{"internal/servertest", "internal/pgtest", "internal/layout", "internal/gen", "test", "tools"}

func TestImportsPointDownwards(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for pkg, imports := range packages(t, root) {
		if under(pkg, outside) != "" {
			continue
		}
		layer, home := layerOf(pkg)
		if layer < 0 {
			t.Errorf("%s is on no layer: add it to the map", pkg)
			continue
		}
		for _, imp := range imports {
			if p := under(pkg, pure); p != "" && strings.Contains(imp, ".") && under(strings.TrimPrefix(imp, module), []string{p}) == "" {
				t.Errorf("%s is pure and imports %s", pkg, imp)
			}
			other, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			if under(other, outside) != "" {
				t.Errorf("%s imports %s, which is for tests and tools", pkg, other)
				continue
			}
			l, otherHome := layerOf(other)
			switch {
			case l > layer:
				t.Errorf("%s imports upwards: %s", pkg, other)
			case l == layer && otherHome != home && under(other, sideways[home]) == "":
				t.Errorf("%s imports sideways: %s", pkg, other)
			}
		}
	}
}

// TestPolicyReferenceStaysApart: the engine and its oracle must not know each
// other, or they could share a mistake.
func TestPolicyReferenceStaysApart(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for pkg, imports := range packages(t, root) {
		for _, imp := range imports {
			if pkg == "internal/policy" && strings.Contains(imp, "policy/") || pkg == "internal/policy/reference" && strings.HasPrefix(imp, module) {
				t.Errorf("%s imports %s", pkg, imp)
			}
		}
	}
}

func layerOf(pkg string) (int, string) {
	for i, layer := range layers {
		if home := under(pkg, layer); home != "" {
			return i, home
		}
	}
	return -1, ""
}

// under returns which of roots pkg is or lies below.
func under(pkg string, roots []string) string {
	for _, r := range roots {
		if pkg == r || strings.HasPrefix(pkg, r+"/") {
			return r
		}
	}
	return ""
}

// packages maps each package to the imports of its files that are not tests.
func packages(t *testing.T, root string) map[string][]string {
	out := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "conformance" || name == "strongroom-data") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !slices.Contains(out[dir], imp) {
				out[dir] = append(out[dir], imp)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
