//go:build !bench_noaudit

package server

import "github.com/strongroom/strongroom/internal/wire"

// recorder makes the record that every call leaves.
func (s *Server) recorder() wire.Recorder { return s.audit }
