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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Run(ctx, &cli.Env{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}))
}
