//go:build !linux

package audit

import "os"

// reserve writes zeros: the portable way to occupy disk.
func reserve(f *os.File, size int64) error { return fillZeros(f, size) }

func reserveFilled(f *os.File, size int64) error { return fillZeros(f, size) }

func flush(f *os.File) error { return f.Sync() }

// lockFile does nothing here: the store's lock on the data directory already
// keeps a second server out.
func lockFile(*os.File) error { return nil }

func unlockFile(*os.File) error { return nil }
