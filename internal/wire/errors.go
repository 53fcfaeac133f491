package wire

import (
	"context"
	"errors"
	"net/http"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/panics"
)

// internalMessage is all a caller learns of a fault on our side; the request id
// beside it leads to the log line (wording unconfirmed).
const internalMessage = "An internal error occurred."

// invalid marks an error that may be answered without a decision.
type invalid struct{ err *aws.Error }

func (e invalid) Error() string { return e.err.Error() }
func (e invalid) Unwrap() error { return e.err }

// Invalid marks err as being about the request alone: nothing was looked up to
// find it, so it may be answered although no decision was made.
func Invalid(err *aws.Error) error { return invalid{err} }

// Internal returns the service's internal error with cause for the log.
func (s *Service) Internal(cause error) *aws.Error {
	return &aws.Error{Code: s.InternalCode, Message: internalMessage, Status: http.StatusInternalServerError, Cause: cause}
}

// unavailable answers a call that could not even begin, or that the database did
// not take. Nothing was done, and SDKs try again after a 503.
func (s *Service) unavailable(cause error) *aws.Error {
	return s.frame("ServiceUnavailableException", "ServiceUnavailable", http.StatusServiceUnavailable,
		"The service is temporarily unavailable.").With(cause)
}

// frame makes an error of the front end, whose code depends on the protocol.
func (s *Service) frame(jsonCode, queryCode string, status int, message string) *aws.Error {
	e := &aws.Error{Code: jsonCode, Message: message, Status: status, Framework: true}
	if s.Protocol == Query {
		e.Code = queryCode
	}
	return e
}

// unknownMessage is the answer to a change whose outcome nobody could find out: the
// caller, and whoever reads the audit record, must look (wording ours).
const unknownMessage = "An internal error occurred, and whether the request took effect is not known. Check before you repeat it."

// shown returns the error that the caller is told for err: err itself if it is an
// *aws.Error, what stands for trouble below, else the service's faceless internal
// one.
func (g *Registry) shown(s *Service, err error) *aws.Error {
	e, ok := errors.AsType[*aws.Error](err)
	if ok && (e.Cause == nil || e.Code != s.InternalCode) {
		return e
	}
	switch g.trouble(err) {
	case Unavailable:
		return s.unavailable(err)
	case Unknown:
		e = s.Internal(err)
		e.Message = unknownMessage
		return e
	}
	if ok {
		return e
	}
	return s.Internal(err)
}

// errUndecided is the bug that settle catches.
var errUndecided = errors.New("operation ended without a permitting decision")

// settle decides what may be answered for an operation that returned err: a
// success needs decisions, all of them permitting; an error needs one, unless it
// is about the request alone. Forgetting to authorise thus fails closed.
func settle(c *Call, err error) error {
	if c.info == nil || c.info.NoAuthorization {
		return err
	}
	if err == nil {
		for _, d := range c.Decisions {
			if !d.Allowed {
				return errUndecided
			}
		}
		if len(c.Decisions) == 0 {
			return errUndecided
		}
		return nil
	}
	e, ok := errors.AsType[*aws.Error](err)
	if !ok || len(c.Decisions) > 0 || e.Framework || e.Code == c.Service.InternalCode {
		return err
	}
	if _, ok := errors.AsType[invalid](err); ok {
		return err
	}
	return errors.Join(errUndecided, errors.New(e.Code))
}

// loud says whether an internal error is our bug rather than an outage.
func loud(err error) bool {
	_, panicked := errors.AsType[*panics.Error](err)
	return panicked || errors.Is(err, errUndecided)
}

// interrupted says whether err only reports that the caller left or time ran out.
func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
