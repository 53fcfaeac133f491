package ship

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// state is what the shipper knows across restarts. It is written after the objects
// that it counts are in the spool, and before the log that they were made from may
// begin anew.
type state struct {
	Version int    `json:"version"`
	Stream  string `json:"stream"`
	// Sealed is the stream's key under the storage keys.
	Sealed []byte `json:"sealedKey"`
	// Target and Recipients are what the stream was begun with.
	Target     string   `json:"target"`
	Recipients []string `json:"recipients"`
	// Begun says that the stream's first object is at the target.
	Begun bool `json:"begun"`

	Log   series `json:"log"`
	Audit series `json:"audit"`
	// Files is how much of each file of the audit record was taken.
	Files map[string]int64 `json:"files"`
	// Keys are the storage keys at the target, Numbered how many objects they are in.
	Keys     []string `json:"storageKeys"`
	Numbered uint64   `json:"keyObjects"`

	// At is how far the log has been taken; Folding says that all of it was, so that
	// the next frames may stand at its beginning. Database is the database file as it
	// was once that had happened.
	At       place    `json:"at"`
	Folding  bool     `json:"folding"`
	Database identity `json:"database"`
	// Turns is how often the log was emptied since, each of which SQLite counts in the
	// first half of the salt.
	Turns uint32 `json:"turns"`
	// Until is the last moment that was given out.
	Until int64 `json:"until"`
	// Gap says that the next log object does not continue the one before it; Missing
	// is the newest one of which that was said.
	Gap     bool   `json:"gap"`
	Missing uint64 `json:"missingBefore"`
	// Bases are the copies of the database at the target, Former the streams before
	// this one.
	Bases  []baseNote `json:"bases"`
	Former []string   `json:"formerStreams"`
}

// baseNote is a base at the target, of which logs from Number on are needed.
type baseNote struct {
	Number uint64 `json:"number"`
	Parts  int    `json:"parts"`
	Until  int64  `json:"until"`
}

const stateVersion = 1

// series are the numbered objects of a kind.
type series struct {
	// Next is the number of the next object, Prev the hash of the one before it.
	Next uint64 `json:"next"`
	Prev string `json:"prev"`
	// Sent counts those that the target has.
	Sent uint64 `json:"sent"`
}

// identity tells whether a file was changed.
type identity struct {
	Size  int64 `json:"size"`
	Mtime int64 `json:"mtime"`
}

func identify(path string) identity {
	info, err := os.Stat(path)
	if err != nil {
		return identity{}
	}
	return identity{info.Size(), info.ModTime().UnixNano()}
}

const (
	stateFile = "state.json"
	marksFile = "marks"
)

// spool is the shipper's folder in the data directory: its state, the moments of
// commits that were not taken yet, and objects that the target does not have.
type spool struct {
	dir   string
	marks *os.File
}

func openSpool(dir string) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, marksFile), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &spool{dir, f}, nil
}

func (p *spool) close() error { return p.marks.Close() }

// load returns the state; ok is false when there is none that can be read.
func (p *spool) load() (st state, ok bool, err error) {
	b, err := os.ReadFile(filepath.Join(p.dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return st, false, nil
	}
	if err != nil {
		return st, false, err
	}
	err = json.Unmarshal(b, &st)
	return st, err == nil && st.Version == stateVersion && streamName.MatchString(st.Stream), nil
}

func (p *spool) save(st *state) error {
	b, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	return writeDurably(filepath.Join(p.dir, stateFile), append(b, '\n'))
}

func (p *spool) path(kind string, n uint64) string {
	return filepath.Join(p.dir, fmt.Sprintf("%s-%012d", kind, n))
}

func (p *spool) put(kind string, n uint64, object []byte) error {
	return writeDurably(p.path(kind, n), object)
}

func (p *spool) get(kind string, n uint64) ([]byte, error) { return os.ReadFile(p.path(kind, n)) }

func (p *spool) remove(kind string, n uint64) error {
	if err := os.Remove(p.path(kind, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// clear removes all objects but those that keep names.
func (p *spool) clear(keep func(name string) bool) (kept int64, err error) {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, kindLog+"-") && !strings.HasPrefix(name, kindAudit+"-") {
			continue
		}
		if keep(name) {
			if info, err := e.Info(); err == nil {
				kept += info.Size()
			}
			continue
		}
		if err := os.Remove(filepath.Join(p.dir, name)); err != nil {
			return kept, err
		}
	}
	return kept, nil
}

// mark is a commit: where it ends in the log, and when it was.
type mark struct {
	salt   uint64
	frames int64
	at     int64
}

const markSize = 24

// note writes a mark down, not flushed: it survives the process, and what a power
// cut takes of the last moments is told by the objects.
func (p *spool) note(m mark) error {
	var b [markSize]byte
	binary.BigEndian.PutUint64(b[:], m.salt)
	binary.BigEndian.PutUint64(b[8:], uint64(m.frames))
	binary.BigEndian.PutUint64(b[16:], uint64(m.at))
	_, err := p.marks.Write(b[:])
	return err
}

// forget drops the marks, once the commits are in objects.
func (p *spool) forget() error { return p.marks.Truncate(0) }

// noted returns the marks that an earlier process left.
func (p *spool) noted() ([]mark, error) {
	b, err := os.ReadFile(filepath.Join(p.dir, marksFile))
	if err != nil {
		return nil, err
	}
	var out []mark
	for ; len(b) >= markSize; b = b[markSize:] {
		out = append(out, mark{binary.BigEndian.Uint64(b), int64(binary.BigEndian.Uint64(b[8:])), int64(binary.BigEndian.Uint64(b[16:]))})
	}
	return out, nil
}
