package endpoint

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// script is a connection whose peer has sent all that it will.
type script struct {
	net.Conn
	in *bytes.Reader
}

func (s script) Read(p []byte) (int, error)      { return s.in.Read(p) }
func (s script) SetReadDeadline(time.Time) error { return nil }

// FuzzHeader: whatever stands before a request, a header is refused, or it is one of
// version 2 that names an address or none, and not a byte behind it is lost.
func FuzzHeader(f *testing.F) {
	good := &proxyproto.Header{Version: 2, Command: proxyproto.PROXY, TransportProtocol: proxyproto.TCPv4,
		SourceAddr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 4}, DestinationAddr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}}
	if err := good.SetTLVs([]proxyproto.TLV{{Type: 0xEA, Value: append([]byte{1}, "vpce-0a1b2c3d"...)}}); err != nil {
		f.Fatal(err)
	}
	b, err := good.Format()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(bytes.Clone(b), "POST / HTTP/1.1\r\n"...))
	f.Add(b[:len(b)-1])
	f.Add([]byte("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"))
	local := bytes.Clone(b)
	local[12] = 0x20
	f.Add(local)
	unix := bytes.Clone(b)
	unix[13] = 0x31
	f.Add(unix)
	f.Fuzz(func(t *testing.T, sent []byte) {
		c := &conn{Conn: script{in: bytes.NewReader(sent)}}
		id, err := c.readHeader(time.Second)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(sent, proxyproto.SIGV2) || len(sent) < 16 {
			t.Fatal("it was no header")
		}
		proxied := sent[12]&15 == 1
		if proxied != c.source.IsValid() || proxied && (c.remote == nil || c.source.Is4In6()) {
			t.Fatalf("command %x, source %v, remote %v", sent[12], c.source, c.remote)
		}
		if len(id) > 4096 {
			t.Fatalf("an id of %d bytes", len(id))
		}
		left, err := io.ReadAll(c.Conn)
		if err != nil {
			t.Fatal(err)
		}
		header := 16 + (int(sent[14])<<8 | int(sent[15]))
		if behind := append(bytes.Clone(c.rest), left...); header > len(sent) || !bytes.Equal(behind, sent[header:]) {
			t.Fatalf("%q is behind a header of %d bytes in %q", behind, header, sent)
		}
	})
}
