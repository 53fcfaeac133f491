package limit

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Waited returns a function that tells how long ago the last bytes from the peer
// arrived at a connection, whether they have been read or not; nil when the kernel
// does not know. Connections inside other ones are found by NetConn.
func Waited(c net.Conn) func() time.Duration {
	for {
		switch x := c.(type) {
		case *net.TCPConn:
			raw, err := x.SyscallConn()
			if err != nil {
				return nil
			}
			return func() (ago time.Duration) {
				_ = raw.Control(func(fd uintptr) {
					if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
						ago = time.Duration(info.Last_data_recv) * time.Millisecond
					}
				}) // A connection that is closed already has waited for nothing.
				return ago
			}
		case interface{ NetConn() net.Conn }:
			c = x.NetConn()
		default:
			return nil
		}
	}
}
