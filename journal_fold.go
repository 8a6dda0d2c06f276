package agentkernel

import (
	"context"
	"errors"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// load folds the session if it is not. j.mu is held, but not while the store is asked.
func (j *journal) load() error {
	for j.s == nil {
		j.mu.Unlock()
		f, err := j.k.fetch(j.key)
		j.mu.Lock()
		if j.s != nil {
			return nil // someone else was faster
		}
		if err != nil {
			return err
		}
		j.s, j.tomb, j.recent, j.snapped = f.s, f.tomb, nil, f.snapped
		j.holdOnly(f.records)
		if f.lost > 0 {
			j.k.rolledBack(j.key, f.s.At.Len+f.lost, f.s.At.Len, 0)
			j.park(f.lost)
		}
		j.moved()
	}
	return nil
}

// catchUp folds a tail that was read after position from, which the fold had when the store was asked. When the store
// does not continue the fold, the id was erased and used again or the store went back: the fold is made anew.
func (j *journal) catchUp(from session.Position, head session.Head, tail []session.Record) error {
	if j.s == nil {
		return j.load()
	}
	if head.Len < from.Len || head.Len == from.Len && head.LastID != from.LastID || head.Life != from.Life && from.Len > 0 {
		return j.restart(head)
	}
	for _, r := range tail {
		if r.Seq <= j.s.At.Len {
			continue // folded while the store was asked
		}
		b, err := r.Decode()
		if err == nil && b.Prev != j.s.At.LastID {
			return j.restart(head)
		}
		if err == nil {
			err = j.s.ApplyBatch(r, b)
		}
		if err != nil {
			j.s = nil
			return err
		}
		j.pass(r, b)
	}
	if j.s.At.Len == 0 {
		j.s.At.Life, j.tomb = head.Life, head.Tomb
	} else {
		j.tomb = nil
	}
	j.moved()
	return nil
}

// apply folds a record that this journal wrote, unless it was read back meanwhile. j.mu is held.
func (j *journal) apply(rec session.Record, b session.Batch) error {
	if j.s == nil || j.s.At.Len >= rec.Seq && j.s.At.Life == rec.Life {
		return nil
	}
	if err := j.s.ApplyBatch(rec, b); err != nil {
		j.s = nil
		return err
	}
	j.tomb = nil
	j.pass(rec, b)
	j.moved()
	j.snapshotSoon()
	return nil
}

// passed is a record as readers of streams need it.
type passed struct {
	seq    uint64
	events []session.Event
}

const keepPassed = 32 // records; a reader that is further behind asks the store

func (j *journal) pass(rec session.Record, b session.Batch) {
	j.hold(rec)
	if len(j.recent) >= keepPassed {
		j.recent = append(j.recent[:0:0], j.recent[keepPassed/2:]...)
	}
	j.recent = append(j.recent, passed{seq: b.Seq, events: b.Events})
}

// recordsFrom returns the records from sequence number seq on, some of them if there are many.
func (j *journal) recordsFrom(ctx context.Context, seq uint64) ([]passed, error) {
	j.mu.Lock()
	for i, p := range j.recent {
		if p.seq == seq {
			found := j.recent[i:len(j.recent):len(j.recent)]
			j.mu.Unlock()
			return found, nil
		}
	}
	j.mu.Unlock()
	_, records, err := j.k.readRecords(ctx, j.key, seq-1, 4*keepPassed)
	if err != nil {
		return nil, fault.New(kindOfStore(err), "", "the session cannot be read: %w", err).WithAfter(time.Second)
	}
	var found []passed
	for _, r := range records {
		b, err := r.Decode()
		if err != nil {
			return nil, err
		}
		found = append(found, passed{seq: b.Seq, events: b.Events})
	}
	return found, nil
}

// refresh folds what others wrote.
func (j *journal) refresh() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.s == nil {
		return j.load()
	}
	from := j.s.At
	head, tail, err := j.read(from.Len)
	if errors.Is(err, session.ErrTrimmed) {
		j.s, err = nil, nil
		return j.load()
	}
	if err != nil {
		return fault.New(kindOfStore(err), "", "the session cannot be read: %w", err).WithAfter(time.Second)
	}
	return j.catchUp(from, head, tail)
}

// reach folds what others wrote if the turn of that id is not in the fold yet: it may have been accepted at another
// replica a moment ago.
func (j *journal) reach(id session.TurnID) error {
	ahead := false
	err := j.view(func(s *session.Session) error {
		ahead = id.Life > s.At.Life || id.Life == s.At.Life && id.Ref.Seq > s.At.Len
		return nil
	})
	if err == nil && ahead {
		err = j.refresh()
	}
	return err
}

// moved tells everyone that the fold is another one, and starts or stops this replica's tenure. j.mu is held.
func (j *journal) moved() {
	close(j.changed)
	j.changed = make(chan struct{})
	s := j.s
	j.unpark()
	mine := s.Owner == j.k.id
	if r := j.run; r != nil {
		switch {
		case s.Epoch != r.epoch || s.Erased || s.Runnable() && !mine:
			r.stop(errFenced)
		default:
			r.signal(s.Current())
		}
	}
	if mine && j.run == nil && s.Runnable() && j.k.ctx.Err() == nil {
		j.run = j.k.begin(j, s.Epoch, j.term)
	}
}

// view calls f with the fold, which f must neither keep nor change.
func (j *journal) view(f func(s *session.Session) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.load(); err != nil {
		return err
	}
	return f(j.s)
}

// wait calls f with the fold, now and whenever it moved, until f is done or ctx ends.
func (j *journal) wait(ctx context.Context, f func(s *session.Session) (bool, error)) error {
	for {
		j.mu.Lock()
		if err := j.load(); err != nil {
			j.mu.Unlock()
			return err
		}
		done, err := f(j.s)
		changed := j.changed
		j.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-j.k.ctx.Done():
			return fault.New(fault.Unavailable, "", "this replica stopped; the turn goes on elsewhere").WithAfter(time.Second)
		}
	}
}

// kindOfStore is the kind of a failed read: a store that cannot be reached is Unavailable, never "no such session".
func kindOfStore(err error) fault.Kind {
	switch k := fault.KindOf(err); k {
	case fault.Corrupt, fault.Unreadable:
		return k
	}
	return fault.Unavailable
}

// open returns the journal of a session, pinned: the caller unpins it.
func (k *Kernel) open(key session.Key) *journal {
	k.mu.Lock()
	defer k.mu.Unlock()
	j := k.sessions[key]
	if j == nil {
		// It is pinned before anything is evicted: where all others are in use it would be the one to go, and a session
		// would have two journals here.
		j = &journal{k: k, key: key, changed: make(chan struct{}), pins: 1}
		j.elem = k.lru.PushFront(j)
		k.sessions[key] = j
		k.evict()
		return j
	}
	k.lru.MoveToFront(j.elem)
	j.mu.Lock()
	j.pins++
	j.mu.Unlock()
	return j
}

// evict drops the sessions that were not used for longest, as long as nobody uses them. k.mu is held.
func (k *Kernel) evict() {
	for e := k.lru.Back(); e != nil && k.lru.Len() > k.cfg.CacheSize; {
		j, prev := e.Value.(*journal), e.Prev()
		if j.mu.TryLock() {
			if j.pins == 0 && j.run == nil && len(j.queue) == 0 {
				k.lru.Remove(e)
				delete(k.sessions, j.key)
			}
			j.mu.Unlock()
		}
		e = prev
	}
}

func (j *journal) unpin() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.unpinLocked()
}

func (j *journal) unpinLocked() { j.pins-- }
