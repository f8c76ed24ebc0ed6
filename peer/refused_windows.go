package peer

import "syscall"

// ErrRefused says that nothing listens at an address: WSAECONNREFUSED, which package syscall
// has no name for.
const ErrRefused = syscall.Errno(10061)
