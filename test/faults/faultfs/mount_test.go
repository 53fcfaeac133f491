package faultfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/test/faults/faultfs"
)

func mount(t *testing.T, d *faultfs.Disk, how faultfs.How) string {
	t.Helper()
	if why := faultfs.Missing(); why != "" {
		t.Skip(why)
	}
	dir := t.TempDir()
	m, err := d.Mount(dir, how)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesThroughTheKernel(t *testing.T) {
	d := faultfs.New()
	dir := mount(t, d, faultfs.Cached)
	must(t, os.MkdirAll(filepath.Join(dir, "x/y"), 0o700))
	at := filepath.Join(dir, "x/y/a")
	long := bytes.Repeat([]byte("0123456789"), 100_000)
	must(t, os.WriteFile(at, long, 0o600))
	got, err := os.ReadFile(at)
	must(t, err)
	if !bytes.Equal(got, long) {
		t.Error("what was read is not what was written")
	}
	must(t, os.Rename(at, filepath.Join(dir, "b")))
	must(t, os.Truncate(filepath.Join(dir, "b"), 5))
	got, err = os.ReadFile(filepath.Join(dir, "b"))
	must(t, err)
	if string(got) != "01234" {
		t.Errorf("cut to %q", got)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 2 || entries[0].Name() != "b" || entries[1].Name() != "x" {
		t.Errorf("the directory holds %v", entries)
	}
	must(t, os.RemoveAll(filepath.Join(dir, "x")))
	if _, err := os.Stat(filepath.Join(dir, "x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
}

func TestLocksAndMappedMemory(t *testing.T) {
	dir := mount(t, faultfs.New(), faultfs.Cached)
	f, err := os.Create(filepath.Join(dir, "a"))
	must(t, err)
	defer f.Close()
	g, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
	must(t, err)
	defer g.Close()
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	if err := syscall.Flock(int(g.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("the second lock: %v", err)
	}
	must(t, f.Truncate(4096))
	// The kernel asks the disk, which this process is, for the mapped page: touched by MADV_POPULATE_WRITE inside a system
	// call, not by an instruction, for which the runtime could not stop the world.
	a, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_POPULATE)
	must(t, err)
	defer syscall.Munmap(a)
	b, err := syscall.Mmap(int(g.Fd()), 0, 4096, syscall.PROT_READ, syscall.MAP_SHARED|syscall.MAP_POPULATE)
	must(t, err)
	defer syscall.Munmap(b)
	a[17] = 42
	if b[17] != 42 {
		t.Error("shared memory is not shared")
	}
}

func TestFaultsThroughTheKernel(t *testing.T) {
	d := faultfs.New()
	dir := mount(t, d, faultfs.Direct)
	at := filepath.Join(dir, "a")
	must(t, os.WriteFile(at, []byte("old"), 0o600))
	f, err := os.OpenFile(at, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	must(t, f.Sync())
	for _, c := range []struct {
		name  string
		fault faultfs.Fault
		do    func() error
	}{
		{"write", faultfs.Fault{Op: faultfs.Write, Path: "a", Err: syscall.ENOSPC}, func() error { _, err := f.WriteAt([]byte("new"), 0); return err }},
		{"read", faultfs.Fault{Op: faultfs.Read, Path: "a", Err: syscall.EIO}, func() error { _, err := f.ReadAt(make([]byte, 3), 0); return err }},
		{"flush", faultfs.Fault{Op: faultfs.Sync, Err: syscall.EIO}, f.Sync},
		{"create", faultfs.Fault{Op: faultfs.Change, Err: syscall.EROFS}, func() error { return os.WriteFile(filepath.Join(dir, "b"), nil, 0o600) }},
		{"open for writing", faultfs.Fault{Op: faultfs.Change, Err: syscall.EROFS}, func() error { _, err := os.OpenFile(at, os.O_RDWR, 0); return err }},
		{"rename", faultfs.Fault{Op: faultfs.Name, Path: "b*", Err: syscall.EIO}, func() error { return os.Rename(at, filepath.Join(dir, "b1")) }},
	} {
		end := d.Fail(c.fault)
		if err := c.do(); !errors.Is(err, c.fault.Err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.fault.Err)
		}
		if met := end(); met == 0 {
			t.Errorf("%s: the fault met nothing", c.name)
		}
	}
	if b, err := os.ReadFile(at); err != nil || string(b) != "old" {
		t.Errorf("afterwards the file holds %q, %v", b, err)
	}
	d.Fail(faultfs.Fault{Op: faultfs.Sync, Path: "a", Err: syscall.EIO, Skip: 1, Times: 1})
	for i, want := range []error{nil, syscall.EIO, nil} {
		if err := f.Sync(); !errors.Is(err, want) {
			t.Errorf("flush %d: %v, want %v", i, err, want)
		}
	}
}

// TestDatabase commits to the store, cuts the power in the middle, and looks for every commit that was acknowledged. When
// flushes lie some must be missing, or the cuts are not what they should be.
func TestDatabase(t *testing.T) {
	for _, lie := range []bool{false, true} {
		t.Run(fmt.Sprintf("lie=%t", lie), func(t *testing.T) {
			lost := 0
			for seed := range uint64(6) {
				lost += cutStore(t, seed, lie)
			}
			if lie != (lost > 0) {
				t.Errorf("%d commits were lost", lost)
			}
		})
	}
}

func cutStore(t *testing.T, seed uint64, lie bool) (lost int) {
	d := faultfs.New()
	dir := mount(t, d, faultfs.Cached)
	db, err := store.Open(t.Context(), store.Config{Dir: dir})
	must(t, err)
	must(t, db.Maintain(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`CREATE TABLE t (n BIGINT PRIMARY KEY, v TEXT NOT NULL)`)
		return err
	}))
	must(t, db.Scrub(t.Context()))
	if lie {
		d.Fail(faultfs.Fault{Op: faultfs.Sync})
	}
	frozen := d.FreezeAfter(300 + int64(seed)*37)
	acknowledged := 0
	done := start(func() {
		for i := 0; ; i++ {
			err := db.Maintain(context.Background(), func(tx store.Tx) error {
				_, err := tx.Exec(`INSERT INTO t (n, v) VALUES ($1, $2)`, i, fmt.Sprint("value of ", i))
				return err
			})
			if err != nil {
				return
			}
			acknowledged = i + 1
		}
	})
	<-frozen
	found := d.Cut(seed)
	d.Kill()
	<-done
	db.Close() // It cannot write any more.
	if acknowledged == 0 {
		t.Fatal("nothing was committed before the cut")
	}
	db, err = store.Open(t.Context(), store.Config{Dir: mount(t, found, faultfs.Cached)})
	if err != nil {
		if lie {
			return acknowledged
		}
		t.Fatal(err)
	}
	defer db.Close()
	for i := range acknowledged {
		var v string
		if err := db.Get(t.Context(), `SELECT v FROM t WHERE n = $1`, i).Scan(&v); err != nil || v != fmt.Sprint("value of ", i) {
			lost++
		}
	}
	return lost
}

func start(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

// TestUnmountInSpiteOfOtherNamespaces: whoever makes a mount namespace has a copy of every mount.
func TestUnmountInSpiteOfOtherNamespaces(t *testing.T) {
	if why := faultfs.Missing(); why != "" {
		t.Skip(why)
	}
	dir := t.TempDir()
	m, err := faultfs.New().Mount(dir, faultfs.Cached)
	must(t, err)
	other := exec.Command("cat")
	other.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	in, err := other.StdinPipe()
	must(t, err)
	must(t, other.Start())
	must(t, m.Unmount())
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("the directory below: %v, %v", entries, err)
	}
	must(t, in.Close())
	must(t, other.Wait())
}
