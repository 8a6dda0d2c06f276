//go:build unix

package servers

import (
	"errors"
	"syscall"
	"testing"
	"time"
)

func TestAFrozenPostgresEndsWithItsTest(t *testing.T) {
	var all []int
	t.Run("frozen", func(t *testing.T) {
		p := Postgres(t)
		p.Freeze()
		all = append(children(p.PID()), p.PID())
	})
	if len(all) < 3 {
		t.Fatalf("the server had the processes %v", all)
	}
	end := time.After(startTime)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, pid := range all {
		for !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			select {
			case <-tick.C:
			case <-end:
				t.Fatalf("process %d is left", pid)
			}
		}
	}
}
