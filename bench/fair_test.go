//go:build unix

package bench

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
)

const (
	fairClients = 50
	fairKernels = 3
	fairTurns   = 4  // that every client gets, the others go on meanwhile
	fairQueue   = 16 // unfinished turns that the session takes
	// fairWait bounds how many turns of others are accepted while one waits: far more than chance makes of
	// it, far less than for ever.
	fairWait = 20 * fairClients
	// fairPause is the most that a client waits before a turn, and before it tries again.
	fairPause = 50 * time.Millisecond
)

// TestFiftyWritersIntoOneSessionStayFair has 50 clients start turns in one session, through three kernels by turns. A
// client that is refused because the queue is full tries again after a random while, and one that has its reply waits as
// long before its next turn, so that nobody gains by being refused or not. All go on until each has had its turns.
func TestFiftyWritersIntoOneSessionStayFair(t *testing.T) {
	for _, k := range kinds {
		if k.name != "sqlite" && k.name != "redis" {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			s := k.make(t)
			var kernels []*agentkernel.Kernel
			for range fairKernels {
				cfg := agent()
				cfg.LeaseTTL, cfg.SweepInterval = 30*time.Second, time.Second // on a busy machine nobody is taken for dead
				cfg.Agents[0].Limits.Queue = fairQueue
				kernel, err := agentkernel.Open(t.Context(), s.handle(t), cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer kernel.Close()
				kernels = append(kernels, kernel)
			}
			f := &crowd{t: t, kernels: kernels}
			f.run()
			f.judge()
		})
	}
}

// crowd is the clients of one session.
type crowd struct {
	t        *testing.T
	kernels  []*agentkernel.Kernel
	accepted atomic.Int64 // turns, of all
	refused  atomic.Int64
	mu       sync.Mutex
	waits    []int64            // turns of others that were accepted between a first try and its acceptance
	progress [fairClients]int   // turns accepted of each client
	most     [fairKernels]int64 // the longest wait at each kernel
}

func (f *crowd) run() {
	ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for c := range fairClients {
		wg.Go(func() {
			for f.pause(ctx) && !f.enough() && f.turn(ctx, c) {
			}
		})
	}
	wg.Wait()
}

// pause waits a random while.
func (f *crowd) pause(ctx context.Context) bool {
	t := time.NewTimer(rand.N(fairPause))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// enough reports that every client has had its turns, or that it is hopeless.
func (f *crowd) enough() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Min(f.progress[:]) >= fairTurns || len(f.waits) > 20*fairClients*fairTurns
}

// turn has one turn accepted and waits for its end.
func (f *crowd) turn(ctx context.Context, c int) bool {
	kernel := f.kernels[c%fairKernels]
	before := f.accepted.Load()
	for {
		h, err := kernel.Start(ctx, agentkernel.Request{Session: "one", Prompt: "turn"})
		if err == nil {
			f.took(c, f.accepted.Add(1)-1-before)
			_, err = h.Wait(ctx)
			if err != nil {
				f.t.Errorf("client %d: the turn was accepted and ended with %v", c, err)
			}
			return err == nil
		}
		if fault.KindOf(err) != fault.Limited || fault.After(err) <= 0 {
			f.t.Errorf("client %d: refused with kind %s, after %s: %v; want %s and when to try again", c, fault.KindOf(err), fault.After(err), err, fault.Limited)
			return false
		}
		f.refused.Add(1)
		// The hint is for people's clients; a crowd that keeps to it would be too easy.
		if !f.pause(ctx) {
			f.t.Errorf("client %d: not accepted in time", c)
			return false
		}
	}
}

func (f *crowd) took(c int, wait int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waits = append(f.waits, wait)
	f.most[c%fairKernels] = max(f.most[c%fairKernels], wait)
	f.progress[c]++
}

func (f *crowd) judge() {
	slices.Sort(f.waits)
	turns, least, busiest := len(f.waits), slices.Min(f.progress[:]), slices.Max(f.progress[:])
	if least < fairTurns {
		f.t.Fatalf("one client had %d turns accepted when another had %d", least, busiest)
	}
	f.t.Logf("%d turns of %d clients through %d kernels, %d refusals: each client had %d to %d turns; turns of others accepted while one waited: p50 %d, p99 %d, most %d (by kernel %v)",
		turns, fairClients, fairKernels, f.refused.Load(), least, busiest, f.waits[turns/2], f.waits[turns*99/100], f.waits[turns-1], f.most)
	if most := f.waits[turns-1]; most > fairWait {
		f.t.Errorf("a client waited while %d turns of others were accepted, at most %d are fair", most, fairWait)
	}
	if f.refused.Load() == 0 {
		f.t.Errorf("nobody was refused: the queue of %d was never full, and nothing was shown", fairQueue)
	}
}
