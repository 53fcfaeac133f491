package netfault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
)

// Cut says what happens to the connection around a commit.
type Cut int32

const (
	// None lets it be.
	None Cut = iota
	// Before loses the commit on its way to the server.
	Before
	// Held delivers what precedes the commit in its burst but not the commit, and
	// keeps the server's end open for a while, as a broken network does.
	Held
	// After delivers the commit, waits for the answer, and loses that.
	After
	// During delivers the commit and breaks at once.
	During
)

var errDeaf = errors.New("nobody hears the client any more")

// forward moves what the client sends, burst by burst: up to where it waits for an
// answer. answered is closed when the server has sent what is lost.
func (p *Proxy) forward(l *link, answered <-chan struct{}) error {
	if err := forwardStartup(l.client, l.server); err != nil {
		return err
	}
	known := commits{}
	var burst, ahead []byte // ahead is what precedes the commit in the burst
	commit := false
	for {
		message, err := readMessage(l.client)
		if err != nil {
			return err
		}
		if l.deaf.Load() {
			return errDeaf
		}
		if known.see(message) {
			commit, ahead = true, bytes.Clone(burst)
		}
		burst = append(burst, message...)
		if strings.IndexByte("PBDEC", message[0]) >= 0 {
			continue // more follows, up to a sync
		}
		if err := p.wait(l); err != nil {
			return err
		}
		if l.deaf.Load() {
			return errDeaf
		}
		how := None
		if commit {
			if how = Cut(p.next.Swap(int32(None))); how == None {
				how = Cut(p.each.Load())
			}
		}
		if how != None {
			p.cuts.Add(1)
		}
		switch how {
		case Before:
			return nil
		case Held:
			l.mute.Store(true)
			l.server.Write(append(slices.Clip(ahead), 'H', 0, 0, 0, 4)) // flush
			l.client.Close()
			time.Sleep(500 * time.Millisecond)
			return nil
		case After:
			l.mute.Store(true)
			l.server.Write(burst)
			<-answered
			time.Sleep(20 * time.Millisecond)
			return nil
		case During:
			l.mute.Store(true)
			l.client.Close()
			l.server.Write(burst)
			return nil
		}
		if _, err := l.server.Write(burst); err != nil {
			if l.deaf.Load() {
				return errDeaf
			}
			return err
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

// text cuts a string off a message.
func text(b []byte) (string, []byte) {
	s, rest, _ := bytes.Cut(b, []byte{0})
	return string(s), rest
}
