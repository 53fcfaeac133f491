package cli

import (
	"syscall"
	"testing"
)

// TestHangup: SIGHUP is a wish to read the configuration again, not the end.
func TestHangup(t *testing.T) {
	heard := make(chan bool)
	onHangup(t.Context(), func() { heard <- true })
	for range 2 {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		<-heard
	}
}
