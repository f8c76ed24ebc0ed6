//go:build !windows

package peer

import "syscall"

// ErrRefused says that nothing listens at an address.
const ErrRefused = syscall.ECONNREFUSED
