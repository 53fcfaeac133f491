package auth

import (
	"context"

	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

// network returns a condition key about how the request reached us (spec
// network-metering.md A1): those of the private endpoint, or the address on the
// public listener, never both. A call that a service makes on somebody's behalf
// has come through no network, and has none of them; as on AWS, a Deny unless
// aws:SourceVpce therefore meets the calls that services make too, unless it
// tests aws:ViaAWSService.
//
// The certificate of a client has keys in a namespace of our own: AWS has none,
// and a key of AWS's that says something else would mislead.
func (f *facts) network(key string) (v policy.Value, present, known bool) {
	c := f.call
	direct := c.Via == ""
	through := direct && c.Endpoint != nil
	switch key {
	case "aws:sourceip":
		return one(c.Source.String()), direct && !through && c.Source.IsValid(), true
	case "aws:vpcsourceip":
		// Absent on a Unix socket, which has no addresses.
		return one(c.Source.String()), through && c.Source.IsValid(), true
	case "aws:sourcevpce", "aws:sourcevpc", "aws:sourcevpcarn", "aws:vpceaccount":
		if !through {
			return policy.Value{}, false, true
		}
		return one(endpointKey(c.Endpoint, key)), true, true
	case "net:clientcertsubject":
		if !direct || c.ClientCert == nil {
			return policy.Value{}, false, true
		}
		return one(c.ClientCert.Subject), true, true
	case "net:clientcertsan":
		if !direct || c.ClientCert == nil {
			return policy.Value{}, false, true
		}
		return policy.Value{Many: c.ClientCert.SANs, Multi: true}, len(c.ClientCert.SANs) > 0, true
	}
	return policy.Value{}, false, false
}

func endpointKey(e *wire.Endpoint, key string) string {
	switch key {
	case "aws:sourcevpce":
		return e.ID
	case "aws:sourcevpc":
		return e.VPC
	case "aws:sourcevpcarn":
		return e.VPCARN
	}
	return e.Account
}

// endpointPolicy is the policy of the endpoint that a call came through.
func endpointPolicy(c *wire.Call) *policy.Source {
	if c.Endpoint == nil {
		return nil
	}
	return c.Endpoint.Policy
}

// permitted asks the endpoint's policy about a call that needs no permission. AWS
// checks it for every action that passes an endpoint, "also unauthenticated STS
// calls" (spec network-metering.md A1); that sts:GetCallerIdentity, which no IAM
// policy can deny, is among them is unconfirmed.
func (s *Service) permitted(ctx context.Context, id *Identity) error {
	call := wire.CallFrom(ctx)
	if call.Endpoint == nil {
		return nil
	}
	q := &Request{Action: call.Service.Name + ":" + call.Operation, Resource: "*", Shown: "*"}
	e := s.evaluate(call, id, q, policy.Set{Identity: []policy.Source{{ID: "no permission needed", Doc: everything()}}})
	if e.Decision.Allowed() {
		return nil // Not a decision to record: the call would need none elsewhere.
	}
	call.Decide(wire.Decision{Action: q.Action, Resource: q.Resource, Evidence: e})
	return denied(call, e.Decision.Denial(call.Principal.ARN, q.Action, q.Shown))
}
