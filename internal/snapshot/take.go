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

// Taken is a file that was taken away from its path. No later process finds it.
type Taken struct {
	path  string
	trust Trust
}

// Take is Trust{}.Take.
func Take(path string) (*Taken, error) { return Trust{}.Take(path) }

// Take takes the file at path away from there, whatever is in it: it tells of a time
// that ends now. It returns nil if there is none. It fails if there can be none: the
// directory is missing or not writable, t does not believe what is in it, or path is not
// that of a regular file. Whether t believes the file, Taken.Open looks.
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

// tryNames returns an error if a file of path could not be written or taken later: the
// end of a process would be late to find that out. What an earlier one left is of no use.
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

// kindOf names what is no regular file.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return fmt.Sprintf("a special file (%v)", mode)
}

// Open opens the file and checks all of it, see Reader. It fails if somebody else can write
// the file, see Trust, and if it is no regular file any more.
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

// Remove removes the file. It is to be closed.
func (t *Taken) Remove() error { return Remove(t.path) }

// Remove removes the file at path, so that it does not come back when the machine fails.
// It is no error if there is none.
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

// syncDirOf brings to the disk which names there are in the directory of path. Windows
// has no such call; there, a rename may be undone when the machine fails.
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
