package modeltest

import (
	"bytes"
	"context"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

var watched atomic.Int64

// watchGoroutines marks the goroutines that are started from now on. The function that it returns, called when the
// case is over and its server closed, reports those that do not end. A mark is inherited by every goroutine that a
// marked one starts, which tells a provider's goroutines from those of other tests.
func watchGoroutines(p *probe, name string) func() {
	mark := name + " " + strconv.FormatInt(watched.Add(1), 10)
	before := context.Background()
	pprof.SetGoroutineLabels(pprof.WithLabels(before, pprof.Labels("modeltest", mark)))
	return func() {
		pprof.SetGoroutineLabels(before)
		deadline := time.NewTimer(patience)
		defer deadline.Stop()
		again := time.NewTicker(5 * time.Millisecond)
		defer again.Stop()
		left := marked(mark)
		for len(left) > 0 {
			select {
			case <-deadline.C:
				p.expect(false, "goroutines of the call are left behind after its server has closed:\n%s",
					strings.Join(left, "\n"))
				return
			case <-again.C:
				left = marked(mark)
			}
		}
		p.expect(true, "")
	}
}

// marked are the stacks of goroutines that carry the mark.
func marked(mark string) []string {
	var b bytes.Buffer
	// In this form the profile lists each distinct stack once, with its labels in a line below its count.
	if pprof.Lookup("goroutine").WriteTo(&b, 1) != nil {
		return nil
	}
	var found []string
	for _, stack := range strings.Split(b.String(), "\n\n") {
		if strings.Contains(stack, strconv.Quote(mark)) {
			found = append(found, stack)
		}
	}
	return found
}
