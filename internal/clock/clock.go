// Package clock tells time for leases: only durations matter, the wall clock may jump.
package clock

import "time"

var start = time.Now()

func monotonic() time.Duration { return time.Since(start) }
