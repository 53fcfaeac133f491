package faultfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Cut returns the disk as it is found when the power goes now. The same operations and the same seed give the same disk.
// Call it once the disk is frozen, or nobody uses it.
func (d *Disk) Cut(seed uint64) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	// The second word only has to be fixed.
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	names := d.cutNames(r)
	out := newDisk()
	out.next = d.next
	var copyTree func(id uint64, at string)
	copyTree = func(id uint64, at string) {
		old := d.nodes[id]
		n := &node{id: id, mode: old.mode, uid: old.uid, gid: old.gid, rdev: old.rdev, path: at, links: 1,
			atime: old.atime, mtime: old.mtime, ctime: old.ctime}
		out.nodes[id] = n
		if !old.isDir() {
			n.disk = old.cut(r)
			n.now = n.disk.clone()
			n.taken = make(map[int64]struct{})
			for i := range old.taken {
				if i*pageSize < n.now.size {
					n.taken[i] = struct{}{}
				}
			}
			for i := range n.now.pages {
				n.taken[i] = struct{}{}
			}
			n.clean()
			return
		}
		n.diskEntries = names[id]
		n.entries = maps.Clone(n.diskEntries)
		for _, name := range sortedKeys(n.entries) {
			below := name
			if at != "" {
				below = at + "/" + name
			}
			copyTree(n.entries[name], below)
		}
	}
	copyTree(rootID, "")
	return out
}

// how much of what was not flushed got there.
const (
	nothing = iota
	everything
	something
)

// fate chooses between the two ends half of the time: they are what disks do most, and a mixture hardly ever is one.
func fate(r *rand.Rand) int {
	if r.IntN(2) == 0 {
		return something
	}
	return r.IntN(2)
}

// cutNames returns the entries of all directories.
func (d *Disk) cutNames(r *rand.Rand) map[uint64]map[string]uint64 {
	out := make(map[uint64]map[string]uint64)
	for id, n := range d.nodes {
		if n.isDir() {
			out[id] = maps.Clone(n.diskEntries)
		}
	}
	f := fate(r)
	var missing []*naming
	for _, n := range d.names {
		there := f == everything || f == something && r.IntN(2) == 0
		if !there || slices.ContainsFunc(missing, n.after) {
			missing = append(missing, n)
			continue
		}
		for _, s := range n.sets {
			if s.node == 0 {
				delete(out[s.dir], s.name)
			} else {
				out[s.dir][s.name] = s.node
			}
		}
	}
	return out
}

// cut returns the bytes of a file.
func (n *node) cut(r *rand.Rand) content {
	c := n.disk.clone()
	f := fate(r)
	reached := len(n.epochs) - 1
	switch f {
	case nothing:
		return c
	case something:
		reached = r.IntN(len(n.epochs))
	}
	for _, e := range n.epochs[:reached+1] {
		if e.truncate >= 0 {
			c.truncate(e.truncate)
		}
		c.tear(e, f, r)
	}
	c.trim()
	return c
}

// tear adds some of what was written in e.
func (c *content) tear(e *epoch, f int, r *rand.Rand) {
	for _, i := range sortedKeys(e.pages) {
		v := e.pages[i]
		newest := v[len(v)-1]
		if f == everything {
			c.pages[i] = newest
			continue
		}
		switch r.IntN(4) {
		case 0: // Not there.
		case 1:
			c.pages[i] = newest
		case 2:
			c.pages[i] = v[r.IntN(len(v))]
		case 3:
			from := v[r.IntN(len(v))]
			torn := c.with(i, 0, nil)
			for s := 0; s < pageSize; s += sectorSize {
				if r.IntN(2) == 0 {
					copy(torn[s:s+sectorSize], from[s:])
				}
			}
			c.pages[i] = torn
		}
	}
	if len(e.sizes) == 0 {
		return
	}
	if f == everything || r.IntN(2) == 0 {
		c.size = max(c.size, e.sizes[len(e.sizes)-1])
	} else if n := r.IntN(len(e.sizes) + 1); n > 0 {
		c.size = max(c.size, e.sizes[n-1])
	}
}
