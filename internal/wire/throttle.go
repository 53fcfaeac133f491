package wire

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
)

// The values of Call.Throttled beside those of Limits.Admit.
const (
	ThrottledInFlight = "in_flight"
	ThrottledQueue    = "queue_time"
	ThrottledBodies   = "bodies"
)

// throttle refuses a request that is one too many. It is counted as one whose
// caller is not known is, and not recorded: a record would cost more than the
// answer, and who asks too often must not fill the disk. Its caller, if known by
// now, is left to the metrics and the log.
func (h *handler) throttle(x *exchange, reason string, wait time.Duration) error {
	err := x.throttled(reason, wait)
	who := x.call.Principal
	x.call.Principal = nil
	h.recorder.Unverified(x.call, err)
	x.call.Principal = who
	return err
}

// throttled is the answer to a request that is one too many (AWS: status 400, as
// for every fault of a client; spec secretsmanager.md 1.3, iam-sts.md 3.2).
func (x *exchange) throttled(reason string, wait time.Duration) *aws.Error {
	x.call.Throttled, x.wait = reason, max(wait, 1)
	e := x.front("ThrottlingException", "Throttling", http.StatusBadRequest)
	e.Message = "Rate exceeded"
	if s := x.call.Service; s != nil && s.Name == "kms" {
		// KMS has a sentence of its own (spec kms.md 10).
		e.Message = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."
	}
	return e
}

var errBodies = errors.New("the bodies of all requests take too much memory")

// accounted counts what is read of a body against Limits.Bodies. The first bytes
// are free: nearly all requests are that small, and so must not suffer from those
// who send large ones.
type accounted struct {
	body io.LimitedReader
	h    *handler
	x    *exchange
	free int64
}

func (r *accounted) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	more := int64(n)
	if r.free > 0 {
		unpaid := min(r.free, more)
		r.free -= unpaid
		more -= unpaid
	}
	if more > 0 {
		r.x.held += more
		if r.h.bodies.Add(more) > r.h.limits.Bodies {
			return 0, errBodies
		}
	}
	return n, err
}
