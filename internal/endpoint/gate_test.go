package endpoint

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
)

// TestPanicOfTheGate: a mistake of ours in looking at a connection costs that
// connection, not the process.
func TestPanicOfTheGate(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	// A Manager whose rules nobody has made.
	g := &gate{m: &Manager{o: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}, key: "here"}
	ours, theirs := net.Pipe()
	g.admit(ours)
	if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection is open: %v", err)
	}
	if s := log.String(); !strings.Contains(s, "nil pointer") || !strings.Contains(s, "listener=here") {
		t.Error(s)
	}
}
