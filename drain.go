package agentkernel

import (
	"context"
	"time"
)

// Drain makes the replica leave without losing a turn. It claims nothing any more from the first moment. For delay it
// still serves: new requests are accepted for other replicas to run, or refused when there is none. Then running turns
// are given until timeout: with another replica alive they are handed over at their next step boundary, else they may
// finish, and are handed over at the boundary when half of the time is gone. What is still in a call at the end is
// interrupted. Drain returns when nothing runs here; [Kernel.Close] is still to be called.
func (k *Kernel) Drain(ctx context.Context, delay, timeout time.Duration) error {
	k.phase.CompareAndSwap(operational, draining)
	k.renew() // tell the others at once
	wait(ctx, delay, nil)
	idle := k.idle()
	if !k.othersLive() {
		wait(ctx, timeout/2, idle)
		timeout -= timeout / 2
	}
	k.phase.CompareAndSwap(draining, handingOver)
	if k.scratch != nil { // its turns are nobody else's to finish
		if err := k.scratch.Drain(ctx, 0, timeout); err != nil {
			return err
		}
	}
	wait(ctx, timeout, idle)
	k.interrupt(errDrain)
	wait(ctx, k.cfg.StoreTimeout, idle)
	lctx, cancel := k.opCtx()
	defer cancel()
	if k.running.Load() > 0 {
		k.log.Warn("left with turns that could not be handed over; they will be taken over", "turns", k.running.Load())
		return nil // the registry entry stays: it is how others learn that the owner is dead
	}
	k.beating <- struct{}{}
	defer func() { <-k.beating }()
	k.phase.CompareAndSwap(handingOver, left)
	return k.store.Leave(lctx, k.id)
}

// wait ends after d, with ctx, or when done is closed.
func wait(ctx context.Context, d time.Duration, done <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-done:
	}
}

// idle is closed when no turn runs here any more.
func (k *Kernel) idle() <-chan struct{} {
	done := make(chan struct{})
	if !k.background(func() {
		defer close(done)
		for k.running.Load() > 0 && pause(k.ctx, 20*time.Millisecond) {
		}
	}) {
		close(done)
	}
	return done
}

// interrupt stops the calls of every running turn.
func (k *Kernel) interrupt(cause error) {
	for _, j := range k.follow.list() {
		j.mu.Lock()
		r := j.run
		j.mu.Unlock()
		if r == nil {
			continue
		}
		r.mu.Lock()
		if r.stem != nil {
			r.stem(cause)
		}
		r.mu.Unlock()
	}
}
