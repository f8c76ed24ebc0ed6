//go:build unix

package snapshot

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openNonblock makes opening a named pipe return at once.
const openNonblock = syscall.O_NONBLOCK

// doubt returns who else can write a file or a directory, or an empty text if nobody can.
func (t Trust) doubt(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "has no owner that is known"
	}
	user := uint32(os.Geteuid())
	mode := info.Mode()
	private := stat.Uid != 0 && stat.Gid == stat.Uid // the group of one user
	switch {
	case stat.Uid != user && stat.Uid != 0:
		return fmt.Sprintf("belongs to the user %d", stat.Uid)
	case mode.IsDir() && mode&fs.ModeSticky != 0:
		return ""
	case mode.Perm()&0o002 != 0:
		return fmt.Sprintf("can be written by all (mode %v)", mode)
	case mode.Perm()&0o020 != 0 && !private && !t.Group:
		return fmt.Sprintf("can be written by the group %d (mode %v)", stat.Gid, mode)
	}
	return ""
}
