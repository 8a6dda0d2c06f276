package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Boot is the time since the machine started, on a clock that goes on while the machine is suspended.
func Boot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return monotonic()
	}
	return time.Duration(ts.Nano())
}
