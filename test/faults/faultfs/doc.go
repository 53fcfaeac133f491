// Package faultfs is a disk that breaks: a file system in user space that forgets at a power cut what was not flushed, and
// fails on demand.
//
// A Disk keeps two views of everything. What processes see is in memory only; what the disk holds moves up to it by flushes:
//
//   - fsync and fdatasync of a file make its bytes and its length durable;
//   - fsync of a file, and fsync of its directory, make its name durable. fdatasync of a file does not.
//
// Cut answers what is on the disk when the power goes. Of what was not flushed, any part may be there and any may not, as a
// seed decides: pages of 4 KiB in any order, older contents of a page, pages torn between their sectors of 512 bytes, a
// length without the bytes, names without those made before them. Two things stay whole as they do on file systems with a
// journal: a rename, and cutting a file short, which takes all bytes behind the cut with it.
//
// Fail makes operations on chosen files fail: reads, writes, flushes, all changes. A flush that fails has lost what it should
// have flushed, and the next one succeeds, as on Linux. A flush may also lie: it answers that all is well and does nothing.
// Limit makes the disk small.
//
// Not modelled: modes, owners and times are durable at once; there are no links, hard or symbolic, and no extended
// attributes. Locks and mapped memory are the kernel's.
//
// The one invariant: what was flushed survives every cut, unless a flush was made to lie.
package faultfs
