package aws

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// SensitiveString is a string that shows itself to nobody but the wire codec:
// fmt, slog and encoding/json print "[redacted]". Convert with string(s) where
// the value itself is needed, and keep that conversion close to its use.
type SensitiveString string

// String returns a placeholder, never the value.
func (SensitiveString) String() string { return redacted }

// GoString returns a placeholder, never the value.
func (SensitiveString) GoString() string { return redacted }

// Format writes a placeholder for every verb: %x and %q would otherwise print
// the value.
func (SensitiveString) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns a placeholder, never the value.
func (SensitiveString) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns a placeholder, never the value.
func (SensitiveString) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// SensitiveBytes is SensitiveString's sibling for blobs.
type SensitiveBytes []byte

// String returns a placeholder, never the value.
func (SensitiveBytes) String() string { return redacted }

// GoString returns a placeholder, never the value.
func (SensitiveBytes) GoString() string { return redacted }

// Format writes a placeholder for every verb.
func (SensitiveBytes) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns a placeholder, never the value.
func (SensitiveBytes) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns a placeholder, never the value.
func (SensitiveBytes) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
