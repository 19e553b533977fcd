package proxy

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleeplessClock goes on while the host sleeps, which Go's own clock does not, and nobody sets it.
func sleeplessClock() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil { // older than Linux 2.6.39
		return wallClock()
	}
	return time.Duration(now.Nano())
}
