//go:build unix

package peercache_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// A file that others can write says what they want, not what the process before has cached:
// it is ignored, as one that is torn. If its group can, that may be wanted.
func TestSnapshotThatOthersCanWriteIsIgnored(t *testing.T) {
	for _, c := range []struct {
		name     string
		mode     os.FileMode
		gid      int
		opts     []peercache.SnapshotOption
		restored int64
	}{
		{"all", 0o666, -1, nil, 0},
		{"all, where the group may", 0o666, -1, []peercache.SnapshotOption{peercache.SnapshotTrustsGroup()}, 0},
		{"the group", 0o660, 12345, nil, 0},
		{"the group, which may", 0o660, 12345, []peercache.SnapshotOption{peercache.SnapshotTrustsGroup()}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.gid != -1 && os.Geteuid() != 0 {
				t.Skip("only root can give a file to another group")
			}
			path := snapshotPath(t)
			p := start(t, path, &editions{})
			p.get(t, "k")
			p.save(t)
			if err := os.Chown(path, -1, c.gid); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			group, err := peercache.NewGroup("test", 1<<20, &editions{}, peercache.WithSnapshot(path, time.Hour, c.opts...),
				peercache.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))))
			if err != nil {
				t.Fatal(err)
			}
			if got := group.Stats().Restored; got != c.restored {
				t.Errorf("%d values were restored, want %d", got, c.restored)
			}
			if warned := strings.Contains(log.String(), "can be written by"); warned != (c.restored == 0) || strings.Count(log.String(), "\n") > 1 {
				t.Errorf("it said %q, want one warning if others can write the file", &log)
			}
			p.gone(t)
		})
	}
}

// A directory that others can write is no place for a file: NewGroup says so.
func TestSnapshotInADirectoryThatOthersCanWrite(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	_, err := peercache.NewGroup("test", 1<<20, &editions{}, peercache.WithSnapshot(filepath.Join(dir, "s"), time.Hour))
	if err == nil || !strings.Contains(err.Error(), "can be written by all") || !strings.Contains(err.Error(), "want one of mode 0700") {
		t.Errorf("%v, want an error that says who can write the directory, and what would be right", err)
	}
}

// A pipe that somebody left in the way does not hold up NewGroup.
func TestSnapshotBesideAPipe(t *testing.T) {
	path := snapshotPath(t)
	if err := syscall.Mkfifo(path+".taken", 0o600); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	start(t, path, &editions{}).restored(t, 0)
}
