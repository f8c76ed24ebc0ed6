package peercache

import "syscall"

// errRefused says that nothing listens at an address: WSAECONNREFUSED, which package syscall
// has no name for.
const errRefused = syscall.Errno(10061)
