package limit

import (
	"net"
	"runtime"
	"testing"
	"time"
)

// TestWaited: the time since the bytes came is told also while nobody reads them.
func TestWaited(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = Listen(l, NewSlots(1), nil)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	waited := Waited(c)
	sent := time.Now()
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for waited() < 30*time.Millisecond {
		if time.Since(sent) > 10*time.Second {
			t.Fatalf("%s after the bytes were sent: %s", time.Since(sent), waited())
		}
		time.Sleep(time.Millisecond)
	}
	// The kernel counts in ticks of up to 10 ms.
	if at := time.Since(sent); at < 15*time.Millisecond {
		t.Errorf("30 ms are over after %s", at)
	}
	if Waited(&net.UnixConn{}) != nil {
		t.Error("a Unix socket does not tell")
	}
}
