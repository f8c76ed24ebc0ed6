package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// errNoFile says that the file was replaced between the look at it and its opening.
var errNoFile = errors.New("it was replaced while it was opened")

// openRegular opens the regular file at path for reading. It never waits for the other end of a
// named pipe, and follows no symbolic link: the file that it looks at and the one that it opens
// must be the same.
func openRegular(path string) (*os.File, error) {
	before, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is %s: want a regular file", path, kindOf(before.Mode()))
	}
	file, err := os.OpenFile(path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	opened, err := file.Stat()
	switch {
	case err != nil:
	case !opened.Mode().IsRegular():
		err = fmt.Errorf("%s is %s: want a regular file", path, kindOf(opened.Mode()))
	case !os.SameFile(before, opened):
		err = fmt.Errorf("%s: %w", path, errNoFile)
	default:
		return file, nil
	}
	return nil, errors.Join(err, file.Close())
}

// createNew creates the file at path, in place of what an earlier process left there. With O_EXCL,
// it is a new file with this mode, and a symbolic link that somebody puts there meanwhile is not
// followed.
func createNew(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory: want that name for a file", path)
	default:
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("what an earlier process left: %w", err)
		}
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// checkDir returns an error if the directory of path is missing, or if t does not trust it.
func (t Trust) checkDir(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("the directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory", dir)
	}
	if why := t.doubt(info); why != "" {
		return fmt.Errorf("the directory %s %s, who may put a file of their own there: want one of mode 0700 that this process's user has", dir, why)
	}
	return nil
}

// checkFile returns an error if t does not trust file.
func (t Trust) checkFile(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if why := t.doubt(info); why != "" {
		return fmt.Errorf("the file %s: want one of mode 0600 that this process's user has", why)
	}
	return nil
}
