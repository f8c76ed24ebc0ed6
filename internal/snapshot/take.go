package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Taken is a file that was moved away from its path, so that no later process finds it.
type Taken struct {
	path  string
	trust Trust
}

// Take does what Trust.Take does, with the zero Trust.
func Take(path string) (*Taken, error) { return Trust{}.Take(path) }

// Take moves the file at path away from there, whatever is in it: from now on, the file is out of
// date. It returns nil if there is none. It fails if the directory is missing or not writable, if t
// does not trust the directory, or if path is not that of a regular file. Taken.Open checks whether
// t trusts the file.
func (t Trust) Take(path string) (*Taken, error) {
	if err := t.checkDir(path); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	file, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, tryNames(path)
	case err != nil:
		return nil, fmt.Errorf("snapshot: %w", err)
	case !file.Mode().IsRegular():
		return nil, fmt.Errorf("snapshot: %s is %s: want a path for a regular file", path, kindOf(file.Mode()))
	}
	if err := os.Rename(path, path+takenSuffix); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if err := syncDirOf(path); err != nil {
		return nil, err
	}
	return &Taken{path + takenSuffix, t}, nil
}

// tryNames returns an error if a file at path could not be written or taken later: the end of the
// process would be too late to find that out. It removes what an earlier process left.
func tryNames(path string) error {
	file, err := createNew(path + takenSuffix) // the longest name
	if err == nil {
		err = errors.Join(file.Close(), os.Remove(file.Name()))
	}
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// kindOf returns what a file is that is no regular file.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return fmt.Sprintf("a special file (%v)", mode)
}

// Open opens the file and checks all of it (Reader). It fails if somebody else can write the file
// (Trust), or if it is no regular file any more.
func (t *Taken) Open() (*Reader, error) {
	file, err := openRegular(t.path)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	var size int64
	if err = t.trust.checkFile(file); err == nil {
		size, err = file.Seek(0, io.SeekEnd)
	}
	if err == nil {
		var r *Reader
		if r, err = newReader(file, size); err == nil {
			r.file = file
			return r, nil
		}
	}
	file.Close()
	return nil, fmt.Errorf("snapshot: %w", err)
}

// Remove removes the file. The caller has closed its Reader.
func (t *Taken) Remove() error { return Remove(t.path) }

// Remove removes the file at path, and waits until that is on the disk, so that the file does not
// come back when the machine fails. It is no error if there is no file.
func Remove(path string) error {
	err := os.Remove(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("snapshot: %w", err)
	}
	return syncDirOf(path)
}

// syncDirOf waits until the names in the directory of path are on the disk. Windows has no call for
// that: there, a rename may be undone when the machine fails.
func syncDirOf(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		return fmt.Errorf("snapshot: the directory: %w", err)
	}
	return nil
}
