package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pty opens a pseudo-terminal: what a person types and sees, and the program's
// end of it.
func pty(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// talk answers each prompt with the next line.
type talk struct {
	mu     sync.Mutex
	said   bytes.Buffer
	person *os.File
	lines  []string
}

func (c *talk) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.HasSuffix(string(p), ": ") && len(c.lines) > 0 {
		if _, err := c.person.WriteString(c.lines[0]); err != nil {
			return 0, err
		}
		c.lines = c.lines[1:]
	}
	return c.said.Write(p)
}

// seen is what the terminal showed: what the program wrote to it, and the echo
// of what was typed.
func seen(t *testing.T, person, program *os.File) string {
	t.Helper()
	if _, err := program.WriteString("END"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n := 0
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && !bytes.HasSuffix(b[:n], []byte("END")); {
		more, err := person.Read(b[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += more
	}
	return string(b[:n])
}

func TestPrompt(t *testing.T) {
	for name, c := range map[string]struct {
		lines      []string
		want, fail string
	}{
		"twice the same":   {lines: []string{"canary\n", "canary\n"}, want: "canary"},
		"spaces are kept":  {lines: []string{" can ary \n", " can ary \n"}, want: " can ary "},
		"a slip":           {lines: []string{"canary\n", "canaru\n"}, fail: "the two values differ; nothing was changed"},
		"nothing":          {lines: []string{"\n", "\n"}, fail: "the value is empty"},
		"end of the input": {lines: []string{"\x04"}, fail: "no value was given"},
	} {
		t.Run(name, func(t *testing.T) {
			person, program := pty(t)
			out := &talk{person: person, lines: c.lines}
			text, blob, err := (&value{}).read(t.Context(), &Env{Stdin: program, Stderr: out}, "prod/db")
			if c.fail != "" {
				if err == nil || err.Error() != c.fail {
					t.Errorf("got error %v, want %q", err, c.fail)
				}
			} else if err != nil || text == nil || *text != c.want || blob != nil {
				t.Errorf("got %v, %v, %v, want %q", text, blob, err, c.want)
			}
			if said := out.said.String(); !strings.HasPrefix(said, "Value of prod/db (not shown): \n") || strings.Contains(said, "canar") {
				t.Errorf("said %q", said)
			}
			if s := seen(t, person, program); strings.Contains(s, "canar") {
				t.Errorf("the terminal showed %q", s)
			}
			if !echoes(t, program) {
				t.Error("the terminal is left without echo")
			}
		})
	}
}

// TestPromptInterrupted: a signal in the middle of a prompt leaves the terminal
// as it was.
func TestPromptInterrupted(t *testing.T) {
	_, program := pty(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, _, err := (&value{}).read(ctx, &Env{Stdin: program, Stderr: &bytes.Buffer{}}, "x")
	if err == nil || err.Error() != "interrupted" {
		t.Errorf("got %v", err)
	}
	if !echoes(t, program) {
		t.Error("the terminal is left without echo")
	}
}

func TestValueToTerminal(t *testing.T) {
	person, program := pty(t)
	env := &Env{Stdout: program, Stdin: program}
	if err := writeValue(env, "", []byte("canary"), true); err != nil {
		t.Fatal(err)
	}
	err := writeValue(env, "", []byte("\x1b[2J"), false)
	var hint interface{ Hint() string }
	if err == nil || !strings.Contains(err.Error(), "binary") || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "--output") {
		t.Errorf("binary: got %v", err)
	}
	if s := seen(t, person, program); s != "canary\r\nEND" {
		t.Errorf("the terminal showed %q", s)
	}
	if _, _, err := (&value{file: "-"}).read(t.Context(), env, "x"); err == nil || !strings.Contains(err.Error(), "show the value") {
		t.Errorf("--file - on a terminal: got %v", err)
	}
}

// TestOutputFile: neither an old mode nor an open descriptor sees the value, and
// nothing is left behind when it cannot be written.
func TestOutputFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := writePrivate(path, []byte("canary")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	if n, _ := old.Read(b); string(b[:n]) != "old" {
		t.Errorf("an open descriptor reads %q", b[:n])
	}
	if err := writePrivate(filepath.Join(dir, "missing", "out"), []byte("canary")); err == nil {
		t.Error("written into a directory that is not there")
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}
