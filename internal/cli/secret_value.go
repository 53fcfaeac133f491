package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// maxValue is the longest value that Secrets Manager takes, in bytes (spec
// secretsmanager.md 2.3).
const maxValue = 65536

// value says where a secret's value comes from.
type value struct {
	file   string
	binary bool
}

const valueHelp = `
The value is read from standard input, from --file, or asked for when standard
input is a terminal. One line end at the end of standard input is dropped, as
"echo" adds one; --file keeps every byte ("--file -" does so for standard input).
What is not UTF-8 text is stored as binary.`

func valueFlags(c *cobra.Command) *value {
	v := &value{}
	c.Flags().StringVar(&v.file, "file", "", "read the value from `FILE`, byte for byte; \"-\" is standard input")
	c.Flags().BoolVar(&v.binary, "binary", false, "store the value as binary even if it is text")
	_ = c.MarkFlagFilename("file") // fails only for a flag that does not exist
	return v
}

// noValueArgument is arguments("NAME") that knows the usual mistake.
func noValueArgument(c *cobra.Command, args []string) error {
	if len(args) <= 1 {
		return arguments("NAME")(c, args)
	}
	return usageError{withHint(fmt.Errorf("%s takes NAME only, never the value", c.CommandPath()),
		"other users and the shell's history see arguments: change that value, and give the new one on standard input, with --file or at the prompt")}
}

// read returns the value as text or as binary, the other nil.
func (v *value) read(ctx context.Context, env *Env, name string) (text *string, blob []byte, err error) {
	b, err := v.bytes(ctx, env, name)
	switch {
	case err != nil:
		return nil, nil, err
	case len(b) == 0:
		return nil, nil, errors.New("the value is empty")
	case len(b) > maxValue:
		return nil, nil, fmt.Errorf("the value is longer than %d bytes", maxValue)
	case v.binary || !utf8.Valid(b):
		return nil, b, nil
	}
	s := string(b)
	return &s, nil, nil
}

func (v *value) bytes(ctx context.Context, env *Env, name string) ([]byte, error) {
	tty, interactive := terminal(env.Stdin)
	switch {
	case v.file != "" && v.file != "-":
		f, err := os.Open(v.file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readBounded(f)
	case interactive && v.file == "-":
		return nil, withHint(errors.New("--file - would show the value on the terminal"), "leave --file out to be asked without echo, or redirect standard input")
	case interactive:
		return ask(ctx, tty, env, name)
	}
	b, err := readBounded(env.Stdin)
	if err != nil || v.file == "-" || v.binary || !utf8.Valid(b) {
		return b, err
	}
	if line, ok := bytes.CutSuffix(b, []byte("\r\n")); ok {
		return line, nil
	}
	return bytes.TrimSuffix(b, []byte("\n")), nil
}

// readBounded reads two bytes more than a value may have: a line end that will
// be dropped does not make it too long.
func readBounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxValue+3))
	if err != nil {
		return nil, fmt.Errorf("read the value: %w", err)
	}
	return b, nil
}

// ask prompts twice, since nobody sees a slip of the hand.
func ask(ctx context.Context, tty *os.File, env *Env, name string) ([]byte, error) {
	first, err := promptSecret(ctx, tty, env.Stderr, "Value of "+plain(name)+" (not shown): ")
	if err != nil {
		return nil, err
	}
	second, err := promptSecret(ctx, tty, env.Stderr, "Once more: ")
	if err != nil {
		return nil, err
	}
	if first != second {
		return nil, errors.New("the two values differ; nothing was changed")
	}
	return []byte(first), nil
}
