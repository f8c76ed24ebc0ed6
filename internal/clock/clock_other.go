//go:build !linux

package clock

import (
	"runtime"
	"time"
)

// On Windows, Go's monotonic clock is the interrupt time, which goes on while the machine
// is suspended.
var systemClock = clockSource{
	read:      readClocks,
	suspended: func() (time.Duration, bool) { return 0, false },
	counted:   runtime.GOOS == "windows",
}
