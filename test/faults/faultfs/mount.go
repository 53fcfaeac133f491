package faultfs

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Missing says why disks cannot be mounted here, or nothing.
func Missing() string {
	if os.Geteuid() != 0 {
		return "only root may mount a file system here"
	}
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err.Error()
	}
	f.Close()
	return ""
}

// Mount is where a disk is in the tree of files.
type Mount struct {
	disk   *Disk
	dir    string
	server *fuse.Server
}

// How says how a disk is mounted.
type How int

const (
	// Cached lets the kernel keep what was read, as it does for every file system. Faults of reading meet what it has dropped.
	Cached How = iota
	// Direct hands every read on to the disk. Files cannot be mapped for sharing.
	Direct
)

// Mount shows the disk at dir. No other process of this one's children may be using dir.
func (d *Disk) Mount(dir string, how How) (*Mount, error) {
	raw := &kernel{RawFileSystem: fuse.NewDefaultRawFileSystem(), d: d, how: how}
	server, err := fuse.NewServer(raw, dir, &fuse.MountOptions{
		DirectMountStrict: true, // Without the program fusermount, which is not everywhere.
		FsName:            "faultfs", Name: "faultfs", DisableXAttrs: true, DisableReadDirPlus: true, MaxWrite: 1 << 20,
		Options: []string{"default_permissions"}, Logger: log.New(io.Discard, "", 0),
	})
	if err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return nil, errors.Join(fmt.Errorf("mount: %w", err), server.Unmount())
	}
	return &Mount{d, dir, server}, nil
}

// Unmount takes the disk away. Operations that wait fail; processes that still have files open lose them.
func (m *Mount) Unmount() error {
	m.disk.Kill()
	// By force, which ends the connection to the kernel: a mount may live on in a namespace that somebody else on this machine
	// has made meanwhile, with a copy of every mount, and the server would wait for that to end.
	if err := syscall.Unmount(m.dir, syscall.MNT_FORCE|syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	m.server.Wait()
	return nil
}

// kernel is the disk as the kernel asks for it.
type kernel struct {
	fuse.RawFileSystem
	d   *Disk
	how How
}

func (k *kernel) String() string { return "faultfs" }

// ever is how long the kernel may keep names and attributes: everything comes through it.
const ever = time.Hour

func (n *node) attr(out *fuse.Attr) {
	*out = fuse.Attr{Ino: n.id, Size: uint64(n.now.size), Blocks: uint64(len(n.taken)) * (pageSize / 512), Mode: n.mode, Nlink: uint32(n.links),
		Owner: fuse.Owner{Uid: n.uid, Gid: n.gid}, Rdev: n.rdev, Blksize: pageSize}
	if n.isDir() {
		out.Nlink = 2
	}
	out.SetTimes(&n.atime, &n.mtime, &n.ctime)
}

func (n *node) out(out *fuse.EntryOut) {
	out.NodeId, out.Generation = n.id, 1
	out.SetEntryTimeout(ever)
	out.SetAttrTimeout(ever)
	n.attr(&out.Attr)
}

// on runs fn with the node, unless the disk refuses.
func (k *kernel) on(id uint64, op Op, fn func(n *node) syscall.Errno) fuse.Status {
	if errno := k.d.enter(op&(Write|Sync|Allocate|Truncate|Name) != 0); errno != 0 {
		return fuse.Status(errno)
	}
	defer k.d.mu.Unlock()
	n := k.d.nodes[id]
	if n == nil {
		return fuse.ENOENT
	}
	if op != 0 && op != Sync && op != Name {
		if errno := k.d.refused(op, n.path); errno != 0 {
			return fuse.Status(errno)
		}
	}
	return fuse.Status(fn(n))
}

// naming runs fn, which changes what name means in a directory.
func (k *kernel) naming(dir uint64, name string, fn func() syscall.Errno) fuse.Status {
	return k.on(dir, Name, func(p *node) syscall.Errno {
		at := name
		if p.path != "" {
			at = p.path + "/" + name
		}
		if errno := k.d.refused(Name, at); errno != 0 {
			return errno
		}
		return fn()
	})
}

func (k *kernel) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return k.on(h.NodeId, 0, func(*node) syscall.Errno {
		n, errno := k.d.lookup(h.NodeId, name)
		if errno == 0 {
			n.out(out)
		}
		return errno
	})
}

func (k *kernel) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return k.on(in.NodeId, 0, func(n *node) syscall.Errno {
		out.SetTimeout(ever)
		n.attr(&out.Attr)
		return 0
	})
}

func (k *kernel) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	size, cut := in.GetSize()
	op := Op(0)
	if cut {
		op = Truncate
	}
	return k.on(in.NodeId, op, func(n *node) syscall.Errno {
		if cut {
			k.d.truncate(n, int64(size))
		}
		if mode, ok := in.GetMode(); ok {
			n.mode = n.mode&syscall.S_IFMT | mode
		}
		if uid, ok := in.GetUID(); ok {
			n.uid = uid
		}
		if gid, ok := in.GetGID(); ok {
			n.gid = gid
		}
		if t, ok := in.GetMTime(); ok {
			n.mtime = t
		}
		if t, ok := in.GetATime(); ok {
			n.atime = t
		}
		out.SetTimeout(ever)
		n.attr(&out.Attr)
		return 0
	})
}

func (k *kernel) make(h *fuse.InHeader, name string, mode, rdev uint32, out *fuse.EntryOut) (n *node, status fuse.Status) {
	status = k.naming(h.NodeId, name, func() (errno syscall.Errno) {
		n, errno = k.d.create(h.NodeId, name, &node{mode: mode, uid: h.Uid, gid: h.Gid, rdev: rdev})
		if errno == 0 {
			n.out(out)
		}
		return errno
	})
	return n, status
}

func (k *kernel) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	_, status := k.make(&in.InHeader, name, in.Mode, in.Rdev, out)
	return status
}

func (k *kernel) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	_, status := k.make(&in.InHeader, name, syscall.S_IFDIR|in.Mode, 0, out)
	return status
}

func (k *kernel) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	n, status := k.make(&in.InHeader, name, syscall.S_IFREG|in.Mode, 0, &out.EntryOut)
	if status == fuse.OK {
		k.d.mu.Lock()
		n.opens++
		k.d.mu.Unlock()
		out.OpenFlags = k.openFlags()
	}
	return status
}

func (k *kernel) openFlags() uint32 {
	if k.how == Direct {
		return fuse.FOPEN_DIRECT_IO
	}
	return fuse.FOPEN_KEEP_CACHE
}

func (k *kernel) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	op := Op(0)
	if in.Flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		op = OpenWrite
	}
	return k.on(in.NodeId, op, func(n *node) syscall.Errno {
		if in.Flags&syscall.O_TRUNC != 0 {
			k.d.truncate(n, 0)
		}
		n.opens++
		out.OpenFlags = k.openFlags()
		return 0
	})
}

func (k *kernel) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	k.d.mu.Lock()
	defer k.d.mu.Unlock()
	if n := k.d.nodes[in.NodeId]; n != nil {
		n.opens--
		k.d.forget(n)
	}
}

func (k *kernel) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return k.naming(h.NodeId, name, func() syscall.Errno { return k.d.remove(h.NodeId, name, false) })
}

func (k *kernel) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return k.naming(h.NodeId, name, func() syscall.Errno { return k.d.remove(h.NodeId, name, true) })
}

func (k *kernel) Rename(_ <-chan struct{}, in *fuse.RenameIn, old, name string) fuse.Status {
	return k.naming(in.Newdir, name, func() syscall.Errno {
		if in.Flags != 0 {
			return syscall.EINVAL // Neither exchanging nor refusing to replace is modelled.
		}
		return k.d.move(in.NodeId, old, in.Newdir, name)
	})
}

func (k *kernel) Read(_ <-chan struct{}, in *fuse.ReadIn, b []byte) (fuse.ReadResult, fuse.Status) {
	got := 0
	status := k.on(in.NodeId, Read, func(n *node) syscall.Errno {
		got = n.now.read(b[:min(len(b), int(in.Size))], int64(in.Offset))
		return 0
	})
	return fuse.ReadResultData(b[:got]), status
}

func (k *kernel) Write(_ <-chan struct{}, in *fuse.WriteIn, b []byte) (done uint32, _ fuse.Status) {
	status := k.on(in.NodeId, Write, func(n *node) syscall.Errno {
		wrote, errno := k.d.write(n, b, int64(in.Offset))
		done = uint32(wrote)
		return errno
	})
	return done, status
}

func (k *kernel) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	const keepSize = 1 // FALLOC_FL_KEEP_SIZE
	if in.Mode&^keepSize != 0 {
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	return k.on(in.NodeId, Allocate, func(n *node) syscall.Errno {
		return k.d.allocate(n, int64(in.Offset), int64(in.Length), in.Mode&keepSize != 0)
	})
}

// Flush is a close, which promises nothing.
func (k *kernel) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (k *kernel) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	const dataOnly = 1 // FUSE_FSYNC_FDATASYNC
	return k.on(in.NodeId, Sync, func(n *node) syscall.Errno {
		switch f := k.d.fault(Sync, n.path); {
		case f != nil && f.Err == 0:
			return 0
		case f != nil:
			n.lose()
			return f.Err
		}
		n.flush()
		if in.FsyncFlags&dataOnly == 0 {
			k.d.flushNames(func(e entry) bool { return e.node == n.id })
		}
		k.d.tell(n)
		return 0
	})
}

func (k *kernel) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return k.on(in.NodeId, Sync, func(n *node) syscall.Errno {
		if f := k.d.fault(Sync, n.path); f != nil {
			return f.Err
		}
		k.d.flushNames(func(e entry) bool { return e.dir == n.id || e.node == n.id })
		k.d.tell(n)
		return 0
	})
}

func (k *kernel) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	return k.on(in.NodeId, 0, func(n *node) syscall.Errno {
		if !n.isDir() {
			return syscall.ENOTDIR
		}
		return 0
	})
}

// ReadDir lists names in order, so that an offset means the same one for as long as the directory does not change.
func (k *kernel) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, l *fuse.DirEntryList) fuse.Status {
	return k.on(in.NodeId, 0, func(n *node) syscall.Errno {
		names := sortedKeys(n.entries)
		for at := in.Offset; at < uint64(len(names)); at++ {
			e := k.d.nodes[n.entries[names[at]]]
			if !l.AddDirEntry(fuse.DirEntry{Mode: e.mode, Name: names[at], Ino: e.id, Off: at + 1}) {
				break
			}
		}
		return 0
	})
}

func (k *kernel) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	k.d.mu.Lock()
	defer k.d.mu.Unlock()
	free := uint64(1 << 28)
	if k.d.free >= 0 {
		free = uint64(k.d.free)
	}
	*out = fuse.StatfsOut{Blocks: free + 1<<20, Bfree: free, Bavail: free, Files: 1 << 20, Ffree: 1 << 20, Bsize: pageSize, Frsize: pageSize, NameLen: 255}
	return fuse.OK
}
