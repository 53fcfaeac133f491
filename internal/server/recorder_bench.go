//go:build bench_noaudit

package server

import (
	"context"
	"os"

	"github.com/strongroom/strongroom/internal/wire"
)

// This file takes the place of recorder.go in the build that the benchmark compares
// with, to tell what the records of reads cost. A tag instead of a setting, so that
// no program that is shipped has a way to leave them out; and this one does not run
// where nobody has said that it may.
func (s *Server) recorder() wire.Recorder {
	if os.Getenv("STRONGROOM_BENCHMARK_WITHOUT_AUDIT") != "reads of a benchmark" {
		panic("built without audit: the tag bench_noaudit is for tools/bench only")
	}
	return unrecorded{}
}

// unrecorded leaves no record of anything.
type unrecorded struct{}

func (unrecorded) Begin(context.Context, *wire.Call) error  { return nil }
func (unrecorded) Record(context.Context, *wire.Call) error { return nil }
func (unrecorded) Unverified(*wire.Call, error)             {}
