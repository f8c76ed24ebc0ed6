package clock

import (
	"syscall"
	"time"
	"unsafe"
)

var systemClock = clockSource{read: readClocks, suspended: suspendedSinceBoot}

// The numbers that clock_gettime has for its clocks.
const (
	clockMonotonic = 1
	clockBoottime  = 7 // goes on while the machine is suspended
)

// suspendedSinceBoot returns by how much CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC. That is how
// long the machine has been suspended.
func suspendedSinceBoot() (d time.Duration, ok bool) {
	narrowest := time.Duration(-1)
	for range clockReadings { // the process may have to wait in between
		before, ok1 := clockGettime(clockMonotonic)
		boot, ok2 := clockGettime(clockBoottime)
		after, ok3 := clockGettime(clockMonotonic)
		if !ok1 || !ok2 || !ok3 {
			return 0, false
		}
		if took := after - before; narrowest < 0 || took < narrowest {
			narrowest, d = took, boot-before
		}
	}
	return d, true
}

func clockGettime(clock uintptr) (d time.Duration, ok bool) {
	var ts syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano()), errno == 0
}
