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
	"github.com/agentkernel/agentkernel/session"
)

const (
	fairClients = 50
	fairKernels = 3
	fairTurns   = 4  // of each client
	fairQueue   = 16 // unfinished turns that the session takes
	// fairWait bounds how many turns of others are accepted while one waits. Everybody else's turn a few times over.
	fairWait = 3 * fairClients
)

// TestFiftyWritersIntoOneSessionStayFair has 50 clients start turns in one session, through three kernels by turns. A
// client that is refused because the queue is full tries again after a random while.
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
	least    int                // the fewest of any client when the first one was done
	most     [fairKernels]int64 // the longest wait at each kernel
	done     bool
}

func (f *crowd) run() {
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for c := range fairClients {
		wg.Go(func() {
			for range fairTurns {
				if !f.turn(ctx, c) {
					return
				}
			}
		})
	}
	wg.Wait()
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
		again := time.NewTimer(rand.N(50 * time.Millisecond))
		select {
		case <-again.C:
		case <-ctx.Done():
			f.t.Errorf("client %d: not accepted within 5 minutes", c)
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
	if f.progress[c] == fairTurns && !f.done {
		f.done = true
		f.least = slices.Min(f.progress[:])
	}
}

func (f *crowd) judge() {
	const turns = fairClients * fairTurns
	slices.Sort(f.waits)
	if len(f.waits) != turns {
		f.t.Fatalf("%d turns were accepted, want %d", len(f.waits), turns)
	}
	f.t.Logf("%d turns of %d clients through %d kernels: %d refusals; turns of others accepted meanwhile: p50 %d, p99 %d, most %d (by kernel %v); when the first client had its %d turns, the last one had %d",
		turns, fairClients, fairKernels, f.refused.Load(), f.waits[turns/2], f.waits[turns*99/100], f.waits[turns-1], f.most, fairTurns, f.least)
	if most := f.waits[turns-1]; most > fairWait {
		f.t.Errorf("a client waited while %d turns of others were accepted, at most %d are fair", most, fairWait)
	}
	if f.refused.Load() == 0 {
		f.t.Errorf("nobody was refused: the queue of %d was never full, and nothing was shown", fairQueue)
	}
	messages, err := f.kernels[0].Messages(session.Key{ID: "one"})
	if err != nil || len(messages) != 2*turns {
		f.t.Errorf("the session has %d messages, want %d: %v", len(messages), 2*turns, err)
	}
	info, err := f.kernels[0].Session(session.Key{ID: "one"})
	f.t.Logf("%+v, %v", info, err)
}
