package wire

import "context"

// Validator is an input that knows its constraints; generated inputs do.
type Validator interface{ Validate(*Validation) }

// Operation is a typed function ready for a Registry.
type Operation struct {
	name string
	make func() Validator
	run  func(ctx context.Context, in any) (any, error)
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
