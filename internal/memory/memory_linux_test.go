package memory

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapping is what the kernel says of the mapping that holds an address.
func mapping(t *testing.T, at uintptr) (flags []string, locked string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	here := false
	for line := range strings.Lines(string(b)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			here = from <= at && at < to
		}
		name, value, _ := strings.Cut(line, ":")
		switch {
		case here && name == "VmFlags":
			return strings.Fields(value), locked
		case here && name == "Locked":
			locked = strings.TrimSpace(value)
		}
	}
	t.Fatalf("no mapping holds %x", at)
	return nil, ""
}

// TestHold: the kernel says that a key's page is not dumped, not handed on to
// children, and locked when it says so itself; the place it came from is empty.
func TestHold(t *testing.T) {
	want := bytes.Repeat([]byte{7}, 32)
	key := bytes.Clone(want)
	s := Hold(key)
	if !bytes.Equal(s.Bytes(), want) || cap(s.Bytes()) != 32 || !bytes.Equal(key, make([]byte, 32)) {
		t.Fatalf("holds %v, left %v", s.Bytes(), key)
	}
	flags, locked := mapping(t, uintptr(unsafe.Pointer(&s.Bytes()[0])))
	if !slices.Contains(flags, "dd") || !slices.Contains(flags, "dc") {
		t.Errorf("the page may be dumped or forked: %v", flags)
	}
	if s.Locked() != slices.Contains(flags, "lo") || s.Locked() && locked == "0 kB" {
		t.Errorf("locked: %v, %v, %s", s.Locked(), flags, locked)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err == nil && limit.Cur > 64<<10 && !s.Locked() {
		t.Errorf("not locked with a bound of %d", limit.Cur)
	}
	s.Close()
	s.Close()
	if s.Bytes() != nil || s.Locked() {
		t.Error("open after Close")
	}
	large := Hold(make([]byte, 10_000))
	defer large.Close()
	if len(large.Bytes()) != 10_000 {
		t.Errorf("%d bytes", len(large.Bytes()))
	}
}

// TestHarden runs in a process of its own, since it changes that.
func TestHarden(t *testing.T) {
	if os.Getenv("MEMORY_TEST_CHILD") == "" {
		t.Parallel()
		for _, mode := range []string{LockAuto, LockAll, LockKeys, "bounded"} {
			c := exec.Command(os.Args[0], "-test.run=^TestHarden$", "-test.v")
			c.Env = append(os.Environ(), "MEMORY_TEST_CHILD="+mode)
			if out, err := c.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestHarden")) {
				t.Errorf("%s: %v\n%s", mode, err, out)
			}
		}
		return
	}
	mode := os.Getenv("MEMORY_TEST_CHILD")
	if mode == "bounded" { // As most users are: all cannot be locked.
		mode = LockAll
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 64 << 10, Max: 64 << 10}); err != nil {
			t.Fatal(err)
		}
	}
	free, err := unboundedLocks()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Harden(mode, false)
	if mode == LockAll && !free {
		if !errors.Is(err, ErrLock) || s.Locked {
			t.Errorf("%+v, %v", s, err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	if d, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || d != 0 || s.Dumps {
		t.Errorf("dumpable: %d, %v, %+v", d, err, s)
	}
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil || core.Max != 0 {
		t.Errorf("core files: %+v, %v", core, err)
	}
	if s.Locked && (mode == LockKeys || !free) {
		t.Errorf("locked all: %+v", s)
	}
	// The process goes on to grow.
	var all [][]byte
	for range 32 {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmLck:")
	var kilobytes int
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		t.Fatal(err)
	}
	if s.Locked != (kilobytes >= len(all)<<10) {
		t.Errorf("%+v, and %d kB locked", s, kilobytes)
	}
}

// TestDumpsAllowed changes nothing.
func TestDumpsAllowed(t *testing.T) {
	before, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Harden(LockKeys, true)
	after, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil || !s.Dumps || before != after {
		t.Errorf("%+v, %v; dumpable %d, then %d", s, err, before, after)
	}
}
