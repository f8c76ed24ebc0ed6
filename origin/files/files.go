// Package files is an origin whose values are the files of a directory.
//
// A key is the path of a file below the directory, with slashes. No key reaches a file outside of
// it, by a symbolic link neither (os.Root): a link that leads out is an error. What is not a regular
// file is not found, and so is a key that is no plain relative path, such as "../secret", "/etc/passwd"
// or "a//b".
//
// The directory is opened for each load. So a link to a directory may be changed to point to another
// one, and a directory that was not there, or was not mounted, is found when it is.
//
// A file that is written while it is loaded may be half of the old and half of the new one. Write
// another file, rename it to the name of the old one, and Remove the key.
package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/origin"
)

// DefaultMaxBytes is the size of the largest file by default.
const DefaultMaxBytes = peercache.DefaultMaxValueBytes

// Config is the section "files" of an origin.
type Config struct {
	// Dir is the directory. It is required, and is taken from where the process started if it is not
	// absolute. It must be there when the process starts.
	Dir string `yaml:"dir" help:"the directory; a key is the path of a file below it, with slashes"`
	// MaxBytes is the size of the largest file. A larger one is an error. Zero means 64 MiB. The group
	// has a limit of its own, see peercache.WithMaxValueBytes.
	MaxBytes origin.Bytes `yaml:"max_bytes" help:"a larger file is an error (default 64MiB)"`
	// TTL is how long a file may be served from the cache. Zero means the TTL of the group.
	TTL time.Duration `yaml:"ttl" help:"how long a file may be served from the cache (default: the group's ttl)"`
}

// Origin is a directory. It is made by New, and is safe for concurrent use.
type Origin struct {
	dir   string
	limit int64
	ttl   time.Duration
}

// Factory makes the origin of a node's group: see origin.Factory.
func Factory(_ context.Context, _ origin.Env, decode func(section any) error) (peercache.Getter, error) {
	return origin.Make(Config{}, decode, New)
}

// New returns an error if c cannot be right.
func New(c Config) (*Origin, error) {
	if c.Dir == "" {
		return nil, errors.New("files: dir is missing: want a directory, such as ./data")
	}
	if c.MaxBytes < 0 {
		return nil, fmt.Errorf("files: max_bytes is %v: want a size, such as 1MiB", c.MaxBytes)
	}
	if c.TTL < 0 {
		return nil, fmt.Errorf("files: ttl is %v: want a positive duration, such as 1m", c.TTL)
	}
	dir, err := filepath.Abs(c.Dir) // the process may change its directory
	if err != nil {
		return nil, fmt.Errorf("files: dir: %w", err)
	}
	switch info, err := os.Stat(dir); {
	case err != nil:
		return nil, fmt.Errorf("files: dir: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("files: dir is %s, which is a file: want a directory", quote.Key(dir))
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	return &Origin{dir: dir, limit: int64(c.MaxBytes), ttl: c.TTL}, nil
}

// Get implements peercache.Getter.
func (o *Origin) Get(ctx context.Context, key string) (peercache.Item, error) {
	if !fs.ValidPath(key) || key == "." || strings.IndexByte(key, 0) >= 0 {
		return peercache.Item{}, fmt.Errorf("files: %s is no path of a file: %w", quote.Key(key), peercache.ErrNotFound)
	}
	name, err := filepath.Localize(key)
	if err != nil { // no file of this system has such a name
		return peercache.Item{}, fmt.Errorf("files: %s is no path of a file here: %w", quote.Key(key), peercache.ErrNotFound)
	}
	root, err := os.OpenRoot(o.dir)
	if err != nil {
		return peercache.Item{}, fmt.Errorf("files: %w", err)
	}
	defer root.Close()
	value, err := o.read(ctx, root, name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, errIrregular):
		return peercache.Item{}, fmt.Errorf("files: %s: %w", quote.Key(key), peercache.ErrNotFound)
	case err != nil:
		return peercache.Item{}, fmt.Errorf("files: %s: %w", quote.Key(key), withoutPath(err))
	}
	return peercache.Item{Value: value, TTL: o.ttl}, nil
}

var errIrregular = errors.New("not a regular file")

func (o *Origin) read(ctx context.Context, root *os.Root, name string) ([]byte, error) {
	// A device does what it does when it is opened, so it is not opened at all.
	if info, err := root.Stat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errIrregular
	}
	f, err := open(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat() // of this one: the name may have got another file meanwhile
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errIrregular
	}
	if info.Size() > o.limit {
		return nil, tooLarge(info.Size(), o.limit)
	}
	var b bytes.Buffer
	b.Grow(int(info.Size()) + bytes.MinRead)
	r := io.LimitReader(&reader{ctx, f}, o.limit+1) // it may grow
	if _, err := b.ReadFrom(r); err != nil {
		return nil, err
	}
	if int64(b.Len()) > o.limit {
		return nil, tooLarge(int64(b.Len()), o.limit)
	}
	return b.Bytes(), nil
}

// open opens a file that was a regular one. If it is a named pipe now, open does not wait for who writes to it.
func open(root *os.Root, name string) (*os.File, error) {
	return root.OpenFile(name, os.O_RDONLY|nonblocking, 0)
}

func tooLarge(size, limit int64) error {
	return fmt.Errorf("the file has %d bytes or more, want at most %d (max_bytes): %w", size, limit, peercache.ErrValueSize)
}

// withoutPath returns err without the path that it has: it is the key once more.
func withoutPath(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// reader stops to read when its context ends.
type reader struct {
	ctx context.Context
	f   *os.File
}

func (r *reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.f.Read(b[:min(len(b), 1<<20)])
}
