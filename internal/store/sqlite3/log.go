package sqlite3

import (
	"encoding/binary"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// FollowLog leaves the write-ahead log to the caller: SQLite no longer folds it into
// the database by itself after a commit, and Logged tells how long it has become.
func (c *Conn) FollowLog() error {
	// Before the hook below: this setting is a hook as well, and would replace it.
	if err := c.Script("PRAGMA wal_autocheckpoint = 0"); err != nil {
		return err
	}
	if c.logged == 0 {
		p, err := c.malloc(loggedSize)
		if err != nil {
			return err
		}
		c.logged = p
		binary.NativeEndian.PutUint64(libc.GoBytes(p, loggedSize), 0)
	}
	// What is not a closure has an address that stays: the module's own door to
	// callbacks.
	hook := *(*uintptr)(unsafe.Pointer(&struct {
		f func(*libc.TLS, uintptr, uintptr, uintptr, int32) int32
	}{noteLogged}))
	lib.Xsqlite3_wal_hook(c.tls, c.db, hook, c.logged)
	return nil
}

// loggedSize is what the hook writes to.
const loggedSize = 8

// noteLogged is SQLite's callback after a commit that wrote something.
func noteLogged(_ *libc.TLS, to, _, _ uintptr, frames int32) int32 {
	binary.NativeEndian.PutUint64(libc.GoBytes(to, loggedSize), uint64(frames))
	return lib.SQLITE_OK
}

// Logged returns how many frames the log holds up to the end of the last commit of
// this connection that wrote something; 0 before that and without FollowLog. After
// the log was folded it is written from its beginning again.
func (c *Conn) Logged() int64 {
	if c.logged == 0 {
		return 0
	}
	return int64(binary.NativeEndian.Uint64(libc.GoBytes(c.logged, loggedSize)))
}
