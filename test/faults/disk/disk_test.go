package disk

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/test/faults/faultfs"
)

const database = "d/strongroom.db*"

func TestFullDiskUnderDatabase(t *testing.T) {
	b := start(t)
	b.disk.Limit(0)
	var err error
	acknowledged := "old a"
	b.await("a refused change", func() bool {
		if err = b.put("a", "new"); err == nil {
			acknowledged = "new" // It fitted into what the log occupies already.
		}
		return err != nil
	})
	if !refused(err) {
		t.Errorf("a change is answered %v", err)
	}
	b.is("a", acknowledged)
	b.is("b", "old b")
	b.ready(http.StatusOK, "ready, but changes are refused: the disk is full")
	b.metric("strongroom_store_up", "0")
	b.warns("changes are refused since", "the disk is full", "free space")
	b.once("changes are refused: the disk is full")
	b.disk.Limit(-1)
	b.recovers()
	b.once("changes are taken again")
	b.check()
}

func TestFullDiskUnderAuditLog(t *testing.T) {
	b := start(t)
	end := b.disk.Fail(faultfs.Fault{Op: faultfs.Allocate, Path: "d/audit/*", Err: syscall.ENOSPC})
	var err error
	for i := 0; err == nil; i++ {
		if i == 10_000 {
			t.Fatal("calls are answered although there is no room for their records")
		}
		_, err = b.get("a")
	}
	if !refused(err) {
		t.Errorf("a read is answered %v", err)
	}
	if err := b.put("a", "new"); !refused(err) {
		t.Errorf("a change is answered %v", err)
	}
	b.ready(http.StatusServiceUnavailable, "no room for audit records")
	b.metric("strongroom_audit_up", "0")
	b.warns("calls are refused: there is no room for audit records")
	b.once("no room for another audit segment")
	if end() == 0 {
		t.Error("the fault met nothing")
	}
	b.await("a read once there is room", func() bool { _, err := b.get("a"); return err == nil })
	b.is("a", "old a")
	b.once("audit segments can be made again")
	b.recovers()
	b.check()
}

func TestReadOnlyDatabase(t *testing.T) {
	b := start(t)
	end := b.disk.Fail(faultfs.Fault{Op: faultfs.Change, Path: database, Err: syscall.EROFS})
	if err := b.put("a", "new"); !refused(err) {
		t.Errorf("a change is answered %v", err)
	}
	b.is("a", "old a")
	b.ready(http.StatusOK, "ready, but changes are refused: the disk is read-only")
	b.metric("strongroom_store_up", "0")
	b.warns("changes are refused since", "the disk is read-only")
	b.once("changes are refused: the disk is read-only")
	end()
	b.recovers()
	b.check()
}

// TestReadOnlyDisk is what Linux makes of a file system with errors: no record can be written, so no call is answered, and
// the process ends for its service manager to start it when the disk is well.
func TestReadOnlyDisk(t *testing.T) {
	b := start(t)
	end := b.disk.Fail(faultfs.Fault{Op: faultfs.Change, Err: syscall.EROFS})
	if _, err := b.get("a"); err == nil {
		t.Error("a read is answered although its record cannot be written")
	}
	b.ends("the audit log has stopped", "read-only file system", "look into the system's log")
	b.refuses("read-only file system")
	end()
	b.serve()
	b.is("a", "old a")
	b.recovers()
	b.check()
}

// ends waits for the end of the process.
func (b *bench) ends(say ...string) {
	b.Helper()
	b.await("the end of the process", func() bool {
		select {
		case <-b.s.Ended():
			return true
		default:
			return false
		}
	})
	b.says("the log", b.s.Log.String(), say...)
}

func TestDatabaseCannotBeWritten(t *testing.T) {
	b := start(t)
	end := b.disk.Fail(faultfs.Fault{Op: faultfs.Write, Path: database, Err: syscall.EIO})
	if err := b.put("a", "new"); !refused(err) {
		t.Errorf("a change is answered %v", err)
	}
	b.is("a", "old a")
	b.ready(http.StatusOK, "ready, but changes are refused: the disk gives errors")
	b.metric("strongroom_store_up", "0")
	b.warns("changes are refused since", "the disk gives errors")
	b.once("changes are refused: the disk gives errors")
	end()
	b.recovers()
	b.check()
}

// TestFailedFlushOfDatabase fails one flush and lets the next succeed, as Linux does, which has then forgotten what it did
// not write.
func TestFailedFlushOfDatabase(t *testing.T) {
	b := start(t)
	end := b.disk.Fail(faultfs.Fault{Op: faultfs.Sync, Path: database, Err: syscall.EIO, Times: 1})
	if err := b.put("a", "new"); !refused(err) {
		t.Errorf("a change is answered %v", err)
	}
	b.is("a", "old a")
	b.once("changes are refused: the disk gives errors")
	b.once("changes are taken again")
	if end() == 0 {
		t.Error("the fault met nothing")
	}
	// What was refused does not come back, and what comes after is durable.
	if err := b.put("b", "after"); err != nil {
		t.Fatal(err)
	}
	b.cut(1)
	b.serve()
	b.is("a", "old a")
	b.is("b", "after")
	b.check()
}

// TestDatabaseCannotBeFlushed cannot know what becomes of the change: a restart may find it, and the system may not have
// written it.
func TestDatabaseCannotBeFlushed(t *testing.T) {
	b := start(t)
	end := b.disk.Fail(faultfs.Fault{Op: faultfs.Sync, Path: database, Err: syscall.EIO})
	err := b.put("a", "new")
	if code(err) != "InternalServiceError" || !strings.Contains(fmt.Sprint(err), "whether the request took effect is not known") {
		t.Errorf("a change is answered %v", err)
	}
	if err := b.put("a", "newer"); !refused(err) {
		t.Errorf("the next change is answered %v", err)
	}
	b.is("a", "old a")
	b.metric("strongroom_store_up", "0")
	end()
	b.recovers()
	b.check()
}

// TestRestartAfterFailedFlush restarts over a log whose last bytes the system shows, but never wrote and never will.
func TestRestartAfterFailedFlush(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			b := start(t)
			end := b.disk.Fail(faultfs.Fault{Op: faultfs.Sync, Path: database, Err: syscall.EIO})
			_ = b.put("a", "new")
			b.s.Kill()
			end()
			b.serve()
			if err := b.put("b", "after"); err != nil {
				t.Fatal(err)
			}
			a, err := b.get("a")
			if err != nil || a != "old a" && a != "new" {
				t.Errorf("a is %q, %v", a, err)
			}
			b.cut(seed)
			b.serve()
			b.is("a", a)
			b.is("b", "after")
			b.check()
		})
	}
}

func TestDatabaseCannotBeRead(t *testing.T) {
	b := start(t)
	b.stop()
	b.serve() // Nothing is in its memory.
	end := b.disk.Fail(faultfs.Fault{Op: faultfs.Read, Path: "d/strongroom.db", Err: syscall.EIO})
	name := "a"
	_, err := b.secrets().DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
	if code(err) != "InternalServiceError" {
		t.Errorf("a read is answered %v", err)
	}
	if n := b.s.Metric("strongroom_store_damaged_total"); n == "0" || n == "" {
		t.Errorf("strongroom_store_damaged_total is %q", n)
	}
	b.warns("met an error of the database's disk", "its disk cannot read it")
	b.once(`msg="the database is damaged, or its disk cannot read it"`)
	if end() == 0 {
		t.Error("the fault met nothing")
	}
	b.is("a", "old a")
	b.recovers()
	b.check()
}

// TestAuditLogCannotBeWritten and its sister end the process: a flush that succeeds after one that failed proves nothing, so
// only a new start can tell what is on the disk.
func TestAuditLogCannotBeWritten(t *testing.T) { stopAuditLog(t, faultfs.Write) }

func TestAuditLogCannotBeFlushed(t *testing.T) { stopAuditLog(t, faultfs.Sync) }

func stopAuditLog(t *testing.T, op faultfs.Op) {
	b := start(t)
	before := b.changes()
	b.disk.Fail(faultfs.Fault{Op: op, Path: "d/audit/*.jsonl", Err: syscall.EIO, Times: 1})
	done := 0
	var err error
	for err == nil {
		if err = b.put("a", fmt.Sprint("value ", done)); err == nil {
			done++
		}
	}
	if code(err) != "" && code(err) != "InternalServiceError" && !refused(err) {
		t.Errorf("a change is answered %v", err)
	}
	b.ends("the audit log has stopped", "input/output error", "look into the system's log")
	b.serve()
	// The one that was under way is there or is not; its record says the same.
	a, err := b.get("a")
	if err != nil {
		t.Fatal(err)
	}
	made := done
	if a == fmt.Sprint("value ", done) {
		made++
	} else if done > 0 && a != fmt.Sprint("value ", done-1) {
		t.Errorf("a is %q after %d acknowledged changes", a, done)
	}
	if n := b.changes() - before; n != made {
		t.Errorf("%d records of changes, %d were made", n, made)
	}
	b.recovers()
	b.check()
	b.cut(2)
	b.serve()
	b.is("a", "after")
	b.check()
}

// page finds the page of the database that holds a text in a row.
func (b *bench) page(text string) (f *os.File, at int64) {
	b.Helper()
	f, err := os.OpenFile(filepath.Join(b.d.Dir, "strongroom.db"), os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	all, err := os.ReadFile(f.Name())
	if err != nil {
		b.Fatal(err)
	}
	i := bytes.LastIndex(all, []byte(text))
	if i < 0 {
		b.Fatalf("%q is nowhere in the database", text)
	}
	return f, int64(i) / 4096 * 4096
}

func TestCorruptPage(t *testing.T) {
	b := start(t)
	mark, description := "marked", strings.Repeat("the row of this secret fills pages. ", 50)
	for i := range 12 {
		name := fmt.Sprint(mark, i)
		if _, err := b.secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: new("v"), Description: &description}); err != nil {
			t.Fatal(err)
		}
	}
	b.stop()
	f, at := b.page("the row of this secret fills pages")
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xff}, 4096), at); err != nil {
		t.Fatal(err)
	}
	f.Close()
	b.serve()
	damaged, fine := 0, 0
	for i := range 12 {
		name := fmt.Sprint(mark, i)
		switch _, err := b.secrets().DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name}); {
		case err == nil:
			fine++
		case code(err) == "InternalServiceError" && status(err) == http.StatusInternalServerError:
			damaged++
		default:
			t.Errorf("%s: %v", name, err)
		}
	}
	if damaged == 0 || fine == 0 {
		t.Errorf("%d secrets are damaged, %d are read", damaged, fine)
	}
	if n := b.s.Metric("strongroom_store_damaged_total"); n == "0" || n == "" {
		t.Errorf("strongroom_store_damaged_total is %q", n)
	}
	b.once(`msg="the database is damaged, or its disk cannot read it"`)
	b.warns("the database is damaged", "restore a backup onto a sound disk")
	if out, _, err := b.d.Run("check"); err == nil {
		t.Errorf("check is content:\n%s", out)
	}
	if err := b.put("b", "new"); err != nil {
		t.Errorf("a change elsewhere: %v", err)
	}
}

func TestCorruptHeader(t *testing.T) {
	b := start(t)
	b.stop()
	f, err := os.OpenFile(filepath.Join(b.d.Dir, "strongroom.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(make([]byte, 4096), 0)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	b.refuses("the database is damaged", "restore a backup onto a sound disk")
}

func TestTruncatedAuditSegment(t *testing.T) {
	b := start(t)
	b.stop()
	segments, err := filepath.Glob(filepath.Join(b.d.Dir, "audit", "*.jsonl"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("%v, %v", segments, err)
	}
	if err := os.Truncate(segments[len(segments)-1], 600); err != nil {
		t.Fatal(err)
	}
	b.serve()
	b.is("a", "old a")
	b.once("audit records behind the last signed head are lost or changed")
	b.warns("audit records behind a signed head are lost or changed", "strongroom audit verify")
	if out, _, err := b.d.Run("audit", "verify"); err == nil {
		t.Errorf("audit verify is content:\n%s", out)
	}
}

func TestRootKey(t *testing.T) {
	b := start(t)
	b.stop()
	path := filepath.Join(b.d.Dir, "root.key")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	b.refuses("root key", "no such file", "Restore the file from your copy of it")
	if _, err := seal.CreateFile(path); err != nil {
		t.Fatal(err)
	}
	b.refuses("the data wants file:", "Restore the root key that was in use when the data was written")
	if err := os.Rename(path+".old", path); err != nil {
		t.Fatal(err)
	}
	b.serve()
	b.is("a", "old a")
}

// TestFewFiles opens more connections than the process may have files. Those that it has are served, and when the others end
// it goes on.
func TestFewFiles(t *testing.T) {
	b := start(t)
	b.stop()
	b.d.Files(128)
	b.serve()
	b.is("a", "old a")
	b.warns("the process may have 128 files open", "LimitNOFILE")
	var idle []net.Conn
	for range 300 {
		c, err := net.Dial("tcp", strings.TrimPrefix(b.s.URL, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	for i := range 20 { // Over the connection that is open already.
		if err := b.put("b", fmt.Sprint("value ", i)); err != nil {
			t.Fatalf("while strangers hold connections: %v", err)
		}
	}
	b.is("b", "value 19")
	b.ready(http.StatusOK, "ready\n")
	for _, c := range idle {
		c.Close()
	}
	b.await("a call over a new connection", func() bool {
		b.s.HTTP().CloseIdleConnections()
		_, err := b.get("a")
		return err == nil
	})
	if strings.Contains(b.s.Log.String(), "too many open files") {
		t.Errorf("the system's bound was reached:\n%s", b.s.Log)
	}
	b.check()
}
