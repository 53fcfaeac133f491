package aws

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// FormatName is the body of a Format method for structures that hold sensitive
// values: it prints the type's name and no member. Package fmt does not ask the
// members when the verb does not fit what holds them (%s of a structure with a
// pointer in it): it then prints by reflection, and blobs as they are. A
// structure that answers for itself is asked before that.
func FormatName(f fmt.State, name string) { _, _ = io.WriteString(f, name+"{"+redacted+"}") }

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
