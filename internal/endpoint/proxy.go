package endpoint

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// headerBuffer is how much of a connection is read at once while its header is
// looked for. The header itself is bounded at 4 KiB by the library.
const headerBuffer = 512

var errHeader = errors.New("no PROXY header of version 2 from the load balancer")

// readHeader reads the PROXY header that a load balancer sends first and takes
// the client's address from it. It returns the id of the endpoint that the header
// names, "" when it names none.
//
// Version 1 is refused: it has no place for the endpoint, and a text that begins
// with "PROXY" is easier to smuggle than twelve bytes that no other protocol
// begins with. A header of command LOCAL is the load balancer's own connection,
// such as a health check: its address is the load balancer's.
func (c *conn) readHeader(limit time.Duration) (id string, err error) {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	b := bufio.NewReaderSize(c.Conn, headerBuffer)
	signature, err := b.Peek(len(proxyproto.SIGV2))
	if err != nil {
		return "", err
	}
	if !bytes.Equal(signature, proxyproto.SIGV2) {
		return "", errHeader
	}
	h, err := proxyproto.Read(b)
	if err != nil {
		return "", err
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return "", err
	}
	rest, err := b.Peek(b.Buffered())
	if err != nil {
		return "", err
	}
	c.rest = bytes.Clone(rest)
	if h.Command.IsProxy() {
		source, ok := h.SourceAddr.(*net.TCPAddr)
		if !ok {
			return "", errHeader // Of a Unix socket or a datagram: no address to stand for.
		}
		c.source, c.remote = addressOf(source), source
	}
	return endpointOf(h)
}

// endpointOf returns the endpoint id in a header (type 0xEA, subtype 0x01, as
// AWS's load balancers send it). Two that differ are no answer.
func endpointOf(h *proxyproto.Header) (id string, err error) {
	list, err := h.TLVs()
	if err != nil {
		return "", err
	}
	for _, tlv := range list {
		if !tlvparse.IsAWSVPCEndpointID(tlv) {
			continue
		}
		next, err := tlvparse.AWSVPCEndpointID(tlv)
		if err != nil {
			return "", err
		}
		if id != "" && next != id {
			return "", errHeader
		}
		id = next
	}
	return id, nil
}
