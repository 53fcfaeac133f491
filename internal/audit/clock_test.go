package audit

import (
	"testing"
	"time"
)

// TestStrangersAreToldAfterTheClockWentBack: their record does not wait until the clock
// has caught up with the time at which the first of them came.
func TestStrangersAreToldAfterTheClockWentBack(t *testing.T) {
	b := newBench(t)
	l := b.open()
	l.Unverified(stranger(1), badSignature)
	if !l.unverified.due(l.now().Add(-time.Hour)) {
		t.Error("the record waits")
	}
}
