package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// terminal returns the file behind a stream that is a terminal.
func terminal(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return nil, false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return f, err == nil
}

// promptSecret asks for a line without showing it. The terminal is as before
// when it returns, also when ctx ends it.
func promptSecret(ctx context.Context, tty *os.File, talk io.Writer, prompt string) (string, error) {
	fd := int(tty.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("ask the terminal: %w", err)
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return "", fmt.Errorf("hide input: %w", err)
	}
	defer func() {
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, before) // the terminal may be gone
		fmt.Fprintln(talk)
	}()
	fmt.Fprint(talk, prompt)
	type answer struct {
		line string
		err  error
	}
	// A read from a terminal cannot be interrupted; after a signal it is left to
	// the end of the process.
	answered := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(io.LimitReader(tty, maxValue+2)).ReadString('\n')
		answered <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", errors.New("interrupted")
	case a := <-answered:
		if a.err != nil && (a.err != io.EOF || a.line == "") {
			return "", errors.New("no value was given")
		}
		return strings.TrimRight(a.line, "\r\n"), nil
	}
}
