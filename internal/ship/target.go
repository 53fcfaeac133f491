package ship

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Target is where objects are put. Names are of letters, digits, '-', '.' and '/'.
type Target interface {
	// Put stores an object whole and durably, or not at all.
	Put(ctx context.Context, name string, object []byte) error
	// Get returns an object; ErrNotFound when there is none.
	Get(ctx context.Context, name string) ([]byte, error)
	// List returns the names that begin with prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, name string) error
	// String names the target for people, without a credential.
	String() string
}

var (
	// ErrNotFound means that a target has no such object.
	ErrNotFound = errors.New("no such object")
	// ErrDamaged means that an object was altered, cut short or exchanged, or that
	// one is missing.
	ErrDamaged = errors.New("what was shipped is altered or incomplete")
)

// maxObject bounds what is read of one object: far above what is written.
const maxObject = 256 << 20

// Directory is a target in a file system, such as a mounted share.
type Directory string

// String is the path.
func (d Directory) String() string { return string(d) }

func (d Directory) path(name string) string {
	return filepath.Join(string(d), filepath.FromSlash(name))
}

// partSuffix is of files that are being written.
const partSuffix = ".part"

// Put writes a file beside, which gets its name when it is on disk.
func (d Directory) Put(_ context.Context, name string, object []byte) error {
	path := d.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeDurably(path, object)
}

// writeDurably writes a file so that it is there whole or not at all, also after a
// power cut.
func writeDurably(path string, b []byte) error {
	f, err := os.OpenFile(path+partSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path+partSuffix))
	}
	if err := os.Rename(path+partSuffix, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Get reads a file.
func (d Directory) Get(_ context.Context, name string) ([]byte, error) {
	path := d.path(name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxObject {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrDamaged, name, info.Size())
	}
	return os.ReadFile(path)
}

// List walks through the folders.
func (d Directory) List(ctx context.Context, prefix string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(string(d), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(string(d), path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if e.IsDir() {
			if name != "." && !strings.HasPrefix(name+"/", prefix) && !strings.HasPrefix(prefix, name+"/") {
				return fs.SkipDir
			}
			return ctx.Err()
		}
		if strings.HasPrefix(name, prefix) && !strings.HasSuffix(name, partSuffix) {
			out = append(out, name)
		}
		return nil
	})
	slices.Sort(out)
	return out, err
}

// Delete removes a file.
func (d Directory) Delete(_ context.Context, name string) error {
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
