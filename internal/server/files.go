package server

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/strongroom/strongroom/internal/config"
)

// ownFiles is how many files the server has open besides connections: the database,
// the audit log, listeners.
const ownFiles = 256

// fewFiles warns when the process may not have as many files as connections are
// allowed.
func fewFiles(cfg *config.Config, have uint64) string {
	need := uint64(faces(cfg))*uint64(cfg.Limits.Connections) + ownFiles
	if have >= need {
		return ""
	}
	return fmt.Sprintf("the process may have %d files open, but limits.connections allows for %d: raise the one (LimitNOFILE) or lower the other; until then a listener lets in %d connections",
		have, need, fitting(cfg, have))
}

// faces is how many bounds on connections there are: the public listeners share one.
func faces(cfg *config.Config) int {
	n := min(len(cfg.PublicListen()), 1)
	for i := range cfg.Network.Endpoints {
		n += len(cfg.Network.Endpoints[i].Listen)
	}
	return n
}

// fitting is how many connections a listener lets in: those that are configured, or
// as many as the system's bound on files leaves. That bound itself spares neither
// database nor audit log, so it must not be reached.
func fitting(cfg *config.Config, have uint64) int {
	own := min(ownFiles, have/2)
	left := (have - own) / uint64(max(1, faces(cfg)))
	return max(1, int(min(uint64(cfg.Limits.Connections), left)))
}

// connections is fitting for this process.
func connections(cfg *config.Config) int {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return cfg.Limits.Connections
	}
	return fitting(cfg, files.Cur)
}
