package store

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cut says what a proxy does with a commit.
type cut int32

const (
	pass cut = iota
	// before loses the commit on its way to the server.
	before
	// held delivers the marker but not the commit, and keeps the server's end
	// open for a while, as a broken network does.
	held
	// after delivers the commit, waits for the answer, and loses that.
	after
	// during delivers the commit and breaks at once.
	during
)

// proxy stands between a DB and PostgreSQL and breaks the connection around
// the next commit when told to.
type proxy struct {
	t      testing.TB
	server string
	next   atomic.Int32
	cuts   atomic.Int64
}

// newProxy returns a proxy and the address of the database through it.
func newProxy(t testing.TB, address string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, server: u.Host}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client) })
		}
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()

	var mute atomic.Bool
	answered := make(chan struct{})
	var once sync.Once
	go func() {
		defer client.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if mute.Load() && n > 0 {
				once.Do(func() { close(answered) })
			} else if n > 0 {
				client.Write(buffer[:n])
			}
			if err != nil {
				return
			}
		}
	}()

	if err := forwardStartup(client, server); err != nil {
		return
	}
	commits := map[string]bool{} // names of prepared statements that commit
	var burst, ahead []byte      // ahead is what precedes the commit in the burst
	commit := false
	for {
		message, err := readMessage(client)
		if err != nil {
			return
		}
		kind, body := message[0], message[5:]
		switch kind {
		case 'P':
			name, rest, _ := bytes.Cut(body, []byte{0})
			text, _, _ := bytes.Cut(rest, []byte{0})
			commits[string(name)] = string(text) == "commit"
		case 'B':
			_, rest, _ := bytes.Cut(body, []byte{0})
			name, _, _ := bytes.Cut(rest, []byte{0})
			if commits[string(name)] {
				commit, ahead = true, bytes.Clone(burst)
			}
		}
		burst = append(burst, message...)
		if strings.IndexByte("PBDEC", kind) >= 0 {
			continue // more follows, up to a sync
		}
		how := pass
		if commit {
			how = cut(p.next.Swap(int32(pass)))
		}
		if how != pass {
			p.cuts.Add(1)
		}
		switch how {
		case before:
			return
		case held:
			mute.Store(true)
			server.Write(append(ahead, 'H', 0, 0, 0, 4)) // flush
			client.Close()
			time.Sleep(500 * time.Millisecond)
			return
		case after:
			mute.Store(true)
			server.Write(burst)
			<-answered
			time.Sleep(20 * time.Millisecond)
			return
		case during:
			mute.Store(true)
			client.Close()
			server.Write(burst)
			return
		}
		if _, err := server.Write(burst); err != nil {
			return
		}
		burst, commit = nil, false
	}
}

func forwardStartup(client io.Reader, server io.Writer) error {
	var size [4]byte
	if _, err := io.ReadFull(client, size[:]); err != nil {
		return err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:])-4)
	if _, err := io.ReadFull(client, body); err != nil {
		return err
	}
	_, err := server.Write(append(size[:], body...))
	return err
}

// readMessage returns one message with its type and length in front.
func readMessage(r io.Reader) ([]byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	message := append(head, make([]byte, binary.BigEndian.Uint32(head[1:])-4)...)
	_, err := io.ReadFull(r, message[5:])
	return message, err
}
