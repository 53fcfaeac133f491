package faultfs

import (
	"path"
	"slices"
	"syscall"
)

// Op is a kind of operation; several can be joined with |.
type Op int

// The kinds.
const (
	Read Op = 1 << iota
	Write
	Sync     // fsync and fdatasync, of files and of directories
	Allocate // fallocate
	Truncate
	Name // creating, removing and renaming
	OpenWrite
)

// Change is everything that a disk mounted for reading only refuses.
const Change = Write | Allocate | Truncate | Name | OpenWrite

// Fault is what goes wrong.
type Fault struct {
	// Op says which operations, Path on which files: a pattern of path.Match for the path below the root. "" means all.
	Op   Op
	Path string
	// Err is the answer. 0 with Sync is a lie: all is well, and nothing was flushed.
	Err syscall.Errno
	// Skip lets the first ones pass, Times ends the fault after so many; 0 means that it stays.
	Skip, Times int

	hits int
}

// Fail begins a fault and returns what ends it and says how many operations it met.
func (d *Disk) Fail(f Fault) (end func() int) {
	if _, err := path.Match(f.Path, ""); err != nil {
		panic("faultfs: " + err.Error())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, &f)
	return func() int {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.faults = slices.DeleteFunc(d.faults, func(x *Fault) bool { return x == &f })
		return max(0, f.hits-f.Skip)
	}
}

// fault returns the fault that meets an operation, or nil. The caller holds mu.
func (d *Disk) fault(op Op, at string) *Fault {
	for _, f := range d.faults {
		if f.Op&op == 0 {
			continue
		}
		if ok, _ := path.Match(f.Path, at); !ok && f.Path != "" {
			continue
		}
		if f.Times > 0 && f.hits == f.Skip+f.Times {
			continue
		}
		if f.hits++; f.hits > f.Skip {
			return f
		}
	}
	return nil
}

func (d *Disk) refused(op Op, at string) syscall.Errno {
	if f := d.fault(op, at); f != nil {
		return f.Err
	}
	return 0
}

// enter takes mu, and waits for as long as the disk is frozen. changes says that the operation counts for FreezeAfter.
func (d *Disk) enter(changes bool) syscall.Errno {
	d.mu.Lock()
	if changes && d.state == alive {
		if d.ops++; d.ops == d.freezes {
			d.freeze()
		}
	}
	for d.state == frozen {
		d.gate.Wait()
	}
	if d.state == gone {
		d.mu.Unlock()
		return syscall.EIO
	}
	return 0
}

// Freeze stops the disk: from now on every operation waits. Processes that wait can be killed; Kill lets them go.
func (d *Disk) Freeze() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == alive {
		d.freeze()
	}
}

func (d *Disk) freeze() {
	d.state = frozen
	close(d.frozen)
}

// FreezeAfter freezes the disk when the n-th changing operation from now on begins: a write, a flush, a change of names. The
// channel is closed then.
func (d *Disk) FreezeAfter(n int64) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.freezes = d.ops + n
	return d.frozen
}

// Ops counts changing operations.
func (d *Disk) Ops() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// Kill fails all operations that wait, and all that come.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == alive {
		close(d.frozen)
	}
	d.state = gone
	d.gate.Broadcast()
}

// Flush is a flush that was done.
type Flush struct {
	// Path is what was flushed, a file or a directory.
	Path string
	// Unnamed are the files that a cut may still leave without their name.
	Unnamed []string
}

// OnFlush has f called with every flush that was done, before it is answered. f must not use the disk.
func (d *Disk) OnFlush(f func(Flush)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flushed = f
}

func (d *Disk) tell(n *node) {
	if d.flushed == nil {
		return
	}
	f := Flush{Path: n.path}
	for _, change := range d.names {
		for _, s := range change.sets {
			if s.node != 0 {
				f.Unnamed = append(f.Unnamed, d.nodes[s.node].path)
			}
		}
	}
	d.flushed(f)
}
