//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package disk

import "os"

// lock does nothing where there are no locks that end with the process.
func lock(*os.File) error { return nil }

// syncDir does nothing where a directory cannot be synced.
func syncDir(*os.File) error { return nil }
