package wire

import "context"

// Validator is an input that knows its constraints; generated inputs do.
type Validator interface{ Validate(*Validation) }

// Operation is a typed function ready for a Registry.
type Operation struct {
	name string
	make func() Validator
	run  func(ctx context.Context, in any) (any, error)
	// identify is set for operations that are called without a signature: it says
	// from the input who calls.
	identify func(ctx context.Context, in any) error
}

// Op makes an Operation from the function that performs it. The function is
// called with a decoded, checked input, and with a context whose call names the
// principal. It must record its decision before it returns anything.
func Op[In, Out any, P interface {
	*In
	Validator
}](name string, fn func(context.Context, *In) (*Out, error)) Operation {
	return Operation{
		name: name,
		make: func() Validator { return P(new(In)) },
		run: func(ctx context.Context, in any) (any, error) {
			out, err := fn(ctx, (*In)(in.(P)))
			if err != nil || out == nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// UnsignedOp makes an Operation that anybody may call without a signature, because
// its input proves who calls: identify verifies that proof and fills Principal and
// Region of the call in its context. Where anybody can have such a proof, identify
// decides as well whether its holder is let in, and notes that decision. A request
// that it refuses, or whose input does not fit the model, is counted like one with a
// bad signature and not recorded, so that strangers cannot fill the disk.
func UnsignedOp[In, Out any, P interface {
	*In
	Validator
}](name string, identify func(context.Context, *In) error, fn func(context.Context, *In) (*Out, error)) Operation {
	o := Op[In, Out, P](name, fn)
	o.identify = func(ctx context.Context, in any) error { return identify(ctx, (*In)(in.(P))) }
	return o
}
