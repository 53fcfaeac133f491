// Command strongroom is the server, its administration and the user's tools in
// one binary. All it does itself is hand over arguments, streams and signals.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/strongroom/strongroom/internal/cli"
)

// Set by the linker: -X main.version=… -X main.commit=….
var version, commit string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end; a second one is not caught.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, &cli.Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		Version: version, Commit: commit,
	}))
}
