package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// apiError words the failure of a call: what could not be done, the service's
// own code and message, the request id to look for in audit and log, and what
// usually helps.
func apiError(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	what := "cannot " + verb
	if name != "" {
		what += " " + plain(name)
	}
	var answered *awshttp.ResponseError
	var api smithy.APIError
	if errors.As(err, &api) {
		text := fmt.Sprintf("%s: %s: %s", what, api.ErrorCode(), api.ErrorMessage())
		if errors.As(err, &answered) && answered.RequestID != "" {
			text += " (request id " + answered.RequestID + ")"
		}
		return withHint(errors.New(text), hintFor(api.ErrorCode(), api.ErrorMessage()))
	}
	wrapped := fmt.Errorf("%s: %w", what, shorten(err))
	if hint := connectionHint(err); hint != "" {
		return withHint(wrapped, hint)
	}
	return wrapped
}

// hintFor is the next step after an error of the service; "" when its message
// says enough.
func hintFor(code, message string) string {
	switch code {
	case "AccessDeniedException", "AccessDenied":
		return "the message ends with the kind of policy that denied or is missing; \"strongroom explain REQUEST-ID\" on the server, or \"aws sts decode-authorization-message --encoded-message REQUEST-ID\", shows the decision statement by statement"
	case "ResourceNotFoundException":
		return "\"strongroom secret list\" shows the names; a secret is found in its own region and account only"
	case "ResourceExistsException":
		return "change it with \"strongroom secret put\"; a deleted one keeps its name until it is gone: \"strongroom secret restore\" or \"delete --force\""
	case "InvalidRequestException":
		if strings.Contains(message, "deletion") || strings.Contains(message, "deleted") {
			return "bring it back with \"strongroom secret restore\""
		}
	case "UnrecognizedClientException", "InvalidClientTokenId":
		return "the server does not know this access key: are credentials and endpoint of the same server? \"strongroom env\" prints both"
	case "InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed":
		if strings.Contains(message, "expired") || strings.Contains(message, "not yet current") || strings.Contains(code, "Expired") || strings.Contains(code, "Skewed") {
			return "the clocks of this machine and of the server differ: set them"
		}
		if strings.Contains(message, "valid region") {
			return "the server does not serve this region; \"strongroom status\" shows those it does"
		}
		return "the secret access key is not the one of this access key id, or a proxy changes requests on their way"
	case "ExpiredTokenException", "ExpiredToken":
		return "these credentials have ended; get new ones"
	case "DecryptionFailure", "EncryptionFailure":
		return "look at the state and the policy of the secret's KMS key"
	}
	return ""
}

// connectionHint is the next step when the server did not answer.
func connectionHint(err error) string {
	var verify *tls.CertificateVerificationError
	var name *net.DNSError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: is the server running? \"strongroom status\" tells"
	case errors.As(err, &verify):
		return "this machine does not trust the server's certificate: set AWS_CA_BUNDLE to DATA/tls/ca.pem, as \"strongroom env\" does"
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the server speaks plain HTTP: use http:// in the endpoint"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server hung up: does the endpoint say http:// where it speaks TLS?"
	case errors.As(err, &name):
		return "the name of the endpoint is not known: see --endpoint and AWS_ENDPOINT_URL"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return "the server did not answer in time: see \"strongroom status\" and its log"
	}
	return ""
}

// shorten leaves out what the SDK wraps around the cause.
func shorten(err error) error {
	var operation *net.OpError
	var verify *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.As(err, &verify):
		return verify
	case errors.As(err, &operation):
		return operation
	}
	return err
}
