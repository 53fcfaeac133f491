//go:build !linux

package memory

import "errors"

// ErrLock is Harden's error for LockAll where it cannot be had.
var ErrLock = errors.New("the system does not let the process lock all its memory")

// Harden has no means on this system.
func Harden(lock string, _ bool) (State, error) {
	s := State{Dumps: true, Swap: true}
	if lock == LockAll {
		return s, ErrLock
	}
	return s, nil
}

func newPage(int) ([]byte, bool) { return nil, false }

func freePage([]byte) {}
