//go:build unix

package node

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/peercache/peercache"
)

func TestFilesThatAreNone(t *testing.T) {
	root, dir := tree(t)
	for name, target := range map[string]string{
		"link":          "file",
		"out":           "../secret",
		"absolute":      filepath.Join(dir, "secret"),
		"absolute-here": filepath.Join(dir, "tree", "file"),
		"outdir":        "..",
		"device":        "/dev/null",
		"dangling":      "missing",
		"loop":          "loop",
	} {
		if err := os.Symlink(target, filepath.Join(dir, "tree", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "tree", "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("fifo", filepath.Join(dir, "tree", "link-to-fifo")); err != nil {
		t.Fatal(err)
	}

	checkFile(t, root, "link", "a file", nil) // it stays inside
	for _, key := range []string{
		"out", "absolute", "absolute-here", "outdir", "outdir/secret", "outdir/tree/file", "device", "dangling", "loop",
		"fifo", "link-to-fifo", // to open one would block
	} {
		checkFile(t, root, key, "", peercache.ErrNotFound)
	}
}
