package agentkernel

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/session"
)

// journal is one session as this replica knows it: the fold, and the only way to write to it. Writers do not hand in
// records but proposals, functions from the fold to events; after a conflict the fold has moved on and they are asked
// again. One append is in flight at a time, and it takes with it all that arrived meanwhile and fits together.
type journal struct {
	k   *Kernel
	key session.Key

	mu       sync.Mutex
	s        *session.Session   // nil until loaded, and after it was found to be stale
	tomb     *session.Tombstone // of the id's last life, as long as it was not used again
	queue    []*proposal
	flushing bool
	sending  bool          // a record's fate is not known yet
	changed  chan struct{} // closed and replaced whenever the fold moves
	run      *tenure       // set while this replica is the owner
	term     uint64        // of the lease, at the newest claim
	live     live          // text being streamed
	told     told          // the conversation, decoded
	recent   []passed      // the newest records, for readers of streams

	held     []session.Record // the newest ones in their bytes, should the store lose them
	heldSize int              // bytes
	mending  chan struct{}    // closed when it is known what to do about lost records
	lost     *loss            // set when nothing could be done
	snapped  uint64           // up to where the newest snapshot goes, as far as known
	snapping bool             // one is being made

	pins int // users that keep it in the cache
	elem *list.Element
}

// class says which proposals may share a record.
type class int

const (
	accepting class = iota // turn.accepted, with a claim when the session is idle
	working                // results of the running turn's steps
	ending                 // the running turn's last word
	signaling              // a word from outside
	claiming               // anything that changes who looks after the session
)

// fits reports whether a proposal of class c may join a record that has proposals of the classes in has. Ends and
// signals do not share one, because an end must not stand beside a signal that it has not read.
func (c class) fits(has map[class]bool) bool {
	switch c {
	case accepting:
		return !has[signaling] && !has[claiming]
	case working:
		return !has[ending] && !has[signaling] && !has[claiming]
	case ending:
		return !has[ending] && !has[signaling] && !has[claiming]
	}
	return len(has) == 0
}

// proposal is one wish to write. write computes the events from the fold and what is already in the draft; it may be
// called several times and must not keep anything but its last answer. No events and no error: nothing needs writing.
type proposal struct {
	class class
	write func(s *session.Session, d *draft) ([]session.Event, error)
	hold  bool // it waits through a store outage instead of failing; for work that is already paid for

	sent  bool // a record with it was sent, and may be in the journal
	gone  bool // nobody waits for it any more: if it was not written, it will not be
	done  chan struct{}
	err   error
	place place
}

// draft is a record in the making.
type draft struct {
	now    session.Millis
	events []session.Event
	epoch  uint64
	term   uint64 // of the lease under which it claims, 0 when it does not claim
}

// place says where a proposal's events went.
type place struct {
	rec   session.Record
	first int // index of its first event
}

// propose writes and waits until the record is durable. When ctx ends before that the answer is Unavailable if nothing
// was sent, else OutcomeUnknown with the place that was aimed at, and the journal goes on to find out by itself.
func (j *journal) propose(ctx context.Context, p *proposal) (place, error) {
	p.done = make(chan struct{})
	j.mu.Lock()
	j.queue = append(j.queue, p)
	j.wake()
	j.mu.Unlock()
	cause := errClosed
	select {
	case <-p.done:
		return p.place, p.err
	case <-ctx.Done():
		cause = context.Cause(ctx)
	case <-j.k.ctx.Done():
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case <-p.done:
		return p.place, p.err
	default:
	}
	p.gone = true
	if p.sent {
		return p.place, fault.New(fault.OutcomeUnknown, "", "the store did not answer in time: %w", cause).
			WithTry("send the same request with the same Idempotency-Key again")
	}
	for i, q := range j.queue {
		if q == p {
			j.queue = append(j.queue[:i:i], j.queue[i+1:]...)
			break
		}
	}
	return place{}, fault.New(fault.Unavailable, "", "the store did not answer in time; nothing was written: %w", cause).
		WithAfter(time.Second)
}

// wake starts the writer if there is something to write. j.mu is held.
func (j *journal) wake() {
	if j.flushing || len(j.queue) == 0 || j.k.ctx.Err() != nil {
		return
	}
	j.flushing = j.k.background(j.flush)
	if j.flushing {
		j.pins++
	}
}

// flush writes until nothing is left.
func (j *journal) flush() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.queue) > 0 && j.k.ctx.Err() == nil {
		if err := j.load(); err != nil {
			j.refuse(err)
			continue
		}
		j.write(j.take())
	}
	j.flushing = false
	j.unpinLocked()
}

// refuse fails every proposal that does not hold; when all hold it waits a moment. j.mu is held but not while waiting.
func (j *journal) refuse(err error) {
	rest := j.queue[:0:0]
	for _, p := range j.queue {
		if p.hold && fault.KindOf(err) == fault.Unavailable {
			rest = append(rest, p)
		} else {
			p.finish(place{}, err)
		}
	}
	j.queue = rest
	if len(rest) > 0 {
		j.mu.Unlock()
		pause(j.k.ctx, retryStore)
		j.mu.Lock()
	}
}

// retryStore is how long a writer waits before it tries a store again that did not answer.
const retryStore = 200 * time.Millisecond

func (p *proposal) finish(at place, err error) {
	p.place, p.err = at, err
	close(p.done)
}

// take removes from the queue what goes into the next record. j.mu is held.
func (j *journal) take() []*proposal {
	has := map[class]bool{}
	var batch []*proposal
	for len(j.queue) > 0 && j.queue[0].class.fits(has) {
		has[j.queue[0].class] = true
		batch = append(batch, j.queue[0])
		j.queue = j.queue[1:]
	}
	return batch
}

// write makes one record of a batch and appends it. j.mu is held, but not during the append.
func (j *journal) write(batch []*proposal) {
	d := &draft{now: now()}
	if j.s.Owner == j.k.id {
		d.epoch = j.s.Epoch
	}
	writers := batch[:0:0]
	for _, p := range batch {
		p.place.first = len(d.events)
		events, err := p.write(j.s, d)
		if err != nil || len(events) == 0 {
			p.finish(p.place, err)
			continue
		}
		d.events = append(d.events, events...)
		writers = append(writers, p)
	}
	if len(writers) == 0 {
		return
	}
	at := j.s.At
	if d.now < j.s.Updated {
		d.now = j.s.Updated // the wall clock went back; the journal's does not
	}
	rec, content, err := session.NewRecordIn(j.k.writes(), at, j.k.id, d.epoch, d.now, d.events)
	var next session.Attention
	if err == nil {
		next, err = j.s.Preview(rec, content, millis(j.k.cfg.SessionTTL))
	}
	if err != nil {
		j.k.log.Error("a record that no reader could fold was not written", "session", j.key.ID, "error", err)
		for _, p := range writers {
			p.finish(place{}, fault.New(fault.Internal, "journal.write", "the request does not fit the session's state: %w", err))
		}
		return
	}
	if d.term > 0 {
		j.term = d.term
	}
	for _, p := range writers {
		p.sent, p.place.rec = true, rec
	}
	j.sending = true
	j.mu.Unlock()
	err = j.k.append(j.key, at, rec, next)
	j.mu.Lock()
	if err == nil {
		err = j.apply(rec, content)
	} else {
		err = j.decide(at, rec, content, next, err)
	}
	j.sending = false
	j.settle(writers, rec, err)
}

// settle answers the proposals of one record. j.mu is held.
func (j *journal) settle(writers []*proposal, rec session.Record, err error) {
	var held []*proposal
	for _, p := range writers {
		again := errors.Is(err, session.ErrConflict) || p.hold && fault.KindOf(err) == fault.Unavailable
		if again && !p.gone {
			p.sent = false // what was sent will never be written
			held = append(held, p)
		} else {
			p.finish(p.place, err)
		}
	}
	j.queue = append(held, j.queue...)
	if len(held) > 0 && !errors.Is(err, session.ErrConflict) {
		j.mu.Unlock()
		pause(j.k.ctx, retryStore)
		j.mu.Lock()
	}
}

// append is the one place at which a record goes to the store.
func (k *Kernel) append(key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	_ = k.fp.Hit(failpoint.AppendBefore)
	ctx, cancel := k.opCtx()
	defer cancel()
	began := time.Now()
	err := k.store.Append(ctx, key, at, rec, next)
	if lost := k.fp.Hit(failpoint.AppendAfter); err == nil && lost != nil {
		err = lost
	}
	k.obs.Appended(time.Since(began), err)
	return err
}

// decide finds out what became of an append that did not simply succeed. nil: it is in the journal; ErrConflict: it is
// not and never will be, and the fold has caught up; Unavailable: nothing was sent. It goes on until it knows. j.mu is
// held, but not while it asks.
func (j *journal) decide(at session.Position, rec session.Record, b session.Batch, next session.Attention, err error) error {
	if errors.Is(err, session.ErrNotSent) {
		return fault.New(fault.Unavailable, "", "the store does not take writes: %w", err).WithAfter(time.Second)
	}
	for {
		known := errors.Is(err, session.ErrConflict)
		head, tail, rerr := j.read(at.Len)
		switch {
		case j.k.ctx.Err() != nil:
			return fault.New(fault.OutcomeUnknown, "", "stopped while the store did not answer: %w", err)
		case errors.Is(rerr, session.ErrTrimmed):
			if ferr := j.fate(at, rec); fault.KindOf(ferr) != fault.Unavailable {
				return ferr
			}
		case rerr != nil:
		case head.Life == at.Life && head.Len == at.Len && head.LastID == at.LastID && !known:
			j.mu.Unlock()
			err = j.k.append(j.key, at, rec, next)
			j.mu.Lock()
			if err == nil {
				return j.apply(rec, b)
			}
		default:
			return j.decided(at, head, tail, rec)
		}
		j.mu.Unlock()
		pause(j.k.ctx, retryStore)
		j.mu.Lock()
	}
}

// decided is what the journal says of a record, now that its position is taken: it is there, or it never will be. That
// stands even if the fold cannot follow now; whoever needs the fold next is told why.
func (j *journal) decided(at session.Position, head session.Head, tail []session.Record, rec session.Record) error {
	if err := j.catchUp(at, head, tail); err != nil {
		j.k.log.Warn("a session cannot be folded", "session", j.key.ID, "error", err)
	}
	if len(tail) > 0 && tail[0].ID == rec.ID {
		return nil
	}
	return session.ErrConflict
}

// read asks the store for the records above after. j.mu is held, but not while it asks.
func (j *journal) read(after uint64) (session.Head, []session.Record, error) {
	j.mu.Unlock()
	defer j.mu.Lock()
	return j.k.readRecords(j.k.ctx, j.key, after, 0)
}
