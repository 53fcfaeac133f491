package audit

import (
	"errors"
	"os"
	"syscall"
)

// reserve occupies disk without writing it. File systems that cannot do so are
// served by writing zeros.
func reserve(f *os.File, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
			return fillZeros(f, size)
		case err != nil:
			return err
		}
		return nil
	}
}

// reserveFilled occupies disk and writes it once.
func reserveFilled(f *os.File, size int64) error {
	if err := reserve(f, size); err != nil {
		return err
	}
	return fillZeros(f, size)
}

// flush makes written data durable, without times and other metadata that no
// reader needs.
func flush(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// lockFile takes the lock for as long as f stays open; the kernel drops it with
// the process, however that ends.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// unlockFile gives the lock up by name: closing the file does that only once no
// child between its fork and its exec has a copy of the descriptor.
func unlockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
}
