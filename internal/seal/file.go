package seal

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/strongroom/strongroom/internal/keyring/envelope"
)

const (
	// header is the first line of a root-key file, and its format version.
	header  = "strongroom root key v1"
	keySize = envelope.MaterialSize

	// checkSize is how much of a SHA-256 the third line holds. It guards against
	// accidents only; whoever can read it reads the key above it.
	checkSize = 8

	// fileSize is what a well-formed file measures, with three line ends.
	fileSize = len(header) + 1 + 44 + 1 + 2*checkSize + 1
)

// File is a root key in a file: three lines of text, namely a header, 32 random
// bytes in base64 and a checksum, which tells a file that was cut short or
// mistyped from one that belongs to other data. The key is read for each use and
// cleared after it, so that it is in memory only at start and at rotations.
type File struct {
	path string
	id   envelope.MaterialID
}

// CreateFile makes a new root key in a file of mode 0600 that did not exist
// before, and returns when file and directory are on disk. The key exists nowhere
// else: without the file all data is lost.
func CreateFile(path string) (*File, error) {
	var key [keySize]byte
	// Read never fails: the runtime ends the process rather than hand out weak
	// bytes (crypto/rand).
	_, _ = rand.Read(key[:])
	defer clear(key[:])
	text := encode(key[:])
	defer clear(text)

	// O_EXCL: an existing key is never overwritten, and no link planted there is
	// followed.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, &hintError{fmt.Errorf("create root key: %w", err), "Use the root key that is there, or move it to a safe place first."}
	}
	if err != nil {
		return nil, fmt.Errorf("create root key: %w", err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		// Nothing is wrapped under it yet. Half a key must not stand in the way of
		// the next attempt.
		return nil, fmt.Errorf("create root key: %w", errors.Join(err, os.Remove(path)))
	}
	return &File{path: path, id: identify(key[:])}, nil
}

// OpenFile checks that the file at path holds a root key and that no one but its
// owner may read it.
func OpenFile(path string) (*File, error) {
	key, err := readFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return &File{path: path, id: identify(key)}, nil
}

// ID returns "file:" and 32 hexadecimal digits derived from the key.
func (f *File) ID() string { return "file:" + hex.EncodeToString(f.id[:]) }

// Wrap encrypts key, of at most 1 KiB, under a key derived from the root key for
// this one wrap.
func (f *File) Wrap(_ context.Context, key, aad []byte) ([]byte, error) {
	root, err := f.read()
	if err != nil {
		return nil, err
	}
	defer clear(root)
	wrapped, err := envelope.Seal(envelope.Root, envelope.Name{Material: f.id}, root, aad, key)
	if err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	return wrapped, nil
}

// Unwrap reverses Wrap. A wrong root key is told by its id, which stands in
// wrapped, before anything is decrypted.
func (f *File) Unwrap(_ context.Context, wrapped, aad []byte) ([]byte, error) {
	blob, err := envelope.Parse(envelope.Root, wrapped)
	if err != nil {
		return nil, fmt.Errorf("unwrap: %w", ErrDamaged)
	}
	if blob.Name.Material != f.id {
		return nil, f.wrongKey(hex.EncodeToString(blob.Name.Material[:]))
	}
	root, err := f.read()
	if err != nil {
		return nil, err
	}
	defer clear(root)
	key, err := blob.Open(root, aad)
	if err != nil {
		return nil, fmt.Errorf("unwrap: %w", ErrDamaged)
	}
	return key, nil
}

// read fetches the key again and refuses another one than at the start: a wrap
// under a key that was swapped in would be lost with the next restart.
func (f *File) read() ([]byte, error) {
	key, err := readFile(f.path)
	if err != nil {
		return nil, err
	}
	if id := identify(key); subtle.ConstantTimeCompare(id[:], f.id[:]) != 1 {
		clear(key)
		return nil, f.wrongKey(hex.EncodeToString(f.id[:]))
	}
	return key, nil
}

func (f *File) wrongKey(want string) error {
	return &hintError{fmt.Errorf("root key file %s: %w: the data wants file:%s", f.path, ErrWrongKey, want),
		"Restore the root key that was in use when the data was written, or point at the data that belongs to this key."}
}

// identify derives the id that a key is known by. It goes through HKDF, so that
// it says nothing about the key and shares nothing with wrapping.
func identify(key []byte) (id envelope.MaterialID) {
	// Fails only for outputs beyond 8 kB or salts that FIPS 140 finds too weak.
	b, err := hkdf.Key(sha256.New, key, nil, "strongroom root key id v1", len(id))
	if err != nil {
		panic("seal: derive id of root key: " + err.Error())
	}
	copy(id[:], b)
	return id
}

func encode(key []byte) []byte {
	out := make([]byte, 0, fileSize)
	out = append(out, header+"\n"...)
	out = base64.StdEncoding.AppendEncode(out, key)
	out = append(out, '\n')
	sum := sha256.Sum256(out)
	out = hex.AppendEncode(out, sum[:checkSize])
	return append(out, '\n')
}

// readFile returns the key in the file at path.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &hintError{fmt.Errorf("open root key: %w", err), "Restore the file from your copy of it, or run init for a new deployment."}
	}
	if err != nil {
		return nil, fmt.Errorf("open root key: %w", err)
	}
	defer func() { _ = f.Close() }()
	// Of the open file, not of the path: what is checked is what is read.
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open root key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, &hintError{fmt.Errorf("root key file %s: %w: not a regular file", path, ErrMalformed), "Point at the file itself."}
	}
	// On Windows the bits say nothing about who may read.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, &hintError{fmt.Errorf("root key file %s: %w: mode is %#o", path, ErrExposed, mode),
			"Run chmod 600 " + path + "; if others may have read it, make a new root key."}
	}
	text := make([]byte, fileSize+1)
	defer clear(text)
	n, err := io.ReadFull(f, text)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read root key: %w", err)
	}
	key, why := decode(text[:n])
	if why != "" {
		return nil, &hintError{fmt.Errorf("root key file %s: %w: %s", path, ErrMalformed, why),
			"Restore the file from your copy of it; if init was interrupted and nothing is stored yet, remove it and run init again."}
	}
	return key, nil
}

// decode returns the key, or why there is none. It accepts exactly what encode
// writes, but for the last line end, which editors drop.
func decode(text []byte) (key []byte, why string) {
	if !bytes.HasPrefix(text, []byte(header+"\n")) {
		if len(text) < len(header)+1 && bytes.HasPrefix([]byte(header+"\n"), text) {
			return nil, "it is cut short"
		}
		return nil, "its first line is not \"" + header + "\""
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	switch {
	case len(text) < fileSize-1:
		return nil, "it is cut short"
	case len(text) > fileSize-1:
		return nil, "it is too long"
	}
	key, err := base64.StdEncoding.Strict().AppendDecode(make([]byte, 0, keySize+3), text[len(header)+1:len(header)+1+44])
	if err != nil || len(key) != keySize {
		clear(key)
		return nil, "its second line is not a key"
	}
	want := encode(key)
	defer clear(want)
	if subtle.ConstantTimeCompare(want[:fileSize-1], text) != 1 {
		clear(key)
		return nil, "its checksum does not fit"
	}
	return key, ""
}

// syncDir makes the directory entry of a new file durable.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be opened for syncing there
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
