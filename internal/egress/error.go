package egress

import (
	"context"
	"errors"
	"net/http"
)

// Class is all that a caller may learn of a failure. A peer that refuses, one
// that is silent and a name that does not exist are one class: told apart, they
// would let a caller map a network that it cannot reach itself.
type Class string

// The classes.
const (
	Unreachable Class = "unreachable" // no such name, no connection, or no whole answer in time
	Refused     Class = "refused"     // this server's own rules forbid the address or the URL
	TLS         Class = "tls"         // no TLS, or a certificate that is not trusted
	Auth        Class = "auth"        // the peer wants other credentials
	TooLarge    Class = "too large"   // the answer is over the bound
	Status      Class = "status"      // an answer, but not the one that was asked for
)

// Error is the only kind of error of this package.
type Error struct {
	Class Class
	// Host is where it was to go, as the caller named it.
	Host string
	// Reason is for the operator: a few words of ours, none of the peer's.
	Reason string
	// Status is the HTTP status of the classes Status and Auth, otherwise 0.
	Status int
	// over is the context's error when the context ended the exchange.
	over error
}

// Error names host, class and reason.
func (e *Error) Error() string {
	s := "connect to " + e.Host + ": " + string(e.Class)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// Unwrap returns context.Canceled or context.DeadlineExceeded where that was the
// end, otherwise nil: errors of the network name addresses, those of TLS and HTTP
// repeat what the peer sent.
func (e *Error) Unwrap() error { return e.over }

// Retryable reports whether the same call may succeed a little later.
func (e *Error) Retryable() bool {
	return e.Class == Unreachable || e.Status == http.StatusTooManyRequests || e.Status >= http.StatusInternalServerError
}

// ClassOf returns the class of an error of this package; "" for any other.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return ""
}

func refused(host, reason string) error {
	return &Error{Class: Refused, Host: host, Reason: reason}
}

// failed is an error of the given class, or the end of the context if that was
// the cause.
func failed(ctx context.Context, class Class, host, reason string) error {
	if over := ctx.Err(); over != nil {
		class, reason = Unreachable, "no answer in time"
		if errors.Is(over, context.Canceled) {
			reason = "given up by the caller"
		}
		return &Error{Class: class, Host: host, Reason: reason, over: over}
	}
	return &Error{Class: class, Host: host, Reason: reason}
}
