package sigv4

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Class is the kind of a failed authentication; each service protocol has its
// own error code for it (spec iam-sts.md 5.2).
type Class uint8

// The classes of failure.
const (
	// MissingToken: the request carries no signature at all.
	MissingToken Class = iota + 1
	// Incomplete: there is a signature, but parts of it are missing or garbled.
	Incomplete
	// UnrecognizedClient: no active key or session answers to the credentials.
	UnrecognizedClient
	// ExpiredToken: the session of the credentials is over.
	ExpiredToken
	// InvalidSignature: the signature is out of date, out of scope or wrong.
	InvalidSignature
)

// Error is a refused signature. Text from the request appears in it only where
// AWS's sentence quotes it.
type Error struct {
	Class Class
	text  string
}

// The refusals that the caller raises itself, after looking the key up, and the
// one that Verify raises. They are shared values: compare with errors.Is.
var (
	// ErrUnrecognizedClient is for unknown, inactive and deleted keys, and for
	// temporary keys without their own session token.
	ErrUnrecognizedClient = &Error{UnrecognizedClient, "The security token included in the request is invalid."}
	// ErrExpiredToken is for sessions past their end.
	ErrExpiredToken = &Error{ExpiredToken, "The security token included in the request is expired"}
	// ErrSignature is for signatures that do not match.
	ErrSignature = &Error{InvalidSignature, "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}
	// ErrMissing is for requests without a signature.
	ErrMissing = &Error{MissingToken, "Missing Authentication Token"}
)

// Error returns the sentence of the JSON services.
func (e *Error) Error() string { return e.text }

// Message returns AWS's sentence. Query services word one of them differently.
func (e *Error) Message(query bool) string {
	if query && e.Class == MissingToken {
		return "Request is missing Authentication Token"
	}
	return e.text
}

// Code returns error code and HTTP status for the JSON services or, with query,
// for the Query services (spec iam-sts.md 5.2, secretsmanager.md 1.5).
func (e *Error) Code(query bool) (code string, status int) {
	if !query {
		switch e.Class {
		case MissingToken:
			return "MissingAuthenticationTokenException", http.StatusBadRequest
		case Incomplete:
			return "IncompleteSignatureException", http.StatusBadRequest
		case UnrecognizedClient:
			return "UnrecognizedClientException", http.StatusBadRequest
		case ExpiredToken:
			return "ExpiredTokenException", http.StatusBadRequest
		}
		return "InvalidSignatureException", http.StatusBadRequest
	}
	switch e.Class {
	case MissingToken:
		return "MissingAuthenticationToken", http.StatusForbidden
	case Incomplete:
		return "IncompleteSignature", http.StatusBadRequest
	case UnrecognizedClient:
		return "InvalidClientTokenId", http.StatusForbidden
	case ExpiredToken:
		return "ExpiredToken", http.StatusForbidden
	}
	return "SignatureDoesNotMatch", http.StatusForbidden
}

func incomplete(text string) *Error { return &Error{Incomplete, text} }

func expired(signed, limit, now time.Time, tolerance string) *Error {
	return &Error{InvalidSignature, "Signature expired: " + stamp(signed) + " is now earlier than " + stamp(limit) +
		" (" + stamp(now) + tolerance + ")"}
}

func notYet(signed, limit, now time.Time, skew time.Duration) *Error {
	return &Error{InvalidSignature, "Signature not yet current: " + stamp(signed) + " is still later than " + stamp(limit) +
		" (" + stamp(now) + " + " + minutes(skew) + ")"}
}

func stamp(t time.Time) string { return t.UTC().Format(isoBasic) }

// minutes writes a tolerance as AWS does: "5 min.".
func minutes(d time.Duration) string {
	return strconv.FormatInt(int64(d/time.Minute), 10) + " min."
}

// quote prepares text of the request for an error: bounded, and valid UTF-8 so
// that both JSON and XML can carry it.
func quote(s string) string {
	const limit = 1024
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// showAuthorization is the header as errors quote it. Only our own algorithm is
// quoted whole: what follows "Bearer" or "Basic" may be somebody's password, and
// errors end up in logs.
func showAuthorization(header string) string {
	scheme, _, _ := strings.Cut(header, " ")
	if scheme != algorithm {
		if len(scheme) == len(header) {
			// Not even a scheme: it may be a bare token.
			return "[redacted]"
		}
		return quote(scheme) + " [redacted]"
	}
	return quote(header)
}
