package faultfs

import (
	"maps"
	"slices"
)

const (
	pageSize   = 4096
	sectorSize = 512 // what a disk writes whole
	// maxVersions bounds how many contents of a page are remembered between two flushes.
	maxVersions = 4
)

// page is never changed once it is in a content: each write makes another one. So versions cost a pointer.
type page [pageSize]byte

// content is the bytes of a file. Pages that are missing read as zeros.
type content struct {
	size  int64
	pages map[int64]*page
}

func (c *content) read(b []byte, off int64) int {
	if off >= c.size {
		return 0
	}
	b = b[:min(int64(len(b)), c.size-off)]
	for n := 0; n < len(b); {
		at := off + int64(n)
		from := at % pageSize
		part := b[n:min(len(b), n+int(pageSize-from))]
		if p := c.pages[at/pageSize]; p != nil {
			copy(part, p[from:])
		} else {
			clear(part)
		}
		n += len(part)
	}
	return len(b)
}

// with is page i with b written into it at from.
func (c *content) with(i, from int64, b []byte) *page {
	p := new(page)
	if old := c.pages[i]; old != nil {
		*p = *old
	}
	copy(p[from:], b)
	return p
}

func (c *content) truncate(size int64) {
	c.size = size
	c.trim()
}

// trim drops the bytes behind the length: they are zeros should the file grow again.
func (c *content) trim() {
	maps.DeleteFunc(c.pages, func(i int64, _ *page) bool { return i*pageSize >= c.size })
	if p := c.pages[c.size/pageSize]; p != nil {
		cut := new(page)
		copy(cut[:], p[:c.size%pageSize])
		c.pages[c.size/pageSize] = cut
	}
}

func (c *content) clone() content { return content{c.size, maps.Clone(c.pages)} }

// epoch is what was done to a file between two cuts of its length since the last flush.
type epoch struct {
	truncate int64 // what the file was cut to at the beginning; -1 in the first epoch
	sizes    []int64
	pages    map[int64][]*page
}

func newEpoch(truncate int64) *epoch {
	return &epoch{truncate: truncate, pages: make(map[int64][]*page)}
}

func (e *epoch) wrote(i int64, p *page) {
	v := e.pages[i]
	if len(v) == maxVersions {
		v = slices.Delete(v, 1, 2) // The first and the newest say most.
	}
	e.pages[i] = append(v, p)
}
