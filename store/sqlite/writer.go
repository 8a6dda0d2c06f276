package sqlite

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// maxBatch bounds one transaction, so that the first of a crowd does not wait for all of it.
const maxBatch = 512

// request is one write on its way through the queue. Its state decides who owns its end: a caller whose context ended
// may withdraw it while it is queued; once the writer has taken it, it runs.
type request struct {
	op    string
	run   func(*conns) error // a conflict must have changed nothing
	erase bool               // it deleted what must not be left in the file
	state atomic.Int32
	done  chan error
}

const (
	queued int32 = iota
	withdrawn
	taken
)

// submit queues run and waits for its answer.
func (s *Store) submit(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return notSent(r.op, err)
	}
	r.done = make(chan error, 1)
	s.queueMu.Lock()
	if s.draining {
		s.queueMu.Unlock()
		return notSent(r.op, errClosed)
	}
	s.queue = append(s.queue, r)
	s.queueMu.Unlock()
	s.signal()
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if r.state.CompareAndSwap(queued, withdrawn) {
			return notSent(r.op, ctx.Err())
		}
	}
	select {
	case err := <-r.done: // it was answered at the same time
		return err
	default:
		return unknown(r.op, ctx.Err())
	}
}

// write submits a request that erases nothing.
func (s *Store) write(ctx context.Context, op string, run func(*conns) error) error {
	return s.submit(ctx, &request{op: op, run: run})
}

func (s *Store) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take removes up to maxBatch requests from the queue. While it is empty it waits, unless a slice of a scrub is to be
// run. It reports false when the store is closing and the queue is drained.
func (s *Store) take() (batch []*request, more bool) {
	for {
		if c := s.suspect.Swap(nil); c != nil {
			s.drop(c)
		}
		s.queueMu.Lock()
		n := min(len(s.queue), maxBatch)
		batch = append(s.batch[:0], s.queue[:n]...)
		rest := copy(s.queue, s.queue[n:])
		clear(s.queue[rest:])
		s.queue = s.queue[:rest]
		draining := s.draining
		s.queueMu.Unlock()
		s.batch = batch
		if n > 0 || s.scrub.pending() {
			return batch, true
		}
		if draining {
			return nil, false
		}
		<-s.wake
	}
}

// writer is the one goroutine that writes.
func (s *Store) writer() {
	defer close(s.done)
	for {
		batch, more := s.take()
		if !more {
			return
		}
		if len(batch) > 0 {
			s.process(batch)
			clear(batch) // the array is used again; it must not keep records alive
		}
		if s.scrub.pending() {
			s.scrubNow()
		}
		s.clean.Store(s.scrub == scrub{})
	}
}

// scrubNow runs a slice if the file can be opened.
func (s *Store) scrubNow() {
	c, release, err := s.acquire(context.Background())
	if err != nil {
		s.scrub.stalled = true
		return
	}
	release() // nobody but this goroutine closes connections
	s.scrubSlice(c)
}

// process takes one batch through BEGIN, its requests, COMMIT and the answers.
func (s *Store) process(batch []*request) {
	c, err := s.begin(batch)
	if err != nil {
		answer(batch, func(r *request) error { return notSent(r.op, err) })
		return
	}
	if c == nil {
		return // everyone withdrew
	}
	live := batch[:0]
	for _, r := range batch {
		if r.state.CompareAndSwap(queued, taken) {
			live = append(live, r)
		}
	}
	s.finish(c, live)
}

// begin opens a transaction with the write lock. It gives up when the lock stays taken, and returns nil without an
// error when nobody waits for the batch any more.
func (s *Store) begin(batch []*request) (*conns, error) {
	for end := time.Now().Add(s.cfg.BusyTimeout); ; {
		c, release, err := s.acquire(context.Background())
		if err != nil {
			return nil, err
		}
		_, err = c.exec("BEGIN IMMEDIATE")
		release()
		if err == nil {
			return c, nil
		}
		if !isBusy(err) {
			s.drop(c)
			return nil, err
		}
		if time.Now().After(end) {
			return nil, err
		}
		if !anyWaits(batch) {
			return nil, nil
		}
	}
}

func anyWaits(batch []*request) bool {
	for _, r := range batch {
		if r.state.Load() != withdrawn {
			return true
		}
	}
	return false
}

// finish runs the requests in the open transaction, commits and answers.
func (s *Store) finish(c *conns, live []*request) {
	verdicts := make([]error, len(live))
	erased := false
	for i, r := range live {
		err := r.run(c)
		switch {
		case err == nil:
			erased = erased || r.erase
		case errors.Is(err, session.ErrConflict):
			verdicts[i] = &fault.Error{Op: r.op, Kind: fault.Conflict, Err: session.ErrConflict}
		default:
			s.abandon(c, live, err)
			return
		}
	}
	if err := s.commit(c); err != nil {
		s.drop(c)
		for i, r := range live {
			if verdicts[i] != nil {
				r.done <- notSent(r.op, err)
			} else {
				r.done <- unknown(r.op, err)
			}
		}
		return
	}
	if erased {
		s.scrub.wanted = true
		s.clean.Store(false)
	}
	s.scrub.stalled = false
	for i, r := range live {
		r.done <- verdicts[i]
	}
}

// commit makes the transaction durable. Any error leaves the outcome open: the commit mark may have reached the log.
func (s *Store) commit(c *conns) error {
	if s.beforeCommit != nil {
		if err := s.beforeCommit(); err != nil {
			return err
		}
	}
	_, err := c.exec("COMMIT")
	return err
}

// abandon rolls back after a request failed for another reason than a conflict. Nothing was committed. Unless the
// failure was the connection's, the requests are run again, each for itself.
func (s *Store) abandon(c *conns, live []*request, cause error) {
	_, err := c.exec("ROLLBACK")
	// SQLite ends the transaction by itself after some errors, and then says that there is none to roll back.
	if broken := isBroken(cause) || err != nil && isBroken(err); broken || len(live) == 1 {
		if broken || err != nil {
			s.drop(c)
		}
		answer(live, func(r *request) error { return notSent(r.op, cause) })
		return
	}
	if err != nil {
		s.drop(c)
	}
	for _, r := range live {
		one := []*request{r}
		if c, err := s.begin(one); err != nil {
			answer(one, func(r *request) error { return notSent(r.op, err) })
		} else {
			s.finish(c, one) // a taken request cannot be withdrawn, so there is a transaction
		}
	}
}

func answer(batch []*request, with func(*request) error) {
	for _, r := range batch {
		if r.state.Load() != withdrawn {
			r.done <- with(r)
		}
	}
}
