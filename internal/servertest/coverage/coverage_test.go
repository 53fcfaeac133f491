package coverage

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/wire"
)

// api is a service with one operation that is built and one that is not.
var api = wire.Service{Name: "toy", Operations: []wire.OperationInfo{
	{Name: "Get", Built: true, Errors: []string{"Missing", "Broken"}},
	{Name: "Put", Errors: []string{"Missing"}},
}}

const documented = "operation\tcondition\tstatus\tcode\tmessage\tevidence\n" +
	"Get\tnot there\t400\tMissing\tNo <name>.\trecorded\n" +
	"Get\tnever was\t400\tMissing\tNo <name>.\trecorded\n" +
	"any\ttoo fast\t400\tSlow\tToo (fast)\treport\n"

// table makes a table of the toy with a file of reasons.
func table(t *testing.T, reasons ...string) *Table {
	t.Helper()
	dir := t.TempDir()
	files := Files{Documented: filepath.Join(dir, "errors.tsv"), Unreached: filepath.Join(dir, "unreached.tsv")}
	for name, text := range map[string]string{files.Documented: documented, files.Unreached: "operation\tcode\tcondition\treason\n" + strings.Join(reasons, "\n")} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return New(&api, files)
}

// left returns what Check complains of, in order.
func left(t *Table) (lines []string) {
	if err := t.Check(); err != nil {
		lines = strings.Split(err.Error(), "\n")
	}
	slices.Sort(lines)
	return lines
}

func TestCheck(t *testing.T) {
	const gone = " is raised by no test and has no reason"
	everything := []string{"Get: Broken" + gone, "Get: Missing" + gone, "Get: Missing (never was)" + gone, "Get: Missing (not there)" + gone, "any: Slow (too fast)" + gone}
	for name, c := range map[string]struct {
		reasons []string
		note    func(*Table)
		want    []string
	}{
		"nothing raised":               {nil, func(*Table) {}, everything},
		"the first row that fits":      {nil, func(x *Table) { x.Note(t, "Get", "Missing", "No thing.") }, []string{everything[0], everything[2], everything[4]}},
		"another by its condition":     {nil, func(x *Table) { x.Note(t, "Get", "Missing", "No thing.", "never") }, []string{everything[0], everything[3], everything[4]}},
		"another message":              {nil, func(x *Table) { x.Note(t, "Get", "Missing", "No thing") }, []string{everything[0], everything[2], everything[3], everything[4]}},
		"a placeholder is not empty":   {nil, func(x *Table) { x.Note(t, "Get", "Missing", "No .") }, []string{everything[0], everything[2], everything[3], everything[4]}},
		"any operation":                {nil, func(x *Table) { x.Note(t, "Put", "Slow", "Too (fast)") }, everything[:4]},
		"of an operation not built":    {nil, func(x *Table) { x.Note(t, "Put", "Missing", "No thing.") }, everything},
		"reasons":                      {[]string{"Get\tBroken\t\tcannot be", "any\tSlow\t\tno limits", "Get\tMissing\tnever\tno past"}, func(x *Table) { x.Note(t, "Get", "Missing", "No thing.") }, nil},
		"one reason for all of a code": {[]string{"Get\tMissing\t\tx"}, func(*Table) {}, []string{everything[0], everything[4]}},
		"a reason for what is raised": {[]string{"any\tSlow\t\tno limits"}, func(x *Table) { x.Note(t, "Put", "Slow", "Too (fast)") },
			append(slices.Clone(everything[:4]), "any: Slow (too fast) is raised by TestCheck, so it needs no reason")},
		"a reason for nothing":  {[]string{"Get\tOdd\t\tx"}, func(*Table) {}, append([]string{`Get: Odd is excused and is no row (condition "")`}, everything...)},
		"a line that is broken": {[]string{"Get\tMissing"}, func(*Table) {}, append(slices.Clone(everything), "unreached.tsv:2: 2 fields, want 4")},
	} {
		t.Run(name, func(t *testing.T) {
			x := table(t, c.reasons...)
			c.note(x)
			got := left(x)
			for i := range got {
				if _, file, ok := strings.Cut(got[i], string(filepath.Separator)+"unreached.tsv"); ok {
					got[i] = "unreached.tsv" + file
				}
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestDocument: what is written is up to date, and a change is noticed.
func TestDocument(t *testing.T) {
	x := table(t, "any\tSlow\t\tno | limits")
	x.Note(t, "Get", "Missing", "No thing.")
	name := filepath.Join(t.TempDir(), "coverage.md")
	if err := x.document(name, false); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the document: %v", err)
	}
	if err := x.document(name, true); err != nil {
		t.Fatal(err)
	}
	if err := x.document(name, false); err != nil {
		t.Errorf("just written: %v", err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 of 5 rows", "| Get | Missing | not there | `No <name>.` | recorded | TestDocument |", `*not raised:* no \| limits`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document lacks %q:\n%s", want, text)
		}
	}
	x.Note(t, "Get", "Broken", "")
	if err := x.document(name, false); err == nil {
		t.Error("a table that changed still matches its document")
	}
}
