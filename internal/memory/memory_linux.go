package memory

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrLock is Harden's error for LockAll where it cannot be had.
var ErrLock = errors.New("the system does not let the process lock all its memory")

// Harden does to the process what the settings ask for: dumps allows core dumps,
// and debuggers of the same user; lock is one of the constants.
func Harden(lock string, dumps bool) (State, error) {
	s := State{Dumps: dumps, Swap: hasSwap()}
	if !dumps {
		// Either would do for core files; the first one also keeps other processes of
		// the user out of /proc/PID/mem, the second one holds for what a debugger allows.
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return s, fmt.Errorf("forbid dumps: %w", err)
		}
		if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
			return s, fmt.Errorf("forbid core files: %w", err)
		}
	}
	if lock == LockKeys {
		return s, nil
	}
	free, err := unboundedLocks()
	if err != nil {
		return s, err
	}
	if free {
		// On fault: the runtime reserves far more addresses than it uses.
		err = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
		s.Locked = err == nil
	}
	if !s.Locked && lock == LockAll {
		return s, errors.Join(ErrLock, err)
	}
	return s, nil
}

// unboundedLocks says whether the process may lock as much as it wants. With a
// bound, locking all that is to come would make the runtime fail for want of
// memory as soon as the bound is reached.
func unboundedLocks() (bool, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return false, fmt.Errorf("ask how much memory may be locked: %w", err)
	}
	if limit.Cur == unix.RLIM_INFINITY {
		return true, nil
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false, fmt.Errorf("ask for capabilities: %w", err)
	}
	return data[0].Effective&(1<<unix.CAP_IPC_LOCK) != 0, nil
}

// hasSwap reads the list of swap spaces; where it cannot be read there may be some.
func hasSwap() bool {
	f, err := os.Open("/proc/swaps")
	if err != nil {
		return true
	}
	defer f.Close()
	lines := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		lines++
	}
	return lines > 1 // The first one is the heading.
}

// newPage returns pages for n bytes that are not dumped, nil when there are none.
func newPage(n int) (page []byte, locked bool) {
	size := os.Getpagesize()
	size = max((n+size-1)/size, 1) * size
	page, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, false
	}
	_ = unix.Madvise(page, unix.MADV_DONTDUMP) // The whole process is not dumped either.
	_ = unix.Madvise(page, unix.MADV_DONTFORK)
	return page, unix.Mlock(page) == nil
}

func freePage(page []byte) {
	clear(page)
	_ = unix.Munmap(page)
}
