//go:build !linux

package clock

import "time"

// Boot is the time since the process started. Where the platform's clock stops during suspension a woken replica may
// believe in its lease for one beat more; what it may dispatch is still bounded by the journal.
func Boot() time.Duration { return monotonic() }
