package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/panics"
)

// errNoCall is the bug of calling an operation outside any call.
var errNoCall = errors.New("context belongs to no call")

// Invoke performs an operation as the principal of the call in ctx, with a record
// and a decision of its own. in and the answer are JSON whatever the service's
// protocol. An error is an *aws.Error when the caller may be told of it.
func (g *Registry) Invoke(ctx context.Context, service, operation string, in []byte) ([]byte, error) {
	parent := CallFrom(ctx)
	if parent == nil || parent.Principal == nil {
		return nil, errNoCall
	}
	o, err := g.find(service, operation)
	if err != nil {
		return nil, err
	}
	c := g.child(parent, o.service, o.info, operation, parent.Via)
	if parent.Service == nil {
		c.Parent = nil // A face's description of its user, not a call with a record.
	}
	var answer []byte
	err = g.perform(ctx, c, func(ctx context.Context) error {
		buf := getBuffer()
		defer putBuffer(buf)
		out, err := g.operate(ctx, c, o, func(input Validator) *aws.Error {
			return decodeJSON(in, input, defaultBounds)
		})
		if err != nil || out == nil {
			return err
		}
		if err := encodeJSON(buf, out); err != nil {
			return fmt.Errorf("encode answer: %w", err)
		}
		answer = bytes.Clone(buf.Bytes())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// Nested runs fn as a call that one service makes to another on behalf of the
// principal of the call in ctx: operation of service, asked for by via (an event
// source such as "secretsmanager.amazonaws.com"), with input in. The call has a
// record and decisions of its own, found by CallFrom inside fn. Errors of fn come
// back as they are, for the caller to put into its own words; a missing decision,
// a panic or a lost record come back as errors too.
func (g *Registry) Nested(ctx context.Context, service, operation, via string, in any, fn func(context.Context) error) error {
	parent := CallFrom(ctx)
	if parent == nil || parent.Principal == nil {
		return errNoCall
	}
	o, err := g.find(service, operation)
	if err != nil {
		return err
	}
	c := g.child(parent, o.service, o.info, operation, via)
	c.Input = in
	return g.perform(ctx, c, fn)
}

// Background runs fn as a service event: something a service did by itself, such
// as purging a secret, in an account and region. No decision is asked for; calls
// that fn makes are made by the service as principal.
func (g *Registry) Background(ctx context.Context, service, event, account, region string, fn func(context.Context) error) error {
	e := g.services[service]
	if e == nil {
		return fmt.Errorf("no service %s", service)
	}
	c := &Call{
		Start:     g.now(),
		Service:   e.service,
		Operation: event,
		Region:    region,
		EventType: EventServiceEvent,
		Principal: &aws.Principal{Type: aws.PrincipalService, Account: account, Service: e.service.EventSource},
	}
	c.RequestID, c.EventID = newIDs()
	return g.perform(ctx, c, fn)
}

func (g *Registry) child(parent *Call, s *Service, info *OperationInfo, operation, via string) *Call {
	c := &Call{
		Start:     g.now(),
		Service:   s,
		Operation: operation,
		ReadOnly:  info.ReadOnly,
		Region:    parent.Region,
		Principal: parent.Principal,
		Source:    parent.Source,
		UserAgent: parent.UserAgent,
		Referer:   parent.Referer,
		BehalfOf:  parent.BehalfOf,
		TLS:       parent.TLS,
		Listener:  parent.Listener,
		Parent:    parent,
		Via:       via,
		EventType: EventAPICall,
		info:      info,
	}
	if via == "" {
		// What a service calls on somebody's behalf does not pass the caller's
		// endpoint (spec network-metering.md A1).
		c.Endpoint, c.ClientCert, c.SourceName = parent.Endpoint, parent.ClientCert, parent.SourceName
	}
	c.RequestID, c.EventID = newIDs()
	return c
}

// perform runs fn as the call c, whose principal is known: room for the record
// first, then fn, then the question whether a decision was made, then the record.
// It returns nil only if all of it went well.
func (g *Registry) perform(ctx context.Context, c *Call, fn func(context.Context) error) error {
	ctx = NewContext(ctx, c)
	if err := g.recorder.Begin(ctx, c); err != nil {
		c.Err = c.Service.unavailable(fmt.Errorf("reserve room for the record: %w", err))
		g.observe(c, g.shown(c.Service, c.Err).HTTPStatus(), g.now().Sub(c.Start))
		return c.Err
	}
	err := protect(ctx, fn)
	if err = settle(c, err); loud(err) {
		g.complain(ctx, c, err)
	}
	status := http.StatusOK
	if err != nil {
		shown := g.shown(c.Service, err)
		c.Err, status = shown, shown.HTTPStatus()
	}
	// What happened must be recorded although the caller may have left.
	if rerr := g.recorder.Record(context.WithoutCancel(ctx), c); rerr != nil {
		err = c.Service.Internal(errors.Join(fmt.Errorf("record call: %w", rerr), err))
		status = http.StatusInternalServerError
		c.Err = err
	}
	g.observe(c, status, g.now().Sub(c.Start))
	return err
}

// operate decodes and checks the input and runs the operation.
func (g *Registry) operate(ctx context.Context, c *Call, o *bound, decode func(Validator) *aws.Error) (any, error) {
	if c.Input == nil { // An unsigned call's input was read to know its caller.
		if err := readInput(c, o, decode); err != nil {
			return nil, err
		}
	}
	out, err := o.op.run(ctx, c.Input)
	switch {
	case err != nil:
		return nil, err
	case o.info.EmptyBody:
		return nil, nil // Whatever the function made of its empty output type.
	case out == nil:
		return nil, errors.New("operation returned neither output nor error")
	}
	return out, nil
}

// readInput decodes and checks the input into c.Input.
func readInput(c *Call, o *bound, decode func(Validator) *aws.Error) error {
	in := o.op.make()
	if err := decode(in); err != nil {
		return err
	}
	c.Input = in
	v := Validation{echo: c.Service.EchoValues}
	in.Validate(&v)
	if err := v.Err(c.Service); err != nil {
		return err
	}
	return nil
}

// protect runs fn and turns a panic into an error.
func protect(ctx context.Context, fn func(context.Context) error) (err error) {
	defer panics.Catch(&err)
	return fn(ctx)
}

// complain logs what must never happen, apart from the request's own line, so
// that nobody overlooks it.
func (g *Registry) complain(ctx context.Context, c *Call, err error) {
	attrs := []slog.Attr{
		slog.String("request_id", c.RequestID),
		slog.String("service", c.Service.Name),
		slog.String("operation", c.Operation),
		slog.String("error", err.Error()),
	}
	if p, ok := errors.AsType[*panics.Error](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	}
	g.log.LogAttrs(ctx, slog.LevelError, "operation is broken and was refused", attrs...)
}
