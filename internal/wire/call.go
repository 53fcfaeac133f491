package wire

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
)

// The values of Call.EventType (spec audit-events.md 1.2).
const (
	EventAPICall      = "AwsApiCall"
	EventServiceEvent = "AwsServiceEvent"
)

// Call is the record of one call while it runs: who asked for what from where,
// what was decided and how it ended. The dispatcher fills the facts, the
// Authenticator the caller, authorization the decisions, the operation the rest.
//
// A Call belongs to the goroutine that runs the operation; nothing in it is
// locked.
type Call struct {
	// RequestID is the answer's x-amzn-RequestId; for a service event it may name
	// what the event is about (spec secretsmanager.md 14.2).
	RequestID string
	// EventID is the audit record's own id.
	EventID string
	// Start is when the call began, by the registry's clock.
	Start time.Time
	// Service is nil for a request that named no operation we have.
	Service   *Service
	Operation string
	ReadOnly  bool
	Region    string
	// Principal is nil until the caller is authenticated.
	Principal *aws.Principal
	// Source is the peer's address; the zero Addr when there is none. Behind a load
	// balancer that an endpoint trusts it is the address that it speaks for.
	Source netip.Addr
	// SourceName says who is at the other end of a Unix socket, which has no
	// address: "unix:uid=1001".
	SourceName string
	// UserAgent and Referer are what the headers said.
	UserAgent string
	Referer   string
	TLS       TLS
	// Listener is the address that the request arrived at.
	Listener netip.AddrPort
	// Endpoint is the private endpoint that the request came through; nil for the
	// public listener, and for calls that services make.
	Endpoint *Endpoint
	// ClientCert is nil unless the client of an endpoint proved to hold one.
	ClientCert *ClientCert
	// Parent is the call that made this one; nil for a call from outside.
	Parent *Call
	// Via is the event source of the service that called on the principal's
	// behalf, such as "secretsmanager.amazonaws.com"; "" for a direct call.
	Via string
	// BehalfOf is the resource for whose sake a service acts by itself; zero for
	// calls with anybody's rights but the service's own.
	BehalfOf Resource
	// Input is the decoded input, a pointer to a generated type; nil when it
	// could not be decoded. See RequestParameters.
	Input any
	// Proof is what the identification of an unsigned call learned from its input,
	// for the operation.
	Proof any
	// ResponseElements is the audit record's field of that name.
	ResponseElements map[string]any
	// Resources are those the call touched or asked for.
	Resources []Resource
	// Decisions are all authorization decisions, in order.
	Decisions []Decision
	// Err is what the caller was told, nil for success.
	Err error
	// Uninvited says that an unsigned call proved who calls and was denied before it
	// began: it is counted and not recorded.
	Uninvited bool
	// Throttled says which bound refused the call; "" when none did.
	Throttled string
	// EventType is one of the Event constants.
	EventType string
	// Extra is the audit record's additionalEventData.
	Extra map[string]any

	info *OperationInfo

	// Where the first ones lie: most calls have one of each.
	decision [1]Decision
	resource [1]Resource
}

// TLS is what the audit record's tlsDetails shows; zero for plain connections.
type TLS struct{ Version, Cipher, Host string }

// Resource is one that a call touched, as audit records list it.
type Resource struct {
	ARN string
	// Type is such as "AWS::SecretsManager::Secret".
	Type    string
	Account string
}

// Decision is one authorization decision as the dispatcher sees it.
type Decision struct {
	// Action is such as "secretsmanager:GetSecretValue".
	Action string
	// Resource is the ARN decided on, or "*".
	Resource string
	Allowed  bool
	// Evidence explains the decision later as it was made: context keys, policies
	// with their versions, the statement that decided. Authorization puts it
	// here and audit reads it; the dispatcher only carries it.
	Evidence any
}

// Format prints the call's names whatever the verb. Package fmt, asked for a call
// with a verb that does not fit, would print what the input points to and not ask
// sensitive values for their placeholder.
func (c Call) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "call %s %s", c.RequestID, c.Operation)
}

// source says where a call came from, for the log.
func (c *Call) source() string {
	if !c.Source.IsValid() && c.SourceName != "" {
		return c.SourceName
	}
	return c.Source.String()
}

// Decide records an authorization decision.
func (c *Call) Decide(d Decision) {
	if c.Decisions == nil {
		c.Decisions = c.decision[:0]
	}
	c.Decisions = append(c.Decisions, d)
}

// Touch adds a resource to the call's record.
func (c *Call) Touch(r Resource) {
	if c.Resources == nil {
		c.Resources = c.resource[:0]
	}
	c.Resources = append(c.Resources, r)
}

// Facts returns a copy of the call, and of those it was made by, that may be kept
// after they have ended: with all that was known before they began, and without
// input, answer and what was noted meanwhile.
func (c *Call) Facts() *Call {
	kept := *c
	kept.Input, kept.ResponseElements, kept.Extra = nil, nil, nil
	kept.Resources, kept.Decisions, kept.Err = nil, nil, nil
	kept.decision, kept.resource = [1]Decision{}, [1]Resource{}
	if c.Parent != nil {
		kept.Parent = c.Parent.Facts()
	}
	return &kept
}

// Info returns what the model says of the operation; nil for a service event.
func (c *Call) Info() *OperationInfo { return c.info }

// callContext carries a call without the allocation and the chain walk of
// context.WithValue.
type callContext struct {
	context.Context
	call *Call
}

type callKey struct{}

func (c *callContext) Value(key any) any {
	if key == (callKey{}) {
		return c.call
	}
	return c.Context.Value(key)
}

// NewContext returns a context that carries c. The dispatcher calls it for every
// call; a face that authenticates by itself, such as the console, calls it before
// Registry.Invoke with a Call that holds principal, region, source and agent but
// no Service: such a Call is a description, and is never recorded itself.
func NewContext(ctx context.Context, c *Call) context.Context {
	return &callContext{ctx, c}
}

// CallFrom returns the call that ctx belongs to, or nil.
func CallFrom(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}
