package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/policy"
)

func newPolicyTest(env *Env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "test FILE…",
		Short: "Run decisions that were written down, as unit tests of policies",
		Long: `Run decisions that were written down: each file is a list in the format of
"strongroom policy --help", and "-" is standard input. Each failure is printed
with its explanation, then a count; the status is 1 when anything fails.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return arguments("FILE")(c, args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, files []string) error {
			var out testRun
			out.Failures = []testFailure{}
			for _, file := range files {
				if err := out.run(env, file); err != nil {
					return fmt.Errorf("cannot run %s: %w", plain(file), err)
				}
			}
			var err error
			if asJSON {
				err = printJSON(env.Stdout, out)
			} else {
				err = out.print(env)
			}
			if err == nil && out.Failed > 0 {
				return errSilent
			}
			return err
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

// testRun is the outcome of all files.
type testRun struct {
	Passed   int           `json:"passed"`
	Failed   int           `json:"failed"`
	Failures []testFailure `json:"failures"`
}

type testFailure struct {
	File        string              `json:"file"`
	Name        string              `json:"name"`
	Want        string              `json:"want,omitempty"`
	Got         string              `json:"got,omitempty"`
	Error       string              `json:"error,omitempty"`
	Explanation *policy.Explanation `json:"explanation,omitempty"`

	text string
}

func (t *testRun) run(env *Env, file string) error {
	r, err := openInput(env, file)
	if err != nil {
		return err
	}
	defer r.Close()
	results, err := policy.RunVectors(r)
	if err != nil {
		return err
	}
	for _, result := range results {
		if result.OK() {
			t.Passed++
			continue
		}
		t.Failed++
		f := testFailure{File: file, Name: result.Name, Want: result.Want, Got: result.Got}
		if result.Err != nil {
			f.Error = result.Err.Error()
		}
		if result.Explanation != nil {
			f.Explanation, f.text = result.Explanation, result.Explanation.String()
		}
		t.Failures = append(t.Failures, f)
	}
	return nil
}

func (t *testRun) print(env *Env) error {
	var b strings.Builder
	for _, f := range t.Failures {
		fmt.Fprintf(&b, "FAIL %s: %s\n", plain(f.File), plain(f.Name))
		if f.Error != "" {
			fmt.Fprintf(&b, "    cannot be run: %s\n\n", plain(f.Error))
			continue
		}
		fmt.Fprintf(&b, "    want %s, got %s\n", plain(f.Want), f.Got)
		for line := range strings.Lines(f.text) {
			if line == "\n" {
				b.WriteString(line)
				continue
			}
			b.WriteString("    " + line)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%d passed, %d failed\n", t.Passed, t.Failed)
	_, err := io.WriteString(env.Stdout, b.String())
	return err
}

// openInput opens a file, or standard input for "-".
func openInput(env *Env, file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(env.Stdin), nil
	}
	return os.Open(file)
}
