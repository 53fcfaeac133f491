package aws

import "net/http"

// Error is the only error that reaches a caller of the API. Its code and status
// come from the service models through generated constructors, or from the
// framework errors below; anything else becomes the service's internal error at
// the edge, faceless on purpose.
type Error struct {
	// Code is the exception name on the wire, such as ResourceNotFoundException.
	Code string
	// Message is the sentence for the user. It holds no secret value.
	Message string
	// Status is the HTTP status; 0 means 400.
	Status int
	// Framework marks errors raised in front of the service (validation,
	// signatures, unknown operation): JSON services spell their message member
	// in lower case (spec secretsmanager.md 1.3).
	Framework bool
	// Bare leaves the message member out altogether (spec kms.md 1).
	Bare bool
	// Cause is logged, never sent.
	Cause error
}

// Error returns code and message.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return e.Code + ": " + e.Message
}

// Unwrap returns the internal cause, if any.
func (e *Error) Unwrap() error { return e.Cause }

// HTTPStatus returns the status to answer with.
func (e *Error) HTTPStatus() int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}

// With returns a copy that carries an internal cause for the log.
func (e *Error) With(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}
