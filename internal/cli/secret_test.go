package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/smithy-go"
)

func TestValue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, []byte("line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("c", maxValue)
	for name, c := range map[string]struct {
		value             value
		stdin, text, blob string
		fail              string
	}{
		"a line of echo":                 {stdin: "line\n", text: "line"},
		"a line of Windows":              {stdin: "line\r\n", text: "line"},
		"only one line end is echo's":    {stdin: "a\nb\n\n", text: "a\nb\n"},
		"a lone carriage return is kept": {stdin: "line\r", text: "line\r"},
		"without a line end":             {stdin: "line", text: "line"},
		"--file - keeps every byte":      {value: value{file: "-"}, stdin: "line\n", text: "line\n"},
		"--file keeps every byte":        {value: value{file: file}, text: "line\n"},
		"--binary keeps every byte":      {value: value{binary: true}, stdin: "line\n", blob: "line\n"},
		"not text":                       {stdin: "\xff\n", blob: "\xff\n"},
		"longest":                        {stdin: long + "\n", text: long},
		"longest, of Windows":            {stdin: long + "\r\n", text: long},
		"too long":                       {stdin: long + "c\n", fail: "the value is longer than 65536 bytes"},
		"much too long":                  {stdin: long + long, fail: "the value is longer than 65536 bytes"},
		"empty":                          {stdin: "", fail: "the value is empty"},
		"only a line end":                {stdin: "\n", fail: "the value is empty"},
	} {
		text, blob, err := c.value.read(t.Context(), &Env{Stdin: strings.NewReader(c.stdin)}, "x")
		if c.fail != "" {
			if err == nil || err.Error() != c.fail {
				t.Errorf("%s: got error %v, want %q", name, err, c.fail)
			}
			continue
		}
		if err != nil || deref(text) != c.text || string(blob) != c.blob || (text == nil) == (blob == nil) {
			t.Errorf("%s: got %q, %q, %v", name, deref(text), blob, err)
		}
	}
}

func TestErrorHints(t *testing.T) {
	for _, c := range []struct{ code, message, hint string }{
		{"AccessDeniedException", "User: x is not authorized", "strongroom explain"},
		{"InvalidRequestException", "You provided both", ""},
		{"InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than", "clocks"},
		{"InvalidSignatureException", "Signature not yet current: 20260101T000000Z", "clocks"},
		{"RequestExpired", "Request has expired.", "clocks"},
		{"ExpiredTokenException", "The security token included in the request is expired", "have ended"},
		{"DecryptionFailure", "Secrets Manager can't decrypt", "KMS key"},
		{"ThrottlingException", "Rate exceeded", ""},
	} {
		err := apiError("get secret", "a\nb", &smithy.GenericAPIError{Code: c.code, Message: c.message})
		var h interface{ Hint() string }
		if !errors.As(err, &h) || c.hint == "" && h.Hint() != "" || !strings.Contains(h.Hint(), c.hint) {
			t.Errorf("%s: %v, hint %v", c.code, err, h)
		}
		if want := `cannot get secret "a\nb": ` + c.code + ": " + c.message; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	if err := apiError("get secret", "x", errors.Join(context.Canceled)); err.Error() != "cannot get secret x: interrupted" {
		t.Error(err)
	}
}

// TestCommandsAreComplete: every command says what it does, and those that answer
// can answer in JSON.
func TestCommandsAreComplete(t *testing.T) {
	env := &Env{Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Getenv: func(string) string { return "" }}
	commands := newRoot(env).Commands()
	for len(commands) > 0 {
		c := commands[0]
		commands = append(commands[1:], c.Commands()...)
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || c.Args == nil || c.RunE == nil {
			t.Errorf("%s: short %q, arguments checked %v", c.CommandPath(), c.Short, c.Args != nil)
		}
		// What these print is a contract of the SDKs, or nothing that could be listed.
		silent := slices.Contains([]string{"server", "credential-process", "container-credentials", "set-keys"}, c.Name())
		if !c.HasSubCommands() && !silent && c.Flags().Lookup("json") == nil {
			t.Errorf("%s has no --json", c.CommandPath())
		}
		for line := range strings.Lines(c.Long) {
			if len(line) > 100 {
				t.Errorf("%s: line too long for a terminal: %s", c.CommandPath(), line)
			}
		}
	}
}
