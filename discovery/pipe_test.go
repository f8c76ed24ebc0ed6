//go:build unix

package discovery_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/peercache/peercache/discovery"
)

// A pipe in the place of the file holds nobody up.
func TestFileThatIsAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	d, err := discovery.File(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(t.Context(), urlA, nil); err == nil || !strings.Contains(err.Error(), "want a regular file") {
		t.Errorf("Run: error %v: want that a regular file is wanted", err)
	}
}
