//go:build failpoint && unix

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// FromEnv makes a Set that acts on this process by AK_FAILPOINT, a comma list of "name:nth:signal" with signal kill or
// stop. It exists only in binaries built with the failpoint tag, which tests of real processes use.
func FromEnv() *Set {
	type rule struct {
		name Name
		nth  int64
		sig  syscall.Signal
		hits atomic.Int64
	}
	var rules []*rule
	for _, part := range strings.Split(os.Getenv("AK_FAILPOINT"), ",") {
		f := strings.Split(part, ":")
		if len(f) != 3 {
			continue
		}
		nth, _ := strconv.ParseInt(f[1], 10, 64)
		sig := syscall.SIGKILL
		if f[2] == "stop" {
			sig = syscall.SIGSTOP
		}
		rules = append(rules, &rule{name: Name(f[0]), nth: nth, sig: sig})
	}
	if len(rules) == 0 {
		return nil
	}
	return &Set{On: func(n Name) error {
		for _, r := range rules {
			if r.name == n && r.hits.Add(1) == r.nth {
				_ = syscall.Kill(os.Getpid(), r.sig)
			}
		}
		return nil
	}}
}
