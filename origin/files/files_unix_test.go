//go:build unix

package files

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/peercache/peercache"
)

// A pipe that nobody writes to would hold up who opens it.
func TestIrregularFilesAreNotFound(t *testing.T) {
	dir, err := os.MkdirTemp("", "") // a short path, for the socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o, err := New(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"pipe", "socket"} {
		if _, err := o.Get(t.Context(), key); !errors.Is(err, peercache.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", key, err)
		}
	}
	// Where a file becomes a pipe after it was looked at.
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	f, err := root.OpenFile("pipe", os.O_RDONLY|nonblocking, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
