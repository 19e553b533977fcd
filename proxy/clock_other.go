//go:build !linux

package proxy

import "time"

// sleeplessClock goes on while the host sleeps, which Go's own clock does not. Here that is the one on the wall: if somebody sets it
// back while the host sleeps, the sleep is not noticed.
func sleeplessClock() time.Duration { return wallClock() }
