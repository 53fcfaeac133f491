// Package panics turns panics into errors. Its one invariant: of the value of a
// panic only that is told which cannot hold data of a caller.
package panics

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// Error is a panic.
type Error struct {
	// What is the text of a runtime error, which says which line of ours is wrong,
	// and of any other value only its type: it may have been built from a secret.
	What  string
	Stack []byte
}

// Error tells what, without the stack.
func (e *Error) Error() string { return "panic: " + e.What }

// LogValue adds the stack, for those who read the log.
func (e *Error) LogValue() slog.Value {
	return slog.GroupValue(slog.String("text", e.Error()), slog.String("stack", string(e.Stack)))
}

// New makes an Error of what recover returned, in the goroutine that panicked.
func New(p any) *Error {
	what := fmt.Sprintf("%T", p)
	if e, ok := p.(interface {
		error
		RuntimeError()
	}); ok {
		what = e.Error()
	}
	return &Error{what, debug.Stack()}
}

// Catch is deferred by a function whose error err is: a panic becomes that.
func Catch(err *error) {
	if p := recover(); p != nil {
		*err = New(p)
	}
}
