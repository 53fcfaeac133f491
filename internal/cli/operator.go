package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"

	"github.com/strongroom/strongroom/internal/server"
)

// errNotRunning means that nobody answers on the operator's socket.
var errNotRunning = errors.New("no server runs")

// operatorTime bounds a request to the operator's socket.
const operatorTime = 30 * time.Second

// maxOperatorAnswer bounds what is read of an answer; a head of the audit chain
// takes 300 bytes and covers 64 MiB of records.
const maxOperatorAnswer = 64 << 20

// operator asks the server of a data directory over its socket: method and path,
// in as JSON (nil for none), the answer into out.
func operator(ctx context.Context, data, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, operatorTime)
	defer cancel()
	return operatorWork(ctx, data, method, path, in, out)
}

// operatorWork is operator for what may take as long as it takes.
func operatorWork(ctx context.Context, data, method, path string, in, out any) error {
	body, err := operatorStream(ctx, data, method, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxOperatorAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read answer of the server: %w", err)
	}
	return nil
}

// operatorStream is operatorWork for an answer that is read as it comes. The caller
// closes it.
func operatorStream(ctx context.Context, data, method, path string, in any) (io.ReadCloser, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://operator"+path, body)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(data, server.SocketFile))
	}}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, operatorFailure(err, data)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	var failure struct {
		Error string `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxOperatorAnswer)).Decode(&failure); err != nil || failure.Error == "" {
		return nil, withHint(fmt.Errorf("the server answers %s", answer.Status), "server and command may be of different versions; compare \"strongroom version\"")
	}
	return nil, errors.New(failure.Error)
}

// operatorFailure says why the socket gave no answer.
func operatorFailure(err error, data string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) && !server.Initialised(data):
		return notInitialised(data)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		// A socket that refuses was left behind by a killed process.
		return withHint(fmt.Errorf("%w on %s", errNotRunning, data), "start it: strongroom server --data "+shellWord(data))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		// The socket hangs up on everybody but its owner and root.
		return withHint(fmt.Errorf("the server on %s does not listen to this user", data), "run this as the user that runs the server")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the server on %s did not answer within %s", data, operatorTime)
	}
	return fmt.Errorf("ask the server on %s: %w", data, err)
}

// notInitialised is the error of a directory that init has not made.
func notInitialised(data string) error {
	return withHint(fmt.Errorf("%w: %s", server.ErrNotInitialised, data),
		"make it: strongroom init --data "+shellWord(data)+"; or name another with --data or STRONGROOM_DATA")
}
