package panics

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestCatch(t *testing.T) {
	t.Parallel()
	run := func(f func()) (err error) {
		defer Catch(&err)
		f()
		return nil
	}
	if err := run(func() {}); err != nil {
		t.Error(err)
	}
	var none []int
	err := run(func() { _ = none[len(none)] })
	if err == nil || err.Error() != "panic: runtime error: index out of range [0] with length 0" {
		t.Error(err)
	}
	err = run(func() { panic(errors.New("canary")) })
	if err == nil || err.Error() != "panic: *errors.errorString" {
		t.Error(err)
	}
	// The log shows where it was, and still not the value.
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Error("failed", "error", err)
	if s := b.String(); !strings.Contains(s, "TestCatch") || strings.Contains(s, "canary") {
		t.Error(s)
	}
}
