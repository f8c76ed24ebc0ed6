//go:build !windows

package peercache

import "syscall"

// errRefused says that nothing listens at an address.
const errRefused = syscall.ECONNREFUSED
