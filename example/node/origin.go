package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/peercache/peercache"
)

// openOrigin returns the getter that c asks for, the name of the group it is
// for, and what is to be called when it is no longer used.
func openOrigin(c config) (name string, getter peercache.Getter, closeOrigin func(), err error) {
	if c.dir == "" {
		return "scores", slow(getScore, c.originDelay), func() {}, nil
	}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return "", nil, nil, fmt.Errorf("-dir: %w", err)
	}
	load := getFile(root, peercache.DefaultMaxValueBytes)
	return "files", slow(load, c.originDelay), func() { root.Close() }, nil
}

var scores = map[string]string{"Tom": "630", "Jack": "589", "Sam": "567"}

// getScore is a getter of the scores.
func getScore(_ context.Context, key string) ([]byte, error) {
	score, ok := scores[key]
	if !ok {
		return nil, fmt.Errorf("%w: no score of that name", peercache.ErrNotFound)
	}
	return []byte(score), nil
}

// getFile makes a getter of the files under root, of at most maxBytes each. A
// key is a path relative to root, with slashes, written in the one shortest way,
// so that no file is cached twice. Nothing outside root can be reached, not by
// symbolic links either: that is what an os.Root is for.
func getFile(root *os.Root, maxBytes int64) peercache.GetterFunc {
	return func(_ context.Context, key string) ([]byte, error) {
		if !fs.ValidPath(key) || strings.ContainsRune(key, 0) {
			return nil, fmt.Errorf("%w: want a relative path without dots for directories", peercache.ErrNotFound)
		}
		// Look before it is opened: to open a named pipe would wait for its
		// other end, and to open a device may do anything.
		info, err := root.Stat(key)
		if err != nil {
			return nil, fileError(err)
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%w: not a regular file", peercache.ErrNotFound)
		}
		if info.Size() > maxBytes {
			return nil, fmt.Errorf("%w: a file of %d bytes, want at most %d", peercache.ErrValueSize, info.Size(), maxBytes)
		}
		f, err := root.Open(key)
		if err != nil {
			return nil, fileError(err)
		}
		defer f.Close()
		var buf bytes.Buffer
		buf.Grow(int(info.Size()) + bytes.MinRead) // MinRead, or ReadFrom grows it again
		// The file may have grown meanwhile. One byte too many is enough for
		// the group to refuse it.
		_, err = buf.ReadFrom(io.LimitReader(f, maxBytes+1))
		return buf.Bytes(), err
	}
}

// fileError tells apart that there is no such file under the root, and that it
// could not be found out.
func fileError(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist),
		errors.Is(err, syscall.ENOTDIR),
		errors.Is(err, syscall.ELOOP),
		errors.Is(err, syscall.ENAMETOOLONG),
		!errors.As(err, &errno): // os.Root's own: the path leaves the root
		return fmt.Errorf("%w: %w", peercache.ErrNotFound, err)
	}
	return err
}

// slow makes a getter take longer by d.
func slow(load peercache.GetterFunc, d time.Duration) peercache.GetterFunc {
	if d == 0 {
		return load
	}
	return func(ctx context.Context, key string) ([]byte, error) {
		select {
		case <-time.After(d):
			return load(ctx, key)
		case <-ctx.Done():
			return nil, fmt.Errorf("the origin took too long: %w", ctx.Err())
		}
	}
}
