// Package seal holds the root key: the one secret outside the database, under
// which the keyring's keys are wrapped. A [Provider] may be a file, as here, or
// something that never shows its key, such as a hardware module.
//
// Its one invariant: the root key leaves a provider only as wrapped keys.
package seal

import (
	"context"
	"errors"
)

// Provider wraps keys under a root key. It is safe for concurrent use.
type Provider interface {
	// ID names the root key without saying anything about it. It is stored beside
	// what was wrapped, so that a wrong root key is told by name.
	ID() string
	// Wrap encrypts key and binds it to aad.
	Wrap(ctx context.Context, key, aad []byte) ([]byte, error)
	// Unwrap reverses Wrap. It returns ErrWrongKey when another root key made
	// wrapped, ErrDamaged when wrapped or aad are not what they were. The caller
	// owns the result and clears it.
	Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error)
}

// The classes of failure. Errors wrap one of them, or fs.ErrNotExist and its
// kin from the file system. Where the operator can do something about it, they
// also have a method Hint() string that says what.
var (
	// ErrWrongKey: the root key is intact, but the data belongs to another one.
	ErrWrongKey = errors.New("wrong root key")
	// ErrDamaged: what was wrapped has changed since.
	ErrDamaged = errors.New("wrapped key is damaged")
	// ErrMalformed: the root key itself cannot be read, because it is cut short,
	// altered or of another format.
	ErrMalformed = errors.New("root key is not readable")
	// ErrExposed: the root key may have been read by others.
	ErrExposed = errors.New("root key is exposed")
)

// hintError is a failure with the operator's next step, which a command prints on
// a line of its own. The text names the file, never a byte of the key.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// Hint returns the next step, in a sentence.
func (e *hintError) Hint() string { return e.hint }
