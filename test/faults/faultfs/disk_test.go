package faultfs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
)

// past is what a test remembers of one file.
type past struct {
	id      uint64
	history [][]byte // every content since the last flush, that one first
	named   string   // its durable name, "" when it has none or that is in doubt
}

// TestWhatWasFlushedSurvivesAnyCut does random things to a disk and cuts its power under many seeds. It has its own memory of
// what was done, whole contents instead of pages.
func TestWhatWasFlushedSurvivesAnyCut(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		d := New()
		files := map[string]*past{}
		for range 60 {
			step(t, d, r, files)
		}
		for cut := range uint64(25) {
			found := d.Cut(cut)
			again := d.Cut(cut)
			for name, f := range files {
				n := found.nodes[f.id]
				switch {
				case n == nil && f.named != "":
					t.Fatalf("seed %d/%d: %s is gone, although its name was flushed", seed, cut, name)
				case n == nil:
					continue
				case f.named != "" && found.nodes[rootID].entries[f.named] != f.id:
					t.Fatalf("seed %d/%d: %s is not what it was named", seed, cut, name)
				}
				lawful(t, fmt.Sprintf("seed %d/%d: %s", seed, cut, name), bytesOf(n), f.history)
				if !bytes.Equal(bytesOf(n), bytesOf(again.nodes[f.id])) {
					t.Fatalf("seed %d/%d: the same seed gave two disks", seed, cut)
				}
			}
		}
	}
}

func bytesOf(n *node) []byte {
	b := make([]byte, n.now.size)
	n.now.read(b, 0)
	return b
}

// lawful fails unless each sector was at that place since the last flush, or was a hole in a file that had just grown.
func lawful(t *testing.T, what string, got []byte, history [][]byte) {
	t.Helper()
	if len(history) == 1 && !bytes.Equal(got, history[0]) {
		t.Fatalf("%s: it was flushed and is another one", what)
	}
	lengths := false
	for _, h := range history {
		lengths = lengths || len(h) == len(got)
	}
	if !lengths {
		t.Fatalf("%s: it has a length that it never had: %d", what, len(got))
	}
	for off := 0; off < len(got); off += sectorSize {
		sector := got[off:min(len(got), off+sectorSize)]
		hole := len(bytes.Trim(sector, "\x00")) == 0 && off+sectorSize > len(history[0])
		ok := hole
		for i, h := range history {
			// A file that was cut short had holes from there on.
			hole = hole || len(h) < off+sectorSize && i < len(history)
			ok = ok || bytes.HasPrefix(padded(h, off), sector)
		}
		if !ok && !(hole && zeroTail(sector, history, off)) {
			t.Fatalf("%s: sector %d was never there", what, off/sectorSize)
		}
	}
}

func padded(h []byte, off int) []byte {
	out := make([]byte, sectorSize)
	if off < len(h) {
		copy(out, h[off:])
	}
	return out
}

// zeroTail says whether sector is the beginning of one that was there, and zeros.
func zeroTail(sector []byte, history [][]byte, off int) bool {
	front := bytes.TrimRight(sector, "\x00")
	for _, h := range history {
		if bytes.HasPrefix(padded(h, off), front) {
			return true
		}
	}
	return false
}

func step(t *testing.T, d *Disk, r *rand.Rand, files map[string]*past) {
	t.Helper()
	name := fmt.Sprint("f", r.IntN(4))
	f := files[name]
	if f == nil {
		n, errno := d.create(rootID, name, &node{mode: syscall.S_IFREG | 0o600})
		if errno != 0 {
			t.Fatal(errno)
		}
		files[name] = &past{id: n.id, history: [][]byte{nil}}
		return
	}
	n := d.nodes[f.id]
	switch r.IntN(8) {
	case 0, 1, 2:
		b := make([]byte, 1+r.IntN(9000))
		for i := range b {
			b[i] = byte(1 + r.IntN(255))
		}
		if _, errno := d.write(n, b, int64(r.IntN(9000))); errno != 0 {
			t.Fatal(errno)
		}
		f.history = append(f.history, bytesOf(n))
	case 3:
		d.truncate(n, int64(r.IntN(12000)))
		f.history = append(f.history, bytesOf(n))
	case 4:
		n.flush()
		f.history = [][]byte{bytesOf(n)}
	case 5:
		n.flush()
		d.flushNames(func(e entry) bool { return e.node == n.id })
		f.history, f.named = [][]byte{bytesOf(n)}, name
	case 6:
		d.flushNames(func(e entry) bool { return e.dir == rootID })
		for name, f := range files {
			f.named = name
		}
	case 7:
		to := fmt.Sprint("f", r.IntN(4))
		if to == name {
			return
		}
		if errno := d.move(rootID, name, rootID, to); errno != 0 {
			t.Fatal(errno)
		}
		// Which of both is there is in doubt until the next flush.
		f.named = ""
		delete(files, name)
		files[to] = f
	}
}

// TestWhatWasNotFlushedMayVanish looks for each fate of one page under some seed.
func TestWhatWasNotFlushedMayVanish(t *testing.T) {
	d := New()
	n, _ := d.create(rootID, "a", &node{mode: syscall.S_IFREG})
	old, fresh := bytes.Repeat([]byte{1}, 3*pageSize), bytes.Repeat([]byte{2}, 3*pageSize)
	d.write(n, old, 0)
	n.flush()
	d.flushNames(func(e entry) bool { return e.node == n.id })
	d.write(n, fresh, 0)
	d.create(rootID, "b", &node{mode: syscall.S_IFREG})
	d.create(rootID, "c", &node{mode: syscall.S_IFREG})
	seen := map[string]bool{}
	for seed := range uint64(200) {
		cut := d.Cut(seed)
		names := cut.nodes[rootID].entries
		if names["c"] != 0 && names["b"] == 0 {
			seen["a name without the one before it"] = true
		}
		if names["c"] == 0 && names["b"] == 0 {
			seen["no names"] = true
		}
		got := bytesOf(cut.nodes[n.id])
		first, last := got[:pageSize], got[2*pageSize:]
		switch {
		case bytes.Equal(got, old):
			seen["nothing"] = true
		case bytes.Equal(got, fresh):
			seen["everything"] = true
		case bytes.Equal(first, old[:pageSize]) && bytes.Equal(last, fresh[:pageSize]):
			seen["a later page without an earlier one"] = true
		case bytes.Contains(first, []byte{1}) && bytes.Contains(first, []byte{2}):
			seen["a torn page"] = true
		}
	}
	for _, want := range []string{"nothing", "everything", "a later page without an earlier one", "a torn page", "no names", "a name without the one before it"} {
		if !seen[want] {
			t.Errorf("no seed gives: %s", want)
		}
	}
}

// TestRenameIsWhole looks for a cut in which a file that replaced another one is there under no name, or both are gone.
func TestRenameIsWhole(t *testing.T) {
	d := New()
	a, _ := d.create(rootID, "a", &node{mode: syscall.S_IFREG})
	d.flushNames(func(e entry) bool { return true })
	b, _ := d.create(rootID, "b", &node{mode: syscall.S_IFREG})
	d.move(rootID, "b", rootID, "a")
	for seed := range uint64(200) {
		names := d.Cut(seed).nodes[rootID].entries
		if got := names["a"]; got != a.id && got != b.id {
			t.Fatalf("seed %d: neither is there: %v", seed, names)
		}
	}
}

func TestFailedFlushLosesAndTheNextSucceeds(t *testing.T) {
	d := New()
	n, _ := d.create(rootID, "a", &node{mode: syscall.S_IFREG})
	d.write(n, []byte("old"), 0)
	n.flush()
	d.flushNames(func(e entry) bool { return e.node == n.id })
	d.write(n, []byte("new"), 0)
	n.lose()
	n.flush()
	if got := string(bytesOf(n)); got != "new" {
		t.Errorf("processes see %q", got)
	}
	for seed := range uint64(20) {
		if got := string(bytesOf(d.Cut(seed).nodes[n.id])); got != "old" {
			t.Errorf("the disk holds %q", got)
		}
	}
}

func TestFullDisk(t *testing.T) {
	d := New()
	d.Limit(4 * pageSize)
	n, _ := d.create(rootID, "a", &node{mode: syscall.S_IFREG})
	if errno := d.allocate(n, 0, 3*pageSize, false); errno != 0 {
		t.Fatal(errno)
	}
	m, _ := d.create(rootID, "b", &node{mode: syscall.S_IFREG})
	if errno := d.allocate(m, 0, 2*pageSize, false); errno != syscall.ENOSPC {
		t.Errorf("allocate: %v", errno)
	}
	if got, errno := d.write(m, make([]byte, 2*pageSize), 0); got != pageSize || errno != 0 {
		t.Errorf("write into the last page: %d, %v", got, errno)
	}
	if _, errno := d.write(m, []byte{1}, pageSize); errno != syscall.ENOSPC {
		t.Errorf("write beyond: %v", errno)
	}
	if _, errno := d.write(n, make([]byte, 3*pageSize), 0); errno != 0 {
		t.Errorf("write into what was allocated: %v", errno)
	}
	d.remove(rootID, "a", false)
	if _, errno := d.write(m, []byte{1}, pageSize); errno != 0 {
		t.Errorf("write after another file was removed: %v", errno)
	}
}
