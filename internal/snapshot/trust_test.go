//go:build unix

package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// taken saves a file, changes what stands in its place when it was taken, and opens that.
func taken(t *testing.T, trust Trust, change func(path string) error) (*Reader, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scores")
	save(t, path, records...)
	taken, err := trust.Take(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := change(taken.path); err != nil {
		t.Fatal(err)
	}
	return taken.Open()
}

// asRoot skips a test that has to give files away.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
}

const somebody = 12345 // the number of a user, and of a group, that this process has not

// A file that another user can write is refused, however good it looks.
func TestFileOfOthersIsRefused(t *testing.T) {
	group := func(path string) error {
		return errors.Join(os.Chmod(path, 0o660), os.Chown(path, -1, somebody))
	}
	for _, c := range []struct {
		name   string
		trust  Trust
		change func(path string) error
		root   bool   // only root can do that
		says   string // "": it is believed
	}{
		{"of this user alone", Trust{}, func(path string) error { return os.Chmod(path, 0o600) }, false, ""},
		{"that others may read", Trust{}, func(path string) error { return os.Chmod(path, 0o644) }, false, ""},
		{"that all may write", Trust{Group: true}, func(path string) error { return os.Chmod(path, 0o606) }, false, "written by all"},
		{"that a group may write", Trust{}, group, true, "written by the group 12345"},
		{"that a trusted group may write", Trust{Group: true}, group, true, ""},
		{"of another user", Trust{}, func(path string) error { return os.Chown(path, somebody, somebody) }, true, "belongs to the user 12345"},
		{"of another user, in a trusted group", Trust{Group: true}, func(path string) error { return os.Chown(path, somebody, -1) }, true, "belongs to the user"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.root {
				asRoot(t)
			}
			r, err := taken(t, c.trust, c.change)
			if err == nil {
				defer r.Close()
			}
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want an error that says %q", err, c.says)
			}
		})
	}
}

// In a directory that others can write, they can put a file of their own into the place.
func TestDirectoryOfOthersIsRefused(t *testing.T) {
	for _, c := range []struct {
		name     string
		trust    Trust
		mode     fs.FileMode
		uid, gid int    // -1: this process's own
		says     string // "": it is believed
	}{
		{"of this user", Trust{}, 0o755, -1, -1, ""},
		{"like /tmp", Trust{}, 0o777 | fs.ModeSticky, -1, -1, ""},
		{"that all may write", Trust{Group: true}, 0o777, -1, -1, "written by all"},
		{"that a group may write", Trust{}, 0o775, -1, somebody, "written by the group 12345"},
		{"that a trusted group may write", Trust{Group: true}, 0o775 | fs.ModeSetgid, -1, somebody, ""},
		{"of another user", Trust{}, 0o755, somebody, -1, "belongs to the user 12345"},
		{"of another user, like /tmp", Trust{}, 0o777 | fs.ModeSticky, somebody, -1, "belongs to the user"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "scores")
			save(t, path, records...)
			if c.uid != -1 || c.gid != -1 {
				asRoot(t)
				if err := os.Chown(dir, c.uid, c.gid); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(dir, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := c.trust.Take(path)
			if (err == nil) != (c.says == "") || err != nil && !(strings.Contains(err.Error(), c.says) && strings.Contains(err.Error(), "want one of mode 0700")) {
				t.Errorf("%v, want an error that says %q, and what would be right", err, c.says)
			}
		})
	}
}

// The group of one user is no more than that user, but root's is.
func TestPrivateGroupIsTrusted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	want := stat.Gid == stat.Uid && stat.Uid != 0
	if why := (Trust{}).doubt(info); (why == "") != want {
		t.Errorf("user %d, group %d: %q, want trust %t", stat.Uid, stat.Gid, why, want)
	}
}

// What an earlier process, or somebody else, left beside the path neither holds up this
// process nor leads it elsewhere.
func TestWhatStandsBesideThePath(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	for name, put := range map[string]func(path string) error{
		"a pipe":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a symbolic link": func(path string) error { return os.Symlink(elsewhere, path) },
		"a file":          func(path string) error { return os.WriteFile(path, []byte("rubbish"), 0o666) },
	} {
		for _, suffix := range []string{tempSuffix, takenSuffix} {
			t.Run(name+suffix, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "scores")
				if err := put(path + suffix); err != nil {
					t.Fatal(err)
				}
				if taken, err := Take(path); taken != nil || err != nil { // it tries the names
					t.Errorf("Take of no file: %v, %v", taken, err)
				}
				save(t, path, records...)
				if err := put(path + suffix); err != nil && !errors.Is(err, fs.ErrExist) {
					t.Fatal(err)
				}
				if got, ok := take(t, path); !ok || len(got) != len(records) {
					t.Errorf("%d records, %t: want %d", len(got), ok, len(records))
				}
				if _, err := os.Lstat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("there is a file elsewhere: %v", err)
				}
			})
		}
	}
}

// What was taken may be replaced before it is opened: by a pipe that nobody writes to, by a
// link to a file that is whole.
func TestTakenIsReplaced(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	save(t, other, records...)
	for name, put := range map[string]func(path string) error{
		"by a pipe":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"by a symbolic link": func(path string) error { return os.Symlink(other, path) },
		"by a directory":     func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := taken(t, Trust{}, func(path string) error { return errors.Join(os.Remove(path), put(path)) })
			if err == nil || !strings.Contains(err.Error(), "want a regular file") {
				t.Errorf("%v, want an error that a regular file is wanted", err)
			}
		})
	}
}
