// Package disk is what the log needs of a file system: one directory, and files in it. The file system of the machine
// implements it, and package simdisk, which loses what a real one may lose.
package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Disk is a directory. What is done to it survives a crash of the machine only after Sync.
type Disk interface {
	// Create makes an empty file, in the place of one that may be there.
	Create(name string) (File, error)
	// Open opens a file that is there, to be read and written.
	Open(name string) (File, error)
	// Rename gives a file another name, which takes the place of a file that may be there.
	Rename(from, to string) error
	Remove(name string) error
	// List returns the names of the files.
	List() ([]string, error)
	// Sync makes durable which files there are.
	Sync() error
	// Lock keeps other processes from locking the directory. Closing what it returns ends that, and so does the end of the process.
	Lock() (io.Closer, error)
}

// File is an open file. What is written survives a crash of the machine only after Sync.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes the contents and the size of the file durable. After an error nothing is known of what was written since the
	// last Sync, whatever a later Sync returns.
	Sync() error
}

// LockName is the file by which a directory is locked.
const LockName = "lock"

// ErrLocked says that another process, or another log of this one, uses the directory.
var ErrLocked = errors.New("another process, or another Memory of this one, uses the directory")

// Full reports whether err says that there is no room left: what was tried may succeed later.
func Full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Dir returns the directory of that path, which it makes if there is none.
func Dir(path string) (Disk, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	return dir(path), nil
}

// dir is a directory of the machine.
type dir string

func (d dir) path(name string) string { return filepath.Join(string(d), name) }

func (d dir) Create(name string) (File, error) {
	return open(d.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (d dir) Open(name string) (File, error) { return open(d.path(name), os.O_RDWR) }

func open(path string, flag int) (File, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

func (d dir) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d dir) Remove(name string) error { return os.Remove(d.path(name)) }

func (d dir) List() (names []string, err error) {
	entries, err := os.ReadDir(string(d))
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

func (d dir) Sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(syncDir(f), f.Close())
}

func (d dir) Lock() (io.Closer, error) {
	f, err := os.OpenFile(d.path(LockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	return f, nil
}

// file is a file of the machine.
type file struct{ *os.File }

func (f file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f file) Sync() error { return syncData(f.File) }
