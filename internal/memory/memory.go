// Package memory keeps what the process knows from being written to a disk by the
// system: in a core dump, or in swap space.
//
// Its one invariant: it promises nothing that the system has not confirmed. What
// could not be had is told by State, for the operator to see.
package memory

// The values of the setting memory.lock.
const (
	// LockAuto locks all memory where the system lets the process have as much as it
	// wants, and otherwise the storage keys alone.
	LockAuto = "auto"
	// LockAll refuses to start unless all memory can be locked.
	LockAll = "all"
	// LockKeys locks the storage keys alone.
	LockKeys = "keys"
)

// State is what holds for a process.
type State struct {
	// Dumps says that the system may write the memory of the process to a file, and
	// let other processes of the same user read it.
	Dumps bool `json:"dumps"`
	// Locked says that nothing of the process is swapped.
	Locked bool `json:"locked"`
	// Swap says that the machine has swap space.
	Swap bool `json:"swap"`
}

// Secret is a key in memory of its own, which is not dumped and, where the system
// allows, not swapped.
type Secret struct {
	bytes  []byte // nil after Close
	page   []byte // what bytes lies in; nil on the heap
	locked bool
}

// Hold moves a key into memory of its own, and clears where it was.
func Hold(key []byte) *Secret {
	defer clear(key)
	s := &Secret{}
	if s.page, s.locked = newPage(len(key)); s.page != nil {
		s.bytes = s.page[:len(key):len(key)]
	} else {
		s.bytes = make([]byte, len(key)) // Better than no server.
	}
	copy(s.bytes, key)
	return s
}

// Bytes is the key. It must not be used after Close.
func (s *Secret) Bytes() []byte { return s.bytes }

// Locked says whether the system promised not to swap it.
func (s *Secret) Locked() bool { return s.locked }

// Close clears the key. It may be called twice, but not while the key is in use.
func (s *Secret) Close() {
	clear(s.bytes)
	if s.page != nil {
		freePage(s.page)
	}
	s.bytes, s.page, s.locked = nil, nil, false
}
