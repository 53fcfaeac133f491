package faultfs

import (
	"maps"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"
)

// rootID is the number of the root directory, as the kernel wants it.
const rootID = 1

// Disk is a file system with its disk. Its methods may be called concurrently, mounted or not.
type Disk struct {
	mu    sync.Mutex
	nodes map[uint64]*node
	next  uint64
	names []*naming // not durable yet, in order

	faults  []*Fault
	flushed func(Flush)
	free    int64 // pages; below 0 means without bound

	// The gate: while the disk is frozen every operation waits in it, and afterwards fails.
	gate    *sync.Cond
	state   state
	ops     int64
	freezes int64         // the operation at which the disk freezes; 0 means never
	frozen  chan struct{} // closed when the disk freezes
}

type state int

const (
	alive  state = iota
	frozen       // operations wait
	gone         // operations fail
)

type node struct {
	id                  uint64
	mode, uid, gid      uint32
	rdev                uint32
	atime, mtime, ctime time.Time
	path                string // as last known, for faults
	links, opens        int

	// of a file
	now, disk content
	epochs    []*epoch
	taken     map[int64]struct{} // pages that occupy the disk

	// of a directory
	entries, diskEntries map[string]uint64
}

// naming is one atomic change of names.
type naming struct{ sets []entry }

// entry says which node a name means; 0 for none.
type entry struct {
	dir  uint64
	name string
	node uint64
}

// New returns an empty disk.
func New() *Disk {
	d := newDisk()
	root := d.add(&node{mode: syscall.S_IFDIR | 0o700})
	root.diskEntries = make(map[string]uint64)
	return d
}

func newDisk() *Disk {
	d := &Disk{nodes: make(map[uint64]*node), next: rootID, free: -1, frozen: make(chan struct{})}
	d.gate = sync.NewCond(&d.mu)
	return d
}

func (d *Disk) add(n *node) *node {
	n.id = d.next
	d.next++
	n.ctime = time.Now()
	n.mtime, n.atime = n.ctime, n.ctime
	switch {
	case n.isDir():
		n.entries, n.diskEntries = make(map[string]uint64), make(map[string]uint64)
	default:
		n.now.pages, n.disk.pages = make(map[int64]*page), make(map[int64]*page)
		n.taken = make(map[int64]struct{})
		n.epochs = []*epoch{newEpoch(-1)}
	}
	d.nodes[n.id] = n
	return n
}

func (n *node) isDir() bool { return n.mode&syscall.S_IFMT == syscall.S_IFDIR }

// Limit leaves n bytes free on the disk; below 0 means without bound. What is occupied stays so.
func (d *Disk) Limit(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.free = -1; n >= 0 {
		d.free = n / pageSize
	}
}

// take occupies page i of n.
func (d *Disk) take(n *node, i int64) bool {
	if _, ok := n.taken[i]; ok {
		return true
	}
	if d.free == 0 {
		return false
	}
	if d.free > 0 {
		d.free--
	}
	n.taken[i] = struct{}{}
	return true
}

// release gives back the pages of n from i on.
func (d *Disk) release(n *node, from int64) {
	for i := range n.taken {
		if i >= from {
			delete(n.taken, i)
			if d.free >= 0 {
				d.free++
			}
		}
	}
}

// The operations. The caller holds mu and has asked for faults.

func (d *Disk) lookup(dir uint64, name string) (*node, syscall.Errno) {
	p := d.nodes[dir]
	if p == nil || !p.isDir() {
		return nil, syscall.ENOTDIR
	}
	if n := d.nodes[p.entries[name]]; n != nil {
		return n, 0
	}
	return nil, syscall.ENOENT
}

func (d *Disk) create(dir uint64, name string, n *node) (*node, syscall.Errno) {
	p := d.nodes[dir]
	if p == nil || !p.isDir() {
		return nil, syscall.ENOTDIR
	}
	if p.entries[name] != 0 {
		return nil, syscall.EEXIST
	}
	d.add(n)
	d.rename([]entry{{dir, name, n.id}})
	return n, 0
}

// rename makes names mean what sets says.
func (d *Disk) rename(sets []entry) {
	for _, s := range sets {
		if n := d.nodes[s.node]; n != nil {
			n.links++ // First, so that a node which only moves is never nobody's.
			n.path = path.Join(d.nodes[s.dir].path, s.name)
		}
	}
	for _, s := range sets {
		p := d.nodes[s.dir]
		if old := d.nodes[p.entries[s.name]]; old != nil {
			old.links--
			d.forget(old)
		}
		if s.node == 0 {
			delete(p.entries, s.name)
		} else {
			p.entries[s.name] = s.node
		}
		p.mtime = time.Now()
	}
	d.names = append(d.names, &naming{sets})
}

// forget frees the space of a file that nobody has any more. Its node stays: the disk may still know its name.
func (d *Disk) forget(n *node) {
	if n.links == 0 && n.opens == 0 && !n.isDir() {
		d.release(n, 0)
	}
}

func (d *Disk) remove(dir uint64, name string, isDir bool) syscall.Errno {
	n, errno := d.lookup(dir, name)
	switch {
	case errno != 0:
		return errno
	case isDir && !n.isDir():
		return syscall.ENOTDIR
	case !isDir && n.isDir():
		return syscall.EISDIR
	case isDir && len(n.entries) > 0:
		return syscall.ENOTEMPTY
	}
	d.rename([]entry{{dir, name, 0}})
	return 0
}

func (d *Disk) move(from uint64, old string, to uint64, name string) syscall.Errno {
	n, errno := d.lookup(from, old)
	if errno != 0 {
		return errno
	}
	over, errno := d.lookup(to, name)
	switch {
	case errno == syscall.ENOTDIR:
		return errno
	case over == n:
		return 0
	case over != nil && over.isDir() && len(over.entries) > 0:
		return syscall.ENOTEMPTY
	}
	d.rename([]entry{{from, old, 0}, {to, name, n.id}})
	return 0
}

// write writes as much as fits.
func (d *Disk) write(n *node, b []byte, off int64) (int, syscall.Errno) {
	last := n.epochs[len(n.epochs)-1]
	done := 0
	for done < len(b) {
		at := off + int64(done)
		i, from := at/pageSize, at%pageSize
		part := b[done:min(len(b), done+int(pageSize-from))]
		if !d.take(n, i) {
			break
		}
		p := n.now.with(i, from, part)
		n.now.pages[i] = p
		last.wrote(i, p)
		done += len(part)
	}
	if done == 0 && len(b) > 0 {
		return 0, syscall.ENOSPC
	}
	n.grow(off + int64(done))
	n.mtime = time.Now()
	return done, 0
}

func (n *node) grow(size int64) {
	if size > n.now.size {
		n.now.size = size
		e := n.epochs[len(n.epochs)-1]
		e.sizes = append(e.sizes, size)
	}
}

func (d *Disk) truncate(n *node, size int64) {
	if size >= n.now.size {
		n.grow(size)
		return
	}
	n.now.truncate(size)
	d.release(n, (size+pageSize-1)/pageSize)
	n.epochs = append(n.epochs, newEpoch(size))
}

// allocate occupies a range, all of it or nothing.
func (d *Disk) allocate(n *node, off, length int64, keepSize bool) syscall.Errno {
	var fresh []int64
	for i := off / pageSize; i*pageSize < off+length; i++ {
		if _, ok := n.taken[i]; ok {
			continue
		}
		if !d.take(n, i) {
			for _, i := range fresh {
				delete(n.taken, i)
				d.free++
			}
			return syscall.ENOSPC
		}
		fresh = append(fresh, i)
	}
	if !keepSize {
		n.grow(off + length)
	}
	return 0
}

// flush makes n's bytes and length durable.
func (n *node) flush() {
	for _, e := range n.epochs {
		if e.truncate >= 0 {
			n.disk.truncate(e.truncate)
		}
		for i, v := range e.pages {
			n.disk.pages[i] = v[len(v)-1]
		}
		for _, s := range e.sizes {
			n.disk.size = max(n.disk.size, s)
		}
	}
	n.clean()
}

// lose is a flush that failed: what was written is taken for flushed and will never be, while lengths, which belong to the
// file system and not to the file, are kept.
func (n *node) lose() {
	for _, e := range n.epochs {
		clear(e.pages)
	}
	n.flush()
}

func (n *node) clean() { n.epochs = []*epoch{newEpoch(-1)} }

// flushNames makes the changes of names durable that concern is true of, and those that they need.
func (d *Disk) flushNames(concern func(entry) bool) {
	needed := make(map[int]bool)
	for i := len(d.names) - 1; i >= 0; i-- {
		if slices.ContainsFunc(d.names[i].sets, concern) {
			d.need(i, needed)
		}
	}
	rest := d.names[:0:0]
	for i, n := range d.names {
		if needed[i] {
			d.persist(n)
		} else {
			rest = append(rest, n)
		}
	}
	d.names = rest
}

// need marks change i and what must be there before it: earlier changes of the same names, and of the directory itself.
func (d *Disk) need(i int, needed map[int]bool) {
	if needed[i] {
		return
	}
	needed[i] = true
	for j := range i {
		if d.names[i].after(d.names[j]) {
			d.need(j, needed)
		}
	}
}

// after says whether b cannot be on the disk without a.
func (b *naming) after(a *naming) bool {
	for _, x := range a.sets {
		for _, y := range b.sets {
			if x.dir == y.dir && x.name == y.name || x.node == y.dir {
				return true
			}
		}
	}
	return false
}

func (d *Disk) persist(n *naming) {
	for _, s := range n.sets {
		if s.node == 0 {
			delete(d.nodes[s.dir].diskEntries, s.name)
		} else {
			d.nodes[s.dir].diskEntries[s.name] = s.node
		}
	}
}

// sortedKeys makes what a seed decides independent of the order of maps.
func sortedKeys[K int64 | string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
