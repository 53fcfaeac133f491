package powerloss

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/strongroom/strongroom/test/faults/faultfs"
	"github.com/strongroom/strongroom/test/faults/program"
)

// machine is a deployment whose power can be cut.
type machine struct {
	*program.Deployment
	settings string
	busy     int64 // how many operations on the disk a round has at most, about
	disk     *faultfs.Disk
	running  *program.Server
	mount    *faultfs.Mount

	mu      sync.Mutex
	flushed time.Time // the last flush of the audit log, once its file's name was durable
	waiting time.Time // the last one before it was
}

// emptyMachine has an empty disk of its own.
func emptyMachine(t *testing.T) *machine {
	t.Helper()
	if why := faultfs.Missing(); why != "" {
		t.Skip(why)
	}
	m := &machine{disk: faultfs.New()}
	dir := t.TempDir()
	m.plug(t, dir)
	t.Cleanup(func() { m.unplug(t) })
	m.Deployment = program.At(t, filepath.Join(dir, "d"))
	m.Blind()
	return m
}

// newMachine has a deployment on its disk.
func newMachine(t *testing.T, database, settings string) *machine {
	t.Helper()
	m := emptyMachine(t)
	m.settings, m.busy = settings, 3000
	if database != "" {
		m.busy = 600 // Only the audit log is here, whose writes share much.
	}
	m.Init(database, settings)
	return m
}

func (m *machine) plug(t *testing.T, dir string) {
	t.Helper()
	m.disk.OnFlush(m.note)
	var err error
	if m.mount, err = m.disk.Mount(dir, faultfs.Cached); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) unplug(t *testing.T) {
	t.Helper()
	if m.mount == nil {
		return
	}
	if m.running != nil {
		m.running.Kill()
	}
	if err := m.mount.Unmount(); err != nil {
		t.Errorf("unmount: %v", err)
	}
	m.mount = nil
}

// note keeps up to when records of reads are certainly on the disk.
func (m *machine) note(f faultfs.Flush) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	unnamed := false
	for _, path := range f.Unnamed {
		unnamed = unnamed || strings.HasSuffix(path, ".jsonl")
	}
	switch {
	case strings.HasSuffix(f.Path, ".jsonl") && unnamed:
		m.waiting = now
	case strings.HasSuffix(f.Path, ".jsonl"):
		m.flushed = now
	case strings.HasSuffix(f.Path, "/audit") && !unnamed && m.waiting.After(m.flushed):
		m.flushed = m.waiting
	}
}

// safe is the time before which everything in the audit log was flushed.
func (m *machine) safe() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.flushed
}

// cut waits until the disk has stopped, kills the server and puts the disk back as it is found.
func (m *machine) cut(t *testing.T, s *program.Server, frozen <-chan struct{}, seed uint64) (at time.Time, err error) {
	t.Helper()
	select {
	case <-frozen:
	case <-s.Ended():
		err = fmt.Errorf("the server ended before the power was cut\n%s", s.Log)
	case <-time.After(30 * time.Second):
		err = fmt.Errorf("nothing is written any more\n%s", s.Log)
	}
	m.disk.Freeze()
	at = time.Now()
	s.Signal(syscall.SIGKILL) // It is pending when its operations come back, so the process never sees them fail.
	m.replug(t, seed, s.Kill)
	return at, err
}

// replug puts the disk back as it is found, once the process that used it has ended.
func (m *machine) replug(t *testing.T, seed uint64, ended func()) {
	t.Helper()
	found := m.disk.Cut(seed)
	m.disk.Kill()
	ended()
	m.unplug(t)
	m.disk = found
	m.plug(t, filepath.Dir(m.Dir))
}

// restart starts the server again. In some rounds the power goes once more while it does, or as soon as it serves.
func (m *machine) restart(t *testing.T, r *rand.Rand, sum *figures) (*program.Server, error) {
	t.Helper()
	for r.IntN(4) == 0 {
		frozen := m.disk.FreezeAfter(1 + r.Int64N(120))
		s, err := m.Launch()
		if err == nil {
			disk := m.disk
			go func() {
				if s.Ready() == nil {
					disk.Freeze()
				}
			}()
			_, err = m.cut(t, s, frozen, r.Uint64())
		}
		if err != nil {
			return nil, fmt.Errorf("start after a power cut: %w", err)
		}
		sum.starts++
	}
	s, err := m.start()
	if err != nil {
		return nil, fmt.Errorf("start after a power cut: %w", err)
	}
	return s, nil
}

func (m *machine) start() (s *program.Server, err error) {
	m.running, err = m.Start()
	return m.running, err
}

// synced says that records are on the disk before a call is answered.
func (m *machine) synced() bool { return m.settings == synced }
