package wire

import (
	"context"
	"crypto/tls"
	"net/http"
	"slices"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
)

// Endpoint is a private endpoint as it is in force for one request. It is shared
// and must not be changed.
type Endpoint struct {
	// ID, VPC and Account are aws:SourceVpce, aws:SourceVpc and aws:VpceAccount.
	ID, VPC, Account string
	// VPCARN is aws:SourceVpcArn.
	VPCARN string
	// Policy must allow what goes through the endpoint; never nil.
	Policy *policy.Source
	// Services are the names of those it leads to; none means all.
	Services []string
}

// Serves reports whether the endpoint leads to a service.
func (e *Endpoint) Serves(service string) bool {
	return len(e.Services) == 0 || slices.Contains(e.Services, service)
}

// ClientCert is what is known of the certificate that a client proved to hold. It
// says which machine calls; who calls is the signature's to say.
type ClientCert struct {
	// Subject is the distinguished name in the form of RFC 2253.
	Subject string
	// SANs are the alternative names, each with its kind: "DNS:host", "URI:…",
	// "IP:…", "email:…". Without the kind one could pass for another.
	SANs []string
}

// Door belongs to a connection that was accepted at a private endpoint, or at a
// public listener that asks for certificates.
type Door interface {
	// Enter is asked for each request. It fills what the listener knows of the
	// call as it is in force now: Endpoint, Source, SourceName, ClientCert. It
	// returns what to tell a connection that would not be accepted any more, and ""
	// for all others.
	Enter(c *Call, state *tls.ConnectionState) (refusal string)
}

type doorKey struct{}

// WithDoor marks the context of a connection as one of an endpoint: for
// http.Server's ConnContext.
func WithDoor(ctx context.Context, d Door) context.Context {
	return context.WithValue(ctx, doorKey{}, d)
}

// enter lets a request in through the door of its connection, if it has one.
func (x *exchange) enter(r *http.Request) {
	if d, ok := r.Context().Value(doorKey{}).(Door); ok {
		x.shut = d.Enter(x.call, r.TLS)
	}
}

// passed refuses what the endpoint that a request came through does not lead to.
// AWS has an endpoint for each service and so no answer to copy: what the network
// would refuse there is refused here as the services refuse, with status 403.
func (x *exchange) passed() error {
	e := x.call.Endpoint
	if e == nil && x.shut == "" {
		return nil
	}
	s := x.call.Service
	switch {
	case x.shut != "":
		return x.denied(x.shut)
	case s != nil && !e.Serves(s.Name):
		return x.denied("The private endpoint " + e.ID + " does not lead to " + s.Name + ".")
	}
	return nil
}

func (x *exchange) denied(message string) *aws.Error {
	e := x.front("AccessDeniedException", "AccessDenied", http.StatusForbidden)
	e.Message = message
	return e
}
