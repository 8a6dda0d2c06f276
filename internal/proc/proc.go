// Package proc tells whether another process of this machine has ended, so that a replica which is killed and started
// again need not wait for its own lease to run out. It only ever says "gone" when that is certain; everything else,
// another machine, another container, a system that it cannot read, is "not known", and the lease decides.
package proc

// ID names a process for as long as the machine runs.
type ID struct {
	Host  string `json:"host,omitempty"` // the machine's boot and the process's pid namespace, empty when not known
	PID   int    `json:"pid,omitempty"`
	Start uint64 `json:"start,omitempty"` // when it started, in the system's ticks: pids are used again
}
