package aws

import (
	"math"
	"strconv"
	"time"
)

// Time is a wire timestamp. JSON services send epoch seconds with up to
// milliseconds as a number (spec secretsmanager.md 1.1); Query services send
// ISO 8601 in UTC with seconds (spec iam-sts.md 1), which the codec asks for
// with ISO.
type Time struct{ time.Time }

// NewTime makes a wire time from t.
func NewTime(t time.Time) *Time { return &Time{t} }

// Micros makes a time from microseconds since 1970, the unit of the store.
func Micros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// AppendEpoch appends the JSON number: milliseconds precision, no trailing
// zeros, so that whole seconds print without a point.
func (t Time) AppendEpoch(b []byte) []byte {
	ms := t.UnixMilli()
	neg := ms < 0
	if neg {
		b, ms = append(b, '-'), -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	frac := ms % 1000
	if frac == 0 {
		return b
	}
	b = append(b, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// MarshalJSON writes epoch seconds.
func (t Time) MarshalJSON() ([]byte, error) { return t.AppendEpoch(nil), nil }

// UnmarshalJSON reads epoch seconds, with or without a fraction.
func (t *Time) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return err
	}
	// Beyond year 9999 nothing we store can hold it; the bound also keeps the
	// conversion to an integer defined.
	if !(f >= -62135596800 && f <= 253402300799) { // written so that NaN fails too
		return strconv.ErrRange
	}
	t.Time = time.UnixMicro(int64(math.Round(f * 1e6))).UTC()
	return nil
}

// ISO returns the Query protocols' form, such as 2026-02-19T18:34:51Z.
func (t Time) ISO() string { return t.UTC().Format("2006-01-02T15:04:05Z") }
