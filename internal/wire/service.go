package wire

import "time"

// Protocol is how requests and answers of a service are spelled.
type Protocol int

// The protocols.
const (
	// JSON11 is awsJson 1.1: X-Amz-Target and JSON both ways.
	JSON11 Protocol = iota + 1
	// Query is awsQuery: Action and form parameters in, XML out.
	Query
)

// Service describes one AWS service to the dispatcher. It is filled by generated
// code and must not change once registered.
type Service struct {
	// Name is the signing name and the prefix of IAM actions.
	Name string
	// EventSource is the service's name in audit records and as a caller of other
	// services, such as "secretsmanager.amazonaws.com".
	EventSource string
	// APIVersion is the model's date; Query requests carry it as Version.
	APIVersion string
	// TargetPrefix precedes the operation in X-Amz-Target; JSON11 only.
	TargetPrefix string
	// XMLNamespace is the xmlns of answers; Query only.
	XMLNamespace string
	Protocol     Protocol
	// MessageMember is the JSON spelling of the message in modelled errors:
	// "Message" or "message" (spec secretsmanager.md 1.3, kms.md 1).
	MessageMember string
	// EchoValues says whether a constraint failure repeats the offending value:
	// IAM stopped doing so (spec iam-sts.md 1).
	EchoValues bool
	// ValidationCode is ValidationException or ValidationError.
	ValidationCode string
	// InternalCode is the service's own name for a fault on our side.
	InternalCode string
	// ClockSkew is how far a signature's date may be from ours.
	ClockSkew time.Duration
	// Global services accept any configured region in the credential scope.
	Global bool
	// Operations lists every operation of the model, built or not.
	Operations []OperationInfo
}

// OperationInfo is what is known of an operation besides its types.
type OperationInfo struct {
	// Name is the operation, and the eventName of its audit records.
	Name string
	// ReadOnly is the audit record's readOnly.
	ReadOnly bool
	// Built operations have types and must be registered; all others answer as
	// if they did not exist.
	Built bool
	// NoAuthorization operations need a known caller but no permission (spec
	// iam-sts.md 4), so no decision is expected of them.
	NoAuthorization bool
	// EmptyBody operations have no output: JSON services answer with no body at
	// all, Query services without a Result element.
	EmptyBody bool
	// IdempotencyToken is the input member that makes a retry recognisable; "" if
	// there is none.
	IdempotencyToken string
	// Errors are the codes that the model names for the operation.
	Errors []string
}
