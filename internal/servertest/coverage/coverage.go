// Package coverage proves that every way in which an API says no is shown by a
// test, or that somebody wrote down why it is not.
//
// A Table knows the failures of a service: those that its model names for the
// operations that are built, and those of a file of documented errors. Tests
// assert errors through it; when all tests have run, Main compares what they
// raised with what there is and with the file of reasons, and keeps the table in
// the documentation true.
//
// Its one invariant: a row is raised or has a reason, never both and never
// neither. A reason that outlived its cause fails the run like a missing one.
package coverage

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/strongroom/strongroom/internal/wire"
)

// Any is the operation of rows that every operation can raise, such as a missing
// signature.
const Any = "any"

// Row is one way in which an operation fails.
type Row struct {
	// Operation is its name, or Any.
	Operation string
	// Code is the exception's name.
	Code string
	// Condition says what leads to it; "" for a row of the model, which says no
	// more than that the operation knows the error.
	Condition string
	// Message is the sentence, with <placeholders> for what differs; "" for any.
	Message string
	// Evidence says how the row is known: "model", or the word of the file.
	Evidence string

	pattern *regexp.Regexp
	reason  string
	tests   map[string]bool
}

// Table holds the rows of one service. It is safe for concurrent use.
type Table struct {
	service string

	mu   sync.Mutex
	rows []*Row
	// problems are faults of the files, told by Check.
	problems []string
}

// Files names the files that a table is made from; their columns are separated
// by tabs, and the first line is a heading.
type Files struct {
	// Documented holds operation, condition, HTTP status, code, message and
	// evidence of each known error; "" when the service has no such file.
	Documented string
	// Unreached holds operation, code, part of the condition ("" for all) and the
	// reason why no test raises it.
	Unreached string
}

// New returns the table of a service: the documented errors first, then those
// that the model names for each built operation.
func New(api *wire.Service, files Files) *Table {
	t := &Table{service: api.Name}
	for _, f := range t.read(files.Documented, 6) {
		t.rows = append(t.rows, &Row{Operation: f[0], Condition: f[1], Code: f[3], Message: f[4], Evidence: f[5], pattern: pattern(f[4])})
	}
	for i := range api.Operations {
		o := &api.Operations[i]
		if !o.Built {
			continue
		}
		for _, code := range o.Errors {
			t.rows = append(t.rows, &Row{Operation: o.Name, Code: code, Evidence: "model"})
		}
	}
	for _, f := range t.read(files.Unreached, 4) {
		t.excuse(f[0], f[1], f[2], f[3])
	}
	return t
}

// excuse gives the rows it speaks of a reason.
func (t *Table) excuse(operation, code, condition, reason string) {
	found := false
	for _, r := range t.rows {
		if r.Operation == operation && r.Code == code && strings.Contains(r.Condition, condition) {
			found = true
			r.reason = reason
		}
	}
	if !found {
		t.problems = append(t.problems, fmt.Sprintf("%s: %s is excused and is no row (condition %q)", operation, code, condition))
	}
}

var placeholder = regexp.MustCompile(`<[^>]*>`)

// pattern matches the sentences that a message with placeholders stands for.
func pattern(message string) *regexp.Regexp {
	if message == "" {
		return nil
	}
	var b strings.Builder
	at := 0
	for _, hole := range placeholder.FindAllStringIndex(message, -1) {
		b.WriteString(regexp.QuoteMeta(message[at:hole[0]]) + `.+`)
		at = hole[1]
	}
	b.WriteString(regexp.QuoteMeta(message[at:]))
	return regexp.MustCompile(`(?s)\A` + b.String() + `\z`)
}

// Note says that a test saw an operation fail with this code and message. The
// rows of the model follow from operation and code. Of the documented rows the
// first that fits is meant; hint, a part of its condition, picks another.
func (t *Table) Note(tb testing.TB, operation, code, message string, hint ...string) {
	tb.Helper()
	name, _, _ := strings.Cut(tb.Name(), "/")
	t.mu.Lock()
	defer t.mu.Unlock()
	documented := false
	for _, r := range t.rows {
		switch {
		case r.Code != code || r.Operation != operation && r.Operation != Any:
		case r.Evidence == "model":
			r.raisedBy(name)
		case r.pattern != nil && !r.pattern.MatchString(message):
		case len(hint) == 0 && !documented, len(hint) > 0 && strings.Contains(r.Condition, hint[0]):
			documented = true
			r.raisedBy(name)
		}
	}
	if len(hint) > 0 && !documented {
		tb.Errorf("no documented row of %s: %s has %q in its condition and fits the message %q", operation, code, hint[0], message)
	}
}

func (r *Row) raisedBy(test string) {
	if r.tests == nil {
		r.tests = make(map[string]bool)
	}
	r.tests[test] = true
}

// Want asserts that an SDK's call of operation failed with exactly this code and
// message, under the status that the code has, and notes it.
func (t *Table) Want(tb testing.TB, operation string, err error, code, message string, hint ...string) {
	tb.Helper()
	if err == nil {
		tb.Errorf("%s succeeded, want %s: %s", operation, code, message)
		return
	}
	var e smithy.APIError
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &e) || !errors.As(err, &answer) {
		tb.Errorf("%s: %v, want an answer with %s", operation, err, code)
		return
	}
	if e.ErrorCode() != code || e.ErrorMessage() != message {
		tb.Errorf("%s failed with\n     %s: %s\nwant %s: %s", operation, e.ErrorCode(), e.ErrorMessage(), code, message)
		return
	}
	if got, want := answer.HTTPStatusCode(), t.status(code, answer.HTTPStatusCode()); got != want {
		tb.Errorf("%s: %s came with status %d, want %d", operation, code, got, want)
	}
	if answer.Response.Header.Get("x-amzn-RequestId") == "" {
		tb.Errorf("%s: %s came without a request id", operation, code)
	}
	t.Note(tb, operation, code, message, hint...)
}

// jsonStatus says that every client fault of these services is a 400, whatever
// its name (spec secretsmanager.md 1.3, kms.md 1).
var jsonStatus = []string{"secretsmanager", "kms"}

func (t *Table) status(code string, got int) int {
	switch {
	case !slices.Contains(jsonStatus, t.service):
		return got // Query services have a status for each error; their tests know it.
	case strings.HasPrefix(code, "InternalServiceError"), strings.HasSuffix(code, "InternalException"):
		return 500
	}
	return 400
}
